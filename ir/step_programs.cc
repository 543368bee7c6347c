#include "ir/step_programs.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/verify.h"

namespace helm::ir {
namespace {

constexpr std::string_view kStageDimension = "pipeline", kShareDimension = "data";

struct Place {  // of a point-to-point op
  size_t rank_class = 0;
  OpId op;
};

// Sender's class, receiver's class, group.
using Link = std::tuple<size_t, size_t, std::string>;

std::string Describe(const StepPrograms& step, const Place& place) {
  return fmt::format("class {}, {}", place.rank_class, Describe(step.classes[place.rank_class], place.op));
}

// The tensor that a point-to-point op moves.
const Tensor& Moved(const Program& program, const Op& op) {
  return program.tensor(op.target == "c10d.send" ? TensorArguments(op).front() : op.results.front());
}

std::map<Link, std::vector<Place>> OpsByLink(const StepPrograms& step, std::string_view target) {
  std::map<Link, std::vector<Place>> by_link;
  for (size_t c = 0; c < step.classes.size(); ++c) {
    const Program& program = step.classes[c];
    for (size_t i = 0; i < program.ops.size(); ++i) {
      const Op& op = program.ops[i];
      if (op.target != target) continue;
      const size_t peer = PeerClass(step, c, op);
      const bool sends = target == "c10d.send";
      by_link[{sends ? c : peer, sends ? peer : c, program.group(op.group).name}].push_back({c, OpId(i)});
    }
  }
  return by_link;
}

// Message k of a link is the k-th sent and the k-th received: where they differ, ranks would wait for each other for ever, or exchange the
// wrong tensors.
Status CheckLink(const StepPrograms& step, const std::vector<Place>& sends, const std::vector<Place>& receives) {
  for (size_t k = 0; k < std::max(sends.size(), receives.size()); ++k) {
    if (k >= receives.size()) return InvalidError(fmt::format("{} is received by nobody", Describe(step, sends[k])));
    if (k >= sends.size()) return InvalidError(fmt::format("{} is sent by nobody", Describe(step, receives[k])));
    const Program& sender = step.classes[sends[k].rank_class];
    const Program& receiver = step.classes[receives[k].rank_class];
    const Op& send = sender.op(sends[k].op);
    const Op& receive = receiver.op(receives[k].op);
    const Tensor& from = Moved(sender, send);
    const Tensor& to = Moved(receiver, receive);
    if (TagOf(send) == TagOf(receive) && from.dtype == to.dtype && from.shape == to.shape) continue;
    return InvalidError(fmt::format("message {} of a link is {} with tag {} and {}[{}], but received as {} with tag {} and {}[{}]", k,
                                    Describe(step, sends[k]), TagOf(send), Name(from.dtype), fmt::join(from.shape, ","),
                                    Describe(step, receives[k]), TagOf(receive), Name(to.dtype), fmt::join(to.shape, ",")));
  }
  return OkStatus();
}

Status CheckLinks(const StepPrograms& step) {
  auto sends = OpsByLink(step, "c10d.send");
  auto receives = OpsByLink(step, "c10d.recv");
  for (const auto& [link, places] : receives) sends[link];
  for (const auto& [link, places] : sends) HELM_RETURN_IF_ERROR(CheckLink(step, places, receives[link]));
  return OkStatus();
}

const MeshDimension* Find(const std::vector<MeshDimension>& mesh, std::string_view name) {
  const auto found = std::ranges::find(mesh, name, &MeshDimension::name);
  return found == mesh.end() ? nullptr : &*found;
}

size_t ShareCount(const StepPrograms& step) { return std::max<size_t>(1, step.share_ranks.size()); }
size_t StageCount(const StepPrograms& step) { return step.classes.size() / ShareCount(step); }

Status CheckShares(const StepPrograms& step) {
  if (step.share_ranks.empty()) return OkStatus();
  const MeshDimension* data = Find(step.mesh(), kShareDimension);
  // A share over the size would overflow the sum.
  const bool within =
      data != nullptr && std::ranges::all_of(step.share_ranks, [&](int64_t share) { return 0 < share && share <= data->size; });
  if (within && std::accumulate(step.share_ranks.begin(), step.share_ranks.end(), int64_t{0}) == data->size &&
      step.classes.size() % step.share_ranks.size() == 0)
    return OkStatus();
  return InvalidError(fmt::format("a step of {} programs in shares of {} data-parallel ranks on a mesh with {}", step.classes.size(),
                                  fmt::join(step.share_ranks, ", "), data == nullptr ? int64_t{1} : data->size));
}

Status CheckSameMesh(const StepPrograms& step) {
  const Program& first = step.classes.front();
  for (const Program& program : step.classes) {
    if (program.mesh != first.mesh || program.device != first.device) {
      return InvalidError(fmt::format("programs '{}' and '{}' of one step differ in mesh or device", first.name, program.name));
    }
  }
  HELM_RETURN_IF_ERROR(CheckShares(step));
  const MeshDimension* stages = Find(first.mesh, kStageDimension);
  const auto of_share = static_cast<int64_t>(StageCount(step));
  if (of_share == 1 || (stages != nullptr && stages->size == of_share)) return OkStatus();
  return InvalidError(
      fmt::format("a step of {} programs on a mesh with {} pipeline stages", of_share, stages == nullptr ? int64_t{1} : stages->size));
}

// The collectives of a program in groups over several shares, in order.
std::vector<OpId> CollectivesAcrossShares(const Program& program) {
  std::vector<OpId> collectives;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    if (op.kind != OpKind::kCollectiveStart || IsPointToPoint(op)) continue;
    const auto& dimensions = program.group(op.group).dimensions;
    if (std::ranges::find(dimensions, kShareDimension) != dimensions.end()) collectives.emplace_back(i);
  }
  return collectives;
}

// Otherwise ranks would wait for each other for ever, or sum up what does not belong together.
Status CheckCollectivesOfShares(const StepPrograms& step) {
  for (size_t c = StageCount(step); c < step.classes.size(); ++c) {
    const size_t stage = StageOfClass(step, c);
    const Program &first = step.classes[stage], &other = step.classes[c];
    const std::vector<OpId> expected = CollectivesAcrossShares(first), found = CollectivesAcrossShares(other);
    const auto same = [&](OpId a, OpId b) {
      const Op &one = first.op(a), &two = other.op(b);
      return one.target == two.target && first.group(one.group).name == other.group(two.group).name &&
             CollectiveBytes(first, one) == CollectiveBytes(other, two);
    };
    const auto [a, b] = std::ranges::mismatch(expected, found, same);
    if (a == expected.end() && b == found.end()) continue;
    return InvalidError(fmt::format("the shares of a stage run different collectives: {}, {}",
                                    a == expected.end() ? std::string("nothing") : Describe(step, {stage, *a}),
                                    b == found.end() ? std::string("nothing") : Describe(step, {c, *b})));
  }
  return OkStatus();
}

}  // namespace

const Program& StepPrograms::OfRank(int64_t rank) const { return classes[ClassOfRank(*this, rank)]; }

size_t ClassOfRank(const StepPrograms& step, int64_t rank) {
  if (step.classes.size() == 1) return 0;
  const std::vector<int64_t> coordinates = Coordinates(step.mesh(), rank);
  size_t stage = 0, share = 0;
  for (size_t d = 0; d < coordinates.size(); ++d) {
    const std::string& name = step.mesh()[d].name;
    if (name == kStageDimension && StageCount(step) > 1) stage = static_cast<size_t>(coordinates[d]);
    if (name != kShareDimension) continue;
    for (int64_t end = 0; share < step.share_ranks.size(); ++share) {
      end += step.share_ranks[share];
      if (coordinates[d] < end) break;
    }
  }
  return share * StageCount(step) + stage;
}

size_t StageOfClass(const StepPrograms& step, size_t rank_class) { return rank_class % StageCount(step); }

std::pair<int64_t, int64_t> RanksOfClass(const StepPrograms& step, size_t rank_class) {
  const size_t share = rank_class / StageCount(step);
  int64_t first = 0, stride = 1, ranks = WorldSize(step.mesh()) / static_cast<int64_t>(StageCount(step));
  for (const MeshDimension& dimension : step.mesh()) {
    if (dimension.name == kStageDimension && StageCount(step) > 1) first += stride * static_cast<int64_t>(StageOfClass(step, rank_class));
    if (dimension.name == kShareDimension && !step.share_ranks.empty()) {
      for (size_t before = 0; before < share; ++before) first += stride * step.share_ranks[before];
      ranks = stride * step.share_ranks[share];
    }
    stride *= dimension.size;
  }
  return {first, first + ranks};
}

int64_t RepresentativeRank(const StepPrograms& step, size_t rank_class) { return RanksOfClass(step, rank_class).first; }

std::vector<size_t> ClassesOfGroup(const StepPrograms& step, size_t rank_class, GroupId group) {
  const Group& of = step.classes[rank_class].group(group);
  const auto is_over = [&](std::string_view dimension) { return std::ranges::find(of.dimensions, dimension) != of.dimensions.end(); };
  std::vector<size_t> stages = {StageOfClass(step, rank_class)}, shares = {rank_class / StageCount(step)};
  if (is_over(kStageDimension) && StageCount(step) > 1) {
    stages.assign(of.coordinates.begin(), of.coordinates.end());
    for (size_t stage = 0; of.coordinates.empty() && stage < StageCount(step); ++stage) stages.push_back(stage);
  }
  if (is_over(kShareDimension) && ShareCount(step) > 1) {
    shares.resize(ShareCount(step));
    std::iota(shares.begin(), shares.end(), size_t{0});
  }
  std::vector<size_t> classes;
  for (const size_t share : shares) {
    for (const size_t stage : stages) classes.push_back(share * StageCount(step) + stage);
  }
  return classes;
}

size_t FirstOpOfClass(const StepPrograms& step, size_t rank_class) {
  size_t first = 0;
  for (size_t c = 0; c < rank_class; ++c) first += step.classes[c].ops.size();
  return first;
}

size_t PeerClass(const StepPrograms& step, size_t rank_class, const Op& op) {
  const Program& program = step.classes[rank_class];
  // Neighbours along another dimension run the same program.
  if (std::ranges::find(program.group(op.group).dimensions, kStageDimension) == program.group(op.group).dimensions.end()) return rank_class;
  const size_t stage = StageOfClass(step, rank_class), offset = static_cast<size_t>(PeerOffset(program, op));
  return rank_class - stage + (stage + offset) % StageCount(step);
}

Status VerifyStep(const StepPrograms& step, const Cancellation& cancellation) {
  HELM_CHECK(!step.classes.empty(), "a step has a program");
  for (const Program& program : step.classes) HELM_RETURN_IF_ERROR(Verify(program, cancellation));
  HELM_RETURN_IF_ERROR(CheckSameMesh(step));
  HELM_RETURN_IF_ERROR(CheckCollectivesOfShares(step));
  HELM_RETURN_IF_ERROR(cancellation.Check());
  return CheckLinks(step);
}

}  // namespace helm::ir
