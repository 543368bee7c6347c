#include "exporter/heiretsu.h"

#include <fmt/format.h>

#include "core/text.h"
#include "exporter/option_list.h"
#include "ir/strategy_text.h"

namespace helm::exporter {
namespace {

constexpr int64_t kVocabulary = 50257;  // gpt_model.py: GPTConfig.vocab_size, no option

bool IsItsModel(const model::ModelSpec& model) {
  return model.activation == model::Activation::kGelu && model.norm == model::Norm::kLayerNorm &&
         model.position == model::Position::kLearned && model.bias && model.kv_heads == model.heads &&
         model.head_dim * model.heads == model.hidden && model.ffn == 4 * model.hidden && model.vocab == kVocabulary &&
         model.moe.experts == 0 && model.mla.kv_lora == 0 && model.tied_embeddings;
}

}  // namespace

Status CheckHeiretsu(const Subject& subject) {
  const ir::Strategy& strategy = subject.strategy;
  const ir::Optimizer usual;
  Refusals refusals("heiretsu");
  RefuseCommon(subject, refusals);
  refusals.If(!IsItsModel(subject.model), "model " + subject.model.name,
              "it trains GPTs with GELU, layer norm, learned positions, biases, tied embeddings, ffn 4 x hidden and the vocabulary 50257");
  refusals.If(subject.model.max_positions != subject.workload.sequence_length,
              fmt::format("workload.sequence_length {} of {} positions", subject.workload.sequence_length, subject.model.max_positions),
              "it has as many learned positions as a sequence has tokens (--block_size)");
  refusals.If(subject.cluster.node_count > 1, "a cluster of several nodes", "it starts on one, and its ranks lie pipeline before data");
  refusals.If(strategy.zero > 0, fmt::format("strategy.zero {}", strategy.zero), "it shards nothing; use zero: 0");
  refusals.If(strategy.recompute != "none", "strategy.recompute " + strategy.recompute, "it computes nothing again");
  refusals.If(strategy.context > 1, fmt::format("strategy.context {}", strategy.context), "its ranks have whole sequences");
  refusals.If(strategy.sequence_parallel, "strategy.sequence_parallel", "its tensor ranks keep whole activations");
  refusals.If(strategy.pipeline > 1 && strategy.schedule != "gpipe", "strategy.schedule " + strategy.schedule, "its pipelines run gpipe");
  refusals.If(!strategy.stages.empty(), "strategy.stages", "its stages have equally many layers");
  refusals.If(subject.workload.optimizer.epsilon != usual.epsilon, "workload.optimizer.epsilon", "it has no option for it; allowed: 1e-8");
  return refusals.ToStatus();
}

Result<Exported> ToHeiretsu(const Subject& subject) {
  HELM_RETURN_IF_ERROR(CheckHeiretsu(subject));
  const ir::Workload& workload = subject.workload;
  const ir::Strategy& strategy = subject.strategy;
  OptionList options;
  options.Add("--dp", strategy.data);
  options.Add("--ep", int64_t{1});
  options.Add("--tp", strategy.tensor);
  options.Add("--pp", strategy.pipeline);
  options.Add("--batch_size", strategy.micro_batch);
  options.Add("--grad_accum_steps", MicroBatches(workload, strategy));
  options.Add("--block_size", workload.sequence_length);
  options.Add("--n_layer", subject.model.layers);
  options.Add("--n_head", subject.model.heads);
  options.Add("--n_embed", subject.model.hidden);
  options.Add("--dropout", subject.software.hidden_dropout);
  options.Add("--amp", workload.dtype == ir::DataType::kFloat32 ? "none" : ir::DataTypeWord(workload));
  options.Add("--learning_rate", workload.optimizer.learning_rate);
  options.Add("--weight_decay", workload.optimizer.weight_decay);
  options.Add("--betas", FormatDouble(workload.optimizer.beta1) + " " + FormatDouble(workload.optimizer.beta2));
  options.Add("--grad_clip", workload.optimizer.clip_norm);
  options.Add("--seed", std::to_string(workload.seed));
  options.Add("--dist_backend", subject.cluster.device.is_cpu ? "gloo" : "nccl");
  return Exported{
      fmt::format("# {}: {}\n# For heiretsu. Add what a plan does not say: data, iterations.\n{}torchrun --standalone --nproc_per_node={} "
                  "train.py \"${{{}[@]}}\"\n",
                  subject.model.name, ir::Describe(strategy), options.ToText(), strategy.world_size(), kArgumentsArray),
      {}};
}

Status FromHeiretsu(const Exported& exported, Subject& subject) {
  HELM_ASSIGN_OR_RETURN(OptionList options, OptionList::Parse(exported.text));
  ir::Workload& workload = subject.workload;
  subject.strategy = {};
  ir::Strategy& strategy = subject.strategy;
  strategy.data = options.TakeInt("--dp", 1) * options.TakeInt("--ep", 1);
  strategy.tensor = options.TakeInt("--tp", 1);
  strategy.pipeline = options.TakeInt("--pp", 1);
  if (strategy.pipeline > 1) strategy.schedule = "gpipe";
  strategy.micro_batch = options.TakeInt("--batch_size", 64);
  workload.global_batch = strategy.micro_batch * options.TakeInt("--grad_accum_steps", 1) * strategy.data;
  workload.sequence_length = options.TakeInt("--block_size", 512);
  model::ModelSpec& model = subject.model;
  model.max_positions = workload.sequence_length;
  model.layers = options.TakeInt("--n_layer", 6);
  model.heads = model.kv_heads = options.TakeInt("--n_head", 6);
  model.hidden = options.TakeInt("--n_embed", 768);
  model.head_dim = model.hidden / model.heads;
  model.ffn = 4 * model.hidden;
  options.Take("--dropout");
  const std::string amp = options.Take("--amp").value_or("none");
  ir::SetDataType(amp == "bf16" || amp == "fp16" ? amp : "fp32", workload);
  workload.optimizer.learning_rate = options.TakeDouble("--learning_rate", 3e-4);
  workload.optimizer.weight_decay = options.TakeDouble("--weight_decay", 0.1);
  const std::vector<std::string> betas = Split(options.Take("--betas").value_or("0.9 0.95"), ' ');
  workload.optimizer.beta1 = ParseDouble(betas.front()).value_or(0.9);
  workload.optimizer.beta2 = ParseDouble(betas.back()).value_or(0.95);
  workload.optimizer.clip_norm = options.TakeDouble("--grad_clip", 1.0);
  workload.seed = ParseUint64(options.Take("--seed").value_or("")).value_or(1337);
  options.Take("--dist_backend");
  return options.Finish();
}

}  // namespace helm::exporter
