#include "cluster/device_groups.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "cluster/placement.h"
#include "core/check.h"
#include "core/text.h"

namespace helm::cluster {
namespace {

std::vector<std::string> GroupNames(const Cluster& cluster) {
  std::vector<std::string> names;
  for (const Cluster& group : cluster.groups) names.push_back(group.name);
  return names;
}

// Of all cards of a node together.
double NodeRate(const InterNodeLink& link) { return static_cast<double>(link.nics) * link.bandwidth.value(); }

// What a group is but for its name.
bool AreAlike(const Cluster& a, Cluster b) {
  b.name = a.name;
  return a == b;
}

RankBlock BlockOf(const Cluster& cluster, size_t group) {
  const Cluster& of = cluster.groups[group];
  return {of.devices_used, DevicesPerDomain(of), GroupSet{1} << group};
}

}  // namespace

bool HasOneDevice(const Cluster& cluster) {
  return std::ranges::all_of(cluster.groups, [&](const Cluster& group) { return group.device == cluster.groups.front().device; });
}

Result<std::vector<size_t>> GroupOrder(const Cluster& cluster, const std::vector<std::string>& names) {
  std::vector<size_t> order;
  if (names.empty()) {
    order.resize(cluster.groups.size());
    std::iota(order.begin(), order.end(), size_t{0});
    return order;
  }
  const std::vector<std::string> known = GroupNames(cluster);
  std::vector<std::string> sorted = names, sorted_known = known;
  std::ranges::sort(sorted);
  std::ranges::sort(sorted_known);
  if (sorted != sorted_known) {
    return InvalidError(
        fmt::format("'groups' of the strategy must name each group of the cluster '{}' once\nfound: {}\nallowed: {}\nfix: name them in the "
                    "order in which the ranks fill them, or leave it out",
                    cluster.name, Join(names, ", "), known.empty() ? "none, it has one kind of node" : Join(known, ", ")));
  }
  for (const std::string& name : names) order.push_back(static_cast<size_t>(std::ranges::find(known, name) - known.begin()));
  return order;
}

RankLayout LayoutOf(const Cluster& cluster, const std::vector<std::string>& order) {
  if (!HasGroups(cluster)) return RankLayout(DevicesPerDomain(cluster));
  const auto groups = GroupOrder(cluster, order);
  HELM_CHECK(groups.ok(), "an order that was checked");
  std::vector<RankBlock> blocks;
  for (const size_t group : *groups) blocks.push_back(BlockOf(cluster, group));
  return RankLayout(std::move(blocks));
}

RankLayout LayoutInGroup(const Cluster& cluster, size_t group) { return RankLayout({BlockOf(cluster, group)}); }

std::vector<size_t> GroupsIn(GroupSet set) {
  std::vector<size_t> groups;
  for (size_t group = 0; set >> group != 0; ++group) {
    if ((set >> group & 1) != 0) groups.push_back(group);
  }
  return groups;
}

std::string NamesOf(const Cluster& cluster, GroupSet set) {
  std::vector<std::string> names;
  for (const size_t group : GroupsIn(set)) names.push_back(cluster.groups[group].name);
  return Join(names, " + ");
}

std::vector<std::vector<std::string>> DistinctOrders(const Cluster& cluster) {
  // By group: the first that it is like.
  std::vector<size_t> kinds;
  for (size_t i = 0; i < cluster.groups.size(); ++i) {
    size_t kind = 0;
    while (!AreAlike(cluster.groups[kind], cluster.groups[i])) ++kind;
    kinds.push_back(kind);
  }
  const std::vector<size_t> own = kinds;
  std::ranges::sort(kinds);
  std::vector<std::vector<std::string>> orders;
  do {
    std::vector<std::string> names;
    std::vector<bool> taken(own.size(), false);
    for (const size_t kind : kinds) {
      size_t group = 0;
      while (own[group] != kind || taken[group]) ++group;
      taken[group] = true;
      names.push_back(cluster.groups[group].name);
    }
    orders.insert(kinds == own ? orders.begin() : orders.end(), std::move(names));
  } while (std::ranges::next_permutation(kinds).found);
  return orders;
}

Cluster AmongGroups(const Cluster& cluster, size_t group, GroupSet set) {
  HELM_CHECK((set >> group & 1) != 0, "one of the set");
  Cluster joint = cluster.groups[group];
  if (set == GroupSet{1} << group) return joint;
  for (const size_t other : GroupsIn(set)) {
    const std::optional<IntraNodeLink>& link = cluster.groups[other].intra_node;
    if (link && (!joint.intra_node || link->bandwidth < joint.intra_node->bandwidth)) joint.intra_node = link;
  }
  // What leaves a node for another group passes its own cards and what joins the groups.
  InterNodeLink link = *cluster.between;
  for (const size_t other : GroupsIn(set)) {
    const std::optional<InterNodeLink>& own = cluster.groups[other].inter_node;
    if (!own) continue;
    const Duration latency = std::max(own->latency, link.latency);
    if (NodeRate(*own) < NodeRate(link)) link = *own;
    link.latency = latency;
  }
  joint.inter_node = link;
  return joint;
}

Status RefuseGroups(const Cluster& cluster, const std::string& who, const std::string& fix) {
  if (!HasGroups(cluster)) return OkStatus();
  return InvalidError(fmt::format("error: not supported by this version: {} on a cluster of several kinds of nodes ('{}': {})\n  fix: {}",
                                  who, cluster.name, Join(GroupNames(cluster), ", "), fix));
}

}  // namespace helm::cluster
