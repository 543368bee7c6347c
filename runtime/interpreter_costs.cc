// MeasureInterpreter: see measure.h. Runs programs made for the purpose through the interpreter itself. Small ops alternate with ones that
// write a few megabytes, since in a training step the interpreter's data and code are never in the first-level caches when an op begins.
#include <algorithm>
#include <thread>

#include "runtime/interpreter.h"
#include "runtime/measure.h"

namespace helm::runtime {
namespace {

constexpr int64_t kBigElements = int64_t{1} << 20;  // 4 MiB of float: more than a second-level cache
constexpr size_t kOps = 200;
constexpr size_t kCollectives = 20;
constexpr int kSteps = 9;

// `count` in-place additions to one persistent tensor.
class ProgramMaker {
 public:
  explicit ProgramMaker(ir::DeviceKind device) {
    program_.name = "interpreter_costs";
    program_.device = device;
    program_.mesh = {{"data", 1}};
    program_.groups = {{"data", {"data"}}};
    program_.storages.push_back({"big", Bytes(kBigElements * 4), ir::StorageRole::kActivation, /*persistent=*/true});
    program_.tensors.push_back({"big.0", ir::DataType::kFloat32, {kBigElements}, {1}, 0, ir::StorageId(size_t{0}), ir::OpId()});
    last_ = ir::TensorId(size_t{0});
  }

  void Add() {
    ir::Op op;
    op.target = "aten.add_.Scalar";
    op.arguments = {last_, 1.0};
    op.results = {Version()};
    program_.ops.push_back(std::move(op));
  }

  ir::OpId StartAllReduce() {
    ir::Op op;
    op.kind = ir::OpKind::kCollectiveStart;
    op.target = "c10d.all_reduce";
    op.arguments = {Small(), std::string("sum")};
    op.group = ir::GroupId(size_t{0});
    op.results = {Version(program_.tensors.size() - 1)};
    program_.ops.push_back(std::move(op));
    return ir::OpId(program_.ops.size() - 1);
  }

  void Wait(ir::OpId start) {
    ir::Op op;
    op.kind = ir::OpKind::kWait;
    op.target = "c10d.wait";
    op.arguments = {start};
    op.group = ir::GroupId(size_t{0});
    program_.ops.push_back(std::move(op));
  }

  const ir::Program& program() const { return program_; }

 private:
  // A new version of the tensor that was written, produced by the op that comes next.
  ir::TensorId Version() { return last_ = Version(last_.index()); }
  ir::TensorId Version(size_t of) {
    ir::Tensor tensor = program_.tensors[of];
    tensor.name = "t" + std::to_string(program_.tensors.size());
    tensor.producer = ir::OpId(program_.ops.size());
    program_.tensors.push_back(tensor);
    return ir::TensorId(program_.tensors.size() - 1);
  }
  // A persistent tensor of one element.
  ir::TensorId Small() {
    const size_t storage = program_.storages.size();
    program_.storages.push_back({"small" + std::to_string(storage), Bytes(4), ir::StorageRole::kActivation, /*persistent=*/true});
    program_.tensors.push_back({"s" + std::to_string(storage), ir::DataType::kFloat32, {1}, {1}, 0, ir::StorageId(storage), ir::OpId()});
    return ir::TensorId(program_.tensors.size() - 1);
  }

  ir::Program program_;
  ir::TensorId last_;
};

Duration Median(std::vector<Duration> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// What a step takes beyond the calls themselves, per op.
Result<Duration> MeasurePerOp(ir::DeviceKind device) {
  ProgramMaker maker(device);
  for (size_t i = 0; i < kOps; ++i) maker.Add();
  HELM_ASSIGN_OR_RETURN(const std::unique_ptr<Interpreter> interpreter, Interpreter::Create(maker.program(), nullptr, 0, {}));
  std::vector<Duration> times;
  for (int step = 0; step < kSteps; ++step) {
    HELM_ASSIGN_OR_RETURN(const StepRecord record, interpreter->RunStep(/*record=*/device == ir::DeviceKind::kCpu));
    if (step == 0) continue;  // checks results, meets page faults
    // Up to the last call: on a GPU the device goes on after it.
    Duration beyond = record.host.back().end;
    for (const OpTime& host : record.host) beyond -= host.end - host.start;
    times.push_back(Duration::Picoseconds(beyond.picoseconds() / static_cast<int64_t>(kOps)));
  }
  return Median(times);
}

// On a group of one rank: nothing is sent, so that only the host's part is left.
Status MeasureCollectives(ir::DeviceKind device, InterpreterCosts& costs) {
  HELM_ASSIGN_OR_RETURN(const std::unique_ptr<StoreServer> server, StoreServer::Start());
  Rendezvous rendezvous;
  rendezvous.port = server->port();
  rendezvous.external_store = true;
  HELM_ASSIGN_OR_RETURN(const std::unique_ptr<World> world, World::Join(rendezvous, device));
  ProgramMaker maker(device);
  std::vector<ir::OpId> starts;
  for (size_t i = 0; i < kCollectives; ++i) {
    starts.push_back(maker.StartAllReduce());
    for (int k = 0; k < 3; ++k) maker.Add();  // long enough for the collective to end
    maker.Wait(starts.back());
  }
  HELM_ASSIGN_OR_RETURN(const std::unique_ptr<Interpreter> interpreter, Interpreter::Create(maker.program(), world.get(), 0, {}));
  std::vector<Duration> start_times;
  std::vector<Duration> wait_times;
  for (int step = 0; step < kSteps; ++step) {
    HELM_ASSIGN_OR_RETURN(const StepRecord record, interpreter->RunStep());
    if (step == 0) continue;
    for (size_t i = 0; i < maker.program().ops.size(); ++i) {
      const ir::OpKind kind = maker.program().ops[i].kind;
      const Duration time = record.host[i].end - record.host[i].start;
      if (kind == ir::OpKind::kCollectiveStart) start_times.push_back(time);
      if (kind == ir::OpKind::kWait) wait_times.push_back(time);
    }
  }
  costs.per_collective = Median(start_times);
  costs.per_wait = Median(wait_times);
  return OkStatus();
}

}  // namespace

Result<InterpreterCosts> MeasureInterpreter(ir::DeviceKind device) {
  InterpreterCosts costs;
  HELM_ASSIGN_OR_RETURN(costs.per_op, MeasurePerOp(device));
  HELM_RETURN_IF_ERROR(MeasureCollectives(device, costs));
  return costs;
}

}  // namespace helm::runtime
