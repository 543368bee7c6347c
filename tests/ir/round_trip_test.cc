// Property tests: whatever the program or signature, its text reads back to the same; whatever the text, the parsers answer.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "ir/program_text.h"
#include "ir/signature.h"
#include "ir/verify.h"
#include "support/sample_programs.h"

namespace helm::ir {
namespace {

using rc::gen::inRange;

template <typename T>
T OneOf(const std::vector<T>& values) {
  return values[*inRange<size_t>(0, values.size())];
}

const std::vector<DataType> kTypes = {DataType::kFloat32, DataType::kBFloat16, DataType::kFloat16, DataType::kInt64,
                                      DataType::kInt32,   DataType::kBool,     DataType::kUInt8};

Shape RandomShape() { return *rc::gen::resize(4, rc::gen::container<Shape>(inRange<int64_t>(0, 9))); }

Shape RandomStrides(const Shape& shape) {
  Shape strides = ContiguousStrides(shape);
  if (*inRange(0, 3) == 0) std::ranges::reverse(strides);
  return strides;
}

double RandomDouble() { return OneOf<double>({0.0, -0.0, 1.0, -0.1, 1e-300, 123456789.125, 1e22, *rc::gen::arbitrary<double>()}); }

std::string RandomText() { return *rc::gen::string<std::string>(); }

template <typename Variant>
Variant RandomPlain() {
  switch (*inRange(0, 8)) {
    case 0:
      return NoneArgument();
    case 1:
      return *rc::gen::arbitrary<bool>();
    case 2:
      return *rc::gen::arbitrary<int64_t>();
    case 3:
      return RandomDouble();
    case 4:
      return *rc::gen::arbitrary<std::vector<int64_t>>();
    case 5:
      return *rc::gen::arbitrary<std::vector<bool>>();
    case 6:
      return RandomText();
    default:
      return OneOf(kTypes);
  }
}

TensorSignature RandomTensorSignature() {
  const Shape shape = RandomShape();
  return {OneOf(kTypes), shape, RandomStrides(shape), *rc::gen::arbitrary<bool>(), *inRange<int64_t>(0, 3)};
}

RC_GTEST_PROP(RoundTrip, Signatures, ()) {
  OpSignature signature{OneOf<std::string>({"aten.mm", "aten.add_.Tensor", "aten._scaled_dot_product_flash_attention_for_cpu"}), {}};
  for (int i = *inRange(0, 6); i > 0; --i) {
    const int kind = *inRange(0, 3);
    if (kind == 0) {
      signature.arguments.emplace_back(RandomTensorSignature());
    } else if (kind == 1) {
      std::vector<TensorSignature> list(*inRange<size_t>(0, 3));
      for (TensorSignature& tensor : list) tensor = RandomTensorSignature();
      signature.arguments.emplace_back(std::move(list));
    } else {
      signature.arguments.push_back(RandomPlain<ArgumentSignature>());
    }
  }
  const Result<OpSignature> read = ParseOpSignature(ToText(signature));
  RC_ASSERT(read.ok());
  RC_ASSERT(*read == signature);
}

// ---- programs: valid only in that ids are in range and names unique ----

StorageId RandomStorage(const Program& program) { return StorageId(*inRange<size_t>(0, program.storages.size())); }
TensorId RandomTensor(const Program& program) { return TensorId(*inRange<size_t>(0, program.tensors.size())); }

RankExpression RandomExpression(const Program& program) {
  RankExpression expression{*rc::gen::arbitrary<int64_t>(), {}};
  for (int i = *inRange(0, 3); i > 0; --i) expression.terms.push_back({OneOf(program.mesh).name, *rc::gen::arbitrary<int64_t>()});
  return expression;
}

Argument RandomArgument(const Program& program) {
  switch (*inRange(0, 5)) {
    case 0:
      return RandomTensor(program);
    case 1: {
      std::vector<TensorId> list(*inRange<size_t>(0, 3));
      for (TensorId& tensor : list) tensor = RandomTensor(program);
      return list;
    }
    case 2:
      return RandomExpression(program);
    case 3:
      return *inRange(0, 4) == 0 ? OpId() : OpId(*inRange<size_t>(0, program.ops.size()));
    default:
      return RandomPlain<Argument>();
  }
}

void FillOp(const Program& program, Op& op) {
  op.target = OneOf<std::string>({"aten.mm", "aten.t", "c10d.all_reduce", "c10d.wait", "helm.region"});
  op.kind = OneOf<OpKind>({OpKind::kCompute, OpKind::kView, OpKind::kCollectiveStart, OpKind::kWait});
  for (int i = *inRange(0, 4); i > 0; --i) op.arguments.push_back(RandomArgument(program));
  if (*inRange(0, 2) == 0) op.group = GroupId(*inRange<size_t>(0, program.groups.size()));
  op.phase = OneOf<Phase>({Phase::kForward, Phase::kInputGradient, Phase::kWeightGradient, Phase::kRecompute, Phase::kOptimizer});
  op.layer = *inRange(-1, 3);
  op.micro_batch = *inRange(-1, 3);
  op.batch = *inRange(-1, 2);
  op.action = *inRange(-1, 3);
  op.tile = *inRange(0, 2);
  op.strand = *inRange(0, 2);
  op.compute_stream = *inRange(0, 2);
  op.region = *inRange(-1, 2);
  op.label = RandomText();
}

// Results: some fresh with a storage as the text implies it, some anywhere, some listed twice, some none.
void FillResults(Program& program) {
  for (size_t i = 0; i < program.ops.size(); ++i) {
    for (int n = *inRange(0, 3); n > 0; --n) {
      const TensorId tensor = RandomTensor(program);
      program.ops[i].results.push_back(*inRange(0, 4) == 0 ? TensorId() : tensor);
      if (*inRange(0, 4) != 0) program.tensors[tensor.index()].producer = OpId(i);
    }
  }
}

void FillTensors(Program& program) {
  for (size_t t = 0; t < program.tensors.size(); ++t) {
    Tensor& tensor = program.tensors[t];
    tensor.name = "t" + std::to_string(t) + OneOf<std::string>({"", ".x", "_", " \"odd\" name"});
    tensor.dtype = OneOf(kTypes);
    tensor.shape = RandomShape();
    tensor.strides = RandomStrides(tensor.shape);
    tensor.offset = *inRange<int64_t>(0, 3);
    tensor.storage = RandomStorage(program);
    if (*inRange(0, 2) != 0 || t >= program.storages.size()) continue;
    tensor.offset = 0;
    tensor.storage = StorageId(t);
    program.storages[t] = {tensor.name, Bytes(ExtentOf(tensor).end),
                           OneOf<StorageRole>({StorageRole::kActivation, StorageRole::kCommunicationBuffer}), false};
  }
}

void FillSegments(Program& program) {
  for (int i = *inRange(0, 3); i > 0; --i) {
    ParameterSegment& segment = program.segments.emplace_back();
    segment = {"s" + std::to_string(i),
               *inRange<int64_t>(0, 99),
               *rc::gen::elementOf(std::vector<std::vector<std::string>>{{}, {"data"}, {"tensor", "data"}}),
               *rc::gen::arbitrary<bool>(),
               *rc::gen::arbitrary<bool>(),
               *rc::gen::arbitrary<bool>(),
               RandomStorage(program),
               StorageId(),
               RandomStorage(program),
               RandomStorage(program),
               RandomStorage(program),
               *inRange<int64_t>(0, 99),
               {}};
    for (int j = *inRange(0, 3); j > 0; --j) {
      segment.pieces.push_back({RandomText(),
                                RandomShape(),
                                *rc::gen::arbitrary<bool>(),
                                {RandomExpression(program)},
                                RandomShape(),
                                *inRange<int64_t>(0, 99),
                                OneOf<Initialization>({Initialization::kNormal, Initialization::kZeros, Initialization::kOnes}),
                                RandomDouble()});
    }
  }
}

Program RandomProgram() {
  Program program;
  program.name = RandomText();
  program.device = OneOf<DeviceKind>({DeviceKind::kCpu, DeviceKind::kCuda});
  program.mesh = {{"tensor", *inRange<int64_t>(1, 9)}, {"odd name", 2}};
  program.groups = {{"tensor", {"tensor"}}, {"both of them", {"tensor", "odd name"}}, {"none", {}}, {"ends", {"tensor"}, {0, 2}}};
  if (*rc::gen::arbitrary<bool>()) program.schedule = ScheduleInTurn(*inRange(1, 4));
  program.storages.resize(*inRange<size_t>(1, 6));
  for (size_t s = 0; s < program.storages.size(); ++s) {
    program.storages[s] = {"s" + std::to_string(s), Bytes(*inRange<int64_t>(0, 1000)),
                           OneOf<StorageRole>({StorageRole::kParameter, StorageRole::kGradient, StorageRole::kOptimizerState,
                                               StorageRole::kActivation, StorageRole::kInput, StorageRole::kCommunicationBuffer}),
                           *rc::gen::arbitrary<bool>()};
  }
  program.tensors.resize(*inRange<size_t>(1, 8));
  FillTensors(program);
  program.ops.resize(*inRange<size_t>(1, 6));
  for (Op& op : program.ops) FillOp(program, op);
  FillResults(program);
  FillSegments(program);
  program.inputs = {{"tokens.0", RandomTensor(program)}};
  program.outputs = {{RandomText(), RandomTensor(program)}};
  return program;
}

bool Same(const Program& a, const Program& b);

RC_GTEST_PROP(RoundTrip, Programs, ()) {
  const Program program = RandomProgram();
  const std::string text = ToText(program);
  const Result<Program> read = ParseProgram(text, "random");
  RC_LOG() << text << "\n" << read.status().message();
  RC_ASSERT(read.ok());
  RC_ASSERT(ToText(*read) == text);
  RC_ASSERT(Same(*read, program));
}

// Cutting, doubling or changing bytes of a program gives a program or an error, never a crash; a program that is read can be verified.
RC_GTEST_PROP(RoundTrip, BrokenTextIsAnswered, ()) {
  std::string text(test::kLinearProgram);
  for (int i = *inRange(1, 5); i > 0; --i) {
    const size_t at = *inRange<size_t>(0, text.size());
    const size_t length = *inRange<size_t>(0, 20);
    switch (*inRange(0, 3)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, text.substr(*inRange<size_t>(0, text.size()), length));
        break;
      default:
        text[at] = *rc::gen::arbitrary<char>();
        break;
    }
  }
  const Result<Program> read = ParseProgram(text, "broken");
  if (read.ok()) {
    const bool valid = Verify(*read).ok();
    RC_CLASSIFY(valid);
    RC_ASSERT(ToText(ParseProgram(ToText(*read), "again").value()) == ToText(*read));
  } else {
    RC_ASSERT(read.status().message().starts_with("broken:"));
  }
}

bool Same(const ParameterPiece& a, const ParameterPiece& b) {
  return a.name == b.name && a.global_shape == b.global_shape && a.transposed == b.transposed && a.box_offset == b.box_offset &&
         a.box_shape == b.box_shape && a.offset == b.offset && a.initialization == b.initialization &&
         a.standard_deviation == b.standard_deviation;
}
bool Same(const ParameterSegment& a, const ParameterSegment& b) {
  return a.name == b.name && a.elements == b.elements && a.weight_decay == b.weight_decay && a.tensor_replicated == b.tensor_replicated &&
         a.parameter == b.parameter && a.gradient == b.gradient && a.master == b.master && a.moment_first == b.moment_first &&
         a.moment_second == b.moment_second && a.gradient_offset == b.gradient_offset &&
         std::ranges::equal(a.pieces, b.pieces, [](const auto& x, const auto& y) { return Same(x, y); });
}
bool Same(const Storage& a, const Storage& b) {
  return a.name == b.name && a.bytes == b.bytes && a.role == b.role && a.persistent == b.persistent;
}
bool Same(const Tensor& a, const Tensor& b) {
  return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape && a.strides == b.strides && a.offset == b.offset &&
         a.storage == b.storage && a.producer == b.producer;
}
bool Same(const Group& a, const Group& b) { return a.name == b.name && a.dimensions == b.dimensions; }
bool Same(const Op& a, const Op& b) {
  return a.kind == b.kind && a.target == b.target && a.arguments == b.arguments && a.results == b.results && a.group == b.group &&
         a.batch == b.batch && a.action == b.action && a.phase == b.phase && a.layer == b.layer && a.micro_batch == b.micro_batch &&
         a.tile == b.tile && a.strand == b.strand && a.compute_stream == b.compute_stream && a.region == b.region && a.label == b.label;
}
template <typename T>
bool SameAll(const std::vector<T>& a, const std::vector<T>& b) {
  return std::ranges::equal(a, b, [](const T& x, const T& y) { return Same(x, y); });
}
bool Same(const Program& a, const Program& b) {
  return a.name == b.name && a.device == b.device && a.mesh == b.mesh && SameAll(a.groups, b.groups) && SameAll(a.storages, b.storages) &&
         SameAll(a.tensors, b.tensors) && SameAll(a.ops, b.ops) && a.inputs == b.inputs && a.outputs == b.outputs &&
         SameAll(a.segments, b.segments);
}

}  // namespace
}  // namespace helm::ir
