#include "exporter/deepspeed.h"

#include <fmt/format.h>

#include "core/json.h"
#include "core/located_yaml.h"
#include "core/mapping_reader.h"
#include "ir/strategy_text.h"

namespace helm::exporter {
namespace {

using Json = nlohmann::ordered_json;

Json ZeroOf(const ir::Strategy& strategy) {
  Json zero = {{"stage", strategy.zero}, {"overlap_comm", true}, {"contiguous_gradients", true}, {"reduce_scatter", true}};
  if (strategy.fsdp_replicate > 1) zero["mics_shard_size"] = strategy.fsdp_shard;
  return zero;
}

Json OptimizerOf(const ir::Optimizer& optimizer) {
  return {{"type", "AdamW"},
          {"params",
           {{"lr", optimizer.learning_rate},
            {"betas", {optimizer.beta1, optimizer.beta2}},
            {"eps", optimizer.epsilon},
            {"weight_decay", optimizer.weight_decay}}}};
}

void TakeOptimizer(MappingReader& reader, Diagnostics& diagnostics, ir::Optimizer& optimizer) {
  const YamlValue* value = reader.RequireValue("optimizer");
  if (value == nullptr) return;
  MappingReader own(*value, "the optimizer", diagnostics);
  own.RequireChoice("type", {"AdamW"});
  const YamlValue* values = own.RequireValue("params");
  if (values == nullptr) return;
  MappingReader params(*values, "the optimizer's params", diagnostics);
  optimizer.learning_rate = params.RequireDouble("lr");
  optimizer.epsilon = params.RequireDouble("eps");
  optimizer.weight_decay = params.RequireDouble("weight_decay");
  const auto betas = params.DoubleList("betas");
  if (!betas || betas->size() != 2) return params.Error("betas", "two numbers are needed");
  optimizer.beta1 = (*betas)[0];
  optimizer.beta2 = (*betas)[1];
}

void TakeZero(MappingReader& reader, Diagnostics& diagnostics, ir::Strategy& strategy) {
  const YamlValue* value = reader.RequireValue("zero_optimization");
  if (value == nullptr) return;
  MappingReader zero(*value, "zero_optimization", diagnostics);
  strategy.zero = zero.RequireInt64("stage", {0, 3});
  for (const char* key : {"overlap_comm", "contiguous_gradients", "reduce_scatter"}) zero.Ignore(key);
  if (const auto shard = zero.Int64("mics_shard_size", kPositive)) {
    strategy.fsdp_shard = *shard;
    strategy.fsdp_replicate = strategy.data / *shard;
  }
}

bool TakeEnabled(MappingReader& reader, const char* key, Diagnostics& diagnostics) {
  const YamlValue* value = reader.Value(key);
  if (value == nullptr) return false;
  MappingReader own(*value, key, diagnostics);
  return own.RequireBool("enabled");
}

}  // namespace

Status CheckDeepSpeed(const Subject& subject) {
  const ir::Strategy& strategy = subject.strategy;
  Refusals refusals("deepspeed");
  RefuseCommon(subject, refusals);
  refusals.If(strategy.pipeline > 1, fmt::format("strategy.pipeline {}", strategy.pipeline),
              "stages are an argument of PipelineModule in the model's code, no key of its file");
  refusals.If(strategy.sequence_parallel, "strategy.sequence_parallel", "autotp_size splits the products alone");
  refusals.If(strategy.tensor > 1 && strategy.zero == 3, fmt::format("strategy.zero 3 with tensor {}", strategy.tensor),
              "its tensor parallelism takes zero 0 to 2");
  refusals.If(strategy.recompute != "none", "strategy.recompute " + strategy.recompute,
              "the model's code calls checkpointing, no key of its file does");
  refusals.If(strategy.context > 1, fmt::format("strategy.context {}", strategy.context),
              "its sequence parallelism is the model's code: attention wrapped for it, no key of its file");
  refusals.If(strategy.expert > 1, fmt::format("strategy.expert {}", strategy.expert), "the model's code makes its expert groups");
  refusals.If(strategy.zero == 2 && strategy.fsdp_shard > 0, "strategy.fsdp with zero 2", "with stage 2 all parameters stay whole");
  return refusals.ToStatus();
}

Result<Exported> ToDeepSpeed(const Subject& subject) {
  HELM_RETURN_IF_ERROR(CheckDeepSpeed(subject));
  const ir::Workload& workload = subject.workload;
  const ir::Strategy& strategy = subject.strategy;
  // train_batch_size = train_micro_batch_size_per_gpu x gradient_accumulation_steps x data-parallel ranks
  Json json = {{"train_batch_size", workload.global_batch},
               {"train_micro_batch_size_per_gpu", strategy.micro_batch},
               {"gradient_accumulation_steps", MicroBatches(workload, strategy)},
               {"gradient_clipping", workload.optimizer.clip_norm},
               {"optimizer", OptimizerOf(workload.optimizer)},
               {"zero_optimization", ZeroOf(strategy)}};
  if (workload.dtype != ir::DataType::kFloat32) json[ir::DataTypeWord(workload)] = {{"enabled", true}};
  if (strategy.tensor > 1) json["tensor_parallel"] = {{"autotp_size", strategy.tensor}};
  return Exported{json.dump(2) + "\n", {}};
}

Status FromDeepSpeed(const Exported& exported, Subject& subject) {
  HELM_ASSIGN_OR_RETURN(const YamlValue document, ParseLocatedJson(exported.text, "ds_config.json"));
  Diagnostics diagnostics;
  {
    MappingReader reader(document, "the configuration", diagnostics);
    subject.strategy = {};
    ir::Strategy& strategy = subject.strategy;
    ir::Workload& workload = subject.workload;
    workload.global_batch = reader.RequireInt64("train_batch_size", kPositive);
    strategy.micro_batch = reader.RequireInt64("train_micro_batch_size_per_gpu", kPositive);
    const int64_t steps = reader.RequireInt64("gradient_accumulation_steps", kPositive);
    workload.optimizer.clip_norm = reader.RequireDouble("gradient_clipping", kNotNegativeNumber);
    TakeOptimizer(reader, diagnostics, workload.optimizer);
    const bool bf16 = TakeEnabled(reader, "bf16", diagnostics), fp16 = TakeEnabled(reader, "fp16", diagnostics);
    ir::SetDataType(bf16 ? "bf16" : fp16 ? "fp16" : "fp32", workload);
    if (const YamlValue* value = reader.Value("tensor_parallel")) {
      MappingReader tensor(*value, "tensor_parallel", diagnostics);
      strategy.tensor = tensor.RequireInt64("autotp_size", kPositive);
    }
    if (!diagnostics.ok()) return diagnostics.ToStatus();
    strategy.data = workload.global_batch / (strategy.micro_batch * steps);
    TakeZero(reader, diagnostics, strategy);
    // Experts are not split over ranks, but as the products are.
    strategy.expert_tensor = subject.model.moe.experts > 0 ? strategy.tensor : 1;
  }
  return diagnostics.ToStatus();
}

}  // namespace helm::exporter
