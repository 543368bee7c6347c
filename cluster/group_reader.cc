#include "cluster/group_reader.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cluster/device_groups.h"
#include "core/check.h"
#include "core/mapping_reader.h"
#include "core/text.h"

namespace helm::cluster {
namespace {

void ReadGroup(const YamlValue& item, const ClusterContext& context, Diagnostics& diagnostics, std::vector<Cluster>& groups) {
  ClusterContext of_group = context;
  of_group.is_group = true;
  std::optional<Cluster> group = ReadCluster(item, of_group, diagnostics);
  if (!group) return;
  if (group->local) {
    diagnostics.Error(item.where, "a group cannot be this machine ('local')",
                      {"fix: describe GPUs of one kind: gpu, nodes, gpus_per_node, intra_node, inter_node"});
    return;
  }
  if (std::ranges::find(groups, group->name, &Cluster::name) != groups.end()) {
    diagnostics.Error(item.where, fmt::format("two groups are named '{}'", group->name), {"fix: give each a 'name' of its own"});
    return;
  }
  groups.push_back(*std::move(group));
}

void ReadGroups(MappingReader& reader, const ClusterContext& context, Cluster& cluster) {
  const YamlValue* list = reader.RequireValue("groups");
  if (list == nullptr) return;
  if (!list->is_sequence()) {
    reader.Error("groups", "'groups' must be a list of clusters of one kind of node", {"fix: write [{name: a, gpu: ...}, {name: b, ...}]"});
    return;
  }
  const auto count = static_cast<int64_t>(list->items.size());
  if (count < 2 || count > kGroupsMost) {
    reader.Error("groups", fmt::format("'groups' lists {}", count),
                 {fmt::format("allowed: 2 to {} groups", kGroupsMost), "fix: a cluster of one kind of node is written without 'groups'"});
    return;
  }
  for (const YamlValue& item : list->items) ReadGroup(item, context, reader.diagnostics(), cluster.groups);
}

}  // namespace

void SumUpGroups(Cluster& cluster) {
  HELM_CHECK(HasGroups(cluster), "a sum of groups");
  const Device& first = cluster.groups.front().device;
  std::vector<std::string> devices;
  Bytes memory = first.memory;
  cluster.node_count = cluster.devices_used = 0;
  for (const Cluster& group : cluster.groups) {
    cluster.node_count += group.node_count;
    cluster.devices_used += group.devices_used;
    cluster.devices_per_node = std::max(cluster.devices_per_node, group.devices_per_node);
    memory = std::min(memory, group.device.memory);
    if (std::ranges::find(devices, group.device.name) == devices.end()) devices.push_back(group.device.name);
  }
  cluster.device = HasOneDevice(cluster) ? first : Device{.name = Join(devices, " + "), .memory = memory};
}

std::optional<Cluster> ReadGroupedCluster(const YamlValue& value, const std::string& name, const ClusterContext& context,
                                          Diagnostics& diagnostics) {
  const size_t errors_before = diagnostics.error_count();
  if (context.is_group) {  // or a file could name itself
    diagnostics.Error(value.where, "a group cannot have groups of its own", {"fix: list all groups side by side"});
    return std::nullopt;
  }
  Cluster cluster;
  cluster.name = name;
  {
    MappingReader reader(value, "a cluster of several kinds of nodes", diagnostics);
    reader.Read("name", cluster.name);
    ReadGroups(reader, context, cluster);
    if (const YamlValue* between = reader.RequireValue("between")) {
      cluster.between = ReadInterNode(*between, /*between_groups=*/true, diagnostics);
    }
  }
  if (diagnostics.error_count() > errors_before) return std::nullopt;
  SumUpGroups(cluster);
  std::vector<std::string> names;
  for (const Cluster& group : cluster.groups) names.push_back(group.name);
  if (cluster.name.empty()) cluster.name = Join(names, "+");
  return cluster;
}

nlohmann::ordered_json GroupsToJson(const Cluster& cluster) {
  nlohmann::ordered_json json;
  json["name"] = cluster.name;
  json["groups"] = nlohmann::ordered_json::array();
  for (const Cluster& group : cluster.groups) json["groups"].push_back(ToJson(group));
  json["between"] = ToJson(*cluster.between);
  return json;
}

}  // namespace helm::cluster
