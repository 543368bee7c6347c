#include "runtime/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/interpreter.h"
#include "runtime/machine.h"

namespace helm::runtime {
namespace {

using ::testing::HasSubstr;

ir::TensorSignature Contiguous(const ir::Shape& shape, bool persistent = false) {
  return {ir::DataType::kFloat32, shape, ir::ContiguousStrides(shape), persistent, 0};
}

OpSample Once(const ir::OpSignature& signature) {
  Result<std::unique_ptr<OpBench>> bench = OpBench::Create(signature, ir::DeviceKind::kCpu);
  EXPECT_TRUE(bench.ok()) << bench.status().message();
  if (!bench.ok()) return {};
  const Result<OpSample> sample = (*bench)->RunOnce();
  EXPECT_TRUE(sample.ok()) << sample.status().message();
  return sample.ok() ? *sample : OpSample();
}

// 2 x 256 x 512 x 384 floating-point operations take at least 0.1 us on any CPU (1e12 a second), and less than a second on any.
TEST(OpBench, TimesAMatrixProduct) {
  const OpSample sample = Once({"aten.mm", {Contiguous({256, 512}), Contiguous({512, 384}, true)}});
  EXPECT_GT(sample.duration.microseconds(), 0.1);
  EXPECT_LT(sample.duration.seconds(), 1.0);
  EXPECT_EQ(sample.workspace.count(), 0);
}

TEST(OpBench, BuildsStridedOperandsListsAndIndices) {
  EXPECT_GT(Once({"aten.mm", {Contiguous({8, 6}), ir::TensorSignature{ir::DataType::kFloat32, {6, 4}, {1, 6}, true, 0}}}).duration,
            Duration());
  EXPECT_GT(Once({"aten.cat", {std::vector<ir::TensorSignature>{Contiguous({2, 3}), Contiguous({5, 3})}, int64_t{0}}}).duration,
            Duration());
  // An index outside [0, 257) throws in the embedding.
  const ir::TensorSignature tokens{ir::DataType::kInt64, {8, 256}, {256, 1}, false, 257};
  EXPECT_GT(Once({"aten.embedding", {Contiguous({257, 16}, true), tokens}}).duration, Duration());
}

// Flash attention on a CPU keeps its running maxima and sums in a buffer of its own; index_select needs nothing but its result.
TEST(OpBench, CountsWhatIsAllocatedInside) {
  const ir::TensorSignature heads = Contiguous({1, 2, 64, 16});
  EXPECT_GT(Once({"aten._scaled_dot_product_flash_attention_for_cpu", {heads, heads, heads, 0.0, true}}).workspace.count(), 0);
  const ir::TensorSignature index{ir::DataType::kInt64, {1000}, {1}, false, 1000};
  EXPECT_EQ(Once({"aten.index_select", {Contiguous({1000, 10}), int64_t{0}, index}}).workspace.count(), 0);
}

TEST(OpBench, ErrorsNameTheSignature) {
  const ir::OpSignature signature{"aten.mm", {Contiguous({2, 3}), Contiguous({2, 3})}};
  Result<std::unique_ptr<OpBench>> bench = OpBench::Create(signature, ir::DeviceKind::kCpu);
  ASSERT_TRUE(bench.ok());
  EXPECT_THAT((*bench)->RunOnce().status().message(), HasSubstr("cannot run aten.mm(f32[2,3], f32[2,3]): mat1 and mat2 shapes"));
}

TEST(InterpreterCosts, AreMicroseconds) {
  SetThreadsPerRank(1);
  const Result<InterpreterCosts> costs = MeasureInterpreter(ir::DeviceKind::kCpu);
  ASSERT_TRUE(costs.ok()) << costs.status().message();
  EXPECT_GT(costs->per_op, Duration());
  EXPECT_LT(costs->per_op.microseconds(), 20);
  EXPECT_GT(costs->per_collective, Duration());
  EXPECT_LT(costs->per_collective.milliseconds(), 5);
  EXPECT_LT(costs->per_wait.milliseconds(), 5);
}

TEST(Machine, DescribesItself) {
  const Result<MachineDescription> machine = DescribeMachine();
  ASSERT_TRUE(machine.ok());
  EXPECT_GE(machine->cpu_cores, 1);
  EXPECT_GT(machine->memory.gibibytes(), 0.25);
  EXPECT_FALSE(machine->cpu_name.empty());
  EXPECT_EQ(machine->torch_version, "2.11.0");
}

}  // namespace
}  // namespace helm::runtime
