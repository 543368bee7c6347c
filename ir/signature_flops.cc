// Floating-point operations of the ops whose cost is arithmetic: matrix products and attention.
#include <algorithm>
#include <array>

#include "ir/product_ops.h"
#include "ir/signature.h"
#include "ir/target.h"

namespace helm::ir {
namespace {

const TensorSignature* TensorAt(const OpSignature& op, size_t at) {
  return at < op.arguments.size() ? std::get_if<TensorSignature>(&op.arguments[at]) : nullptr;
}

// [m, k] x [k, n], or [batch.., m, k] x [batch.., k, n]: a multiply and an add for each of m n k triples. In a broadcast product the left
// operand has all of the batch.
double ProductFlops(const OpSignature& op, size_t left_at) {
  const TensorSignature* left = TensorAt(op, left_at);
  const TensorSignature* right = TensorAt(op, left_at + 1);
  if (left == nullptr || right == nullptr || left->shape.empty() || right->shape.empty()) return 0;
  return 2.0 * static_cast<double>(ElementCount(left->shape)) * static_cast<double>(right->shape.back());
}

// _grouped_mm(self, mat2, offs): each row of [rows, k] meets one member of [groups, k, n]; or, for weight gradients, [m, rows] x [rows, n]
// cut along the rows into groups. Both multiply every row once.
double GroupedFlops(const OpSignature& op) {
  const TensorSignature* right = TensorAt(op, 1);
  if (right == nullptr || right->shape.size() < 2) return 0;
  return ProductFlops(op, 0);
}

struct AttentionOp {
  std::string_view name;
  size_t query_at;   // query [batch, heads, s, d], then key and value
  size_t causal_at;  // the argument is_causal
  double factor;     // of the two products of the forward pass
};
// The backward of flash attention computes the scores again and four gradients: five products where forward has two (techniques.md 4.6).
constexpr double kBackward = 2.5;
constexpr std::array<AttentionOp, 6> kAttention = {{
    {"_scaled_dot_product_flash_attention", 0, 4, 1.0},
    {"_scaled_dot_product_flash_attention_for_cpu", 0, 4, 1.0},
    {"_scaled_dot_product_flash_attention_backward", 1, 11, kBackward},
    {"_scaled_dot_product_flash_attention_for_cpu_backward", 1, 7, kBackward},
    {"_scaled_dot_product_cudnn_attention", 0, 6, 1.0},
    {"_scaled_dot_product_cudnn_attention_backward", 1, 14, kBackward},
}};

bool BoolAt(const OpSignature& op, size_t at) {
  const auto* value = at < op.arguments.size() ? std::get_if<bool>(&op.arguments[at]) : nullptr;
  return value != nullptr && *value;
}

double AttentionFlops(const OpSignature& op, const AttentionOp& attention) {
  const TensorSignature* query = TensorAt(op, attention.query_at);
  const TensorSignature* key = TensorAt(op, attention.query_at + 1);
  const TensorSignature* value = TensorAt(op, attention.query_at + 2);
  if (query == nullptr || key == nullptr || value == nullptr) return 0;
  if (query->shape.size() != 4 || key->shape.size() != 4 || value->shape.size() != 4) return 0;
  const double scores = ScoresOf(query->shape[2], key->shape[2], BoolAt(op, attention.causal_at));
  const double all = static_cast<double>(query->shape[0] * query->shape[1]) * scores;
  return 2.0 * all * static_cast<double>(query->shape[3] + value->shape[3]) * attention.factor;
}

}  // namespace

double ScoresOf(int64_t queries, int64_t keys, bool causal) {
  const auto q = static_cast<double>(queries), k = static_cast<double>(keys);
  if (!causal) return q * k;
  return queries <= keys ? q * (k - q / 2) : k * k / 2;
}

Flops FlopsOf(const OpSignature& signature) {
  const std::string base = BaseName(signature.target);
  const auto product = std::ranges::find(kProductOps, base, &ProductOp::name);
  if (product != kProductOps.end()) return Flops(ProductFlops(signature, product->left_at));
  if (base == "_grouped_mm") return Flops(GroupedFlops(signature));
  const auto attention = std::ranges::find(kAttention, base, &AttentionOp::name);
  if (attention != kAttention.end()) return Flops(AttentionFlops(signature, *attention));
  return Flops(0);
}

bool IsFusedAttention(const OpSignature& signature) {
  return std::ranges::find(kAttention, BaseName(signature.target), &AttentionOp::name) != kAttention.end();
}

}  // namespace helm::ir
