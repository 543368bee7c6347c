// Any bytes are a topology, in NCCL's XML or nvidia-smi's matrix, or an error; what they say of a cluster is YAML.
#include "core/located_yaml.h"
#include "formats/nccl_topology.h"
#include "formats/topology_matrix.h"
#include "fuzz_support.h"
#include "importer/cluster_facts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = helm::fuzz::Text(data, size);
  if (const auto topology = helm::formats::ParseNcclTopology(text, "fuzz"); topology.ok()) {
    const auto facts = helm::importer::FactsOf(*topology, "fuzz");
    if (facts.ok()) HELM_CHECK(helm::ParseYaml(helm::importer::ClusterFileOf(*facts, "fuzz"), "again").ok(), "the cluster file is YAML");
  }
  if (const auto matrix = helm::formats::ParseTopologyMatrix(text, "fuzz"); matrix.ok()) {
    const auto facts = helm::importer::FactsOf(*matrix, std::nullopt);
    HELM_CHECK(helm::ParseYaml(helm::importer::ClusterFileOf(facts, "fuzz"), "again").ok(), "the cluster file is YAML");
  }
  return 0;
}
