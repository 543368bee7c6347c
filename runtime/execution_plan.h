// ExecutionPlan: a program made ready for one rank: operators looked up, constants converted, collectives decoded, and for every op the
// tensors that are let go after it. Made once; the interpreter's loop only walks it. Internal to runtime/ (shows torch types).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "ir/program.h"
#include "runtime/operator_call.h"
#include "runtime/process_group.h"

namespace helm::runtime {

struct PlannedOp {
  ir::OpKind kind = ir::OpKind::kCompute;
  std::optional<OperatorCall> call;  // compute and view ops
  std::vector<int32_t> results;      // places in the array of tensors; -1: not used
  // Where PyTorch's operator returns nothing (_fused_adamw_, _foreach_add_): for each result the argument that it is a new version of.
  std::vector<int32_t> results_from_arguments;
  CollectiveCall collective;      // collective starts
  int32_t input = -1;             // tensor that a collective sends; -1: none
  int32_t into = -1;              // tensor that it fills; -1: a new one
  int32_t group = -1;             // collective starts and waits
  int32_t waits_for = -1;         // waits: the op that started the collective
  std::vector<int32_t> ends;      // waits: the starts that it ends, in launch order (ir::EndedBy)
  std::vector<int32_t> released;  // tensors let go after this op
};

struct ExecutionPlan {
  std::vector<PlannedOp> ops;  // by op id
};

// REQUIRES: ir::Verify(program) is ok.
Result<ExecutionPlan> MakeExecutionPlan(const ir::Program& program, int64_t rank, c10::Device device);

// "op 12 aten.mm (mlp.up, forward, layer 3, micro-batch 0)".
std::string DescribeOp(const ir::Program& program, ir::OpId op);

}  // namespace helm::runtime
