#include "model/lower.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/sharding.h"
#include "model/chunks.h"
#include "model/fuse_elementwise.h"
#include "model/stage_lowering.h"
#include "model/step.h"

namespace helm::model {

using ir::DataType;

namespace {

int64_t MicroBatchesOf(const ir::Schedule& schedule) {
  int32_t last = -1;
  for (const ir::Action& action : schedule) last = std::max(last, action.micro_batch);
  return last + 1;
}

Sizes SizesOf(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy, int64_t micro_batches) {
  Sizes sizes;
  sizes.sequences = strategy.micro_batch;
  sizes.positions = workload.sequence_length / strategy.context;
  sizes.tokens = sizes.sequences * sizes.positions;
  sizes.row_tokens = strategy.sequence_parallel ? sizes.tokens / strategy.tensor : sizes.tokens;
  sizes.heads = model.heads / strategy.tensor;
  sizes.kv_heads = model.kv_heads / strategy.tensor;
  sizes.vocabulary = PaddedVocabulary(model, strategy.tensor) / strategy.tensor;
  sizes.micro_batches = micro_batches;
  if (model.moe.experts > 0) {
    sizes.experts = model.moe.experts;
    sizes.capacity = ExpertCapacity(model.moe, sizes.row_tokens, workload.routing_imbalance);
  }
  return sizes;
}

}  // namespace

int64_t PaddedVocabulary(const ModelSpec& model, int64_t tensor) {
  if (model.padded_vocab > 0) return model.padded_vocab;
  if (model.vocab % tensor == 0) return model.vocab;
  const int64_t unit = 128 * tensor;
  return (model.vocab + unit - 1) / unit * unit;
}

ModelSpec WithPaddedVocabulary(ModelSpec model, const ir::Software& software, int64_t tensor) {
  const int64_t unit = software.vocabulary_multiple * tensor;
  if (model.padded_vocab == 0 && unit > 0) model.padded_vocab = (model.vocab + unit - 1) / unit * unit;
  return model;
}

int64_t ExpertCapacity(const MixtureOfExperts& moe, int64_t tokens, double imbalance) {
  constexpr double kRounding = 1e-9;  // a mean times a factor that is meant to be whole
  const double mean = static_cast<double>(tokens) * static_cast<double>(moe.top_k) / static_cast<double>(moe.experts);
  const double slots = std::ceil(mean * (moe.capacity_factor > 0 ? moe.capacity_factor : imbalance) * (1 - kRounding));
  return static_cast<int64_t>(std::clamp(slots, 1.0, static_cast<double>(tokens)));
}

namespace {

// Of context parallelism.
Status CheckContext(const ModelSpec& model, const ir::Software& software, const ir::Strategy& strategy) {
  if (strategy.context == 1) return OkStatus();
  if (!software.flash_attention) {
    return InvalidError(fmt::format("error: strategy.context {} needs software.flash_attention: true", strategy.context));
  }
  const int64_t ranks = strategy.tensor * strategy.context;
  const bool heads_divide = model.heads % ranks == 0 && model.kv_heads % ranks == 0;
  if (software.context_communication != ir::ContextCommunication::kAllToAll || heads_divide) return OkStatus();
  return InvalidError(
      fmt::format("error: software.context_communication: all_to_all splits the heads over tensor {} x context {}, which do not divide "
                  "heads {} and kv_heads {}; use context_communication: ring",
                  strategy.tensor, strategy.context, model.heads, model.kv_heads));
}

Status CheckSoftware(const ModelSpec& model, const ir::Workload& workload, const ir::Software& software, ir::DeviceKind device) {
  if (model.position == Position::kAlibi && software.flash_attention) {
    return InvalidError("error: model.position: alibi needs software.flash_attention: false, since the flash kernels take no bias");
  }
  if (model.mla.kv_lora > 0 && !software.flash_attention) {
    return InvalidError("error: model.mla needs software.flash_attention: true");
  }
  if (workload.quantization == ir::Quantization::kFp8 && software.fp8_recipe != ir::Fp8Recipe::kDelayed &&
      software.fp8_recipe != ir::Fp8Recipe::kCurrent) {
    return InvalidError("error: software.fp8_recipe with a scale for each block is not supported; use delayed or current");
  }
  if (software.compile && device == ir::DeviceKind::kCpu) {
    return InvalidError("error: software.compile: true is not supported on CPUs, where operators run one by one; remove it");
  }
  if (device == ir::DeviceKind::kCpu && workload.dtype == DataType::kFloat16) {
    return InvalidError("error: workload.dtype: fp16 is not supported on CPUs; use dtype: bf16 or fp32");
  }
  if (device == ir::DeviceKind::kCuda && workload.dtype == DataType::kFloat32 && software.flash_attention) {
    return InvalidError(
        "error: workload.dtype: fp32 is not supported on CUDA, whose flash attention takes only bf16; use dtype: bf16, or "
        "software.flash_attention: false");
  }
  return OkStatus();
}

// A CPU runs the ops of a fused kernel one by one.
ir::Software SoftwareOn(ir::Software software, ir::DeviceKind device) {
  if (device != ir::DeviceKind::kCpu) return software;
  ir::FusedKernels none;
  none.norm = software.fused.norm;  // ATen's own two
  none.linear_bias = software.fused.linear_bias;
  software.fused = none;
  software.gradient_accumulation_fusion = false;
  return software;
}

std::string ProgramName(const ModelSpec& model, const ir::Strategy& strategy, int64_t stage) {
  if (strategy.pipeline == 1) return fmt::format("{} training step", model.name);
  return fmt::format("{} training step, stage {} of {}", model.name, stage, strategy.pipeline);
}

// About the root of the number of ranks, a power of two, so that neither the parts nor their sum leave the range of fp16: the rule of
// PyTorch's FSDP1 (torch/distributed/algorithms/_comm_hooks/default_hooks.py, _get_gradient_predivide_factor).
double Divisor(int64_t ranks) {
  int64_t divisor = 1;
  while (ranks % divisor == 0 && ranks / divisor > divisor) divisor *= 2;
  return static_cast<double>(divisor);
}

// With a pipeline the micro-batches of a stage overlap, so its gradients are whole only at the end (torch.distributed.pipelining reduces
// with the last micro-batch too).
GradientOptions GradientOptionsOf(const ir::Workload& workload, const ir::Software& software, const ir::Strategy& strategy,
                                  int64_t micro_batches) {
  GradientOptions options;
  if (software.gradients == ir::Precision::kCompute) options.kept = workload.dtype;
  options.fused_products = software.gradient_accumulation_fusion;
  options.bucket_copies = software.gradient_bucket_copies;
  options.reduce_overlap = software.gradient_reduce_overlap;
  options.dtype = workload.dtype;
  options.micro_batches = micro_batches;
  options.reduce_last_only = strategy.pipeline > 1 || software.fsdp_no_sync;
  if (software.gradients_reduced == ir::Precision::kCompute) options.reduced = workload.dtype;
  if (software.fsdp_gradient_divided) options.divisor = Divisor(ir::BatchRanks(strategy));
  options.gather_copied = software.fsdp_gather_copied;
  options.main_parameters = software.main_parameters;
  if (software.optimizer_state == ir::Precision::kCompute) options.moments = workload.dtype;
  return options;
}

// The ranks that gradients are summed over: those with other experts, and with other positions, included.
ir::GroupId AddDataGroup(ProgramBuilder& b, const ir::Strategy& strategy) { return b.AddGroup("data", ir::DataDimensions(strategy)); }

// With the copies of the shards (HSDP).
ir::GroupId AddBatchGroup(ProgramBuilder& b, const ir::Strategy& strategy) {
  std::vector<std::string> dimensions = ir::DataDimensions(strategy);
  dimensions.emplace_back("replicate");
  return b.AddGroup("batch", std::move(dimensions));
}

// None without expert parallelism.
struct ExpertGroups {
  ir::GroupId experts, model, data;
};
ExpertGroups AddExpertGroups(ProgramBuilder& b, const ir::Strategy& strategy) {
  if (strategy.expert == 1) return {};
  std::vector<std::string> model = ir::ExpertDimensions(strategy);
  ExpertGroups groups;
  groups.experts = b.AddGroup("expert", model);
  if (strategy.expert_tensor > 1) model.insert(model.begin(), "tensor");
  groups.model = b.AddGroup("expert_model", model);
  groups.data = b.AddGroup("expert_data", {"data"});
  return groups;
}

// The first stage and that of the head, where they hold one embedding between them.
ir::GroupId AddEmbeddingGroup(ProgramBuilder& b, const ModelSpec& model, const ir::Strategy& strategy) {
  const int64_t head = StageOfChunk(strategy, HeadChunk(strategy));
  if (!model.tied_embeddings || head == 0) return {};
  return b.AddGroup("embedding", "pipeline", {0, head});
}

}  // namespace

Result<ir::Program> LowerStage(const ModelSpec& of, const ir::Workload& workload, const ir::Software& software,
                               const ir::Strategy& strategy, ir::DeviceKind device, const ir::Schedule& schedule, int64_t stage,
                               const LayerExcerpt& excerpt, const Cancellation& cancellation) {
  HELM_RETURN_IF_ERROR(CheckStrategy(of, workload, strategy));
  const ModelSpec model = WithPaddedVocabulary(of, software, strategy.tensor);
  HELM_RETURN_IF_ERROR(CheckSoftware(model, workload, software, device));
  HELM_RETURN_IF_ERROR(CheckContext(model, software, strategy));
  const ParameterPlan plan = PlanParameters(model, strategy, BucketBytes(software, strategy), stage);
  ProgramBuilder builder(ProgramName(model, strategy, stage), device, MeshOf(strategy));
  const ExpertGroups experts = AddExpertGroups(builder, strategy);
  GradientGroups groups{builder.AddGroup("tensor"), AddDataGroup(builder, strategy), {}, {}, experts.data};
  ir::GroupId batch_group = groups.data;
  if (strategy.fsdp_replicate > 1) {
    groups.copies = builder.AddGroup("replicate");
    batch_group = AddBatchGroup(builder, strategy);
  }
  ir::GroupId pipeline_group;
  PipelineGroups up, down;
  if (strategy.pipeline > 1) {
    pipeline_group = builder.AddGroup("pipeline");
    up = {builder.AddGroup("pipeline_forward", "pipeline", {}), builder.AddGroup("pipeline_backward", "pipeline", {})};
  }
  if (IsFolded(strategy)) {
    down = {builder.AddGroup("pipeline_forward_down", "pipeline", {}), builder.AddGroup("pipeline_backward_down", "pipeline", {})};
  }
  groups.embedding = AddEmbeddingGroup(builder, model, strategy);
  const Sizes sizes = SizesOf(model, workload, strategy, MicroBatchesOf(schedule));
  Gradients gradients(builder, plan, groups, GradientOptionsOf(workload, SoftwareOn(software, device), strategy, sizes.micro_batches));
  Step step{model, workload, strategy, sizes, builder, plan, gradients};
  step.tensor_group = groups.tensor;
  step.data_group = groups.data;
  step.batch_group = batch_group;
  step.pipeline_group = pipeline_group;
  step.pipeline_groups = up;
  step.pipeline_groups_down = down;
  step.stage = stage;
  if (strategy.context > 1) step.context_group = builder.AddGroup("context");
  step.expert_group = experts.experts;
  step.expert_model_group = experts.model;
  step.expert_data_group = experts.data;
  step.tensor_parallel = strategy.tensor > 1;
  step.sequence_parallel = step.tensor_parallel && strategy.sequence_parallel;
  step.cuda = device == ir::DeviceKind::kCuda;
  step.software = SoftwareOn(software, device);
  if (model.mla.kv_lora > 0) step.software.fused.rope = step.software.fused.rope && step.software.fused.rope_latent;
  step.recomputed = RecomputedByLayer(model, strategy);
  const Chunk first = ChunksOf(model, strategy).front();
  step.ends_in_first_layer = model.lora.rank > 0 && first.layer_end > first.layer_begin;
  step.fp8.on = workload.quantization == ir::Quantization::kFp8;
  builder.program().schedule = schedule;
  HELM_RETURN_IF_ERROR(StageLowering(step, software, excerpt).Run(cancellation));
  if (step.software.compile || step.software.fused.elementwise) FuseElementwise(builder.program());
  return std::move(builder).Finish();
}

Result<ir::Program> Lower(const ModelSpec& model, const ir::Workload& workload, const ir::Software& software, const ir::Strategy& strategy,
                          ir::DeviceKind device) {
  HELM_RETURN_IF_ERROR(CheckStrategy(model, workload, strategy));
  return LowerStage(model, workload, software, strategy, device, ir::ScheduleInTurn(MicroBatches(workload, strategy)), 0);
}

}  // namespace helm::model
