#include "importer/nsight_work.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "formats/kineto_trace.h"
#include "importer/kineto_work.h"

namespace helm::importer {
namespace {

using formats::KinetoEvent;
using formats::KinetoTrace;
using formats::NsightExport;
using formats::NsightHostSpan;
using formats::NsightWork;
using Kind = KinetoEvent::Kind;

// "ProfilerStep#7" of "step 7", "Iteration_7", ...: the number of a step, under one name.
std::optional<std::string> StepName(std::string_view range) {
  std::string text(range);
  std::ranges::transform(text, text.begin(), [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
  for (const std::string_view word : {"profilerstep", "iteration", "step", "iter"}) {
    if (!text.starts_with(word)) continue;
    const size_t number = text.find_first_not_of(" _#:", word.size());
    if (number == std::string::npos || !ParseInt64(std::string_view(text).substr(number))) return std::nullopt;
    return "ProfilerStep#" + text.substr(number);
  }
  return std::nullopt;
}

// "AllReduce" of "ncclDevKernel_AllReduce_Sum_f32_RING_LL(...)", also of older "ncclKernel_...".
std::optional<std::string> CollectiveOfKernel(std::string_view name) {
  for (const std::string_view prefix : {"ncclDevKernel_", "ncclKernel_"}) {
    const size_t at = name.find(prefix);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = name.substr(at + prefix.size());
    return std::string(rest.substr(0, rest.find_first_of("_(")));
  }
  return std::nullopt;
}

// The two profilers tell the same by other names: an export becomes the events of a trace.
class EventMaker {
 public:
  explicit EventMaker(const NsightExport& measured) : measured_(measured) { trace_.omissions = measured.omissions; }

  KinetoTrace Make() {
    ChooseProcess();
    for (const auto& [device, name] : measured_.gpus) trace_.devices.push_back({device, name});
    for (const NsightHostSpan& range : measured_.ranges) AddRange(range);
    for (const NsightHostSpan& launch : measured_.launches) AddHost(launch, Kind::kLaunch, NameOf(launch.name), launch.correlation);
    for (const NsightWork& work : measured_.work) AddWork(work);
    return std::move(trace_);
  }

 private:
  void ChooseProcess() {
    std::map<int64_t, int64_t> kernels;
    for (const NsightWork& work : measured_.work) {
      if (!work.copies) ++kernels[formats::ProcessOf(work.process)];
    }
    if (kernels.empty()) return;
    process_ = std::ranges::max_element(kernels, {}, [](const auto& entry) { return entry.second; })->first;
    for (const auto& [process, count] : kernels) {
      if (process != process_) trace_.omissions.Add("kernels of other processes, which have fewer", {}, count);
    }
  }

  const std::string& NameOf(int32_t index) const { return measured_.names[static_cast<size_t>(index)]; }

  int32_t IndexOf(const std::string& name) {
    const auto [entry, added] = names_.try_emplace(name, static_cast<int32_t>(trace_.names.size()));
    if (added) trace_.names.push_back(name);
    return entry->second;
  }

  // "aten::mm, seq = 12, op_id = 40" is an operator; so is a node of autograd. Others name parts of the program.
  void AddRange(const NsightHostSpan& range) {
    const std::string& text = NameOf(range.name);
    if (const auto step = StepName(text)) return AddHost(range, Kind::kAnnotation, *step, 0);
    const std::string name = text.substr(0, text.find(", "));
    AddHost(range, name.find("::") != std::string::npos ? Kind::kOperator : Kind::kAnnotation, name, 0);
  }

  void AddHost(const NsightHostSpan& span, Kind kind, const std::string& name, int64_t correlation) {
    if (formats::ProcessOf(span.thread) != process_) return;
    KinetoEvent event{.kind = kind, .name = IndexOf(name), .thread = span.thread};
    event.start_ns = span.start_ns;
    event.duration_ns = span.duration_ns;
    event.correlation = correlation;
    trace_.events.push_back(event);
  }

  void AddWork(const NsightWork& work) {
    if (formats::ProcessOf(work.process) != process_) return;
    const std::string& name = NameOf(work.name);
    KinetoEvent event{.kind = work.copies ? Kind::kCopy : Kind::kKernel, .name = IndexOf(name)};
    event.start_ns = work.start_ns;
    event.duration_ns = work.duration_ns;
    event.correlation = work.correlation;
    event.device = work.device;
    event.stream = work.stream;
    if (const auto collective = CollectiveOfKernel(name)) {
      event.collective = static_cast<int32_t>(trace_.collectives.size());
      trace_.collectives.push_back({.name = *collective, .group_description = fmt::format("stream{}", work.stream)});
    }
    trace_.events.push_back(event);
  }

  const NsightExport& measured_;
  int64_t process_ = 0;
  std::map<std::string, int32_t> names_;
  KinetoTrace trace_;
};

}  // namespace

Result<DeviceTrace> WorkOf(const NsightExport& measured, const std::string& file) {
  if (std::ranges::all_of(measured.work, &NsightWork::copies)) {
    return InvalidError(fmt::format("{}: error: there is no GPU kernel in this export\n  fix: nsys profile --trace=cuda,nvtx ...", file));
  }
  HELM_ASSIGN_OR_RETURN(DeviceTrace trace, WorkOf(EventMaker(measured).Make(), file));
  trace.description = "Nsight Systems";
  return trace;
}

}  // namespace helm::importer
