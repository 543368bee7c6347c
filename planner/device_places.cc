#include "planner/device_places.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "cluster/device_groups.h"
#include "core/text.h"
#include "cost/overlap_model.h"
#include "planner/evaluate.h"
#include "planner/outside_memory.h"
#include "planner/prediction.h"

namespace helm::planner {
namespace {

// The group of the set that leaves a rank the least memory.
const cluster::Cluster& Tightest(const cluster::Cluster& cluster, cluster::GroupSet set, const ir::Software& software) {
  if (set == 0) return cluster;
  const auto left = [&](size_t group) {
    const cluster::Device& device = cluster.groups[group].device;
    return device.memory - CublasWorkspaces(device, software);
  };
  const std::vector<size_t> groups = cluster::GroupsIn(set);
  return cluster.groups[*std::ranges::min_element(groups, {}, left)];
}

// The first of the ranks [first, end) that lies in this group.
int64_t FirstRankIn(const cluster::RankLayout& layout, const std::string& group, const cluster::Cluster& cluster, int64_t first,
                    int64_t end) {
  for (int64_t rank = first; rank < end; ++rank) {
    if (cluster::NamesOf(cluster, layout.GroupsOf(rank, rank + 1)) == group) return rank;
  }
  return first;
}

// What loses most by each, of the groups of a set: their ranks wait for the slowest.
cost::OverlapLosses LossesAmong(const cluster::Cluster& cluster, cluster::GroupSet set) {
  const auto worse = [](double& loss, double other) { loss = std::max(loss, other); };
  cost::OverlapLosses most;
  for (const size_t group : cluster::GroupsIn(set)) {
    const cost::OverlapLosses losses = cost::OverlapLossesOf(cluster::AmongGroups(cluster, group, set));
    worse(most.inside.product, losses.inside.product);
    worse(most.inside.memory_bound, losses.inside.memory_bound);
    worse(most.network.product, losses.network.product);
    worse(most.network.memory_bound, losses.network.memory_bound);
    worse(most.communication, losses.communication);
  }
  return most;
}

}  // namespace

Result<DevicePlaces> PlaceDevices(const cluster::Cluster& cluster, const ir::Strategy& strategy, const ir::Software& software) {
  if (const auto order = cluster::GroupOrder(cluster, strategy.groups); !order.ok()) {
    return InvalidError("error: " + ReplaceAll(order.status().message(), "\n", "\n  "));
  }
  DevicePlaces places;
  places.layout = cluster::LayoutOf(cluster, strategy.groups);
  const int64_t ranks = strategy.world_size() / strategy.pipeline;
  for (int64_t stage = 0; stage < strategy.pipeline; ++stage) {
    const int64_t first = stage * ranks, end = first + ranks;
    places.groups.push_back(places.layout.GroupsOf(first, end));
    places.nodes.push_back(&Tightest(cluster, places.groups.back(), software));
    places.workspaces.push_back(CublasWorkspaces(places.nodes.back()->device, software));
    places.ranks.push_back(cluster::HasGroups(cluster) ? FirstRankIn(places.layout, places.nodes.back()->name, cluster, first, end)
                                                       : first);
  }
  return places;
}

sim::SimulationOptions SimulationOptionsOf(const cluster::Cluster& cluster, const DevicePlaces& places, double memory_fraction,
                                           const sim::PriceBook& prices) {
  sim::SimulationOptions options = SimulationOptionsFor(cluster, prices);
  if (!cluster::HasGroups(cluster)) return options;
  options.layout = places.layout;
  for (size_t stage = 0; stage < places.groups.size(); ++stage) {
    options.overlap_losses_of_class.push_back(prices.OfOverlap(LossesAmong(cluster, places.groups[stage]), places.groups[stage]));
    options.memory_of_class.push_back(MemoryCapacity(*places.nodes[stage], memory_fraction) - places.workspaces[stage]);
  }
  return options;
}

std::vector<std::vector<std::string>> GroupOrders(const config::RunConfig& config, int64_t pipeline) {
  if (config.strategy_given.contains("groups")) return {config.strategy.groups};
  if (!cluster::HasGroups(config.cluster) || pipeline == 1) return {{}};
  return cluster::DistinctOrders(config.cluster);
}

std::string DescribePlaces(const cluster::Cluster& cluster, const ir::Strategy& strategy) {
  if (!cluster::HasGroups(cluster)) return "";
  const cluster::RankLayout layout = cluster::LayoutOf(cluster, strategy.groups);
  const int64_t ranks = strategy.world_size() / strategy.pipeline;
  std::vector<std::string> parts;
  for (int64_t stage = 0, next = 0; stage < strategy.pipeline; stage = next) {
    const auto set_of = [&](int64_t of) { return layout.GroupsOf(of * ranks, (of + 1) * ranks); };
    while (next < strategy.pipeline && set_of(next) == set_of(stage)) ++next;
    const std::string stages = next == stage + 1 ? fmt::format("{}", stage) : fmt::format("{}-{}", stage, next - 1);
    parts.push_back(fmt::format("{} on {}", stages, cluster::NamesOf(cluster, set_of(stage))));
  }
  return (strategy.pipeline > 1 ? "stages " : "stage ") + Join(parts, ", ");
}

}  // namespace helm::planner
