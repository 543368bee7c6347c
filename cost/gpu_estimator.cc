#include "cost/gpu_estimator.h"

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <string_view>

#include <fmt/format.h>

#include "cost/memory_kernels.h"
#include "cost/memory_model.h"
#include "cost/signature_tensors.h"
#include "ir/product_ops.h"
#include "ir/target.h"

namespace helm::cost {
namespace {

using ir::TensorSignature;

// What an H100 is taken for where a device has no table and no relative: the largest set of measurements.
constexpr std::string_view kGeneralArchitecture = "hopper";

// Where Transformer Engine takes FlashAttention-2 when algorithms have to be deterministic, since cuDNN's backward is not before 9.18.1
// (transformer_engine/pytorch/attention/dot_product_attention/utils.py; NVIDIA/TransformerEngine, pull requests 2130 and 2584).
constexpr std::string_view kWithoutDeterministicCudnn = "blackwell";

const TensorSignature* TensorAt(const ir::OpSignature& op, size_t at) {
  return at < op.arguments.size() ? std::get_if<TensorSignature>(&op.arguments[at]) : nullptr;
}

bool BoolAt(const ir::OpSignature& op, size_t at) {
  const auto* value = at < op.arguments.size() ? std::get_if<bool>(&op.arguments[at]) : nullptr;
  return value != nullptr && *value;
}

// The largest power of two up to 16 that divides the distance of rows (or columns) of a matrix in bytes.
int64_t AlignmentOf(const TensorSignature& matrix) {
  int64_t alignment = 16;
  for (size_t i = 0; i < matrix.shape.size(); ++i) {
    if (matrix.shape[i] == 1 || matrix.strides[i] <= 1) continue;
    while (alignment > 1 && matrix.strides[i] * ir::ElementBytes(matrix.dtype) % alignment != 0) alignment /= 2;
  }
  return alignment;
}

int64_t AlignmentOfRow(int64_t elements, ir::DataType dtype) { return AlignmentOf({dtype, {2, elements}, {elements, 1}, false, 0}); }

const ir::DataType* OutputType(const ir::OpSignature& op) {
  for (const auto& argument : op.arguments) {
    if (const auto* type = std::get_if<ir::DataType>(&argument)) return type;
  }
  return nullptr;
}

struct AttentionOp {
  std::string_view name;
  size_t query_at;   // query [batch, heads, s, d], then key and value
  size_t causal_at;  // the argument is_causal
  bool backward;
  AttentionKernel kernel;
};
constexpr std::array<AttentionOp, 4> kAttention = {
    {{"_scaled_dot_product_flash_attention", 0, 4, false, AttentionKernel::kFlash2},
     {"_scaled_dot_product_flash_attention_backward", 1, 11, true, AttentionKernel::kFlash2},
     {"_scaled_dot_product_cudnn_attention", 0, 6, false, AttentionKernel::kNative},
     {"_scaled_dot_product_cudnn_attention_backward", 1, 14, true, AttentionKernel::kNative}}};

// How the rates of `peak` and the tables name the operands' type: one byte is fp8.
std::string RateName(ir::DataType type) { return ir::ElementBytes(type) == 1 ? "fp8" : std::string(ir::Name(type)); }

// [rows, k] x [groups, k, n] with the rows spread over the groups, or [m, rows] x [rows, n] cut along the rows, offsets [groups].
std::optional<ProductShape> GroupedShapeOf(const ir::OpSignature& op) {
  const TensorSignature* left = TensorAt(op, 0);
  const TensorSignature* right = TensorAt(op, 1);
  const TensorSignature* offsets = TensorAt(op, 2);
  if (left == nullptr || right == nullptr || offsets == nullptr || left->shape.size() != 2 || offsets->shape.size() != 1)
    return std::nullopt;
  const int64_t groups = std::max<int64_t>(offsets->shape[0], 1);
  const bool along_rows = right->shape.size() == 2;
  if (!along_rows && right->shape.size() != 3) return std::nullopt;
  const int64_t rows = left->shape[along_rows ? 1 : 0];
  const int64_t mean = std::max<int64_t>((rows + groups - 1) / groups, 1);
  ProductShape shape{groups, along_rows ? left->shape[0] : mean, right->shape.back(), along_rows ? mean : left->shape[1], {}};
  shape.dtype = RateName(left->dtype);
  shape.alignment_bytes = std::min({AlignmentOf(*left), AlignmentOf(*right), AlignmentOfRow(shape.n, left->dtype)});
  return shape;
}

}  // namespace

std::optional<ProductShape> ProductShapeOf(const ir::OpSignature& op) {
  if (ir::BaseName(op.target) == "_grouped_mm") return GroupedShapeOf(op);
  const auto known = std::ranges::find(ir::kProductOps, ir::BaseName(op.target), &ir::ProductOp::name);
  if (known == ir::kProductOps.end()) return std::nullopt;
  const TensorSignature* left = TensorAt(op, known->left_at);
  const TensorSignature* right = TensorAt(op, known->left_at + 1);
  if (left == nullptr || right == nullptr || left->shape.size() < 2 || left->shape.size() != right->shape.size()) return std::nullopt;
  const size_t last = left->shape.size() - 1;
  const int64_t batch = std::accumulate(left->shape.begin(), left->shape.end() - 2, int64_t{1}, std::multiplies<>());
  ProductShape shape{batch, left->shape[last - 1], right->shape[last], left->shape[last], {}};
  shape.dtype = RateName(left->dtype);
  shape.alignment_bytes = std::min({AlignmentOf(*left), AlignmentOf(*right), AlignmentOfRow(shape.n, left->dtype)});
  // 8-bit operands make a wider product.
  if (const auto* type = OutputType(op); known->name == "_scaled_mm" && type != nullptr) {
    shape.extra_bytes_written = static_cast<double>(batch * shape.m * shape.n * (ir::ElementBytes(*type) - ir::ElementBytes(left->dtype)));
  }
  // An addend of the product's size is read; it is written in its own element type.
  if (const TensorSignature* addend = known->left_at == 1 ? TensorAt(op, 0) : nullptr; addend != nullptr && addend->shape.size() > 1) {
    const double product = static_cast<double>(shape.batch * shape.m * shape.n * ir::ElementBytes(left->dtype));
    shape.extra_bytes_written = 2.0 * static_cast<double>(BytesOf(*addend)) - product;
    shape.adds = true;
  }
  return shape;
}

std::optional<AttentionShape> AttentionShapeOf(const ir::OpSignature& op) {
  const auto known = std::ranges::find(kAttention, ir::BaseName(op.target), &AttentionOp::name);
  if (known == kAttention.end()) return std::nullopt;
  const TensorSignature* query = TensorAt(op, known->query_at);
  const TensorSignature* key = TensorAt(op, known->query_at + 1);
  const TensorSignature* value = TensorAt(op, known->query_at + 2);
  if (query == nullptr || key == nullptr || value == nullptr) return std::nullopt;
  if (query->shape.size() != 4 || key->shape.size() != 4 || value->shape.size() != 4) return std::nullopt;
  AttentionShape shape{query->shape[0], query->shape[1], key->shape[1], query->shape[2], key->shape[2], query->shape[3], value->shape[3]};
  shape.causal = BoolAt(op, known->causal_at);
  shape.backward = known->backward;
  shape.kernel = known->kernel;
  shape.dtype = ir::Name(query->dtype);
  return shape;
}

GpuEstimator::GpuEstimator(cluster::Device device, AttentionKernel flash, const FittedConstants& constants, bool deterministic)
    : device_(std::move(device)), flash_(flash), deterministic_(deterministic) {
  if (deterministic_ && device_.architecture == kWithoutDeterministicCudnn) flash_ = AttentionKernel::kFlash2;
  device_.sustained_clock *= constants.clock;
  const auto or_general = [this](auto find) {
    const KernelTable* table = find(device_.name, device_.architecture);
    return table != nullptr ? table : find({}, kGeneralArchitecture);
  };
  if (const KernelTable* table = or_general(ProductTablesFor)) products_.emplace(*table, device_, constants);
  if (const KernelTable* table = or_general(AttentionTableFor)) attention_.emplace(*table, device_, constants);
}

Result<Estimate> GpuEstimator::EstimateProduct(const ProductShape& shape) const {
  if (!products_) return UnavailableError("no kernel table is built in");
  HELM_ASSIGN_OR_RETURN(const double seconds, products_->Seconds(shape));
  return Estimate{Duration::Seconds(seconds), products_->own_table() ? Source::kInterpolated : Source::kAnalytic, Bytes()};
}

Result<Estimate> GpuEstimator::EstimateAttention(const AttentionShape& shape) const {
  if (!attention_) return UnavailableError("no kernel table is built in");
  HELM_ASSIGN_OR_RETURN(const double seconds, attention_->Seconds(shape));
  const bool measured = attention_->own_table() && !shape.backward;  // no backward kernel was measured
  return Estimate{Duration::Seconds(seconds), measured ? Source::kInterpolated : Source::kAnalytic, Bytes()};
}

Result<Estimate> GpuEstimator::EstimateOp(const ir::OpSignature& op) const {
  const auto named = [&](Result<Estimate> estimate) -> Result<Estimate> {
    if (estimate.ok()) return estimate;
    return UnavailableError(fmt::format("{}: {}", ir::ToText(op), estimate.status().message()));
  };
  if (ir::BaseName(op.target) == "new_empty") return Estimate{Duration(), Source::kAnalytic, Bytes()};  // only memory, no kernel
  if (const auto product = ProductShapeOf(op)) return named(EstimateProduct(*product));
  if (auto attention = AttentionShapeOf(op)) {
    if (attention->kernel == AttentionKernel::kFlash2) attention->kernel = flash_;
    attention->deterministic = deterministic_;
    return named(EstimateAttention(*attention));
  }
  const Traffic traffic = TrafficOf(op);
  if (const auto measured = MemoryKernels::BuiltIn().Seconds(op, traffic, device_)) {
    const bool own = device_.name == MemoryKernels::BuiltIn().device();
    return Estimate{Duration::Seconds(*measured), own ? Source::kInterpolated : Source::kAnalytic, Bytes()};
  }
  const auto seconds = TransferSeconds(device_, traffic.read + traffic.written);
  if (!seconds.ok()) return named(seconds.status());
  return Estimate{Duration::Seconds(*seconds), Source::kAnalytic, Bytes()};
}

Result<Estimate> GpuEstimator::EstimateCollective(const ir::CollectiveSignature& collective) const {
  return UnavailableError(fmt::format("{}: the kernel tables hold no collectives", ir::ToText(collective)));
}

Result<HostCosts> GpuEstimator::EstimateHost() const { return UnavailableError("the kernel tables hold no launch costs"); }

}  // namespace helm::cost
