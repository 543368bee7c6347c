#include "runtime/interpreter.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <thread>

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include "core/check.h"
#include "runtime/device.h"
#include "runtime/execution_plan.h"
#include "runtime/process_group.h"
#include "runtime/result_check.h"
#include "runtime/tensors.h"

namespace helm::runtime {
namespace {

using Clock = std::chrono::steady_clock;

Duration Between(Clock::time_point from, Clock::time_point to) {
  return Duration::Nanoseconds(std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count());
}

// A collective that has been started and not yet waited for.
struct Open {
  size_t op = 0;
  std::unique_ptr<PendingCollective> work;
};

class DispatchInterpreter final : public Interpreter {
 public:
  DispatchInterpreter(ir::Program program, int64_t rank, InterpreterOptions options, std::unique_ptr<Device> device, ExecutionPlan plan)
      : program_(std::move(program)), rank_(rank), options_(options), device_(std::move(device)), plan_(std::move(plan)) {}

  Status Connect(World* world);
  Status ConnectMessages(World& world);
  ProcessGroup& GroupOf(const PlannedOp& op);
  Status BindPersistentTensors();

  Result<StepRecord> RunStep(bool record) override;
  Status WriteStorage(ir::StorageId storage, std::span<const std::byte> bytes) override;
  Status WriteFloats(ir::StorageId storage, ir::DataType type, int64_t first, std::span<const float> values) override;
  Result<std::vector<std::byte>> ReadStorage(ir::StorageId storage) const override;
  Result<std::vector<float>> ReadFloats(ir::StorageId storage, ir::DataType type) const override;
  Status WriteInput(const std::string& name, std::span<const std::byte> bytes) override;
  Result<std::vector<double>> ReadOutput(const std::string& name) const override;
  std::string MemorySnapshot() const override { return device_->MemorySnapshot(); }

 private:
  void BeginStep(StepRecord& record);
  Status EndStep(StepRecord& record);
  Status RunOps(StepRecord& record);
  Status RunGraph(StepRecord& record);
  Status RunOp(size_t index, StepRecord& record);
  void RunCall(size_t index, StepRecord& record);
  void RunStart(size_t index, StepRecord& record);
  void RunWait(size_t index, StepRecord& record);
  void PlaceEndedCollectives(StepRecord& record);
  void EndCollective(const Open& open, Clock::time_point wait_end, StepRecord& record);
  void StoreResults(const PlannedOp& op);
  Status CheckResults(size_t index);
  Status Misbehave(size_t index);
  Status Failure(size_t index, const std::exception& error) const;

  const ir::Program program_;
  const int64_t rank_;
  const InterpreterOptions options_;
  std::unique_ptr<Device> device_;
  ExecutionPlan plan_;
  std::vector<std::unique_ptr<ProcessGroup>> groups_;  // by group id; null where no op uses the group
  // By group id, for messages on a GPU: NCCL has one stream for a pair of ranks, and messages in both directions would wait for each other
  // on it. So those to a higher rank have a communicator of their own, and those to a lower one. On a CPU `groups_` serves both.
  std::vector<std::unique_ptr<ProcessGroup>> upward_, downward_;
  std::vector<at::Tensor> storages_;  // by storage id: bytes of the persistent ones
  std::vector<at::Tensor> tensors_;   // by tensor id
  int64_t persistent_bytes_ = 0;
  std::unique_ptr<StepTimer> timer_;       // null on a CPU
  std::unique_ptr<RecordedWork> graph_;    // of a step; null until one is recorded
  std::vector<at::Tensor> graph_tensors_;  // `tensors_` behind it: results that lie in its memory

  // Of the step that is running.
  int64_t steps_done_ = 0;
  bool recording_ = true;
  std::vector<c10::IValue> stack_;
  std::vector<std::unique_ptr<PendingCollective>> open_;  // by op id: started and not waited for
  std::vector<Open> ended_;                               // CUDA: waited for; how long they took is known when the device has caught up
  Clock::time_point step_start_;
  int64_t foreign_bytes_ = 0;  // live in this process, but not this interpreter's
  std::unique_ptr<ResultChecker> checker_;
};

Status DispatchInterpreter::Connect(World* world) {
  if (world != nullptr) HELM_RETURN_IF_ERROR(world->Barrier());  // a round of its own: Connect of runtime/communicator.cc
  groups_.resize(program_.groups.size());
  open_.resize(program_.ops.size());
  std::vector<bool> used(program_.groups.size(), false);
  for (const ir::Op& op : program_.ops) {
    if (op.kind == ir::OpKind::kCollectiveStart) used[op.group.index()] = true;
  }
  for (size_t i = 0; i < groups_.size(); ++i) {
    if (!used[i]) continue;
    if (world == nullptr) return InternalError("a program with collectives on group '" + program_.groups[i].name + "' needs a world");
    HELM_ASSIGN_OR_RETURN(groups_[i],
                          MakeProcessGroup(*world, *device_, program_.groups[i].name, ir::GroupMembers(program_, ir::GroupId(i), rank_)));
  }
  return world == nullptr ? OkStatus() : ConnectMessages(*world);
}

Status DispatchInterpreter::ConnectMessages(World& world) {
  upward_.resize(groups_.size());
  downward_.resize(groups_.size());
  for (size_t i = 0; i < groups_.size(); ++i) {
    const auto is_message = [&](const ir::Op& op) { return op.group == ir::GroupId(i) && ir::IsPointToPoint(op); };
    if (device_->is_cpu() || std::ranges::none_of(program_.ops, is_message)) continue;
    const std::vector<int64_t> members = ir::GroupMembers(program_, ir::GroupId(i), rank_);
    const std::string& name = program_.groups[i].name;
    HELM_ASSIGN_OR_RETURN(upward_[i], MakeProcessGroup(world, *device_, name + ".upward", members));
    HELM_ASSIGN_OR_RETURN(downward_[i], MakeProcessGroup(world, *device_, name + ".downward", members));
  }
  return OkStatus();
}

ProcessGroup& DispatchInterpreter::GroupOf(const PlannedOp& op) {
  const auto group = static_cast<size_t>(op.group);
  const CollectiveCall& call = op.collective;
  const bool message = call.kind == CollectiveKind::kSend || call.kind == CollectiveKind::kReceive;
  if (!message || device_->is_cpu()) return *groups_[group];
  const bool to_higher = (call.kind == CollectiveKind::kSend) == (call.peer > groups_[group]->rank());
  return to_higher ? *upward_[group] : *downward_[group];
}

Status DispatchInterpreter::BindPersistentTensors() {
  const c10::InferenceMode inference;
  storages_.resize(program_.storages.size());
  tensors_.resize(program_.tensors.size());
  const auto bytes = at::TensorOptions().dtype(c10::ScalarType::Byte).device(device_->torch_device());
  if (options_.memory_history) device_->RecordMemoryHistory();
  for (size_t i = 0; i < program_.storages.size(); ++i) {
    const ir::Storage& storage = program_.storages[i];
    if (!storage.persistent) continue;
    if (options_.memory_history) device_->NameAllocations(storage.name);
    storages_[i] = at::zeros({storage.bytes.count()}, bytes);
    persistent_bytes_ += storage.bytes.count();
  }
  for (size_t i = 0; i < program_.tensors.size(); ++i) {
    const ir::Tensor& tensor = program_.tensors[i];
    if (tensor.producer.valid()) continue;
    tensors_[i] = StridedView(storages_[tensor.storage.index()], tensor.dtype, tensor.shape, tensor.strides, tensor.offset);
  }
  // Nothing orders two compute streams of a GPU yet, nor keeps tensors until the other one has read them.
  const bool one_stream = std::ranges::all_of(program_.ops, [](const ir::Op& op) { return op.compute_stream == 0; });
  if (!device_->is_cpu() && !one_stream)
    return UnavailableError("error: a program with several compute streams cannot be run on a GPU yet");
  HELM_ASSIGN_OR_RETURN(timer_, device_->MakeStepTimer(program_.ops.size(), options_.op_times));
  return OkStatus();
}

Result<StepRecord> DispatchInterpreter::RunStep(bool record_times) {
  const c10::InferenceMode inference;
  StepRecord record;
  recording_ = record_times;
  BeginStep(record);
  const bool as_graph = options_.graph && !recording_ && steps_done_ > 0;
  const Status status = as_graph ? RunGraph(record) : RunOps(record);
  if (!status.ok()) {
    for (auto& work : open_) work.reset();
    ended_.clear();
    return status;
  }
  HELM_RETURN_IF_ERROR(EndStep(record));
  return record;
}

void DispatchInterpreter::BeginStep(StepRecord& record) {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (program_.tensors[i].producer.valid()) tensors_[i].reset();  // the outputs of the last step
  }
  const size_t count = plan_.ops.size();
  record.ops.resize(count);
  record.host.resize(count);
  record.live_bytes.resize(count);
  if (options_.check_results && steps_done_ == 0) {
    checker_ = std::make_unique<ResultChecker>(program_);
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (!program_.tensors[i].producer.valid()) checker_->Bind(ir::TensorId(i), tensors_[i]);
    }
  }
  stack_.reserve(64);
  device_->Synchronize();
  device_->ResetPeakBytes();
  foreign_bytes_ = device_->LiveBytes() - persistent_bytes_;
  if (timer_ != nullptr) timer_->BeginStep(recording_);
  step_start_ = Clock::now();
}

Status DispatchInterpreter::EndStep(StepRecord& record) {
  if (options_.current_op != nullptr) options_.current_op->store(static_cast<int64_t>(plan_.ops.size()), std::memory_order_relaxed);
  device_->Synchronize();
  record.makespan = Between(step_start_, Clock::now());
  if (timer_ != nullptr) HELM_RETURN_IF_ERROR(timer_->EndStep(record));
  PlaceEndedCollectives(record);
  record.memory_bytes_peak = Bytes(device_->PeakBytes() - foreign_bytes_);
  if (const auto memory = device_->Memory()) {
    record.memory_bytes_reserved = Bytes(memory->reserved_bytes_peak);
    record.memory_bytes_outside = Bytes(memory->outside_bytes);
  }
  stack_.clear();
  checker_.reset();
  ++steps_done_;
  return OkStatus();
}

Status DispatchInterpreter::RunOps(StepRecord& record) {
  size_t index = 0;
  try {
    for (; index < plan_.ops.size(); ++index) HELM_RETURN_IF_ERROR(RunOp(index, record));
    return OkStatus();
  } catch (const std::exception& error) {
    return Failure(index, error);
  }
}

Status DispatchInterpreter::RunGraph(StepRecord& record) {
  if (graph_ == nullptr) {
    graph_ = device_->MakeRecordedWork();
    HELM_CHECK(graph_ != nullptr, "only a GPU has graphs");
    graph_->Begin();
    const Status status = RunOps(record);
    graph_->End();
    HELM_RETURN_IF_ERROR(status);
    graph_tensors_ = tensors_;
  }
  tensors_ = graph_tensors_;
  graph_->Launch();
  return OkStatus();
}

Status DispatchInterpreter::RunOp(size_t index, StepRecord& record) {
  if (options_.current_op != nullptr) options_.current_op->store(static_cast<int64_t>(index), std::memory_order_relaxed);
  if (options_.fault) HELM_RETURN_IF_ERROR(Misbehave(index));
  if (options_.memory_history) device_->NameAllocations(DescribeOp(program_, ir::OpId(index)));
  const PlannedOp& op = plan_.ops[index];
  switch (op.kind) {
    case ir::OpKind::kCompute:
    case ir::OpKind::kView:
      RunCall(index, record);
      break;
    case ir::OpKind::kCollectiveStart:
      RunStart(index, record);
      break;
    case ir::OpKind::kWait:
      RunWait(index, record);
      break;
  }
  if (checker_ != nullptr) HELM_RETURN_IF_ERROR(CheckResults(index));
  for (const int32_t tensor : op.released) tensors_[static_cast<size_t>(tensor)].reset();
  if (checker_ != nullptr) checker_->EndOp(ir::OpId(index));
  if (recording_) record.live_bytes[index] = device_->LiveBytes() - foreign_bytes_;
  return OkStatus();
}

void DispatchInterpreter::RunCall(size_t index, StepRecord& record) {
  const PlannedOp& op = plan_.ops[index];
  op.call->Push(tensors_, stack_);
  StepTimer* const timer = op.kind == ir::OpKind::kCompute ? timer_.get() : nullptr;  // a view does nothing on the device
  if (timer != nullptr) timer->BeginOp(index);
  const Clock::time_point start = Clock::now();
  op.call->CallPushed(stack_);
  const Clock::time_point end = Clock::now();
  if (timer != nullptr) timer->EndOp(index);
  StoreResults(op);
  record.host[index] = {Between(step_start_, start), Between(step_start_, end)};
  if (timer_ == nullptr) record.ops[index] = record.host[index];
}

void DispatchInterpreter::StoreResults(const PlannedOp& op) {
  const auto store = [&](size_t result, at::Tensor tensor) {
    if (op.results[result] >= 0) tensors_[static_cast<size_t>(op.results[result])] = std::move(tensor);
  };
  if (!op.results_from_arguments.empty()) {
    for (size_t i = 0; i < op.results.size(); ++i) {
      if (op.results[i] >= 0) store(i, tensors_[static_cast<size_t>(op.results_from_arguments[i])]);
    }
  } else if (stack_.size() == 1 && stack_.front().isTensorList()) {
    const std::vector<at::Tensor> list = stack_.front().toTensorVector();
    HELM_CHECK(list.size() == op.results.size(), "an operator returned another number of tensors than the program says");
    for (size_t i = 0; i < list.size(); ++i) store(i, list[i]);
  } else {
    for (size_t i = 0; i < op.results.size(); ++i) {
      if (op.results[i] >= 0) store(i, std::move(stack_[i]).toTensor());
    }
  }
  stack_.clear();
}

void DispatchInterpreter::RunStart(size_t index, StepRecord& record) {
  const PlannedOp& op = plan_.ops[index];
  if (timer_ != nullptr) timer_->BeginOp(index);
  const Clock::time_point start = Clock::now();
  const at::Tensor input = op.input >= 0 ? tensors_[static_cast<size_t>(op.input)] : at::Tensor();
  at::Tensor output = op.into >= 0 ? tensors_[static_cast<size_t>(op.into)] : input;
  if (!op.results.empty() && op.into < 0 && !IsInPlace(op.collective.kind)) {
    const ir::Tensor& result = program_.tensor(program_.ops[index].results.front());
    output = EmptyTensor(result.dtype, result.shape, device_->torch_device());
  }
  open_[index] = GroupOf(op).Start(op.collective, input, output);
  if (!op.results.empty() && op.results.front() >= 0) tensors_[static_cast<size_t>(op.results.front())] = std::move(output);
  const Clock::time_point end = Clock::now();
  if (timer_ != nullptr) timer_->EndOp(index);
  record.host[index] = {Between(step_start_, start), Between(step_start_, end)};
  record.ops[index].start = record.host[index].start;
}

void DispatchInterpreter::RunWait(size_t index, StepRecord& record) {
  const PlannedOp& op = plan_.ops[index];
  if (timer_ != nullptr) timer_->BeginOp(index);
  const Clock::time_point start = Clock::now();
  Clock::time_point end = start;
  for (const int32_t started : op.ends) {
    Open open{static_cast<size_t>(started), std::move(open_[static_cast<size_t>(started)])};
    open.work->Wait();
    end = Clock::now();
    EndCollective(open, end, record);
    if (!device_->is_cpu()) ended_.push_back(std::move(open));
  }
  if (timer_ != nullptr) timer_->EndOp(index);
  record.host[index] = {Between(step_start_, start), Between(step_start_, end)};
  record.ops[index] = record.host[index];
}

// On a GPU a collective starts when both its stream and its input are ready: at the mark of its launch, or when the one before it on the
// group's stream has ended.
void DispatchInterpreter::PlaceEndedCollectives(StepRecord& record) {
  std::vector<Duration> free_from(program_.groups.size());
  for (const Open& open : ended_) {
    OpTime& time = record.ops[open.op];
    Duration& group_free = free_from[program_.ops[open.op].group.index()];
    time.start = std::max(time.start, group_free);
    time.end = time.start + Duration::Milliseconds(open.work->duration_ms().value_or(0));
    group_free = time.end;
  }
  ended_.clear();
}

// The end is when the backend says that it ended, which may be long before the wait.
void DispatchInterpreter::EndCollective(const Open& open, Clock::time_point wait_end, StepRecord& record) {
  OpTime& time = record.ops[open.op];
  time.end = std::max(time.start, Between(step_start_, open.work->end().value_or(wait_end)));
}

Status DispatchInterpreter::CheckResults(size_t index) {
  for (const ir::TensorId result : program_.ops[index].results) {
    if (!result.valid()) continue;
    const Status status = checker_->Check(result, tensors_[result.index()]);
    if (!status.ok())
      return InternalError("error: rank " + std::to_string(rank_) + ": " + DescribeOp(program_, ir::OpId(index)) + ": " + status.message());
  }
  return OkStatus();
}

Status DispatchInterpreter::Misbehave(size_t index) {
  const Fault& fault = *options_.fault;
  if (fault.op.index() != index || fault.step != steps_done_) return OkStatus();
  switch (fault.action) {
    case Fault::Action::kKill:
      std::raise(SIGKILL);
      break;
    case Fault::Action::kStop:
      std::raise(SIGSTOP);
      break;
    case Fault::Action::kDelay:
      std::this_thread::sleep_for(fault.delay);
      break;
    case Fault::Action::kError:
      return InternalError("error: rank " + std::to_string(rank_) + ": " + DescribeOp(program_, ir::OpId(index)) + ": failed on purpose");
  }
  return OkStatus();
}

// An exception in a collective is another rank's failure, one in an operator our own. Only the first line: the rest is torch's stack.
Status DispatchInterpreter::Failure(size_t index, const std::exception& error) const {
  std::string cause = error.what();
  cause = cause.substr(0, cause.find('\n'));
  std::string text = "error: rank " + std::to_string(rank_) + ": " + DescribeOp(program_, ir::OpId(index));
  const ir::Op& op = program_.ops[index];
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return UnavailableError(text + ": out of memory: " + cause);
  if (op.kind != ir::OpKind::kCollectiveStart && op.kind != ir::OpKind::kWait) return InternalError(text + ": " + cause);
  if (op.kind == ir::OpKind::kWait) text += " for " + DescribeOp(program_, ir::OpId(static_cast<size_t>(plan_.ops[index].waits_for)));
  return RankFailedError(text + " on group '" + program_.group(op.group).name + "': " + cause);
}

Status DispatchInterpreter::WriteStorage(ir::StorageId storage, std::span<const std::byte> bytes) {
  const ir::Storage& target = program_.storage(storage);
  if (!target.persistent)
    return InternalError("storage '" + target.name + "' is not persistent: nothing can be written to it before the step");
  if (static_cast<int64_t>(bytes.size()) != target.bytes.count()) {
    return InternalError("storage '" + target.name + "' holds " + std::to_string(target.bytes.count()) + " bytes, " +
                         std::to_string(bytes.size()) + " were given");
  }
  const c10::InferenceMode inference;
  const at::Tensor source =
      at::from_blob(const_cast<std::byte*>(bytes.data()), {target.bytes.count()}, at::TensorOptions().dtype(c10::ScalarType::Byte));
  storages_[storage.index()].copy_(source);
  return OkStatus();
}

Status DispatchInterpreter::WriteFloats(ir::StorageId storage, ir::DataType type, int64_t first, std::span<const float> values) {
  const ir::Storage& target = program_.storage(storage);
  const auto count = static_cast<int64_t>(values.size());
  if (!target.persistent || (first + count) * ir::ElementBytes(type) > target.bytes.count()) {
    return InternalError("storage '" + target.name + "' does not hold " + std::to_string(count) + " values from element " +
                         std::to_string(first) + " on");
  }
  const c10::InferenceMode inference;
  const at::Tensor view = StridedView(storages_[storage.index()], type, {count}, {1}, first);
  view.copy_(at::from_blob(const_cast<float*>(values.data()), {count}, at::TensorOptions().dtype(c10::ScalarType::Float)));
  return OkStatus();
}

Result<std::vector<std::byte>> DispatchInterpreter::ReadStorage(ir::StorageId storage) const {
  const ir::Storage& source = program_.storage(storage);
  if (!source.persistent) return InternalError("storage '" + source.name + "' is not persistent: it is gone after the step");
  const c10::InferenceMode inference;
  std::vector<std::byte> bytes(static_cast<size_t>(source.bytes.count()));
  at::from_blob(bytes.data(), {source.bytes.count()}, at::TensorOptions().dtype(c10::ScalarType::Byte)).copy_(storages_[storage.index()]);
  return bytes;
}

Result<std::vector<float>> DispatchInterpreter::ReadFloats(ir::StorageId storage, ir::DataType type) const {
  const ir::Storage& source = program_.storage(storage);
  if (!source.persistent) return InternalError("storage '" + source.name + "' is not persistent: it is gone after the step");
  const c10::InferenceMode inference;
  const int64_t count = source.bytes.count() / ir::ElementBytes(type);
  std::vector<float> values(static_cast<size_t>(count));
  at::from_blob(values.data(), {count}, at::TensorOptions().dtype(c10::ScalarType::Float))
      .copy_(StridedView(storages_[storage.index()], type, {count}, {1}, 0));
  return values;
}

Status DispatchInterpreter::WriteInput(const std::string& name, std::span<const std::byte> bytes) {
  const auto found = program_.inputs.find(name);
  if (found == program_.inputs.end()) return InternalError("the program has no input '" + name + "'");
  const ir::Tensor& input = program_.tensor(found->second);
  const int64_t wanted = ir::ElementCount(input.shape) * ir::ElementBytes(input.dtype);
  if (static_cast<int64_t>(bytes.size()) != wanted) {
    return InternalError("input '" + name + "' holds " + std::to_string(wanted) + " bytes, " + std::to_string(bytes.size()) +
                         " were given");
  }
  const c10::InferenceMode inference;
  const auto options = at::TensorOptions().dtype(ToScalarType(input.dtype));
  tensors_[found->second.index()].copy_(at::from_blob(const_cast<std::byte*>(bytes.data()), input.shape, options));
  return OkStatus();
}

Result<std::vector<double>> DispatchInterpreter::ReadOutput(const std::string& name) const {
  const auto found = program_.outputs.find(name);
  if (found == program_.outputs.end()) return InternalError("the program has no output '" + name + "'");
  const at::Tensor& tensor = tensors_[found->second.index()];
  if (!tensor.defined()) return InternalError("output '" + name + "' has no value: no step has run");
  const c10::InferenceMode inference;
  const at::Tensor values = tensor.to(c10::ScalarType::Double).cpu().contiguous();
  const double* data = values.const_data_ptr<double>();
  return std::vector<double>(data, data + values.numel());
}

}  // namespace

Result<std::unique_ptr<Interpreter>> Interpreter::Create(const ir::Program& program, World* world, int64_t rank,
                                                         const InterpreterOptions& options) {
  const bool shared = world != nullptr && world->shares_device();
  HELM_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, Device::Make(program.device, shared ? 0 : rank));
  HELM_ASSIGN_OR_RETURN(ExecutionPlan plan, MakeExecutionPlan(program, rank, device->torch_device()));
  auto interpreter = std::make_unique<DispatchInterpreter>(program, rank, options, std::move(device), std::move(plan));
  try {
    HELM_RETURN_IF_ERROR(interpreter->BindPersistentTensors());
  } catch (const std::exception& error) {
    return UnavailableError("error: rank " + std::to_string(rank) + " cannot allocate its parameters and optimizer state: " + error.what());
  }
  HELM_RETURN_IF_ERROR(interpreter->Connect(world));
  return std::unique_ptr<Interpreter>(std::move(interpreter));
}

void SetThreadsPerRank(int64_t threads) { at::set_num_threads(static_cast<int>(threads)); }

}  // namespace helm::runtime
