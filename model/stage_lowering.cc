#include "model/stage_lowering.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/sharding.h"

namespace helm::model {

using ir::Action;
using ir::ActionKind;
using ir::DataType;
using ir::Phase;
using ir::TensorId;

namespace {

bool IsBackward(ActionKind kind) { return kind == ActionKind::kFullBackward || kind == ActionKind::kInputGradient; }

}  // namespace

StageLowering::StageLowering(Step& step, const ir::Software& software, const LayerExcerpt& excerpt)
    : step_(step),
      excerpt_(excerpt),
      gathers_(step, software, excerpt),
      chunks_(ChunksOfStage(step.model, step.strategy, step.stage)),
      chunk_count_(step.strategy.pipeline * step.strategy.virtual_pipeline) {}

Status StageLowering::Run(const Cancellation& cancellation) {
  ProgramBuilder& b = step_.b;
  AddInputs();
  MakeTables();
  for (size_t i = 0; i < b.program().schedule.size(); ++i) {
    HELM_RETURN_IF_ERROR(cancellation.Check());
    RunAction(i);
  }
  b.SetAction(-1);
  EndSends();
  b.At(Phase::kForward, -1, -1);
  b.Label("loss");
  Pending reducing;
  const bool reduce = loss_.valid() && ir::BatchRanks(step_.strategy) > 1;
  if (reduce) reducing = b.AllReduce(loss_, step_.batch_group);
  EndFp8(step_);
  LowerOptimizer(step_);
  b.At(Phase::kForward, -1, -1);
  b.Label("loss");
  if (loss_.valid()) b.program().outputs["loss"] = reduce ? b.Wait(reducing) : loss_;
  return OkStatus();
}

void StageLowering::AddInputs() {
  ProgramBuilder& b = step_.b;
  const Sizes& sizes = step_.sizes;
  const int64_t positions = step_.workload.sequence_length;  // all of them, whatever the rank's own are
  auto add = [&](const std::string& name) {
    const ir::StorageId storage = b.AddStorage(name, sizes.sequences * positions * 8, ir::StorageRole::kInput);
    return b.program().inputs[name] = b.AddPersistent(name, DataType::kInt64, {sizes.sequences, positions}, storage);
  };
  for (int64_t i = 0; i < sizes.micro_batches; ++i) {
    MicroBatchInput& input = inputs_.emplace_back();
    if (chunks_.front().embedding) input.tokens = add(fmt::format("tokens.{}", i));
    if (chunks_.back().loss) input.labels = add(fmt::format("labels.{}", i));
  }
}

void StageLowering::MakeTables() {
  step_.b.At(Phase::kForward, -1, -1);
  // Any tensor on the device will do.
  const TensorId like = chunks_.front().embedding ? inputs_[0].tokens
                        : chunks_.back().loss     ? inputs_[0].labels
                                                  : step_.gradients.Segment(0).master;
  const bool has_layers = std::ranges::any_of(chunks_, [](const Chunk& chunk) { return chunk.layer_end > chunk.layer_begin; });
  BeginFp8(step_);
  const bool rotates = step_.model.position == Position::kRope && has_layers;
  if (step_.strategy.context > 1 && (chunks_.front().embedding || chunks_.back().loss || rotates)) MakeContextPositions(step_, like);
  if (step_.strategy.context > 1 && has_layers) MakeContextTables(step_, like);
  if (rotates) MakeRopeTables(step_, like);
  if (!step_.software.flash_attention && has_layers) MakeScoreTables(step_, like);
  if (step_.model.position == Position::kLearned && chunks_.front().embedding) MakePositionRows(step_, like);
  if (chunks_.back().loss) MakePaddingMask(step_, like);
  if (step_.strategy.pipeline > 1 && Scatters()) MakeOwnRows(like);
  if (step_.software.layer_kernels > 0 || (step_.model.moe.experts > 0 && step_.software.expert_layer_kernels > 0)) {
    const auto element = [this](const std::string& name) {
      return step_.b.AddPersistent(name, DataType::kFloat32, {1}, step_.b.AddStorage(name, 4, ir::StorageRole::kInput));
    };
    step_.scratch_forward = element("layer.scratch_forward");
    step_.scratch_backward = element("layer.scratch_backward");
  }
}

void StageLowering::RunAction(size_t index) {
  const Action action = step_.b.program().schedule[index];
  step_.b.SetAction(static_cast<int32_t>(index));
  const Chunk& chunk = ChunkOf(action.stage);
  switch (action.kind) {
    case ActionKind::kForward:
      Forward(chunk, action.micro_batch);
      break;
    case ActionKind::kFullBackward:
      Backward(chunk, action.micro_batch, /*postpone=*/false);
      break;
    case ActionKind::kInputGradient:
      Backward(chunk, action.micro_batch, /*postpone=*/true);
      break;
    case ActionKind::kWeightGradient:
      return WriteWeightGradients(chunk, action.micro_batch);
    default:
      HELM_CHECK(false, "the lowering knows the actions F, B, I and W");
  }
  if (const std::optional<Message> message = Outgoing(action)) Send(saved_[{chunk.index, action.micro_batch}].output, *message);
}

void StageLowering::Forward(const Chunk& chunk, int32_t micro_batch) {
  ProgramBuilder& b = step_.b;
  Saved& saved = saved_[{chunk.index, micro_batch}];
  b.At(Phase::kForward, -1, micro_batch);
  gathers_.BeginForward(chunk, micro_batch);
  TensorId rows;
  if (chunk.embedding) {
    gathers_.FinishRoot();
    rows = EmbeddingForward(step_, OwnPositions(step_, inputs_[static_cast<size_t>(micro_batch)].tokens), saved.tokens);
  } else {
    rows = Take({static_cast<int32_t>(chunk.index), ActionKind::kForward, micro_batch, {}});
  }
  gathers_.FinishRoot();
  saved.blocks.resize(static_cast<size_t>(chunk.layer_end - chunk.layer_begin));
  for (int64_t layer = chunk.layer_begin; layer < chunk.layer_end; ++layer) {
    if (LeavesOut(layer, micro_batch)) continue;
    b.At(Phase::kForward, static_cast<int32_t>(layer), micro_batch);
    gathers_.BeforeForward(layer);
    rows = BlockForward(step_, layer, micro_batch, rows, saved.blocks[static_cast<size_t>(layer - chunk.layer_begin)]);
    gathers_.AfterForward(layer);
  }
  if (chunk.head) rows = HeadForward(step_, micro_batch, rows, saved.loss);
  saved.output = rows;
  if (chunk.loss) {
    const TensorId labels = OwnPositions(step_, inputs_[static_cast<size_t>(micro_batch)].labels);
    AddLoss(LossForward(step_, micro_batch, rows, labels, saved.loss), micro_batch);
  }
  gathers_.EndForward();
}

bool StageLowering::LeavesOut(int64_t layer, int32_t micro_batch) const {
  return excerpt_.LeavesOut(layer, micro_batch + 1 == step_.sizes.micro_batches);
}

void StageLowering::AddLoss(TensorId share, int32_t micro_batch) {
  step_.b.At(Phase::kForward, -1, micro_batch);
  step_.b.Label("loss");
  loss_ = loss_.valid() ? step_.b.Add_(loss_, share) : share;
}

void StageLowering::Backward(const Chunk& chunk, int32_t micro_batch, bool postpone) {
  Saved& saved = saved_[{chunk.index, micro_batch}];
  HELM_CHECK(!saved.blocks.empty() || chunk.layer_begin == chunk.layer_end, "a schedule runs forward before backward");
  step_.postponed = postpone ? &saved.weight_gradients : nullptr;
  step_.b.At(Phase::kInputGradient, -1, micro_batch);
  gathers_.BeginBackward(chunk, micro_batch);
  if (chunk.head) gathers_.FinishRoot();
  TensorId gradient = chunk.loss ? LossBackward(step_, micro_batch, saved.loss)
                                 : Take({static_cast<int32_t>(chunk.index), ActionKind::kFullBackward, micro_batch, {}});
  if (chunk.head) gradient = HeadBackward(step_, micro_batch, saved.loss, gradient);
  gathers_.FinishRoot();
  step_.gradients.ReduceComplete();
  for (int64_t layer = chunk.layer_end; layer-- > chunk.layer_begin;) {
    if (LeavesOut(layer, micro_batch)) {
      for (const ParameterIndex index : ParametersOf(step_.plan.layers[static_cast<size_t>(layer)])) step_.gradients.Skip(index);
      continue;
    }
    step_.b.At(Phase::kInputGradient, static_cast<int32_t>(layer), micro_batch);
    gathers_.BeforeBackward(layer);
    gradient = BlockBackward(step_, layer, micro_batch, saved.blocks[static_cast<size_t>(layer - chunk.layer_begin)], gradient);
    gathers_.AfterBackward(layer);
    step_.gradients.ReduceComplete();
  }
  if (chunk.embedding && !step_.gradients.Frozen(step_.plan.embedding)) {
    step_.b.At(Phase::kWeightGradient, -1, micro_batch);
    EmbeddingBackward(step_, saved.tokens, gradient);
  }
  gathers_.EndBackward();
  step_.gradients.ReduceComplete();
  step_.postponed = nullptr;
  saved.blocks.clear();
  saved.output = gradient;
}

void StageLowering::WriteWeightGradients(const Chunk& chunk, int32_t micro_batch) {
  std::vector<std::function<void()>> writes = std::move(saved_[{chunk.index, micro_batch}].weight_gradients);
  for (const auto& write : writes) write();
  step_.gradients.ReduceComplete();
}

const Chunk& StageLowering::ChunkOf(int64_t index) const {
  const auto found = std::ranges::find(chunks_, index, &Chunk::index);
  HELM_CHECK(found != chunks_.end(), "a schedule names chunks of its own stage");
  return *found;
}

std::optional<StageLowering::Message> StageLowering::Outgoing(const Action& action) const {
  if (action.kind == ActionKind::kWeightGradient) return std::nullopt;
  const int64_t from = action.stage;
  const int64_t to = IsBackward(action.kind) ? from - 1 : from + 1;
  if (to < 0 || to == chunk_count_) return std::nullopt;
  return Between(from, to, action);
}

// Boundary c lies between chunks c and c + 1; its tensors have the same tag at both ends. On the way down a V the next chunk is on the
// stage below; at its tip both are on one stage, and there is no message.
std::optional<StageLowering::Message> StageLowering::Between(int64_t from, int64_t to, const Action& action) const {
  const int64_t boundary = std::min(from, to);
  if (StageOfChunk(step_.strategy, from) == StageOfChunk(step_.strategy, to)) return std::nullopt;
  const bool down = IsFolded(step_.strategy) && boundary >= step_.strategy.pipeline;
  const PipelineGroups& groups = down ? step_.pipeline_groups_down : step_.pipeline_groups;
  return Message{down ? from - to : to - from, boundary * step_.sizes.micro_batches + action.micro_batch,
                 IsBackward(action.kind) ? groups.backward : groups.forward};
}

// Megatron's scatter_gather_tensors_in_pipeline: all tensor ranks hold the same rows, so each sends its own part of them, and the receivers
// gather. With sequence parallelism the rows are split already, and logits always are.
bool StageLowering::Scatters() const {
  const int64_t ranks = step_.strategy.tensor;
  return step_.software.pipeline_scatter && ranks > 1 && !step_.sequence_parallel && step_.sizes.row_tokens % ranks == 0;
}

void StageLowering::MakeOwnRows(TensorId like) {
  ProgramBuilder& b = step_.b;
  b.Label("stage.own_rows");
  const int64_t rows = step_.sizes.row_tokens / step_.strategy.tensor;
  const TensorId numbers = b.Cumsum(b.NewOnes(like, {rows}, DataType::kInt64), 0);
  own_rows_ = b.AddScalar_(numbers, ir::RankExpression{-1, {{"tensor", rows}}});
}

TensorId StageLowering::Take(const Action& action) {
  const int64_t to = action.stage;
  const int64_t from = IsBackward(action.kind) ? to + 1 : to - 1;
  const std::optional<Message> message = Between(from, to, action);
  if (!message) return saved_.at({from, action.micro_batch}).output;
  ProgramBuilder& b = step_.b;
  b.At(b.place().phase, -1, action.micro_batch);
  b.Label("stage.receive");
  const ir::Shape rows = {step_.sizes.row_tokens, step_.model.hidden}, logits = {step_.sizes.tokens, step_.sizes.vocabulary};
  const bool behind_head = std::min(from, to) >= HeadChunk(step_.strategy);
  if (Scatters() && !behind_head) {
    const ir::Shape part = {step_.sizes.row_tokens / step_.strategy.tensor, step_.model.hidden};
    const TensorId own = b.Wait(b.Receive(part, step_.workload.dtype, message->group, {-message->offset, message->tag}));
    return b.Wait(b.AllGather(own, step_.tensor_group));
  }
  return b.Wait(b.Receive(behind_head ? logits : rows, step_.workload.dtype, message->group, {-message->offset, message->tag}));
}

void StageLowering::Send(TensorId tensor, const Message& message) {
  ProgramBuilder& b = step_.b;
  b.Label("stage.send");
  if (Scatters() && b.shape(tensor)[1] == step_.model.hidden) tensor = b.IndexSelect(tensor, 0, own_rows_);
  if (const auto open = sends_.find(message.group); open != sends_.end()) b.Wait(open->second);
  sends_[message.group] = b.Send(tensor, message.group, {message.offset, message.tag});
}

void StageLowering::EndSends() {
  step_.b.Label("stage.send");
  for (const auto& [group, pending] : sends_) step_.b.Wait(pending);
  sends_.clear();
}

}  // namespace helm::model
