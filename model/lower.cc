#include "model/lower.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "model/step.h"

namespace helm::model {

using ir::DataType;
using ir::Phase;
using ir::Shape;
using ir::TensorId;

namespace {

Sizes SizesOf(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy) {
  Sizes sizes;
  sizes.sequences = strategy.micro_batch;
  sizes.positions = workload.sequence_length;
  sizes.tokens = sizes.sequences * sizes.positions;
  sizes.row_tokens = strategy.sequence_parallel ? sizes.tokens / strategy.tensor : sizes.tokens;
  sizes.heads = model.heads / strategy.tensor;
  sizes.kv_heads = model.kv_heads / strategy.tensor;
  sizes.ffn = model.ffn / strategy.tensor;
  sizes.vocabulary = PaddedVocabulary(model.vocab, strategy.tensor) / strategy.tensor;
  sizes.micro_batches = MicroBatches(workload, strategy);
  return sizes;
}

struct MicroBatchInput {
  TensorId tokens, labels;
};

std::vector<MicroBatchInput> AddInputs(ProgramBuilder& b, const Sizes& sizes) {
  std::vector<MicroBatchInput> inputs;
  auto add = [&](const std::string& name) {
    const ir::StorageId storage = b.AddStorage(name, sizes.tokens * 8, ir::StorageRole::kInput);
    return b.program().inputs[name] = b.AddPersistent(name, DataType::kInt64, {sizes.sequences, sizes.positions}, storage);
  };
  for (int64_t i = 0; i < sizes.micro_batches; ++i) inputs.push_back({add(fmt::format("tokens.{}", i)), add(fmt::format("labels.{}", i))});
  return inputs;
}

void MakeTables(Step& step, TensorId like) {
  step.b.At(Phase::kForward, -1, -1);
  if (step.model.position == Position::kRope) MakeRopeTables(step, like);
  if (step.model.position == Position::kLearned) MakePositionRows(step, like);
  MakePaddingMask(step, like);
}

// Forward and backward of one micro-batch; returns its share of the loss.
TensorId LowerMicroBatch(Step& step, int32_t micro_batch, const MicroBatchInput& input) {
  step.b.At(Phase::kForward, -1, micro_batch);
  LocalTokens tokens;
  TensorId rows = EmbeddingForward(step, input.tokens, tokens);
  std::vector<BlockSaved> saved(static_cast<size_t>(step.model.layers));
  for (size_t layer = 0; layer < saved.size(); ++layer) {
    rows = BlockForward(step, static_cast<int64_t>(layer), micro_batch, rows, saved[layer]);
  }
  const LossResult loss = LowerLoss(step, micro_batch, rows, input.labels);
  TensorId gradient = loss.gradient;
  for (size_t layer = saved.size(); layer-- > 0;) {
    gradient = BlockBackward(step, static_cast<int64_t>(layer), micro_batch, saved[layer], gradient);
  }
  step.b.At(Phase::kWeightGradient, -1, micro_batch);
  EmbeddingBackward(step, tokens, gradient);
  return loss.loss;
}

void LowerStep(Step& step) {
  ProgramBuilder& b = step.b;
  const std::vector<MicroBatchInput> inputs = AddInputs(b, step.sizes);
  MakeTables(step, inputs[0].tokens);
  TensorId loss;
  for (size_t i = 0; i < inputs.size(); ++i) {
    step.gradients.BeginMicroBatch(i == 0, i + 1 == inputs.size());
    const TensorId share = LowerMicroBatch(step, static_cast<int32_t>(i), inputs[i]);
    b.At(Phase::kForward, -1, static_cast<int32_t>(i));
    b.Label("loss");
    loss = loss.valid() ? b.Add_(loss, share) : share;
  }
  Pending reducing;
  b.At(Phase::kForward, -1, -1);
  if (step.strategy.data > 1) reducing = b.AllReduce(loss, step.data_group);
  LowerOptimizer(step);
  b.At(Phase::kForward, -1, -1);
  b.Label("loss");
  b.program().outputs["loss"] = step.strategy.data > 1 ? b.Wait(reducing) : loss;
}

}  // namespace

int64_t PaddedVocabulary(int64_t vocabulary, int64_t tensor) {
  if (vocabulary % tensor == 0) return vocabulary;
  const int64_t unit = 128 * tensor;
  return (vocabulary + unit - 1) / unit * unit;
}

Result<ir::Program> Lower(const ModelSpec& model, const ir::Workload& workload, const ir::Software& software, const ir::Strategy& strategy,
                          ir::DeviceKind device) {
  HELM_RETURN_IF_ERROR(CheckStrategy(model, workload, strategy));
  if (!software.flash_attention) return InvalidError("error: software.flash_attention: false is not supported; remove it");
  if (software.compile) return InvalidError("error: software.compile: true is not supported; remove it");
  if (device == ir::DeviceKind::kCuda && workload.dtype == DataType::kFloat32) {
    return InvalidError("error: workload.dtype: fp32 is not supported on CUDA, whose flash attention takes only bf16; use dtype: bf16");
  }
  const ParameterPlan plan = PlanParameters(model, strategy, software.gradient_bucket_bytes);
  ProgramBuilder builder(fmt::format("{} training step", model.name), device, MeshOf(strategy));
  const ir::GroupId tensor_group = builder.AddGroup("tensor");
  const ir::GroupId data_group = builder.AddGroup("data");
  Gradients gradients(builder, plan, workload.dtype, tensor_group, data_group);
  Step step{model, workload, strategy, SizesOf(model, workload, strategy), builder, plan, gradients, tensor_group, data_group};
  step.tensor_parallel = strategy.tensor > 1;
  step.sequence_parallel = step.tensor_parallel && strategy.sequence_parallel;
  step.cuda = device == ir::DeviceKind::kCuda;
  LowerStep(step);
  return std::move(builder).Finish();
}

}  // namespace helm::model
