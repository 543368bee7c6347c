#include "cost/analytic.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "cluster/ring_time.h"
#include "cost/gpu_collective_model.h"
#include "cost/missing_number.h"
#include "cost/signature_tensors.h"
#include "ir/target.h"

namespace helm::cost {
namespace {

using ir::TensorSignature;

// [.., M, K] x [.., K, N] -> [.., M, N]. The addend, where there is one, comes first.
std::optional<int64_t> ProductBytes(const std::string& base, const std::vector<const TensorSignature*>& tensors) {
  const size_t left = base == "addmm" || base == "baddbmm" ? 1 : 0;
  if ((left == 0 && base != "mm" && base != "bmm" && base != "matmul") || tensors.size() < left + 2) return std::nullopt;
  return BytesOf(*tensors[left]) / std::max<int64_t>(tensors[left]->shape.back(), 1) * tensors[left + 1]->shape.back();
}

bool IsLookup(const ir::OpSignature& op) { return ir::BaseName(op.target) == "embedding"; }

// The element type that decides the peak rate: of the first floating-point operand.
std::optional<ir::DataType> ComputeType(const std::vector<const TensorSignature*>& tensors) {
  for (const TensorSignature* tensor : tensors) {
    if (ir::IsFloatingPoint(tensor->dtype)) return tensor->dtype;
  }
  return std::nullopt;
}

// Launching an op through the dispatcher takes 0.8 us (measured, DESIGN section 3); a raw CUDA launch 4 us and more, an NCCL enqueue 10 us
// and more (techniques.md 6.4, the lower of the published numbers).
constexpr double kDispatchUs = 0.8;
constexpr double kCudaLaunchUs = 4.0;
constexpr double kNcclEnqueueUs = 10.0;

}  // namespace

Bytes BytesWritten(const ir::OpSignature& op) {
  const auto tensors = TensorsOf(op);
  if (tensors.empty()) return Bytes();
  if (const auto product = ProductBytes(ir::BaseName(op.target), tensors)) return Bytes(*product);
  if (IsLookup(op) && tensors.size() == 2) {
    return Bytes(ir::ElementCount(tensors[1]->shape) * tensors[0]->shape.back() * ir::ElementBytes(tensors[0]->dtype));
  }
  return Bytes(BytesOf(**std::ranges::max_element(tensors, {}, [](const TensorSignature* tensor) { return BytesOf(*tensor); })));
}

HostThread HostThreadOf(const ir::Software& software) {
  const bool own = software.framework.empty() || software.framework == "helm";
  // Replayed graphs launch their kernels without Python, too: at most as long as a compiled program takes.
  return own || software.compile || software.cuda_graphs ? HostThread::kInterpreter : HostThread::kPython;
}

double AnalyticEstimator::ShareOfDevice() const {
  return cluster_.device.is_cpu ? 1.0 / static_cast<double>(std::max<int64_t>(cluster_.devices_per_node, 1)) : 1.0;
}

Result<Estimate> AnalyticEstimator::EstimateOp(const ir::OpSignature& op) const {
  const cluster::Device& device = cluster_.device;
  const auto tensors = TensorsOf(op);
  if (!device.memory_bandwidth) return UnavailableError(fmt::format("{}: {}", ir::ToText(op), NoMemoryBandwidth(device).message()));
  if (ir::BaseName(op.target) == "new_empty") return Estimate{Duration(), Source::kAnalytic, Bytes()};  // only memory
  const bool region = ir::BaseName(op.target) == "region";  // its arguments are all that is read and all that is written
  const Bytes written = region ? Bytes() : BytesWritten(op);
  // A lookup reads the rows that it returns, not the whole table.
  const Bytes read = IsLookup(op) ? written : ir::BytesRead(op);
  Duration duration = TimeFor(read + written, BytesPerSecond::Of(device.memory_bandwidth->value() * ShareOfDevice()));
  const Flops flops = ir::FlopsOf(op);
  if (flops.count() > 0) {
    const std::string dtype(ir::Name(ComputeType(tensors).value_or(ir::DataType::kFloat32)));
    const auto peak = device.peak.find(dtype);
    if (peak == device.peak.end()) return UnavailableError(fmt::format("{}: {}", ir::ToText(op), NoPeakRate(device, dtype).message()));
    duration = std::max(duration, TimeFor(flops, FlopsPerSecond::Of(peak->second.value() * ShareOfDevice())));
  }
  return Estimate{duration, Source::kAnalytic, Bytes()};
}

Result<Estimate> AnalyticEstimator::EstimateCollective(const ir::CollectiveSignature& collective) const {
  auto duration = cluster_.device.is_cpu ? CpuCollective(collective) : GpuCollectiveTime(cluster_, collective);
  if (!duration.ok()) return UnavailableError(fmt::format("{}: {}", ir::ToText(collective), duration.status().message()));
  return Estimate{*duration, Source::kAnalytic, Bytes()};
}

// Ranks of one machine pass data through its memory: each byte is read and written once to hand it over and once to take it (4 passes), and
// all ranks do so at the same time. What they say to each other for it travels as messages over TCP: half a round trip of one byte between
// two processes of one machine takes 7 us (measured, the least and the median of 20,000, AMD EPYC). Where a network between them is
// emulated, each has a link of its own.
Result<Duration> AnalyticEstimator::CpuCollective(const ir::CollectiveSignature& collective) const {
  if (cluster_.emulated_network) {
    return cluster::RingTime(collective.kind, collective.bytes, {collective.ranks, 1, {}, *cluster_.emulated_network});
  }
  if (collective.ranks != collective.ranks_per_node) return UnavailableError("no formula for CPU ranks of several machines");
  if (!cluster_.device.memory_bandwidth) return NoMemoryBandwidth(cluster_.device);
  constexpr double kPasses = 4;
  constexpr double kMessageUs = 7;
  const cluster::Link memory{Duration::Microseconds(kMessageUs),
                             BytesPerSecond::Of(cluster_.device.memory_bandwidth->value() * ShareOfDevice() / kPasses)};
  return cluster::RingTime(collective.kind, collective.bytes, {collective.ranks, collective.ranks_per_node, memory, memory});
}

Result<HostCosts> AnalyticEstimator::EstimateHost() const {
  const Duration dispatch = Duration::Microseconds(kDispatchUs);
  if (cluster_.device.is_cpu) return HostCosts{dispatch, dispatch, dispatch, Source::kAnalytic};
  const auto host = [&](double microseconds) { return Duration::Microseconds(microseconds * cluster_.device.host_slowdown); };
  const Duration enqueue = host(kNcclEnqueueUs), launch = host(kDispatchUs + kCudaLaunchUs);
  if (host_ == HostThread::kPython) return HostCosts{host(python_kernel_us_), enqueue, launch, Source::kAnalytic, true};
  return HostCosts{launch, enqueue, host(kDispatchUs), Source::kAnalytic};
}

}  // namespace helm::cost
