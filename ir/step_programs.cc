#include "ir/step_programs.h"

#include <algorithm>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/verify.h"

namespace helm::ir {
namespace {

constexpr std::string_view kStageDimension = "pipeline";

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

Status CheckSameMesh(const StepPrograms& step) {
  const Program& first = step.classes.front();
  for (const Program& program : step.classes) {
    if (program.mesh != first.mesh || program.device != first.device) {
      return InvalidError(fmt::format("programs '{}' and '{}' of one step differ in mesh or device", first.name, program.name));
    }
  }
  const auto stages = std::ranges::find(first.mesh, kStageDimension, &MeshDimension::name);
  const auto classes = static_cast<int64_t>(step.classes.size());
  if (classes == 1 || (stages != first.mesh.end() && stages->size == classes)) return OkStatus();
  return InvalidError(fmt::format("a step of {} programs on a mesh with {} pipeline stages", classes,
                                  stages == first.mesh.end() ? int64_t{1} : stages->size));
}

}  // namespace

const Program& StepPrograms::OfRank(int64_t rank) const { return classes[ClassOfRank(*this, rank)]; }

size_t ClassOfRank(const StepPrograms& step, int64_t rank) {
  if (step.classes.size() == 1) return 0;
  const std::vector<int64_t> coordinates = Coordinates(step.mesh(), rank);
  for (size_t d = 0; d < coordinates.size(); ++d) {
    if (step.mesh()[d].name == kStageDimension) return static_cast<size_t>(coordinates[d]);
  }
  HELM_CHECK(false, "the classes of a step are the stages of its mesh");
}

int64_t RepresentativeRank(const StepPrograms& step, size_t rank_class) {
  int64_t stride = 1;
  for (const MeshDimension& dimension : step.mesh()) {
    if (dimension.name == kStageDimension) return step.classes.size() == 1 ? 0 : stride * static_cast<int64_t>(rank_class);
    stride *= dimension.size;
  }
  return 0;
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
  const auto offset = static_cast<size_t>(PeerOffset(program, op));
  return (rank_class + offset) % step.classes.size();
}

Status VerifyStep(const StepPrograms& step, const Cancellation& cancellation) {
  HELM_CHECK(!step.classes.empty(), "a step has a program");
  for (const Program& program : step.classes) HELM_RETURN_IF_ERROR(Verify(program, cancellation));
  HELM_RETURN_IF_ERROR(CheckSameMesh(step));
  HELM_RETURN_IF_ERROR(cancellation.Check());
  return CheckLinks(step);
}

}  // namespace helm::ir
