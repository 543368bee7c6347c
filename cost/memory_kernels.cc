#include "cost/memory_kernels.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "core/check.h"
#include "cost/embedded_tables.h"
#include "cost/gpu_estimator.h"
#include "cost/op_features.h"
#include "cost/signature_tensors.h"

namespace helm::cost {
namespace {

// The largest share of the data sheet's bandwidth that a kernel reached: reductions and copies of gigabytes, 0.91.
constexpr double kBandwidthShareMost = 0.91;
// From here on the memory is taken to be what limits a kernel.
constexpr double kBandwidthShareOfMemoryBound = 0.85;
// Between two kernels of a stream, median over the steps recorded by CUPTI (1.41, 1.44 and 1.47 us; docs/validation.md).
constexpr double kGapSeconds = 1.4e-6;
// A curve that ends earlier shows how long it takes to start, not at which rate bytes move: it says nothing of much larger ops.
constexpr double kBytesOfRate = 1e8;
constexpr double kExtrapolationMost = 4;
// Of the kernels on a few bytes in the table.
constexpr double kShortestSeconds = 0.7e-6;

// The device of traces/h200-sxm-141gb, as configs/gpus/h200-sxm-141gb.yaml has it.
cluster::Device MeasuredDevice() {
  cluster::Device device;
  device.name = "h200-sxm-141gb";
  device.memory_bandwidth = BytesPerSecond::Gigabytes(4800);
  device.multiprocessors = 132;
  device.clock_mhz = 1830;
  return device;
}

std::string TypesOf(const ir::OpSignature& op) {
  std::string key = op.target;
  for (const ir::TensorSignature* tensor : TensorsOf(op)) key.append(" ").append(ir::Name(tensor->dtype));
  for (const auto& argument : op.arguments) {
    if (const auto* type = std::get_if<ir::DataType>(&argument)) key.append(" to ").append(ir::Name(*type));
  }
  return key;
}

// Sorted; times at the same number of bytes become their geometric mean.
template <typename Curve>
void Settle(Curve& curve) {
  std::ranges::sort(curve, {}, [](const auto& point) { return point.bytes; });
  Curve settled;
  for (size_t i = 0; i < curve.size();) {
    double log_sum = 0;
    size_t end = i;
    for (; end < curve.size() && curve[end].bytes == curve[i].bytes; ++end) log_sum += std::log(curve[end].seconds);
    settled.push_back({curve[i].bytes, std::exp(log_sum / static_cast<double>(end - i))});
    i = end;
  }
  curve = std::move(settled);
}

// Between two points linear in the logarithms, beyond them in proportion, but no kernel is shorter than the shortest.
template <typename Curve>
double SecondsAt(const Curve& curve, double bytes) {
  if (bytes <= curve.front().bytes) return std::max(kShortestSeconds, curve.front().seconds * bytes / curve.front().bytes);
  if (bytes >= curve.back().bytes) return curve.back().seconds * bytes / curve.back().bytes;
  const auto upper = std::ranges::lower_bound(curve, bytes, {}, [](const auto& point) { return point.bytes; });
  const auto lower = upper - 1;
  const double place = std::log(bytes / lower->bytes) / std::log(upper->bytes / lower->bytes);
  return std::exp(std::log(lower->seconds) * (1 - place) + std::log(upper->seconds) * place);
}

double SpeedOfMultiprocessors(const cluster::Device& device) { return static_cast<double>(device.multiprocessors) * device.clock_mhz; }

}  // namespace

Result<MemoryKernels> MemoryKernels::Create(const CostTable& table, cluster::Device measured_on) {
  MemoryKernels kernels;
  kernels.measured_on_ = std::move(measured_on);
  for (const auto& [key, row] : table.ops) {
    HELM_ASSIGN_OR_RETURN(const ir::OpSignature op, ir::ParseOpSignature(key));
    if (ProductShapeOf(op) || AttentionShapeOf(op) || row.kernels.empty()) continue;
    const Traffic traffic = TrafficOf(op);
    Point point{static_cast<double>((traffic.read + traffic.written).count()), 0};
    for (const KernelMeasurement& kernel : row.kernels) point.seconds += kernel.duration.seconds();
    if (point.bytes <= 0 || point.seconds <= 0) continue;
    kernels.by_family_[FeaturesOf(op).family].push_back(point);
    kernels.by_types_[TypesOf(op)].push_back(point);
  }
  for (auto& [family, curve] : kernels.by_family_) Settle(curve);
  for (auto& [types, curve] : kernels.by_types_) Settle(curve);
  return kernels;
}

const MemoryKernels& MemoryKernels::BuiltIn() {
  static const MemoryKernels kernels = [] {
    const std::vector<EmbeddedTable> tables = EmbeddedOperatorTables();
    HELM_CHECK(tables.size() == 1 && tables.front().name == "h200-sxm-141gb", "the table of the H200 is compiled in");
    const auto table = ParseCostTable(tables.front().text, "traces/h200-sxm-141gb/ops.json");
    HELM_CHECK(table.ok(), "the table of the H200 can be read");
    auto made = Create(*table, MeasuredDevice());
    HELM_CHECK(made.ok(), "the rows of the H200 are operators");
    return *std::move(made);
  }();
  return kernels;
}

const MemoryKernels::Curve* MemoryKernels::CurveOf(const ir::OpSignature& op, double bytes) const {
  const auto reaches = [bytes](const Curve& curve) {
    return curve.back().bytes >= kBytesOfRate || bytes <= kExtrapolationMost * curve.back().bytes;
  };
  const auto family = by_family_.find(FeaturesOf(op).family);
  if (family != by_family_.end() && reaches(family->second)) return &family->second;
  const auto types = by_types_.find(TypesOf(op));
  return types != by_types_.end() && reaches(types->second) ? &types->second : nullptr;
}

std::optional<double> MemoryKernels::Seconds(const ir::OpSignature& op, const Traffic& traffic, const cluster::Device& device) const {
  const auto bytes = static_cast<double>((traffic.read + traffic.written).count());
  const Curve* curve = CurveOf(op, bytes);
  if (curve == nullptr || bytes <= 0 || !device.memory_bandwidth) return std::nullopt;
  const double there = SecondsAt(*curve, bytes);
  const double share = bytes / there / measured_on_.memory_bandwidth->value();
  const double memory_ratio = device.memory_bandwidth->value() / measured_on_.memory_bandwidth->value();
  const bool knows_clock = SpeedOfMultiprocessors(device) > 0;
  const bool memory_bound = share >= kBandwidthShareOfMemoryBound || !knows_clock;
  const double ratio = memory_bound ? memory_ratio : SpeedOfMultiprocessors(device) / SpeedOfMultiprocessors(measured_on_);
  const double seconds = there / ratio;
  const double least = bytes / (std::max(share, kBandwidthShareMost) * device.memory_bandwidth->value());
  return kGapSeconds + std::max(seconds, least);
}

}  // namespace helm::cost
