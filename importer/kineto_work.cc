#include "importer/kineto_work.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

namespace helm::importer {
namespace {

using formats::KinetoCollective;
using formats::KinetoEvent;
using formats::KinetoTrace;
using Kind = KinetoEvent::Kind;

constexpr std::string_view kStepPrefix = "ProfilerStep#";
constexpr std::string_view kBackwardPrefix = "autograd::engine::evaluate_function: ";
constexpr std::string_view kCheckpointNode = "CheckpointFunctionBackward";
constexpr std::string_view kOptimizerPrefix = "Optimizer.step#";

bool OnDevice(Kind kind) { return kind == Kind::kKernel || kind == Kind::kCopy || kind == Kind::kFill; }
bool OnHost(Kind kind) { return kind == Kind::kOperator || kind == Kind::kAnnotation || kind == Kind::kLaunch; }

// What stands around a launch on its thread.
struct Surroundings {
  const KinetoEvent* op = nullptr;  // the innermost operator
  std::string_view phase = "forward";
};

class WorkMaker {
 public:
  WorkMaker(const KinetoTrace& trace, const std::string& file) : trace_(trace), file_(file) {}

  Result<DeviceTrace> Make() {
    made_.omissions = trace_.omissions;
    if (!ChooseDevice()) {
      return InvalidError(
          fmt::format("{}: error: there is no GPU kernel in this trace\n"
                      "  fix: profile with activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]",
                      file_));
    }
    IndexHost();
    FindSteps();
    for (const KinetoEvent& event : trace_.events) {
      if (OnDevice(event.kind) && event.device == device_) AddWork(event);
    }
    made_.omissions.Add("kernels and copies outside the profiler's steps", {}, outside_steps_);
    if (unnamed_ > 0) made_.remarks.push_back(fmt::format("{} kernels have no operator: each stands for itself", unnamed_));
    Describe();
    return std::move(made_);
  }

 private:
  bool ChooseDevice() {
    std::map<int64_t, int64_t> kernels;
    for (const KinetoEvent& event : trace_.events) {
      if (event.kind == Kind::kKernel) ++kernels[event.device];
    }
    if (kernels.empty()) return false;
    device_ = std::ranges::max_element(kernels, {}, [](const auto& entry) { return entry.second; })->first;
    for (const auto& [device, count] : kernels) {
      if (device != device_) made_.omissions.Add(fmt::format("kernels of GPU {} (GPU {} has more)", device, device_), {}, count);
    }
    return true;
  }

  // Host events of each thread as they nest: one pass with a stack.
  void IndexHost() {
    std::vector<const KinetoEvent*> host;
    for (const KinetoEvent& event : trace_.events) {
      if (!OnHost(event.kind)) continue;
      host.push_back(&event);
      if (event.kind == Kind::kOperator && event.external_id != 0) operators_.try_emplace(event.external_id, &event);
      if (event.kind == Kind::kLaunch && event.correlation != 0) launches_.try_emplace(event.correlation, &event);
    }
    std::ranges::stable_sort(host, {},
                             [](const KinetoEvent* event) { return std::tuple(event->thread, event->start_ns, -event->duration_ns); });
    std::vector<std::pair<const KinetoEvent*, Surroundings>> around;  // the open ones, outermost first
    for (const KinetoEvent* event : host) {
      while (!around.empty() && !Contains(*around.back().first, *event)) around.pop_back();
      Surroundings inside = around.empty() ? Surroundings() : around.back().second;
      Enter(*event, inside);
      surroundings_[event] = inside;
      if (event->kind != Kind::kLaunch) around.emplace_back(event, inside);
    }
  }

  static bool Contains(const KinetoEvent& outer, const KinetoEvent& inner) {
    return outer.thread == inner.thread && inner.start_ns < outer.start_ns + outer.duration_ns;
  }

  void Enter(const KinetoEvent& event, Surroundings& inside) const {
    if (event.kind == Kind::kLaunch) return;
    const std::string_view name = trace_.NameOf(event);
    if (name.starts_with(kBackwardPrefix)) {
      inside.phase = name.ends_with(kCheckpointNode) ? "recompute" : "backward";
    } else if (name.starts_with(kOptimizerPrefix)) {
      inside.phase = "optimizer";
    }
    if (event.kind == Kind::kOperator) inside.op = &event;
  }

  void FindSteps() {
    for (const KinetoEvent& event : trace_.events) {
      if (event.kind == Kind::kAnnotation && trace_.NameOf(event).starts_with(kStepPrefix)) steps_.push_back(&event);
    }
    std::ranges::stable_sort(steps_, {}, [](const KinetoEvent* event) { return event->start_ns; });
    made_.steps = std::max<int64_t>(1, std::ssize(steps_));
  }

  // The step that begins last before `launch`; none: it was before the first or behind the last.
  std::optional<int64_t> StepOf(int64_t launch_ns) const {
    if (steps_.empty()) return 0;
    const auto next = std::ranges::upper_bound(steps_, launch_ns, {}, [](const KinetoEvent* event) { return event->start_ns; });
    if (next == steps_.begin()) return std::nullopt;
    const KinetoEvent& step = **std::prev(next);
    if (next == steps_.end() && launch_ns >= step.start_ns + step.duration_ns) return std::nullopt;
    return std::distance(steps_.begin(), next) - 1;
  }

  void AddWork(const KinetoEvent& event) {
    const auto found = event.correlation == 0 ? launches_.end() : launches_.find(event.correlation);
    const KinetoEvent* launch = found == launches_.end() ? nullptr : found->second;
    const int64_t launch_ns = launch != nullptr ? launch->start_ns : event.start_ns;
    const auto step = StepOf(launch_ns);
    if (!step) {
      ++outside_steps_;
      return;
    }
    const Surroundings around = launch != nullptr ? surroundings_.at(launch) : Surroundings();
    const KinetoEvent* op = OperatorOf(event, launch, around);
    DeviceWork work;
    work.op = IndexOf(event, op, around, launch_ns, *step);
    work.stream = event.stream;
    work.step = *step;
    work.start_ns = event.start_ns;
    work.duration_ns = event.duration_ns;
    work.copies = event.kind != Kind::kKernel;
    work.kernel = ShortKernelName(trace_.NameOf(event));
    made_.work.push_back(std::move(work));
  }

  const KinetoEvent* OperatorOf(const KinetoEvent& event, const KinetoEvent* launch, const Surroundings& around) const {
    for (const KinetoEvent* with_id : {&event, launch}) {
      if (with_id == nullptr || with_id->external_id == 0) continue;
      if (const auto found = operators_.find(with_id->external_id); found != operators_.end()) return found->second;
    }
    return around.op;
  }

  // The op of a kernel: an operator's run, in one step; or the kernel itself.
  size_t IndexOf(const KinetoEvent& event, const KinetoEvent* op, const Surroundings& around, int64_t launch_ns, int64_t step) {
    const size_t next = made_.ops.size();
    if (op != nullptr) {
      const auto [entry, added] = ops_.try_emplace({op, step}, next);
      if (!added) {
        LaunchedOp& known = made_.ops[entry->second];
        known.launch_ns = std::min(known.launch_ns, launch_ns);
        return entry->second;
      }
    } else if (event.kind == Kind::kKernel) {
      ++unnamed_;
    }
    LaunchedOp launched;
    launched.target = op != nullptr ? TargetOf(trace_.NameOf(*op)) : "kernel." + ShortKernelName(trace_.NameOf(event));
    launched.phase = op != nullptr ? surroundings_.at(op).phase : around.phase;
    launched.launch_ns = launch_ns;
    if (const KinetoCollective* collective = CollectiveOf(event, op)) {
      launched.collective = true;
      launched.target = CollectiveTarget(collective->name);
      const std::string& description = collective->group_description;
      launched.group = description.empty() || description == "undefined" ? collective->group_name : description;
    }
    made_.ops.push_back(std::move(launched));
    return next;
  }

  const KinetoCollective* CollectiveOf(const KinetoEvent& event, const KinetoEvent* op) const {
    const int32_t index = event.collective >= 0 ? event.collective : op != nullptr ? op->collective : -1;
    return index >= 0 ? &trace_.collectives[static_cast<size_t>(index)] : nullptr;
  }

  // "aten::mm" is HELM's "aten.mm".
  static std::string TargetOf(const std::string& name) {
    const size_t scope = name.find("::");
    return scope == std::string::npos ? name : name.substr(0, scope) + "." + name.substr(scope + 2);
  }

  void Describe() {
    for (const formats::KinetoDevice& device : trace_.devices) {
      if (device.id == device_) made_.device = device.name;
    }
    made_.rank = static_cast<int32_t>(trace_.rank.value_or(0));
    made_.description = "torch.profiler";
    if (trace_.rank) made_.description += fmt::format(", rank {}", *trace_.rank);
    if (trace_.rank && trace_.world_size) made_.description += fmt::format(" of {}", *trace_.world_size);
    for (const KinetoEvent& event : trace_.events) {
      if (event.kind != Kind::kMemory || (event.device >= 0 && event.device != device_) || !StepOf(event.start_ns)) continue;
      made_.bytes_allocated_peak = std::max(made_.bytes_allocated_peak, event.bytes_allocated);
    }
  }

  const KinetoTrace& trace_;
  const std::string& file_;
  DeviceTrace made_;
  int64_t device_ = 0;
  std::unordered_map<int64_t, const KinetoEvent*> operators_;  // by external id; these three are only looked up, never iterated
  std::unordered_map<int64_t, const KinetoEvent*> launches_;   // by correlation
  std::unordered_map<const KinetoEvent*, Surroundings> surroundings_;
  std::vector<const KinetoEvent*> steps_;
  std::map<std::pair<const KinetoEvent*, int64_t>, size_t> ops_;
  int64_t outside_steps_ = 0;
  int64_t unnamed_ = 0;
};

}  // namespace

Result<DeviceTrace> WorkOf(const KinetoTrace& trace, const std::string& file) { return WorkMaker(trace, file).Make(); }

}  // namespace helm::importer
