#include "cost/group_estimator.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cluster/device_groups.h"

namespace helm::cost {
namespace {

using cluster::GroupSet;

// The longest of several answers, with the largest workspace; the first refusal where one has none.
template <typename Ask>
Result<Estimate> Slowest(const std::vector<const Estimator*>& estimators, const Ask& ask) {
  std::optional<Estimate> slowest;
  for (const Estimator* estimator : estimators) {
    HELM_ASSIGN_OR_RETURN(const Estimate estimate, ask(*estimator));
    const Bytes workspace = std::max(estimate.workspace, slowest ? slowest->workspace : Bytes());
    if (!slowest || estimate.duration > slowest->duration) slowest = estimate;
    slowest->workspace = workspace;  // whichever device has least left
  }
  return *slowest;
}

// Several groups: their ops, and collectives among them.
class JointEstimator : public Estimator {
 public:
  JointEstimator(std::vector<const Estimator*> ops, std::vector<std::unique_ptr<ChainEstimator>> among)
      : ops_(std::move(ops)), owned_(std::move(among)) {
    for (const auto& estimator : owned_) among_.push_back(estimator.get());
  }

  Result<Estimate> EstimateOp(const ir::OpSignature& op) const override {
    return Slowest(ops_, [&](const Estimator& of) { return of.EstimateOp(op); });
  }
  Result<Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override {
    return Slowest(among_, [&](const Estimator& of) { return of.EstimateCollective(collective); });
  }
  Result<HostCosts> EstimateHost() const override {
    std::optional<HostCosts> slowest;
    for (const Estimator* estimator : ops_) {
      HELM_ASSIGN_OR_RETURN(const HostCosts host, estimator->EstimateHost());
      if (!slowest || host.per_op > slowest->per_op) slowest = host;
    }
    return *slowest;
  }

 private:
  std::vector<const Estimator*> ops_, among_;
  std::vector<std::unique_ptr<ChainEstimator>> owned_;
};

class GroupEstimator : public Estimator {
 public:
  GroupEstimator(cluster::Cluster cluster, std::vector<std::unique_ptr<ChainEstimator>> groups, ChainOptions options)
      : cluster_(std::move(cluster)), groups_(std::move(groups)), options_(options) {}

  Result<Estimate> EstimateOp(const ir::OpSignature& op) const override { return Among(All()).EstimateOp(op); }
  Result<Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override {
    return Among(All()).EstimateCollective(collective);
  }
  Result<HostCosts> EstimateHost() const override { return Among(All()).EstimateHost(); }
  OverlapLosses EstimateOverlap(const OverlapLosses& modelled) const override { return Among(All()).EstimateOverlap(modelled); }
  const Estimator& Among(GroupSet set) const override {
    const std::vector<size_t> groups = cluster::GroupsIn(set);
    if (groups.empty()) return *this;
    if (groups.size() == 1) return *groups_[groups.front()];
    std::unique_ptr<JointEstimator>& joint = joint_[set];
    if (joint == nullptr) joint = Join(set, groups);
    return *joint;
  }

 private:
  GroupSet All() const { return (GroupSet{1} << groups_.size()) - 1; }

  std::unique_ptr<JointEstimator> Join(GroupSet set, const std::vector<size_t>& groups) const {
    std::vector<const Estimator*> ops;
    std::vector<std::unique_ptr<ChainEstimator>> among;
    for (const size_t group : groups) {
      ops.push_back(groups_[group].get());
      auto made = MakeEstimator(cluster::AmongGroups(cluster_, group, set), {}, options_);
      among.push_back(std::move(made).value());  // without tables nothing can fail
    }
    return std::make_unique<JointEstimator>(std::move(ops), std::move(among));
  }

  cluster::Cluster cluster_;
  std::vector<std::unique_ptr<ChainEstimator>> groups_;
  ChainOptions options_;
  mutable std::map<GroupSet, std::unique_ptr<JointEstimator>> joint_;  // made when they are asked for
};

std::vector<CostTable> TablesOf(const cluster::Cluster& group, const std::vector<CostTable>& tables) {
  std::vector<CostTable> own;
  for (const CostTable& table : tables) {
    if (SameDevice(table.device, DeviceKeyOf(group))) own.push_back(table);
  }
  return own;
}

}  // namespace

Result<std::unique_ptr<Estimator>> MakeClusterEstimator(const cluster::Cluster& cluster, const std::vector<CostTable>& tables,
                                                        const ChainOptions& options) {
  if (!cluster::HasGroups(cluster)) {
    HELM_ASSIGN_OR_RETURN(auto chain, MakeEstimator(cluster, tables, options));
    return std::unique_ptr<Estimator>(std::move(chain));
  }
  for (const CostTable& table : tables) {
    const auto is_of = [&](const cluster::Cluster& group) { return SameDevice(table.device, DeviceKeyOf(group)); };
    if (std::ranges::any_of(cluster.groups, is_of)) continue;
    return InvalidError(
        fmt::format("{}:1:1: error: the table was measured on {}, which none of the groups of the cluster '{}' is\n"
                    "  fix: give tables that helm-profile measured on the devices of its groups",
                    table.file.empty() ? "cost table" : table.file, ToText(table.device), cluster.name));
  }
  std::vector<std::unique_ptr<ChainEstimator>> groups;
  for (const cluster::Cluster& group : cluster.groups) {
    HELM_ASSIGN_OR_RETURN(groups.emplace_back(), MakeEstimator(group, TablesOf(group, tables), options));
  }
  return std::unique_ptr<Estimator>(new GroupEstimator(cluster, std::move(groups), options));
}

std::vector<std::string> ClusterWarnings(const cluster::Cluster& cluster, const std::vector<CostTable>& tables) {
  if (!cluster::HasGroups(cluster)) return Warnings(cluster, tables);
  std::vector<std::string> warnings;
  for (const cluster::Cluster& group : cluster.groups) {
    for (std::string& warning : Warnings(group, TablesOf(group, tables))) {
      if (std::ranges::find(warnings, warning) == warnings.end()) warnings.push_back(std::move(warning));
    }
  }
  return warnings;
}

}  // namespace helm::cost
