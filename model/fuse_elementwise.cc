#include "model/fuse_elementwise.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "ir/target.h"

namespace helm::model {
namespace {

using ir::Op;
using ir::OpKind;
using ir::Phase;

constexpr std::string_view kPointwise[] = {"add",
                                           "sub",
                                           "mul",
                                           "div",
                                           "exp",
                                           "log",
                                           "silu",
                                           "silu_backward",
                                           "gelu",
                                           "gelu_backward",
                                           "relu",
                                           "reciprocal",
                                           "sqrt",
                                           "rsqrt",
                                           "sigmoid",
                                           "abs",
                                           "pow",
                                           "sin",
                                           "cos",
                                           "clamp",
                                           "clamp_max",
                                           "maximum",
                                           "lt",
                                           "ge",
                                           "gt",
                                           "eq",
                                           "lerp",
                                           "addcmul",
                                           "logaddexp",
                                           "masked_fill",
                                           "copy",
                                           "clone",
                                           "_to_copy",
                                           "cat",
                                           "bitwise_or",
                                           "gather",
                                           "index_select",
                                           "embedding",
                                           "new_empty",
                                           "new_zeros",
                                           "new_ones",
                                           "remainder",
                                           "native_dropout",
                                           "native_dropout_backward"};
// Norms and softmax, a row at a time.
constexpr std::string_view kRows[] = {"native_layer_norm", "native_layer_norm_backward", "_fused_rms_norm", "_fused_rms_norm_backward",
                                      "_softmax",          "_softmax_backward_data"};
constexpr std::string_view kReductions[] = {"sum", "mean", "amax"};

// Of a row that stays beside a multiprocessor between two passes: half of the smallest first-level cache of the GPUs since Volta (128 KiB).
constexpr int64_t kRowBytesMost = 64 * 1024;

bool IsAmong(auto&& names, std::string_view name) { return std::ranges::find(names, name) != std::end(names); }

bool IsNew(const Op& op) { return op.target.starts_with("aten.new_"); }

// Over the last dimension alone.
bool ReducesRows(const ir::Program& program, const Op& op) {
  const auto rank = static_cast<int64_t>(program.tensor(ir::TensorArguments(op).front()).shape.size());
  const auto* dimensions = std::get_if<std::vector<int64_t>>(&op.arguments[1]);
  return dimensions != nullptr && dimensions->size() == 1 && (dimensions->front() == rank - 1 || dimensions->front() == -1);
}

bool IsLongRow(const ir::Program& program, const Op& op) {
  const ir::Tensor& input = program.tensor(ir::TensorArguments(op).front());
  return !input.shape.empty() && input.shape.back() * ir::ElementBytes(input.dtype) > kRowBytesMost;
}

class Fuser {
 public:
  explicit Fuser(ir::Program& program) : program_(program) {
    for (const Op& op : program_.ops) next_region_ = std::max(next_region_, op.region + 1);
  }

  void Run() {
    for (size_t i = 0; i < program_.ops.size();) {
      const size_t end = UnitEnd(i);
      const Joining joining = JoiningOfUnit(i, end);
      if (joining == Joining::kNo) {
        Close();
      } else if (!IsViews(i, end)) {
        if (kernels_ > 0 && !SamePlace(program_.ops[begin_], program_.ops[i])) Close();
        if (kernels_ == 0) begin_ = i;
        end_ = end;
        if (!IsNew(program_.ops[i])) ++kernels_;
        if (joining == Joining::kEnds) Close();
      }
      i = end;
    }
    Close();
  }

 private:
  // One op, or the ops of a region that is there already.
  size_t UnitEnd(size_t begin) const {
    const int32_t region = program_.ops[begin].region;
    size_t end = begin + 1;
    while (region >= 0 && end < program_.ops.size() && program_.ops[end].region == region) ++end;
    return end;
  }

  bool IsViews(size_t begin, size_t end) const {
    return std::all_of(program_.ops.begin() + static_cast<std::ptrdiff_t>(begin), program_.ops.begin() + static_cast<std::ptrdiff_t>(end),
                       [](const Op& op) { return op.kind == OpKind::kView; });
  }

  Joining JoiningOfUnit(size_t begin, size_t end) const {
    Joining all = Joining::kYes;
    for (size_t i = begin; i < end; ++i) {
      const Op& op = program_.ops[i];
      if (op.kind == OpKind::kView) continue;
      all = std::min(all, op.kind == OpKind::kCompute ? JoiningOf(program_, op) : Joining::kNo);
    }
    return all;
  }

  static bool SamePlace(const Op& a, const Op& b) {
    const auto forward = [](const Op& op) { return op.phase == Phase::kForward; };
    return a.layer == b.layer && a.micro_batch == b.micro_batch && a.action == b.action && forward(a) == forward(b);
  }

  void Close() {
    if (kernels_ > 1) {
      for (size_t i = begin_; i < end_; ++i) program_.ops[i].region = next_region_;
      ++next_region_;
    }
    kernels_ = 0;
  }

  ir::Program& program_;
  int32_t next_region_ = 0;
  size_t begin_ = 0, end_ = 0;  // of the run
  int64_t kernels_ = 0;         // in it; 0: there is none
};

}  // namespace

Joining JoiningOf(const ir::Program& program, const Op& op) {
  if (op.phase == Phase::kOptimizer || op.phase == Phase::kWeightGradient || op.micro_batch < 0) return Joining::kNo;
  const std::string name = ir::BaseName(op.target);
  if (IsAmong(kPointwise, name)) return Joining::kYes;
  const bool reduces = IsAmong(kReductions, name);
  if (!reduces && !IsAmong(kRows, name)) return Joining::kNo;
  if (reduces && !ReducesRows(program, op)) return Joining::kNo;
  return IsLongRow(program, op) ? Joining::kEnds : Joining::kYes;
}

void FuseElementwise(ir::Program& program) { Fuser(program).Run(); }

}  // namespace helm::model
