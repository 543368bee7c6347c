// OpSignature: what makes two ops cost the same: target, shapes, strides, dtypes and scalar arguments, but not which tensors or values.
//
// It is the key of the cost tables, and it holds all the profiler needs to run the op on random data. Text form, one line, also the key
// in the file: `aten.mm(f32[512,384], f32[384,1024]{1,384})`: strides in braces only where they are not contiguous; a persistent
// operand (a weight or optimizer state, which no recent op wrote) is marked with a leading `@`; lists in `[...]`, none as `none`,
// int64 index tensors whose values must stay below a bound as `i64[8,256]<257`. A floating-point number always has a point, an exponent or
// is `inf` or `nan`, so that it is never taken for an integer; empty lists of tensors and booleans are `tensors[]` and `bools[]`.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/fingerprint.h"
#include "core/status.h"
#include "ir/program.h"

namespace helm::ir {

struct TensorSignature {
  DataType dtype = DataType::kFloat32;
  Shape shape;
  Shape strides;
  bool persistent = false;  // lies on a persistent parameter, gradient or optimizer-state storage: taken as not in cache
  int64_t index_bound = 0;  // > 0: integer values lie in [0, bound)
  bool operator==(const TensorSignature&) const = default;
};

using ArgumentSignature = std::variant<NoneArgument, TensorSignature, std::vector<TensorSignature>, bool, int64_t, double,
                                       std::vector<int64_t>, std::vector<bool>, std::string, DataType>;

struct OpSignature {
  std::string target;
  std::vector<ArgumentSignature> arguments;
  bool operator==(const OpSignature&) const = default;
};

// REQUIRES: op is a compute or view op of the program, all its tensors exist. A RankExpression argument becomes its constant. Index bounds
// come from what the ATen schema says of the op: rows of the table of an embedding, the size of the dimension that gather, scatter and
// index ops index, the classes of nll_loss.
OpSignature SignatureOf(const Program& program, const Op& op);

// Stands for SignatureOf(program, op) without making it, for tables in memory: ops with different signatures have different fingerprints,
// those with equal ones the same, but for hyperparameters of an optimizer, which a signature leaves out. REQUIRES: as above.
Fingerprint FingerprintOf(const Program& program, const Op& op);

std::string ToText(const OpSignature& signature);
Result<OpSignature> ParseOpSignature(std::string_view text);

// One operand, as above, without an index bound.
TensorSignature SignatureOf(const Program& program, TensorId tensor);

// Sum of the bytes of all tensors read (arguments), and floating-point operations where the target is known to the flop counter
// (matrix products, attention; 0 for others). Source: techniques.md 4.6; causal attention counts the half that is computed.
Bytes BytesRead(const OpSignature& signature);
Flops FlopsOf(const OpSignature& signature);
// Pairs of a query and a key that meet in one head of a flash kernel. Causal: the last query sees the last key (FlashAttention-2 from
// version 2.1 on), and of the square at the end one half counts, as everywhere in HELM.
double ScoresOf(int64_t queries, int64_t keys, bool causal);
bool IsFusedAttention(const OpSignature& signature);  // forward or backward of scaled_dot_product_attention as one kernel

// A collective as the cost tables know it: kind ("all_reduce", ...), reduce dtype, bytes (see CollectiveBytes), and where its group lies:
// ranks, the most of them on one node, and how many groups of its kind have ranks on one node and run it at the same time, which share the
// node's network cards (1 for a group within a node, which uses none). Text form: `all_reduce f32 ranks=4 per_node=2 groups=4
// bytes=1048576`, without `groups` where that is 1.
struct CollectiveSignature {
  std::string kind;
  DataType dtype = DataType::kFloat32;
  int64_t ranks = 1;
  int64_t ranks_per_node = 1;
  Bytes bytes;
  int64_t groups_per_node = 1;
  bool operator==(const CollectiveSignature&) const = default;
};
std::string ToText(const CollectiveSignature& signature);
Result<CollectiveSignature> ParseCollectiveSignature(std::string_view text);

}  // namespace helm::ir
