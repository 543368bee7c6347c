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

// The first rank and one past the last of each class (ir/step_programs.h).
std::vector<std::pair<int64_t, int64_t>> RanksByClass(const ir::Strategy& strategy) {
  const int64_t of_stage = strategy.world_size() / strategy.pipeline, of_data_rank = of_stage / strategy.data;
  std::vector<std::pair<int64_t, int64_t>> ranks;
  int64_t before = 0;
  for (const int64_t data_ranks : ShareRanks(strategy)) {
    const int64_t count = data_ranks * of_data_rank;
    for (int64_t stage = 0; stage < strategy.pipeline; ++stage) {
      ranks.emplace_back(stage * of_stage + before, stage * of_stage + before + count);
    }
    before += count;
  }
  return ranks;
}

// "data-parallel ranks 0-3 on h100, 4-5 on a100", of a step without pipeline stages.
std::string DescribeShares(const cluster::Cluster& cluster, const cluster::RankLayout& layout, const ir::Strategy& strategy) {
  std::vector<std::string> parts;
  int64_t data_rank = 0;
  const int64_t of_data_rank = strategy.world_size() / strategy.data;
  for (const int64_t count : ShareRanks(strategy)) {
    const int64_t end = data_rank + count;
    const std::string ranks = count == 1 ? fmt::format("{}", data_rank) : fmt::format("{}-{}", data_rank, end - 1);
    parts.push_back(ranks + " on " + cluster::NamesOf(cluster, layout.GroupsOf(data_rank * of_data_rank, end * of_data_rank)));
    data_rank = end;
  }
  return "data-parallel ranks " + Join(parts, ", ");
}

}  // namespace

Result<DevicePlaces> PlaceDevices(const cluster::Cluster& cluster, const ir::Strategy& strategy, const ir::Software& software) {
  if (const auto order = cluster::GroupOrder(cluster, strategy.groups); !order.ok()) {
    return InvalidError("error: " + ReplaceAll(order.status().message(), "\n", "\n  "));
  }
  DevicePlaces places;
  places.layout = cluster::LayoutOf(cluster, strategy.groups);
  for (const auto& [first, end] : RanksByClass(strategy)) {
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
  for (size_t c = 0; c < places.groups.size(); ++c) {
    options.overlap_losses_of_class.push_back(prices.OfOverlap(LossesAmong(cluster, places.groups[c]), places.groups[c]));
    options.memory_of_class.push_back(MemoryCapacity(*places.nodes[c], memory_fraction) - places.workspaces[c]);
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
  if (strategy.pipeline == 1 && ShareRanks(strategy).size() > 1) return DescribeShares(cluster, layout, strategy);
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
