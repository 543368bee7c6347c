#include "runtime/interpreter.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

#include "program_maker.h"

namespace helm::runtime {
namespace {

using test::ProgramMaker;
using ::testing::HasSubstr;

std::span<const std::byte> BytesOf(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), static_cast<size_t>(tensor.numel() * tensor.element_size())};
}

at::Tensor FloatsOf(const std::vector<std::byte>& bytes, at::IntArrayRef shape) {
  return at::from_blob(const_cast<std::byte*>(bytes.data()), shape, at::kFloat).clone();
}

std::unique_ptr<Interpreter> Make(const ir::Program& program, const InterpreterOptions& options = {}) {
  Result<std::unique_ptr<Interpreter>> interpreter = Interpreter::Create(program, nullptr, 0, options);
  EXPECT_TRUE(interpreter.ok()) << interpreter.status().message();
  return interpreter.ok() ? std::move(interpreter).value() : nullptr;
}

// h = x w; v = h^T (view); w += v v^T-like product; loss = sum of the new w.
//   x [4,3] input, w [3,2] parameter: h [4,2]; t = h^T [2,4] strides {1,2}; g = x^T h [3,2] from t2 = x^T; w' = w + 0.5 g; loss = sum(w').
struct Sample {
  ProgramMaker maker;
  ir::TensorId x, w, updated, loss;
  Sample() {
    x = maker.Persistent("x", {4, 3});
    w = maker.Persistent("w", {3, 2});
    const ir::TensorId h = maker.Fresh("h", {4, 2});
    maker.Op("aten.mm", {x, w}, {h});
    const ir::TensorId t = maker.On(x, "x.t", {3, 4}, {1, 3});
    maker.Op("aten.t", {x}, {t}, ir::OpKind::kView);
    const ir::TensorId g = maker.Fresh("g", {3, 2});
    maker.Op("aten.mm", {t, h}, {g});
    updated = maker.Version(w, "w.1");
    maker.Op("aten.add_.Tensor", {w, g, 0.5}, {updated});
    loss = maker.Fresh("loss", {});
    maker.Op("aten.sum", {updated}, {loss});
    maker.program.inputs = {{"x", x}};
    maker.program.outputs = {{"loss", loss}};
  }
};

TEST(Interpreter, RunsWhatAtenWouldRun) {
  const Sample sample;
  const std::unique_ptr<Interpreter> interpreter = Make(sample.maker.program);
  ASSERT_NE(interpreter, nullptr);
  at::Tensor x = at::randn({4, 3});
  at::Tensor w = at::randn({3, 2});
  ASSERT_TRUE(interpreter->WriteInput("x", BytesOf(x)).ok());
  ASSERT_TRUE(interpreter->WriteStorage(sample.maker.program.tensor(sample.w).storage, BytesOf(w)).ok());
  for (int step = 0; step < 3; ++step) {
    const Result<StepRecord> record = interpreter->RunStep();
    ASSERT_TRUE(record.ok()) << record.status().message();
    w.add_(at::mm(x.t(), at::mm(x, w)), 0.5);
    EXPECT_EQ(interpreter->ReadOutput("loss").value(), std::vector<double>{w.sum().item<double>()});
    const Result<std::vector<std::byte>> stored = interpreter->ReadStorage(sample.maker.program.tensor(sample.w).storage);
    EXPECT_TRUE(at::equal(FloatsOf(*stored, {3, 2}), w));
  }
}

// Persistent: x 48 bytes, w 24. Fresh: h 32, g 24, loss 4. After mm: 72 + 32; view: same; g made, h dropped: 72 + 24; add_: g dropped: 72;
// sum: 72 + 4 (an output stays). The peak is inside the second mm: 72 + 32 + 24.
TEST(Interpreter, CountsMemoryByLaunchOrder) {
  const Sample sample;
  const std::unique_ptr<Interpreter> interpreter = Make(sample.maker.program);
  for (int step = 0; step < 2; ++step) {
    const Result<StepRecord> record = interpreter->RunStep();
    ASSERT_TRUE(record.ok()) << record.status().message();
    EXPECT_EQ(record->live_bytes, (std::vector<int64_t>{104, 104, 96, 72, 76}));
    EXPECT_EQ(record->memory_bytes_peak.count(), 128);
  }
}

TEST(Interpreter, TimesAreOrderedAndWithinTheStep) {
  const Sample sample;
  const std::unique_ptr<Interpreter> interpreter = Make(sample.maker.program);
  const Result<StepRecord> record = interpreter->RunStep();
  ASSERT_TRUE(record.ok());
  Duration last;
  for (const OpTime& time : record->ops) {
    EXPECT_GE(time.start, last);
    EXPECT_GE(time.end, time.start);
    last = time.end;
  }
  EXPECT_GE(record->makespan, last);
}

// _fused_adamw_ returns nothing; its results are versions of its arguments. Compared with ATen called directly.
TEST(Interpreter, OperatorsThatReturnNothing) {
  ProgramMaker maker;
  const ir::TensorId p = maker.Persistent("p", {5});
  const ir::TensorId g = maker.Persistent("g", {5});
  const ir::TensorId m = maker.Persistent("m", {5});
  const ir::TensorId v = maker.Persistent("v", {5});
  const ir::TensorId step = maker.Persistent("step", {});
  using Ids = std::vector<ir::TensorId>;
  maker.Op("aten._fused_adamw_", {Ids{p}, Ids{g}, Ids{m}, Ids{v}, Ids{}, Ids{step}, 0.1, 0.9, 0.95, 0.01, 1e-8, false, false},
           {maker.Version(p, "p.1"), maker.Version(m, "m.1"), maker.Version(v, "v.1")});
  const std::unique_ptr<Interpreter> interpreter = Make(maker.program);
  ASSERT_NE(interpreter, nullptr);
  const at::Tensor p0 = at::randn({5});
  const at::Tensor g0 = at::randn({5});
  const at::Tensor one = at::ones({});
  ASSERT_TRUE(interpreter->WriteStorage(ir::StorageId(0u), BytesOf(p0)).ok());
  ASSERT_TRUE(interpreter->WriteStorage(ir::StorageId(1u), BytesOf(g0)).ok());
  ASSERT_TRUE(interpreter->WriteStorage(ir::StorageId(4u), BytesOf(one)).ok());
  const Result<StepRecord> record = interpreter->RunStep();
  ASSERT_TRUE(record.ok()) << record.status().message();
  std::vector<at::Tensor> ps{p0.clone()}, gs{g0}, ms{at::zeros({5})}, vs{at::zeros({5})}, steps{one};
  at::_fused_adamw_(ps, gs, ms, vs, {}, steps, 0.1, 0.9, 0.95, 0.01, 1e-8, false, false);
  EXPECT_TRUE(at::equal(FloatsOf(*interpreter->ReadStorage(ir::StorageId(0u)), {5}), ps[0]));
  EXPECT_TRUE(at::equal(FloatsOf(*interpreter->ReadStorage(ir::StorageId(3u)), {5}), vs[0]));
}

// Numbers that both narrow types have: the smallest that fp16 has (2^-24, below its normal ones), its largest, and what is no number.
TEST(Interpreter, WidensWhatItRounded) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> of_half = {0.0F, -1.5F, 0x1p-24F, 65504.0F, -kInfinity},
                           of_bfloat16 = {0.0F, -1.5F, 0x1p-24F, 0x1p100F, -kInfinity};
  for (const auto& [type, values] : {std::pair(ir::DataType::kFloat16, of_half), std::pair(ir::DataType::kBFloat16, of_bfloat16),
                                     std::pair(ir::DataType::kFloat32, of_bfloat16)}) {
    ProgramMaker maker;
    const ir::TensorId w = maker.Persistent("w", {5}, type);
    maker.program.inputs = {{"w", w}};
    const std::unique_ptr<Interpreter> interpreter = Make(maker.program);
    const ir::StorageId storage = maker.program.tensor(w).storage;
    ASSERT_TRUE(interpreter->WriteFloats(storage, type, 0, values).ok());
    EXPECT_EQ(interpreter->ReadFloats(storage, type).value(), values);
  }
}

// A parameter at an offset of a flat storage, read through an expression of the rank's coordinate.
TEST(Interpreter, RankExpressionsAndOffsets) {
  ProgramMaker maker({{"tensor", 2}});
  const ir::StorageId flat = maker.Storage("flat", 40, true);
  maker.program.tensors.push_back({"row", ir::DataType::kFloat32, {2, 3}, {3, 1}, 4, flat, ir::OpId()});
  const ir::TensorId row(0u);
  const ir::TensorId shifted = maker.Fresh("shifted", {2, 3});
  maker.Op("aten.add.Scalar", {row, ir::RankExpression{10, {{"tensor", 5}}}}, {shifted});
  maker.program.outputs = {{"shifted", shifted}};
  Result<std::unique_ptr<Interpreter>> interpreter = Interpreter::Create(maker.program, nullptr, /*rank=*/1, {});
  ASSERT_TRUE(interpreter.ok()) << interpreter.status().message();
  const at::Tensor values = at::arange(10, at::kFloat);
  ASSERT_TRUE((*interpreter)->WriteStorage(flat, BytesOf(values)).ok());
  ASSERT_TRUE((*interpreter)->RunStep().ok());
  EXPECT_EQ((*interpreter)->ReadOutput("shifted").value(), (std::vector<double>{19, 20, 21, 22, 23, 24}));  // 4..9 + 10 + 5 * 1
}

std::string FirstStepError(const ir::Program& program) {
  const std::unique_ptr<Interpreter> interpreter = Make(program);
  return interpreter == nullptr ? "" : interpreter->RunStep().status().message();
}

TEST(Interpreter, ResultsThatDifferFromTheProgramAreErrors) {
  Sample shape;
  shape.maker.program.tensors[2].shape = {2, 4};
  EXPECT_THAT(FirstStepError(shape.maker.program),
              HasSubstr("rank 0: op 0 aten.mm (forward): result 'h' has shape [4, 2]; the program says [2, 4]"));
  Sample strides;
  strides.maker.program.tensors[3].strides = {4, 1};
  EXPECT_THAT(FirstStepError(strides.maker.program),
              HasSubstr("op 1 aten.t (forward): result 'x.t' has strides [1, 3]; the program says [4, 1]"));
  Sample dtype;
  dtype.maker.program.tensors[2].dtype = ir::DataType::kBFloat16;
  EXPECT_THAT(FirstStepError(dtype.maker.program), HasSubstr("result 'h' has dtype Float; the program says bf16"));
  Sample storage;
  storage.maker.program.tensors[3].storage = storage.maker.Storage("other", 48, false);
  EXPECT_THAT(FirstStepError(storage.maker.program),
              HasSubstr("result 'x.t' shares memory with 'x'; the program says it has its own, 'other'"));
  Sample fresh;
  fresh.maker.program.tensors[2].storage = fresh.maker.program.tensors[0].storage;
  EXPECT_THAT(FirstStepError(fresh.maker.program), HasSubstr("result 'h' has memory of its own; the program says it lies in 'x'"));
  Sample bytes;
  bytes.maker.program.storages[2].bytes = Bytes(64);
  EXPECT_THAT(FirstStepError(bytes.maker.program), HasSubstr("result 'h' has bytes 32; the program says 64"));
}

TEST(Interpreter, ErrorsNameRankOpAndCause) {
  Sample unknown;
  unknown.maker.program.ops[0].target = "aten.mmm";
  const Status status = Interpreter::Create(unknown.maker.program, nullptr, 0, {}).status();
  EXPECT_THAT(status.message(),
              HasSubstr("op 0 aten.mmm (forward): this version of PyTorch has no operator 'aten.mmm'; nearest: aten.bmm"));
  Sample wrong;
  wrong.maker.program.ops[2].arguments = {ir::TensorId(2u), ir::TensorId(2u)};  // [4,2] x [4,2]
  EXPECT_THAT(FirstStepError(wrong.maker.program), HasSubstr("rank 0: op 2 aten.mm (forward): mat1 and mat2 shapes cannot be multiplied"));
  InterpreterOptions options;
  options.fault = Fault{Fault::Action::kError, 1, ir::OpId(3u), {}};
  const std::unique_ptr<Interpreter> faulty = Make(Sample().maker.program, options);
  EXPECT_TRUE(faulty->RunStep().ok());
  EXPECT_THAT(faulty->RunStep().status().message(), HasSubstr("op 3 aten.add_.Tensor (forward): failed on purpose"));
}

TEST(Interpreter, WritesOfTheWrongSizeAreErrors) {
  const Sample sample;
  const std::unique_ptr<Interpreter> interpreter = Make(sample.maker.program);
  const std::vector<std::byte> seven(7);
  EXPECT_THAT(interpreter->WriteInput("x", seven).message(), HasSubstr("input 'x' holds 48 bytes, 7 were given"));
  EXPECT_THAT(interpreter->WriteStorage(ir::StorageId(1u), seven).message(), HasSubstr("storage 'w' holds 24 bytes, 7 were given"));
  EXPECT_THAT(interpreter->WriteInput("y", seven).message(), HasSubstr("no input 'y'"));
  EXPECT_THAT(interpreter->ReadOutput("loss").status().message(), HasSubstr("no step has run"));
}

}  // namespace
}  // namespace helm::runtime
