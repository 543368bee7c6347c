// Reading clusters of several kinds of nodes: {name, groups: [...], between: {...}}. Called by cluster/cluster_reader.h; forms:
// docs/formats/cluster.md.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "cluster/cluster.h"
#include "cluster/cluster_reader.h"
#include "core/diagnostics.h"
#include "core/located_yaml.h"

namespace helm::cluster {

// Each group is what a cluster of one kind of node is written as: a preset, a file, or a mapping. `name`: of the file, or empty. Reports
// everything that is wrong; nothing is returned then.
std::optional<Cluster> ReadGroupedCluster(const YamlValue& value, const std::string& name, const ClusterContext& context,
                                          Diagnostics& diagnostics);

// REQUIRES: the cluster has groups.
nlohmann::ordered_json GroupsToJson(const Cluster& cluster);

// What the cluster is as a whole, of its groups and `between` (cluster/cluster.h). REQUIRES: at least one group.
void SumUpGroups(Cluster& cluster);

}  // namespace helm::cluster
