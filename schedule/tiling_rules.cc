#include "schedule/tiling_rules.h"

#include <algorithm>
#include <array>

#include "ir/target.h"

namespace helm::schedule {
namespace {

struct Named {
  std::string_view name;  // ir::BaseName
  TileRule rule;
};

constexpr Named kRules[] = {
    {"add", TileRule::kLinear},
    {"sub", TileRule::kLinear},
    {"mul", TileRule::kLinear},
    {"div", TileRule::kLinear},
    {"_to_copy", TileRule::kLinear},
    {"neg", TileRule::kLinear},
    {"addcmul", TileRule::kElements},
    {"silu", TileRule::kElements},
    {"silu_backward", TileRule::kElements},
    {"gelu", TileRule::kElements},
    {"gelu_backward", TileRule::kElements},
    {"relu", TileRule::kElements},
    {"abs", TileRule::kElements},
    {"exp", TileRule::kElements},
    {"log", TileRule::kElements},
    {"sin", TileRule::kElements},
    {"cos", TileRule::kElements},
    {"tanh", TileRule::kElements},
    {"sqrt", TileRule::kElements},
    {"rsqrt", TileRule::kElements},
    {"reciprocal", TileRule::kElements},
    {"masked_fill", TileRule::kElements},
    {"bitwise_or", TileRule::kElements},
    {"lt", TileRule::kElements},
    {"ge", TileRule::kElements},
    {"gt", TileRule::kElements},
    {"clamp_max", TileRule::kElements},
    {"pow", TileRule::kElements},
    {"remainder", TileRule::kElements},
    {"copy", TileRule::kCopy},
    {"embedding", TileRule::kRows},
    {"gather", TileRule::kRows},
    {"scatter", TileRule::kRows},
    {"scatter_add", TileRule::kRows},
    {"index_select", TileRule::kRows},
    {"index_add", TileRule::kRows},
    {"topk", TileRule::kRows},
    {"native_layer_norm", TileRule::kRows},
    {"_fused_rms_norm", TileRule::kRows},
    {"_scaled_dot_product_flash_attention", TileRule::kRows},
    {"_scaled_dot_product_flash_attention_backward", TileRule::kRows},
    {"_scaled_dot_product_flash_attention_for_cpu", TileRule::kRows},
    {"_scaled_dot_product_flash_attention_for_cpu_backward", TileRule::kRows},
    {"_scaled_dot_product_cudnn_attention", TileRule::kRows},
    {"_scaled_dot_product_cudnn_attention_backward", TileRule::kRows},
    {"sum", TileRule::kReduction},
    {"mean", TileRule::kScan},
    {"amax", TileRule::kScan},
    {"cumsum", TileRule::kScan},
    {"cat", TileRule::kScan},
    {"_softmax", TileRule::kScan},
    {"_softmax_backward_data", TileRule::kRows},
    {"mm", TileRule::kProduct},
    {"addmm", TileRule::kProduct},
    {"bmm", TileRule::kProduct},
    {"baddbmm", TileRule::kProduct},
    {"matmul", TileRule::kProduct},
    {"native_layer_norm_backward", TileRule::kRowsAndSums},
    {"_fused_rms_norm_backward", TileRule::kRowsAndSums},
    {"embedding_dense_backward", TileRule::kSums},
    {"new_empty", TileRule::kFactory},
    {"new_ones", TileRule::kFactory},
    {"new_zeros", TileRule::kFactory},
};

constexpr std::array<AttentionArguments, 4> kAttention = {{
    {"aten._scaled_dot_product_flash_attention", 0, 4},
    {"aten._scaled_dot_product_flash_attention_backward", 1, 11, -1, 8, true},
    {"aten._scaled_dot_product_flash_attention_for_cpu", 0, 4, 5},
    {"aten._scaled_dot_product_flash_attention_for_cpu_backward", 1, 7, 8, -1, true},
}};

constexpr std::array<std::string_view, 5> kShapeSecond = {"view", "as_strided", "new_empty", "new_ones", "new_zeros"};

}  // namespace

TileRule RuleOf(std::string_view target) {
  if (!target.starts_with("aten.")) return TileRule::kUnknown;
  const std::string name = ir::BaseName(target);
  const auto* found = std::ranges::find(kRules, std::string_view(name), &Named::name);
  return found == std::end(kRules) ? TileRule::kUnknown : found->rule;
}

bool IsAttention(std::string_view target) { return target.starts_with("aten._scaled_dot_product_"); }

const AttentionArguments* AttentionArgumentsOf(std::string_view target) {
  const auto* found = std::ranges::find(kAttention, target, &AttentionArguments::target);
  return found == kAttention.end() ? nullptr : found;
}

bool HasQueryTiles(const ir::Op& op) {
  const AttentionArguments* known = AttentionArgumentsOf(op.target);
  if (known == nullptr || op.arguments.size() <= known->causal) return false;
  const auto* causal = std::get_if<bool>(&op.arguments[known->causal]);
  return causal != nullptr && *causal;
}

bool IsAttentionBackward(const ir::Op& op) {
  const AttentionArguments* known = AttentionArgumentsOf(op.target);
  return known != nullptr && known->backward;
}

int64_t RowDimension(const ir::Tensor& tensor) {
  int64_t rows = -1, widest = 0;
  for (size_t d = 0; d < tensor.shape.size(); ++d) {
    if (tensor.shape[d] < 2 || tensor.strides[d] <= widest) continue;
    widest = tensor.strides[d];
    rows = static_cast<int64_t>(d);
  }
  return rows;
}

int ShapeArgument(std::string_view target) {
  return std::ranges::find(kShapeSecond, std::string_view(ir::BaseName(target))) == kShapeSecond.end() ? -1 : 1;
}

}  // namespace helm::schedule
