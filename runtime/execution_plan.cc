#include "runtime/execution_plan.h"

#include <algorithm>

#include "ir/lifetime.h"

namespace helm::runtime {
namespace {

// Converts one argument of an ATen op; numbers that depend on the rank become this rank's.
struct ToCallArgument {
  const ir::Program& program;
  const std::vector<int64_t>& coordinates;

  CallArgument operator()(ir::TensorId id) const { return TensorSlot{id.value}; }
  CallArgument operator()(const std::vector<ir::TensorId>& ids) const {
    std::vector<TensorSlot> slots;
    for (const ir::TensorId id : ids) slots.push_back({id.value});
    return slots;
  }
  CallArgument operator()(const ir::RankExpression& expression) const { return ir::Evaluate(expression, program.mesh, coordinates); }
  CallArgument operator()(ir::OpId) const { return ir::NoneArgument{}; }  // the argument of a wait: not an ATen op
  template <typename T>
  CallArgument operator()(const T& value) const {
    return value;
  }
};

class Planner {
 public:
  Planner(const ir::Program& program, int64_t rank, c10::Device device)
      : program_(program), rank_(rank), device_(device), coordinates_(ir::Coordinates(program.mesh, rank)) {}

  Result<PlannedOp> Plan(const ir::Op& op) const {
    PlannedOp planned;
    planned.kind = op.kind;
    planned.group = op.group.value;
    for (const ir::TensorId result : op.results) planned.results.push_back(result.value);
    if (op.kind == ir::OpKind::kCompute || op.kind == ir::OpKind::kView) {
      HELM_RETURN_IF_ERROR(PlanCall(op, planned));
    } else {
      HELM_RETURN_IF_ERROR(op.kind == ir::OpKind::kWait ? PlanWait(op, planned) : PlanCollective(op, planned));
    }
    return planned;
  }

 private:
  Status PlanCall(const ir::Op& op, PlannedOp& planned) const {
    std::vector<CallArgument> arguments;
    for (const ir::Argument& argument : op.arguments) arguments.push_back(std::visit(ToCallArgument{program_, coordinates_}, argument));
    HELM_ASSIGN_OR_RETURN(OperatorCall call, OperatorCall::Make(op.target, arguments, device_));
    if (call.result_count() == 0) {
      HELM_RETURN_IF_ERROR(FindUpdatedArguments(op, planned));
    } else if (!call.returns_list() && op.results.size() != call.result_count()) {
      return InternalError("has " + std::to_string(op.results.size()) + " results in the program, " + std::to_string(call.result_count()) +
                           " in PyTorch's schema");
    }
    planned.call = std::move(call);
    return OkStatus();
  }

  // Each result is a new version of an argument: the same view of the same storage.
  Status FindUpdatedArguments(const ir::Op& op, PlannedOp& planned) const {
    const std::vector<ir::TensorId> arguments = ir::TensorArguments(op);
    for (const ir::TensorId result : op.results) {
      const auto same = [&](ir::TensorId argument) {
        return result.valid() && SameView(program_.tensor(argument), program_.tensor(result));
      };
      const auto found = std::find_if(arguments.begin(), arguments.end(), same);
      if (result.valid() && found == arguments.end()) {
        return InternalError("returns nothing in PyTorch's schema, and result '" + program_.tensor(result).name +
                             "' is no version of an argument");
      }
      planned.results_from_arguments.push_back(result.valid() ? found->value : -1);
    }
    return OkStatus();
  }

  static bool SameView(const ir::Tensor& a, const ir::Tensor& b) {
    return a.storage == b.storage && a.dtype == b.dtype && a.offset == b.offset && a.shape == b.shape && a.strides == b.strides;
  }

  Status PlanWait(const ir::Op& op, PlannedOp& planned) const {
    const auto* start = op.arguments.empty() ? nullptr : std::get_if<ir::OpId>(&op.arguments.front());
    if (start == nullptr) return InternalError("a wait must name the op that started the collective");
    planned.waits_for = start->value;
    return OkStatus();
  }

  Status PlanCollective(const ir::Op& op, PlannedOp& planned) const {
    const std::optional<CollectiveKind> kind =
        op.target.rfind("c10d.", 0) == 0 ? CollectiveKindFromName(std::string_view(op.target).substr(5)) : std::nullopt;
    if (!kind) {
      return InvalidError("unknown collective '" + op.target +
                          "'; allowed: c10d.all_reduce, all_gather, reduce_scatter, all_to_all, broadcast, send, recv");
    }
    planned.collective.kind = *kind;
    size_t next = 0;
    if (*kind != CollectiveKind::kReceive) {
      const auto* tensor = op.arguments.empty() ? nullptr : std::get_if<ir::TensorId>(&op.arguments.front());
      if (tensor == nullptr) return InternalError("a collective's first argument must be a tensor");
      planned.input = tensor->value;
      next = 1;
    }
    if (*kind == CollectiveKind::kAllGather && op.arguments.size() == 2) {
      const auto* into = std::get_if<ir::TensorId>(&op.arguments[1]);
      if (into == nullptr) return InternalError("gathers into something that is no tensor");
      planned.into = into->value;
    }
    if (op.results.size() != (*kind == CollectiveKind::kSend ? 0u : 1u)) return InternalError("has the wrong number of results");
    return PlanModifier(op, next, planned.collective);
  }

  // The argument after the tensor: the reduction, the root or the peer.
  Status PlanModifier(const ir::Op& op, size_t index, CollectiveCall& call) const {
    const ir::Argument* argument = index < op.arguments.size() ? &op.arguments[index] : nullptr;
    switch (call.kind) {
      case CollectiveKind::kAllReduce:
      case CollectiveKind::kReduceScatter: {
        const auto* word = argument == nullptr ? nullptr : std::get_if<std::string>(argument);
        if (word == nullptr || (*word != "sum" && *word != "max")) return InvalidError("the reduction must be \"sum\" or \"max\"");
        call.reduction = *word == "sum" ? Reduction::kSum : Reduction::kMaximum;
        return OkStatus();
      }
      case CollectiveKind::kBroadcast:
      case CollectiveKind::kSend:
      case CollectiveKind::kReceive: {
        const CallArgument number = argument == nullptr ? CallArgument{} : std::visit(ToCallArgument{program_, coordinates_}, *argument);
        const auto* value = std::get_if<int64_t>(&number);
        if (value == nullptr) return InvalidError("needs a whole number: the root, or the offset of the peer");
        call.peer = call.kind == CollectiveKind::kBroadcast ? *value : PeerAt(op.group, *value);
        if (call.kind != CollectiveKind::kBroadcast) call.tag = ir::TagOf(op);
        return OkStatus();
      }
      case CollectiveKind::kAllGather:
      case CollectiveKind::kAllToAll:
        return OkStatus();
    }
    return OkStatus();
  }

  // The rank in the group at this offset from the caller's own, around the ring.
  int64_t PeerAt(ir::GroupId group, int64_t offset) const {
    const std::vector<int64_t> members = ir::GroupMembers(program_, group, rank_);
    const auto size = static_cast<int64_t>(members.size());
    const int64_t own = std::find(members.begin(), members.end(), rank_) - members.begin();
    return ((own + offset) % size + size) % size;
  }

  const ir::Program& program_;
  int64_t rank_;
  c10::Device device_;
  std::vector<int64_t> coordinates_;
};

}  // namespace

Result<ExecutionPlan> MakeExecutionPlan(const ir::Program& program, int64_t rank, c10::Device device) {
  const Planner planner(program, rank, device);
  const ir::Lifetimes lifetimes = ir::ComputeLifetimes(program);
  const std::vector<std::vector<ir::OpId>> ended_by = ir::EndedBy(program);
  std::vector<bool> kept(program.tensors.size());  // bound before the step, or read after it
  for (size_t i = 0; i < program.tensors.size(); ++i) kept[i] = !program.tensors[i].producer.valid();
  for (const auto& [name, id] : program.outputs) kept[id.index()] = true;

  ExecutionPlan plan;
  plan.ops.reserve(program.ops.size());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    Result<PlannedOp> op = planner.Plan(program.ops[i]);
    if (!op.ok()) return Status(op.status().code(), "error: " + DescribeOp(program, ir::OpId(i)) + ": " + op.status().message());
    for (const ir::TensorId tensor : lifetimes.released_after[i]) {
      if (!kept[tensor.index()]) op->released.push_back(tensor.value);
    }
    for (const ir::OpId start : ended_by[i]) op->ends.push_back(start.value);
    plan.ops.push_back(std::move(op).value());
  }
  return plan;
}

std::string DescribeOp(const ir::Program& program, ir::OpId id) {
  const ir::Op& op = program.op(id);
  std::string text = "op " + std::to_string(id.value) + " " + op.target + " (";
  if (!op.label.empty()) text += op.label + ", ";
  text += ir::Name(op.phase);
  if (op.layer >= 0) text += ", layer " + std::to_string(op.layer);
  if (op.micro_batch >= 0) text += ", micro-batch " + std::to_string(op.micro_batch);
  return text + ")";
}

}  // namespace helm::runtime
