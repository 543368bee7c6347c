// Reading clusters: a preset's name (configs/clusters/), a file, an inline mapping, or {local: N}; and the JSON form that a plan embeds,
// which is self-contained: the device is written out, so that a plan does not change its meaning with a preset. Forms:
// docs/formats/cluster.md.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "cluster/cluster.h"
#include "cluster/machine_facts.h"
#include "core/diagnostics.h"
#include "core/located_yaml.h"
#include "core/preset.h"

namespace helm::cluster {

struct ClusterContext {
  PresetPath presets;
  std::string folder;     // of the file that holds the value
  MachineFacts machine;   // for {local: N}
  bool is_group = false;  // what is read is a group of another cluster
};

// Reports everything that is wrong; nothing is returned then.
std::optional<Cluster> ReadCluster(const YamlValue& value, const ClusterContext& context, Diagnostics& diagnostics);
// A file of configs/gpus/, or the inline form of the same.
std::optional<Device> ReadDevice(const YamlValue& value, const ClusterContext& context, Diagnostics& diagnostics);

// {nics, gbits_per_s, fabric, latency_us}. Between groups of nodes ('between'), `nics` and `fabric` may be left out: one card, Ethernet.
InterNodeLink ReadInterNode(const YamlValue& value, bool between_groups, Diagnostics& diagnostics);

nlohmann::ordered_json ToJson(const InterNodeLink& link);
nlohmann::ordered_json ToJson(const Cluster& cluster);
// The same cluster again: ClusterFromJson(ToJson(c)) == c for every cluster that ReadCluster returns. `file` is the name in messages.
Result<Cluster> ClusterFromJson(const nlohmann::ordered_json& document, const std::string& file = "cluster");

}  // namespace helm::cluster
