#include "cost/memory_model.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "cost/analytic.h"
#include "cost/missing_number.h"
#include "cost/signature_tensors.h"
#include "ir/target.h"

namespace helm::cost {
namespace {

using ir::TensorSignature;

// The share of the data sheet's bandwidth that large streaming kernels reach: copies of 4.3 of 4.8 TB/s on H200 (techniques.md 6.1) are the
// best case, kernels that read several operands or reduce stay below.
constexpr double kBandwidthShare = 0.82;
// From the end of one small kernel to the end of the next on the device (techniques.md 6.3: 2 to 4 us).
constexpr double kKernelSeconds = 2.5e-6;

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) { return std::ranges::find(names, name) != names.end(); }

// The dtype argument of a conversion.
std::optional<ir::DataType> ConvertedType(const ir::OpSignature& op) {
  for (const auto& argument : op.arguments) {
    if (const auto* type = std::get_if<ir::DataType>(&argument)) return *type;
  }
  return std::nullopt;
}

// An index, the element it names and what is written for it.
Traffic TrafficOfIndexed(const std::vector<const TensorSignature*>& tensors) {
  Traffic traffic;
  for (const TensorSignature* tensor : tensors) {
    if (ir::IsFloatingPoint(tensor->dtype)) continue;
    const int64_t elements = ir::ElementCount(tensor->shape) * ir::ElementBytes(tensors.front()->dtype);
    traffic.read += Bytes(BytesOf(*tensor) + elements);
    traffic.written += Bytes(elements);
  }
  return traffic;
}

int64_t CountAt(const ir::OpSignature& op, size_t at) {
  const auto* tensor = at < op.arguments.size() ? std::get_if<TensorSignature>(&op.arguments[at]) : nullptr;
  return tensor == nullptr ? 0 : ir::ElementCount(tensor->shape);
}

// index_select(self, dimension, index): what is named is read and written.
Traffic TrafficOfSelected(const ir::OpSignature& op, const std::vector<const TensorSignature*>& tensors) {
  const TensorSignature& self = *tensors.front();
  const auto* dimension = op.arguments.size() > 1 ? std::get_if<int64_t>(&op.arguments[1]) : nullptr;
  const bool known = dimension != nullptr && *dimension >= 0 && *dimension < static_cast<int64_t>(self.shape.size());
  const int64_t count = known ? self.shape[static_cast<size_t>(*dimension)] : 1;
  const int64_t row = BytesOf(self) / std::max<int64_t>(count, 1);
  const Bytes rows(CountAt(op, 2) * row);
  return {rows + Bytes(CountAt(op, 2) * 8), rows};
}

// topk(self, count): values in the type of self and indices of 8 bytes are written.
Bytes BytesOfLargest(const ir::OpSignature& op, const TensorSignature& self) {
  const auto* count = op.arguments.size() > 1 ? std::get_if<int64_t>(&op.arguments[1]) : nullptr;
  if (count == nullptr || self.shape.empty()) return Bytes();
  const int64_t rows = ir::ElementCount(self.shape) / std::max<int64_t>(self.shape.back(), 1);
  return Bytes(rows * *count * (ir::ElementBytes(self.dtype) + 8));
}

// new_ones(like, shape, dtype)
Bytes BytesOfNew(const ir::OpSignature& op) {
  const auto* shape = op.arguments.size() > 1 ? std::get_if<std::vector<int64_t>>(&op.arguments[1]) : nullptr;
  const auto type = ConvertedType(op);
  return shape != nullptr && type ? Bytes(ir::ElementCount(*shape) * ir::ElementBytes(*type)) : Bytes();
}

// helm.region([read, ...], [written, ...])
Traffic TrafficOfRegion(const ir::OpSignature& op) {
  HELM_CHECK(op.arguments.size() == 2, "a region has what it reads and what it writes");
  Traffic traffic;
  for (const auto& tensor : std::get<std::vector<TensorSignature>>(op.arguments[0])) traffic.read += Bytes(BytesOf(tensor));
  for (const auto& tensor : std::get<std::vector<TensorSignature>>(op.arguments[1])) traffic.written += Bytes(BytesOf(tensor));
  return traffic;
}

}  // namespace

Traffic TrafficOf(const ir::OpSignature& op) {
  const std::string base = ir::BaseName(op.target);
  const auto tensors = TensorsOf(op);
  Traffic traffic{ir::BytesRead(op), BytesWritten(op)};
  if (op.target == "helm.region") return TrafficOfRegion(op);
  if (tensors.empty()) return traffic;
  const TensorSignature& first = *tensors.front();
  // A lookup reads the rows that it returns, not the whole table.
  if (base == "embedding") traffic.read = traffic.written;
  // Touch one element for each index, not the whole operand.
  if (IsOneOf(base, {"gather", "scatter", "scatter_add", "nll_loss_forward"})) traffic = TrafficOfIndexed(tensors);
  if (base == "index_select") traffic = TrafficOfSelected(op, tensors);
  // index_add_(self, dimension, index, source): reads the source and as much of self, and writes that.
  if (base == "index_add" && tensors.size() == 3) {
    const Bytes rows(BytesOf(*tensors[2]));
    traffic = {rows + rows + Bytes(BytesOf(*tensors[1])), rows};
  }
  if (base == "index_copy" && tensors.size() == 3)
    traffic = {Bytes(BytesOf(*tensors[2]) + BytesOf(*tensors[1])), Bytes(BytesOf(*tensors[2]))};
  if (base == "topk") traffic.written = BytesOfLargest(op, first);
  // Zeroes the gradient of the whole table, then reads and adds the rows: gradient [.., hidden], the number of rows is an argument.
  if (base == "embedding_dense_backward" && op.arguments.size() > 2) {
    const auto* rows = std::get_if<int64_t>(&op.arguments[2]);
    const int64_t hidden = first.shape.empty() ? 1 : first.shape.back();
    if (rows != nullptr) traffic.written = Bytes(*rows * hidden * ir::ElementBytes(first.dtype) + BytesOf(first));
  }
  if (base == "_to_copy") {
    const auto type = ConvertedType(op);
    if (type) traffic.written = Bytes(ir::ElementCount(first.shape) * ir::ElementBytes(*type));
  }
  // Overwrites the first argument without reading it.
  if (IsOneOf(base, {"copy", "fill", "zero"})) {
    traffic.read = traffic.read - Bytes(BytesOf(first));
    traffic.written = Bytes(BytesOf(first));
  }
  // Writes a mask of one byte an element beside its result.
  if (base == "native_dropout") traffic.written += Bytes(ir::ElementCount(first.shape));
  // Reads nothing of what it is made like: only the new tensor is written.
  if (IsOneOf(base, {"new_ones", "new_zeros"})) traffic = {Bytes(), BytesOfNew(op)};
  // Reductions write next to nothing.
  if (IsOneOf(base, {"sum", "mean", "amax", "max", "linalg_vector_norm", "dot"})) traffic.written = Bytes(0);
  // Parameters, gradients and two moments are read, all but the gradients written: three quarters where all have one element type.
  if (base == "_fused_adamw") traffic.written = Bytes(traffic.read.count() / 4 * 3);
  // Gradients of weight and bias take a second pass over both large operands.
  if (IsOneOf(base, {"native_layer_norm_backward", "_fused_rms_norm_backward"})) traffic.read += traffic.read;
  return traffic;
}

Result<double> TransferSeconds(const cluster::Device& device, Bytes bytes) {
  if (!device.memory_bandwidth) {
    return NoMemoryBandwidth(device);
  }
  return kKernelSeconds + static_cast<double>(bytes.count()) / (device.memory_bandwidth->value() * kBandwidthShare);
}

Result<double> FusedKernelSeconds(const cluster::Device& device, const Traffic& traffic, Flops flops) {
  HELM_ASSIGN_OR_RETURN(const double transfer, TransferSeconds(device, traffic.read + traffic.written));
  if (flops.count() <= 0) return transfer;
  const auto peak = device.peak.find("f32");
  if (peak == device.peak.end()) {
    return NoPeakRate(device, "f32");
  }
  return std::max(transfer, kKernelSeconds + flops.count() / peak->second.value());
}

}  // namespace helm::cost
