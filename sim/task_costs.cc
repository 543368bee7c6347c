#include "sim/task_costs.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/region.h"

namespace helm::sim {

using cluster::GroupSet;

namespace {

constexpr std::string_view kCollectivePrefix = "c10d.";
// Stages reach a collective at different times; along all other dimensions ranks run in step.
constexpr std::string_view kPipeline = "pipeline";

// The two coordinates between which a message goes, ascending.
std::vector<int64_t> Ends(const cluster::MeshAxis& axis, int64_t own, int64_t offset) {
  std::vector<int64_t> ring = axis.coordinates;
  for (int64_t i = 0; axis.coordinates.empty() && i < axis.size; ++i) ring.push_back(i);
  const int64_t place = std::ranges::find(ring, own) - ring.begin();
  const int64_t peer = ring[static_cast<size_t>((place + offset) % static_cast<int64_t>(ring.size()))];
  return {std::min(own, peer), std::max(own, peer)};
}

// Two neighbours on a ring of the group: all ranks send at once, so that a ring over several nodes goes at the pace of its links between
// them, of which each node has one a group.
cluster::GroupPlacement PairOf(const cluster::GroupPlacement& ring) {
  const bool across = ring.nodes > 1;
  return {.size = 2,
          .nodes = across ? 2 : 1,
          .ranks_per_node = across ? 1 : 2,
          .groups_per_node = ring.groups_per_node,
          .device_groups = ring.device_groups};
}

// The mesh as the group of the collective sees it, for the ranks of the stage of `rank`.
std::vector<cluster::MeshAxis> AxesOf(const ir::Program& program, const ir::Op& op, int64_t rank) {
  const ir::Group& group = program.group(op.group);
  const std::vector<int64_t> own = ir::Coordinates(program.mesh, rank);
  std::vector<cluster::MeshAxis> axes;
  for (size_t i = 0; i < program.mesh.size(); ++i) {
    const ir::MeshDimension& dimension = program.mesh[i];
    cluster::MeshAxis axis{dimension.size, dimension.name == kPipeline ? cluster::AxisRole::kApart : cluster::AxisRole::kBeside, {}};
    if (std::ranges::find(group.dimensions, dimension.name) != group.dimensions.end()) {
      axis.role = cluster::AxisRole::kInGroup;
      axis.coordinates = group.coordinates;
      if (ir::IsPointToPoint(op) && dimension.name == kPipeline) axis.coordinates = Ends(axis, own[i], ir::PeerOffset(program, op));
    }
    axes.push_back(std::move(axis));
  }
  return axes;
}

cluster::GroupPlacement Placed(const ir::Op& op, const std::vector<cluster::MeshAxis>& axes, int64_t rank,
                               const cluster::RankLayout& layout) {
  const cluster::GroupPlacement placement = cluster::PlaceGroup(axes, layout, rank);
  return ir::IsPointToPoint(op) ? PairOf(placement) : placement;
}

// One rank of each group that runs at the stage of `rank`: its coordinates in the group are those of `rank`.
std::vector<int64_t> FirstOfGroups(const ir::Program& program, const std::vector<cluster::MeshAxis>& axes, int64_t rank) {
  const std::vector<int64_t> own = ir::Coordinates(program.mesh, rank);
  std::vector<int64_t> ranks = {0};
  int64_t stride = 1;
  for (size_t i = 0; i < axes.size(); ++i) {
    const bool beside = axes[i].role == cluster::AxisRole::kBeside;
    std::vector<int64_t> wider;
    for (int64_t coordinate = beside ? 0 : own[i]; coordinate < (beside ? axes[i].size : own[i] + 1); ++coordinate) {
      for (const int64_t other : ranks) wider.push_back(other + coordinate * stride);
    }
    ranks = std::move(wider);
    stride *= axes[i].size;
  }
  return ranks;
}

bool IsPricedCollective(const ir::Op& op) { return op.kind == ir::OpKind::kCollectiveStart && op.target != "c10d.recv"; }

// The members of its group come from the same op.
bool RunsInStep(const ir::Program& program, const ir::Op& op) {
  const std::vector<std::string>& dimensions = program.group(op.group).dimensions;
  return !ir::IsPointToPoint(op) && std::ranges::find(dimensions, kPipeline) == dimensions.end();
}

// "signature: reason". A reason that many have is told once, with the first of them.
std::vector<std::string> ByReason(const std::vector<std::string>& failures) {
  constexpr size_t kEachTold = 3;
  constexpr std::string_view kBetween = ": ";
  const auto reason_of = [&](const std::string& failure) {
    const size_t end = failure.rfind(kBetween);
    return end == std::string::npos ? failure : failure.substr(end + kBetween.size());
  };
  std::map<std::string, size_t> count;
  for (const std::string& failure : failures) ++count[reason_of(failure)];
  std::vector<std::string> lines;
  std::set<std::string> told;
  for (const std::string& failure : failures) {
    const std::string reason = reason_of(failure);
    if (count[reason] <= kEachTold) {
      lines.push_back(failure);
    } else if (told.insert(reason).second) {
      lines.push_back(
          fmt::format("{}, for {} of them; the first is {}", reason, count[reason], failure.substr(0, failure.rfind(kBetween))));
    }
  }
  return lines;
}

// Looks prices up for the ops of one rank; keeps each refusal once, in the order of the programs.
class Pricer {
 public:
  explicit Pricer(PriceBook& prices) : prices_(prices) {}

  // Ops, and the host thread, on ranks in these groups.
  cost::Estimate OfRegion(const ir::OpSignature& region, GroupSet groups) { return Noted(prices_.OfRegion(region, groups)); }
  cost::Estimate OfOp(const ir::Program& program, const ir::Op& op, GroupSet groups) { return Noted(prices_.OfOp(program, op, groups)); }
  cost::HostCosts OfHost(GroupSet groups) {
    auto host = prices_.OfHost(groups);
    if (!host.ok()) Fail(host.status().message());
    return host.ok() ? *host : cost::HostCosts();
  }

  // Finding the members of a group takes longer than a look-up, so what differs in nothing but the tensor is asked for once.
  cost::Estimate OfCollective(const ir::Program& program, const ir::Op& op, int64_t rank) {
    const int64_t offset = ir::IsPointToPoint(op) ? ir::PeerOffset(program, op) : 0;
    const ir::DataType dtype = program.tensor(ir::TensorArguments(op).front()).dtype;
    const CollectiveKey key{op.target, op.group, offset, dtype, ir::CollectiveBytes(program, op).count(), rank};
    const auto [known, is_new] = collectives_.try_emplace(key, nullptr);
    if (is_new) known->second = &Slowest(program, op, rank);
    return Noted(*known->second);
  }

  void Fail(const std::string& reason) {
    if (seen_.insert(reason).second) failures_.push_back(reason);
  }

  Status ToStatus(const std::string& name) const {
    if (failures_.empty()) return OkStatus();
    return UnavailableError(
        fmt::format("error: {} of the costs that program '{}' needs are not known; helm-profile measures them into a cost table:\n  {}",
                    failures_.size(), name, fmt::join(ByReason(failures_), "\n  ")));
  }

 private:
  using CollectiveKey = std::tuple<std::string, ir::GroupId, int64_t, ir::DataType, int64_t, int64_t>;

  // Of several, one that has no price, so that it is noted.
  const Price& Slowest(const ir::Program& program, const ir::Op& op, int64_t rank) {
    const int64_t offset = ir::IsPointToPoint(op) ? ir::PeerOffset(program, op) : 0;
    const auto [known, is_new] = placements_.try_emplace({program.group(op.group).name, offset, rank});
    if (is_new) known->second = PlacementsOf(program, op, rank, prices_.layout());
    const Price* slowest = nullptr;
    for (const cluster::GroupPlacement& placement : known->second) {
      const Price& price = prices_.OfCollective(CollectiveSignatureOf(program, op, placement), placement.device_groups);
      if (!price.refusal.empty()) return price;
      if (slowest == nullptr || price.estimate.duration > slowest->estimate.duration) slowest = &price;
    }
    return *slowest;
  }

  cost::Estimate Noted(const Price& price) {
    if (!price.refusal.empty()) Fail(price.refusal);
    return price.estimate;
  }

  PriceBook& prices_;
  std::map<CollectiveKey, const Price*> collectives_;
  std::map<std::tuple<std::string, int64_t, int64_t>, std::vector<cluster::GroupPlacement>> placements_;  // by group, offset, rank
  std::vector<std::string> failures_;
  std::set<std::string> seen_;
};

// As the class of `rank` finds them, whose ranks lie in these groups.
Status PriceProgram(const ir::Program& program, int64_t rank, GroupSet groups, const Cancellation& cancellation, Pricer& pricer,
                    TaskCosts& costs) {
  const ir::Regions regions(program);
  costs.ops.assign(program.ops.size(), {});
  costs.follows.assign(program.ops.size(), false);
  for (size_t i = 0; i < program.ops.size(); ++i) {
    HELM_RETURN_IF_ERROR(cancellation.CheckAt(i));
    const ir::Op& op = program.ops[i];
    costs.follows[i] = regions.IsFollower(i);
    if (costs.follows[i]) continue;
    if (regions.IsLeader(i)) {
      costs.ops[i] = pricer.OfRegion(regions.SignatureOf(i), groups);
    } else if (op.kind == ir::OpKind::kCompute) {
      costs.ops[i] = pricer.OfOp(program, op, groups);
    }
    if (IsPricedCollective(op)) costs.ops[i] = pricer.OfCollective(program, op, rank);
  }
  costs.host = pricer.OfHost(groups);
  for (size_t i = 0; i < costs.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    if (op.kind != ir::OpKind::kCompute && !IsPricedCollective(op)) costs.ops[i].source = costs.host.source;
  }
  return OkStatus();
}

}  // namespace

Result<std::vector<TaskCosts>> PriceStep(const ir::StepPrograms& step, PriceBook& prices, const Cancellation& cancellation) {
  Pricer pricer(prices);
  std::vector<TaskCosts> costs(step.classes.size());
  for (size_t c = 0; c < costs.size(); ++c) {
    HELM_RETURN_IF_ERROR(PriceProgram(step.classes[c], RepresentativeRank(step, c), GroupsOfClass(step, c, prices.layout()), cancellation,
                                      pricer, costs[c]));
  }
  HELM_RETURN_IF_ERROR(pricer.ToStatus(step.classes.front().name));
  return costs;
}

bool HaveWaits(const TaskCosts& costs) {
  return std::ranges::any_of(costs.ops, [](const cost::Estimate& op) { return op.ranks_wait > Duration(); });
}

void AddWaitsForRanks(const ir::Program& program, TaskCosts& costs) {
  double squares = 0;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const double wait = costs.ops[i].ranks_wait.seconds();
    squares += wait * wait;
    if (squares == 0 || !IsPricedCollective(program.ops[i]) || !RunsInStep(program, program.ops[i])) continue;
    costs.ops[i].duration += Duration::Seconds(std::sqrt(squares));
    squares = 0;
  }
}

Status PriceAsClass(const ir::StepPrograms& step, size_t from, size_t rank_class, PriceBook& prices, TaskCosts& costs) {
  Pricer pricer(prices);
  const ir::Program& program = step.classes[from];
  const int64_t rank = RepresentativeRank(step, rank_class);
  const GroupSet groups = GroupsOfClass(step, rank_class, prices.layout());
  if (groups != GroupsOfClass(step, from, prices.layout())) {
    HELM_RETURN_IF_ERROR(PriceProgram(program, rank, groups, {}, pricer, costs));
  }
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (IsPricedCollective(program.ops[i])) costs.ops[i] = pricer.OfCollective(program, program.ops[i], rank);
  }
  return pricer.ToStatus(program.name);
}

GroupSet GroupsOfClass(const ir::StepPrograms& step, size_t rank_class, const cluster::RankLayout& layout) {
  if (layout.is_uniform()) return layout.blocks().front().group;
  const auto [first, end] = RanksOfClass(step, rank_class);
  return layout.GroupsOf(first, end);
}

cluster::GroupPlacement PlacementOf(const ir::Program& program, const ir::Op& op, int64_t rank, const cluster::RankLayout& layout) {
  return Placed(op, AxesOf(program, op, rank), rank, layout);
}

std::vector<cluster::GroupPlacement> PlacementsOf(const ir::Program& program, const ir::Op& op, int64_t rank,
                                                  const cluster::RankLayout& layout) {
  const std::vector<cluster::MeshAxis> axes = AxesOf(program, op, rank);
  std::vector<cluster::GroupPlacement> placements = {Placed(op, axes, rank, layout)};
  if (cluster::LiesEvenly(axes, layout)) return placements;
  for (const int64_t other : FirstOfGroups(program, axes, rank)) {
    const cluster::GroupPlacement placement = Placed(op, axes, other, layout);
    if (std::ranges::find(placements, placement) == placements.end()) placements.push_back(placement);
  }
  return placements;
}

ir::CollectiveSignature CollectiveSignatureOf(const ir::Program& program, const ir::Op& op, const cluster::GroupPlacement& placement) {
  HELM_CHECK(op.kind == ir::OpKind::kCollectiveStart && op.target.starts_with(kCollectivePrefix), "only a collective has this signature");
  const auto tensors = ir::TensorArguments(op);
  HELM_CHECK(!tensors.empty(), "a collective reads a tensor");
  ir::CollectiveSignature signature;
  signature.kind = op.target.substr(kCollectivePrefix.size());
  signature.dtype = program.tensor(tensors.front()).dtype;
  signature.ranks = placement.size;
  signature.ranks_per_node = placement.ranks_per_node;
  signature.bytes = ir::CollectiveBytes(program, op);
  signature.groups_per_node = placement.nodes > 1 ? placement.groups_per_node : 1;
  return signature;
}

ir::CollectiveSignature CollectiveSignatureOf(const ir::Program& program, const ir::Op& op, int64_t rank,
                                              const cluster::RankLayout& layout) {
  return CollectiveSignatureOf(program, op, PlacementOf(program, op, rank, layout));
}

}  // namespace helm::sim
