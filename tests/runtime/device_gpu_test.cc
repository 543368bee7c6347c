// What only a GPU can show: that ops run there, take the times and the memory that are recorded, and that refusals are clear. Each test
// skips itself, visibly, without a GPU.
#include <map>
#include <numeric>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/gpu_facts.h"
#include "program_maker.h"
#include "runtime/gpu_state.h"
#include "runtime/interpreter.h"
#include "runtime/measure.h"

namespace helm::runtime {
namespace {

using test::ProgramMaker;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    gpus_ = cluster::ReadGpuFacts();
    if (gpus_.empty()) GTEST_SKIP() << "no NVIDIA GPU";
  }
  std::vector<cluster::GpuFacts> gpus_;
};
using GpuFacts = Gpu;
using GpuInterpreter = Gpu;
using GpuOpClock = Gpu;
using GpuMeasure = Gpu;
using GpuMemory = Gpu;

std::span<const std::byte> BytesOf(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), static_cast<size_t>(tensor.numel() * tensor.element_size())};
}

std::unique_ptr<Interpreter> Make(ir::Program program, const InterpreterOptions& options = {}) {
  program.device = ir::DeviceKind::kCuda;
  auto interpreter = Interpreter::Create(program, nullptr, 0, options);
  EXPECT_TRUE(interpreter.ok()) << interpreter.status().message();
  return interpreter.ok() ? std::move(interpreter).value() : nullptr;
}

// `count` products of one n x n matrix with itself, each from the last.
ProgramMaker Products(int64_t n, int count, ir::DataType dtype) {
  ProgramMaker maker;
  const ir::TensorId x = maker.Persistent("x", {n, n}, dtype);
  ir::TensorId last = x;
  for (int i = 0; i < count; ++i) {
    const ir::TensorId next = maker.Fresh("y" + std::to_string(i), {n, n}, dtype);
    maker.Op("aten.mm", {x, last}, {next});
    last = next;
  }
  maker.program.inputs = {{"x", x}};
  maker.program.outputs = {{"y", last}};
  return maker;
}

StepRecord RunTwice(Interpreter& interpreter, bool record = true) {
  EXPECT_TRUE(interpreter.RunStep(record).ok());
  auto second = interpreter.RunStep(record);
  EXPECT_TRUE(second.ok()) << second.status().message();
  return second.ok() ? std::move(second).value() : StepRecord();
}

TEST_F(GpuFacts, NameMemoryAndMultiprocessors) {
  EXPECT_THAT(gpus_.front().name, HasSubstr("NVIDIA"));
  EXPECT_GT(gpus_.front().memory.gibibytes(), 4);
  EXPECT_GT(gpus_.front().multiprocessors, 8);
  EXPECT_GT(gpus_.front().l2.count(), 1 << 20);
  EXPECT_GE(gpus_.front().compute_capability_major, 7);
  EXPECT_FALSE(cluster::NvidiaDriverVersion().empty());
}

TEST_F(GpuFacts, StateHasAClock) {
  const auto state = ReadGpuState(gpus_.front().pci_bus_id);
  if (!state) GTEST_SKIP() << "NVML does not answer here";
  EXPECT_GT(state->sm_clock_mhz, 100);
  EXPECT_LT(state->sm_clock_mhz, 5000);
  EXPECT_GT(state->power_watts, 1);
}

TEST_F(GpuInterpreter, ComputesWhatTheCpuComputes) {
  ProgramMaker maker = Products(64, 3, ir::DataType::kFloat32);
  const auto on_gpu = Make(maker.program);
  const auto on_cpu = Interpreter::Create(maker.program, nullptr, 0, {});
  ASSERT_NE(on_gpu, nullptr);
  ASSERT_TRUE(on_cpu.ok());
  const at::Tensor x = at::randn({64, 64}) / 8;
  for (Interpreter* interpreter : {on_gpu.get(), on_cpu->get()}) {
    ASSERT_TRUE(interpreter->WriteInput("x", BytesOf(x)).ok());
    RunTwice(*interpreter);
  }
  const auto a = on_gpu->ReadOutput("y").value();
  const auto b = (*on_cpu)->ReadOutput("y").value();
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4);
}

TEST_F(GpuInterpreter, StoragesGoThereAndBackUnchanged) {
  ProgramMaker maker = Products(32, 1, ir::DataType::kFloat32);
  const auto interpreter = Make(maker.program);
  const at::Tensor x = at::randn({32, 32});
  ASSERT_TRUE(interpreter->WriteStorage(ir::StorageId(0u), BytesOf(x)).ok());
  const auto back = interpreter->ReadStorage(ir::StorageId(0u));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(0, std::memcmp(back->data(), x.const_data_ptr(), back->size()));
}

TEST_F(GpuInterpreter, PersistentStoragesBeginAsZeros) {
  const auto interpreter = Make(Products(32, 1, ir::DataType::kFloat32).program);
  const auto bytes = interpreter->ReadStorage(ir::StorageId(0u));
  ASSERT_TRUE(bytes.ok());
  EXPECT_TRUE(std::ranges::all_of(*bytes, [](std::byte b) { return b == std::byte{0}; }));
}

TEST_F(GpuInterpreter, AWrongOpIsNamed) {
  ProgramMaker maker;
  const ir::TensorId x = maker.Persistent("x", {4, 3});
  maker.Op("aten.mm", {x, x}, {maker.Fresh("y", {4, 3})});
  const auto interpreter = Make(maker.program);
  ASSERT_NE(interpreter, nullptr);
  const auto record = interpreter->RunStep();
  ASSERT_FALSE(record.ok());
  EXPECT_THAT(record.status().message(), HasSubstr("op 0 aten.mm"));
}

TEST_F(GpuInterpreter, OutOfMemoryIsARefusalThatNamesTheRank) {
  ProgramMaker maker;
  maker.Persistent("too big", {int64_t{1} << 40});  // 4 TiB
  maker.program.device = ir::DeviceKind::kCuda;
  const auto interpreter = Interpreter::Create(maker.program, nullptr, 0, {});
  ASSERT_FALSE(interpreter.ok());
  EXPECT_EQ(interpreter.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(interpreter.status().message(), HasSubstr("rank 0 cannot allocate"));
}

// Nothing would order them.
TEST_F(GpuInterpreter, SeveralComputeStreamsAreRefused) {
  ProgramMaker maker = Products(256, 4, ir::DataType::kFloat32);
  maker.program.device = ir::DeviceKind::kCuda;
  maker.program.ops.back().compute_stream = 1;
  EXPECT_EQ(Interpreter::Create(maker.program, nullptr, 0, {}).status().code(), StatusCode::kUnavailable);
}

void ExpectOrdered(const StepRecord& record) {
  Duration last;
  for (const OpTime& time : record.ops) {
    EXPECT_GE(time.start, last);
    EXPECT_GT(time.end, time.start);
    last = time.end;
  }
  EXPECT_GE(record.makespan + Duration::Nanoseconds(100'000), last);
}

TEST_F(GpuOpClock, EventTimesAreOrderedAndWithinTheStep) {
  const auto interpreter = Make(Products(1024, 8, ir::DataType::kBFloat16).program, {.op_times = OpTimes::kEvents});
  ExpectOrdered(RunTwice(*interpreter));
}

TEST_F(GpuOpClock, ActivityTimesAreOrderedAndWithinTheStep) {
  const auto interpreter = Make(Products(1024, 8, ir::DataType::kBFloat16).program, {.op_times = OpTimes::kActivities});
  ExpectOrdered(RunTwice(*interpreter));
}

TEST_F(GpuOpClock, ActivitiesNameTheKernelsOfEveryOp) {
  const auto interpreter = Make(Products(1024, 8, ir::DataType::kBFloat16).program, {.op_times = OpTimes::kActivities});
  const StepRecord record = RunTwice(*interpreter);
  std::map<size_t, int> kernels;
  for (const KernelRun& run : record.kernels) {
    EXPECT_FALSE(run.name.empty());
    ++kernels[run.op];
  }
  EXPECT_EQ(kernels.size(), 8u);
}

TEST_F(GpuOpClock, StepsThatAreNotRecordedHaveNoOpTimes) {
  const auto interpreter = Make(Products(512, 4, ir::DataType::kBFloat16).program);
  const StepRecord record = RunTwice(*interpreter, /*record=*/false);
  for (const OpTime& time : record.ops) EXPECT_EQ(time.end, Duration());
  EXPECT_GT(record.makespan, Duration());
}

// Products of 4096: about 170 us each at 800 TFLOP/s. Events hold the start of a kernel, a few microseconds, besides. The median of many
// steps: the device's clock rises and falls.
TEST_F(GpuOpClock, EventsAndActivitiesAgree) {
  const auto sum = [](OpTimes times) {
    const auto interpreter = Make(Products(4096, 10, ir::DataType::kBFloat16).program, {.op_times = times});
    std::vector<double> sums;
    for (int step = 0; step < 30; ++step) {
      double seconds = 0;
      for (const OpTime& time : RunTwice(*interpreter).ops) seconds += (time.end - time.start).seconds();
      sums.push_back(seconds);
    }
    std::ranges::sort(sums);
    return sums[sums.size() / 2];
  };
  const double events = sum(OpTimes::kEvents);
  const double activities = sum(OpTimes::kActivities);
  EXPECT_NEAR(events / activities, 1.0, 0.1);
  RecordProperty("events_us", std::to_string(1e6 * events));
  RecordProperty("activities_us", std::to_string(1e6 * activities));
}

TEST_F(GpuMemory, PeakIsCountedByTheAllocator) {
  const auto interpreter = Make(Products(1024, 3, ir::DataType::kFloat32).program);
  const StepRecord record = RunTwice(*interpreter);
  // x and two products, 4 MiB each: the last but one is let go once the next is made.
  EXPECT_EQ(record.memory_bytes_peak.count(), 3 << 22);
  ASSERT_TRUE(record.memory_bytes_reserved && record.memory_bytes_outside);
  EXPECT_GE(record.memory_bytes_reserved->count(), record.memory_bytes_peak.count());
  EXPECT_GT(record.memory_bytes_outside->gibibytes(), 0.1);
}

std::unique_ptr<OpBench> BenchOf(const std::string& signature) {
  const auto op = ir::ParseOpSignature(signature);
  EXPECT_TRUE(op.ok()) << op.status().message();
  auto bench = OpBench::Create(*op, ir::DeviceKind::kCuda);
  EXPECT_TRUE(bench.ok()) << bench.status().message();
  return bench.ok() ? std::move(*bench) : nullptr;
}

double MedianSeconds(OpBench& bench) {
  std::vector<double> seconds;
  for (int i = 0; i < 15; ++i) {
    const auto sample = bench.RunOnce();
    EXPECT_TRUE(sample.ok()) << sample.status().message();
    if (sample.ok() && i >= 5) seconds.push_back(sample->duration.seconds());
  }
  std::ranges::sort(seconds);
  return seconds.empty() ? 0 : seconds[seconds.size() / 2];
}

// Twice the rows, twice the work: the ratio of a product that fills the device is near two, and its rate below the data sheet's of any GPU
// so far (5 PFLOP/s).
TEST_F(GpuMeasure, ProductsTakeTimeInProportionToTheirWork) {
  const auto half = BenchOf("aten.mm(bf16[4096,4096], @bf16[4096,8192])");
  const auto whole = BenchOf("aten.mm(bf16[8192,4096], @bf16[4096,8192])");
  const double a = MedianSeconds(*half);
  const double b = MedianSeconds(*whole);
  EXPECT_NEAR(b / a, 2.0, 0.4);
  EXPECT_LT(2.0 * 8192 * 4096 * 8192 / b, 5e15);
}

TEST_F(GpuMeasure, LaunchIsTheHostsTime) {
  const auto bench = BenchOf("aten.add.Tensor(bf16[1024,1024], bf16[1024,1024])");
  ASSERT_NE(bench, nullptr);
  ASSERT_TRUE(bench->RunOnce().ok());
  const auto sample = bench->RunOnce();
  ASSERT_TRUE(sample.ok());
  EXPECT_THAT(sample->launch.seconds(), ::testing::AllOf(Ge(0.5e-6), Le(5e-3)));
}

TEST_F(GpuMeasure, KernelsHaveNamesAndGrids) {
  const auto bench = BenchOf("aten.mm(bf16[4096,4096], @bf16[4096,4096])");
  const auto kernels = bench->Kernels();
  ASSERT_TRUE(kernels.ok()) << kernels.status().message();
  ASSERT_FALSE(kernels->empty());
  // A fill may come before the product.
  EXPECT_TRUE(std::ranges::any_of(*kernels, [](const KernelRun& run) { return run.blocks > 0 && run.duration > Duration(); }));
}

TEST_F(GpuMeasure, RoomLaunchesNothing) {
  const auto bench = BenchOf("aten.new_empty(bf16[64,64], [4194304])");
  ASSERT_NE(bench, nullptr);
  const auto kernels = bench->Kernels();
  ASSERT_TRUE(kernels.ok()) << kernels.status().message();
  EXPECT_TRUE(kernels->empty());
}

TEST_F(GpuMeasure, InterpreterCostsAreMicroseconds) {
  const auto costs = MeasureInterpreter(ir::DeviceKind::kCuda);
  ASSERT_TRUE(costs.ok()) << costs.status().message();
  EXPECT_THAT(costs->per_op.seconds(), ::testing::AllOf(Ge(0.0), Le(1e-4)));
  EXPECT_THAT(costs->per_collective.seconds(), ::testing::AllOf(Ge(1e-7), Le(1e-2)));
}

}  // namespace
}  // namespace helm::runtime
