// Any bytes are a cluster or an error; the JSON form of a cluster reads back to the same.
#include "cluster/cluster_reader.h"
#include "core/diagnostics.h"
#include "core/located_yaml.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const helm::cluster::ClusterContext context{{{"configs"}, helm::MakeDocumentCache()}, "configs/clusters", helm::fuzz::Machine()};
  const auto value = helm::ParseYaml(helm::fuzz::Text(data, size), "fuzz");
  if (!value.ok()) return 0;
  helm::Diagnostics diagnostics;
  const auto cluster = helm::cluster::ReadCluster(*value, context, diagnostics);
  HELM_CHECK(cluster.has_value() == diagnostics.ok(), "a cluster or an error");
  if (!cluster) return 0;
  const auto again = helm::cluster::ClusterFromJson(helm::cluster::ToJson(*cluster));
  HELM_CHECK(again.ok() && *again == *cluster, "the cluster reads back");
  return 0;
}
