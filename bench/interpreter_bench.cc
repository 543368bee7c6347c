// What the interpreter costs beside calling ATen directly, both in the same run, alternating: on a block of linear layers of hidden size
// 1024 (limit 2 %), and per op on tensors of one element (limit 5 us an op). Exit code 4 when a limit is exceeded.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include <ATen/ops/add.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/t.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include "runtime/interpreter.h"

namespace helm {
namespace {

constexpr int64_t kHidden = 1024;
constexpr int64_t kTokens = 256;
constexpr int kLayers = 8;
constexpr int kSmallOps = 2000;
constexpr int kRounds = 25;
constexpr double kShareLimit = 0.02;
constexpr double kMicrosecondsLimit = 5;

using Clock = std::chrono::steady_clock;

double MicrosecondsOf(const std::function<void()>& work) {
  const Clock::time_point start = Clock::now();
  work();
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Appends an op on contiguous float tensors; its result lies on a new storage, or with `view_of` on that tensor's.
ir::TensorId Append(ir::Program& program, const std::string& target, std::vector<ir::Argument> arguments, const ir::Shape& shape,
                    const ir::Shape& strides, ir::TensorId view_of = {}) {
  ir::StorageId storage;
  if (view_of.valid()) {
    storage = program.tensor(view_of).storage;
  } else {
    program.storages.push_back(
        {"s" + std::to_string(program.storages.size()), Bytes(ir::ElementCount(shape) * 4), ir::StorageRole::kActivation, false});
    storage = ir::StorageId(program.storages.size() - 1);
  }
  const std::string name = "t" + std::to_string(program.tensors.size());
  program.tensors.push_back({name, ir::DataType::kFloat32, shape, strides, 0, storage, ir::OpId(program.ops.size())});
  const ir::TensorId result(program.tensors.size() - 1);
  ir::Op op;
  op.kind = view_of.valid() ? ir::OpKind::kView : ir::OpKind::kCompute;
  op.target = target;
  op.arguments = std::move(arguments);
  op.results = {result};
  program.ops.push_back(std::move(op));
  return result;
}

ir::TensorId AddPersistent(ir::Program& program, const ir::Shape& shape) {
  const std::string name = "p" + std::to_string(program.tensors.size());
  program.storages.push_back({name, Bytes(ir::ElementCount(shape) * 4), ir::StorageRole::kParameter, true});
  program.tensors.push_back(
      {name, ir::DataType::kFloat32, shape, ir::ContiguousStrides(shape), 0, ir::StorageId(program.storages.size() - 1), {}});
  return ir::TensorId(program.tensors.size() - 1);
}

ir::Program EmptyProgram() {
  ir::Program program;
  program.name = "bench";
  program.mesh = {{"data", 1}};
  return program;
}

// x <- x + silu(x w^T), once per layer.
ir::Program LayersProgram() {
  ir::Program program = EmptyProgram();
  ir::TensorId x = AddPersistent(program, {kTokens, kHidden});
  std::vector<ir::TensorId> weights;
  for (int i = 0; i < kLayers; ++i) weights.push_back(AddPersistent(program, {kHidden, kHidden}));
  const ir::Shape shape{kTokens, kHidden};
  const ir::Shape strides{kHidden, 1};
  for (const ir::TensorId weight : weights) {
    const ir::TensorId transposed = Append(program, "aten.t", {weight}, {kHidden, kHidden}, {1, kHidden}, weight);
    const ir::TensorId product = Append(program, "aten.mm", {x, transposed}, shape, strides);
    const ir::TensorId activation = Append(program, "aten.silu", {product}, shape, strides);
    x = Append(program, "aten.add.Tensor", {x, activation}, shape, strides);
  }
  return program;
}

void RunLayersDirectly(at::Tensor x, const std::vector<at::Tensor>& weights) {
  for (const at::Tensor& weight : weights) x = at::add(x, at::silu(at::mm(x, at::t(weight))));
}

ir::Program SmallProgram() {
  ir::Program program = EmptyProgram();
  const ir::TensorId one = AddPersistent(program, {1});
  ir::TensorId x = one;
  for (int i = 0; i < kSmallOps; ++i) x = Append(program, "aten.add.Tensor", {x, one}, {1}, {1});
  return program;
}

void RunSmallDirectly(const at::Tensor& one) {
  at::Tensor x = one;
  for (int i = 0; i < kSmallOps; ++i) x = at::add(x, one);
}

struct Pair {
  double interpreted = 0;  // microseconds a step
  double direct = 0;
};

Pair Compare(const ir::Program& program, const std::function<void()>& direct) {
  const auto interpreter = runtime::Interpreter::Create(program, nullptr, 0, {}).value();
  const auto run = [&] { (void)interpreter->RunStep().value(); };
  run();  // checks results
  direct();
  std::vector<double> interpreted;
  std::vector<double> called;
  for (int round = 0; round < kRounds; ++round) {
    interpreted.push_back(MicrosecondsOf(run));
    called.push_back(MicrosecondsOf(direct));
  }
  return {Median(interpreted), Median(called)};
}

int Main() {
  runtime::SetThreadsPerRank(1);
  (void)Compare(SmallProgram(), [] {});  // installs the allocator that both sides then use
  const c10::InferenceMode inference;
  const at::Tensor x = at::rand({kTokens, kHidden});
  std::vector<at::Tensor> weights;
  for (int i = 0; i < kLayers; ++i) weights.push_back(at::rand({kHidden, kHidden}));
  const Pair layers = Compare(LayersProgram(), [&] { RunLayersDirectly(x, weights); });
  const at::Tensor one = at::zeros({1});
  const Pair small = Compare(SmallProgram(), [&] { RunSmallDirectly(one); });

  const double share = layers.interpreted / layers.direct - 1;
  const double per_op = (small.interpreted - small.direct) / kSmallOps;
  std::printf("hidden %ld: interpreted %.0f us, direct %.0f us, interpreter %+.2f %% (limit %.0f %%)\n", static_cast<long>(kHidden),
              layers.interpreted, layers.direct, share * 100, kShareLimit * 100);
  std::printf("one element: interpreted %.2f us an op, direct %.2f, interpreter %.2f us an op (limit %.0f us)\n",
              small.interpreted / kSmallOps, small.direct / kSmallOps, per_op, kMicrosecondsLimit);
  return share > kShareLimit || per_op > kMicrosecondsLimit ? 4 : 0;
}

}  // namespace
}  // namespace helm

int main() { return helm::Main(); }
