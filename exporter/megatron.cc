#include "exporter/megatron.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.h"
#include "exporter/megatron_model.h"
#include "ir/sharding.h"
#include "ir/strategy_text.h"
#include "model/chunks.h"

namespace helm::exporter {
namespace {

bool ShardsWithFsdp(const ir::Strategy& strategy) { return strategy.zero >= 2; }

// --recompute-modules (megatron/core/transformer/transformer_config.py), and the parts of HELM's layers that they are.
struct Module {
  std::string_view name, part;
};
constexpr Module kModules[] = {{"core_attn", "core_attention"},
                               {"moe_act", "moe_activation"},
                               {"layernorm", "norm"},
                               {"mla_up_proj", "mla_up_projection"},
                               {"mlp", "mlp"},
                               {"moe", "moe"},
                               {"shared_experts", "shared_experts"}};

std::vector<std::string> ModuleNames() {
  std::vector<std::string> names;
  for (const Module& module : kModules) names.emplace_back(module.name);
  return names;
}

// Empty: it has none.
std::string ModuleOf(std::string_view part) {
  const auto* found = std::ranges::find(kModules, part, &Module::part);
  return found == std::end(kModules) ? "" : std::string(found->name);
}

std::string PartOf(std::string_view module) {
  const auto* found = std::ranges::find(kModules, module, &Module::name);
  return found == std::end(kModules) ? "" : std::string(found->part);
}

void AddRecompute(const ir::Strategy& strategy, OptionList& options) {
  if (strategy.recompute == "none") return;
  const bool modules = strategy.recompute == "selective" || !strategy.recompute_ops.empty();
  options.Add("--recompute-granularity", modules ? "selective" : "full");
  if (strategy.recompute == "selective") {
    options.Add("--recompute-modules", "core_attn");
  } else if (modules) {
    std::vector<std::string> names;
    for (const std::string& part : strategy.recompute_ops) names.push_back(ModuleOf(part));
    options.Add("--recompute-modules", Join(names, " "));
  } else {
    // "block": the first layers of each chunk; "uniform": all, each kept by its input.
    options.Add("--recompute-method", strategy.recompute_layers > 0 ? "block" : "uniform");
    options.Add("--recompute-num-layers", std::max(strategy.recompute_layers, int64_t{1}));
  }
}

void TakeRecompute(OptionList& options, ir::Strategy& strategy) {
  strategy.recompute = options.Take("--recompute-granularity").value_or("none");
  const std::string modules = options.Take("--recompute-modules").value_or("core_attn");
  const bool first_layers = options.Take("--recompute-method").value_or("") == "block";
  const int64_t layers = options.TakeInt("--recompute-num-layers", 1);
  if (first_layers) {
    strategy.recompute = "custom";
    strategy.recompute_layers = layers;
  } else if (strategy.recompute == "selective" && modules != "core_attn") {
    strategy.recompute = "custom";
    for (const std::string& module : Split(modules, ' ')) strategy.recompute_ops.push_back(PartOf(module));
  }
}

// Where chunks hold different numbers of layers: E embedding, t a layer, L head and loss; | between chunks.
std::string Layout(const std::vector<ir::Stage>& stages) {
  std::vector<std::string> parts;
  for (const ir::Stage& stage : stages) parts.push_back(stage.layers() > 0 ? fmt::format("t*{}", stage.layers()) : "");
  return "E" + Join(parts, "|") + "L";
}

std::vector<ir::Stage> StagesOf(std::string_view layout) {
  std::vector<ir::Stage> stages;
  int64_t next = 0;
  for (const std::string& part : Split(layout.substr(1, layout.size() - 2), '|')) {
    const int64_t layers = part.empty() ? 0 : ParseInt64(std::string_view(part).substr(2)).value_or(0);
    stages.push_back({next, next + layers});
    next += layers;
  }
  return stages;
}

// How ranks of a sequence exchange keys and values; Megatron's zig-zag of positions is HELM's.
struct CommunicationName {
  const char* word;
  ir::ContextCommunication communication;
};
constexpr CommunicationName kCommunications[] = {{"p2p", ir::ContextCommunication::kRing},
                                                 {"allgather", ir::ContextCommunication::kAllGather},
                                                 {"a2a", ir::ContextCommunication::kAllToAll}};

std::string CommunicationWord(ir::ContextCommunication communication) {
  return std::ranges::find(kCommunications, communication, &CommunicationName::communication)->word;
}

void TakeCommunication(OptionList& options, ir::Software& software) {
  const std::string word = options.Take("--cp-comm-type").value_or("");
  for (const CommunicationName& name : kCommunications) {
    if (word == name.word) software.context_communication = name.communication;
  }
}

void AddParallelism(const Subject& subject, OptionList& options) {
  const ir::Strategy& strategy = subject.strategy;
  options.Add("--tensor-model-parallel-size", strategy.tensor);
  options.Add("--pipeline-model-parallel-size", strategy.pipeline);
  options.Add("--context-parallel-size", strategy.context);
  if (strategy.context > 1) options.Add("--cp-comm-type", CommunicationWord(subject.software.context_communication));
  options.FlagIf(strategy.sequence_parallel, "--sequence-parallel");
  // Exactly one of the two, or neither (validate_args).
  if (!strategy.stages.empty()) {
    options.Add("--pipeline-model-parallel-layout", Layout(strategy.stages));
  } else if (strategy.virtual_pipeline > 1) {
    options.Add("--num-virtual-stages-per-pipeline-rank", strategy.virtual_pipeline);
  }
  if (subject.model.moe.experts > 0) {
    options.Add("--expert-model-parallel-size", strategy.expert);
    options.Add("--expert-tensor-parallel-size", strategy.expert_tensor);
    options.Add("--moe-token-dispatcher-type", "alltoall");
    options.FlagIf(subject.software.expert_grouped_gemm && subject.workload.dtype == ir::DataType::kBFloat16, "--moe-grouped-gemm");
  }
  AddRecompute(strategy, options);
}

void AddDataParallelism(const ir::Strategy& strategy, OptionList& options) {
  options.FlagIf(strategy.zero >= 1, "--use-distributed-optimizer");
  if (ShardsWithFsdp(strategy)) {
    options.Flag("--use-megatron-fsdp");
    options.Add("--data-parallel-sharding-strategy", strategy.zero == 2 ? "optim_grads" : "optim_grads_params");
    options.Add("--ckpt-format", "fsdp_dtensor");
    if (strategy.fsdp_replicate > 1) {
      options.Add("--num-distributed-optimizer-instances", strategy.fsdp_replicate);
      options.Add("--outer-dp-sharding-strategy", "no_shard");
    }
  }
  options.FlagIf(strategy.data > 1, "--overlap-grad-reduce");
}

void AddTraining(const Subject& subject, OptionList& options) {
  const ir::Workload& workload = subject.workload;
  options.Add("--micro-batch-size", subject.strategy.micro_batch);
  options.Add("--global-batch-size", workload.global_batch);
  options.Add("--seq-length", workload.sequence_length);
  if (workload.dtype != ir::DataType::kFloat32) options.Flag("--" + ir::DataTypeWord(workload));
  options.Add("--optimizer", "adam");
  options.Add("--lr", workload.optimizer.learning_rate);
  options.Add("--adam-beta1", workload.optimizer.beta1);
  options.Add("--adam-beta2", workload.optimizer.beta2);
  options.Add("--adam-eps", workload.optimizer.epsilon);
  options.Add("--weight-decay", workload.optimizer.weight_decay);
  options.Add("--clip-grad", workload.optimizer.clip_norm);
  options.Add("--seed", static_cast<int64_t>(workload.seed));
  options.Add("--attention-dropout", subject.software.attention_dropout);
  options.Add("--hidden-dropout", subject.software.hidden_dropout);
}

// CUDA_DEVICE_MAX_CONNECTIONS must be 1 for tensor and context parallelism before Blackwell, and must not be 1 for FSDP (validate_args).
std::string Environment(const Subject& subject) {
  const bool splits = subject.strategy.tensor > 1 || subject.strategy.context > 1;
  if (ShardsWithFsdp(subject.strategy)) return "export CUDA_DEVICE_MAX_CONNECTIONS=8\n";
  return splits && subject.cluster.device.architecture != "blackwell" ? "export CUDA_DEVICE_MAX_CONNECTIONS=1\n" : "";
}

std::string Launch(const cluster::Cluster& cluster) {
  const int64_t nodes = (cluster.devices_used + cluster.devices_per_node - 1) / cluster.devices_per_node;
  const int64_t ranks = nodes == 1 ? cluster.devices_used : cluster.devices_per_node;
  const std::string where = nodes == 1 ? "--standalone" : R"(--rdzv_backend c10d --rdzv_endpoint "$MASTER_ADDR:29500")";
  return fmt::format("torchrun --nnodes {} --nproc_per_node {} {} pretrain_gpt.py \"${{{}[@]}}\"\n", nodes, ranks, where, kArgumentsArray);
}

// Ranks that the torchrun line starts.
Result<int64_t> WorldSizeOf(std::string_view text) {
  int64_t world = 1;
  for (const std::string_view option : {"--nnodes ", "--nproc_per_node "}) {
    const size_t at = text.rfind(option);
    const std::string_view rest = at == std::string_view::npos ? "" : text.substr(at + option.size());
    const auto number = ParseInt64(rest.substr(0, rest.find(' ')));
    if (!number || *number < 1) return InvalidError(fmt::format("error: there is no torchrun line with {}N", option));
    world *= *number;
  }
  return world;
}

void TakeParallelism(OptionList& options, ir::Strategy& strategy) {
  strategy.tensor = options.TakeInt("--tensor-model-parallel-size", 1);
  strategy.pipeline = options.TakeInt("--pipeline-model-parallel-size", 1);
  strategy.context = options.TakeInt("--context-parallel-size", 1);
  strategy.sequence_parallel = options.TakeFlag("--sequence-parallel");
  strategy.virtual_pipeline = options.TakeInt("--num-virtual-stages-per-pipeline-rank", 1);
  if (const auto layout = options.Take("--pipeline-model-parallel-layout"); layout && layout->size() >= 2) {
    strategy.stages = StagesOf(*layout);
    strategy.virtual_pipeline = std::ssize(strategy.stages) / strategy.pipeline;
  }
  if (strategy.pipeline > 1) strategy.schedule = strategy.virtual_pipeline > 1 ? "interleaved-1f1b" : "1f1b";
  strategy.expert = options.TakeInt("--expert-model-parallel-size", 1);
  strategy.expert_tensor = options.TakeInt("--expert-tensor-parallel-size", 1);
  options.Take("--moe-token-dispatcher-type");
  options.TakeFlag("--moe-grouped-gemm");
  TakeRecompute(options, strategy);
  strategy.micro_batch = options.TakeInt("--micro-batch-size");
}

void TakeDataParallelism(OptionList& options, int64_t data, ir::Strategy& strategy) {
  strategy.data = data;
  strategy.zero = options.TakeFlag("--use-distributed-optimizer") ? 1 : 0;
  if (options.TakeFlag("--use-megatron-fsdp")) {
    strategy.zero = options.Take("--data-parallel-sharding-strategy").value_or("") == "optim_grads" ? 2 : 3;
    options.Take("--ckpt-format");
    options.Take("--outer-dp-sharding-strategy");
    const int64_t copies = options.TakeInt("--num-distributed-optimizer-instances", 1);
    if (copies > 1) strategy.fsdp_shard = data * strategy.context / copies;
    strategy.fsdp_replicate = copies;
  }
  options.TakeFlag("--overlap-grad-reduce");
}

void TakeTraining(OptionList& options, ir::Workload& workload) {
  workload.global_batch = options.TakeInt("--global-batch-size");
  workload.sequence_length = options.TakeInt("--seq-length");
  ir::SetDataType(options.TakeFlag("--bf16") ? "bf16" : options.TakeFlag("--fp16") ? "fp16" : "fp32", workload);
  options.Take("--optimizer");
  workload.optimizer.learning_rate = options.TakeDouble("--lr", 0);
  workload.optimizer.beta1 = options.TakeDouble("--adam-beta1", 0.9);
  workload.optimizer.beta2 = options.TakeDouble("--adam-beta2", 0.999);
  workload.optimizer.epsilon = options.TakeDouble("--adam-eps", 1e-8);
  workload.optimizer.weight_decay = options.TakeDouble("--weight-decay", 0.01);
  workload.optimizer.clip_norm = options.TakeDouble("--clip-grad", 1.0);
  workload.seed = static_cast<uint64_t>(options.TakeInt("--seed", 1234));
  options.Take("--attention-dropout");
  options.Take("--hidden-dropout");
}

}  // namespace

Status CheckMegatron(const Subject& subject) {
  const ir::Strategy& strategy = subject.strategy;
  Refusals refusals("megatron");
  RefuseCommon(subject, refusals);
  RefuseForMegatron(subject.model, strategy, refusals);
  refusals.If(subject.cluster.device.is_cpu, "a cluster of CPUs", "it trains on GPUs");
  const cluster::Cluster& cluster = subject.cluster;
  refusals.If(cluster.devices_used > cluster.devices_per_node && cluster.devices_used % cluster.devices_per_node != 0,
              fmt::format("cluster of {} GPUs in nodes of {}", cluster.devices_used, cluster.devices_per_node),
              "torchrun starts as many ranks on each of its nodes");
  refusals.If(strategy.pipeline > 1 && strategy.schedule != "1f1b" && strategy.schedule != "interleaved-1f1b",
              "strategy.schedule " + strategy.schedule, "its pipelines run 1f1b or interleaved-1f1b");
  refusals.If(ShardsWithFsdp(strategy) && (strategy.pipeline > 1 || strategy.expert > 1),
              fmt::format("strategy.zero {} with pipeline or expert", strategy.zero), "its FSDP excludes both");
  refusals.If(strategy.zero == 2 && strategy.fsdp_shard > 0, "strategy.fsdp with zero 2",
              "it either keeps all parameters (optim_grads) or drops them after use (optim_grads_params)");
  for (const std::string& part : strategy.recompute_ops) {
    refusals.If(ModuleOf(part).empty(), "strategy.recompute of " + part, "of its modules it computes again " + Join(ModuleNames(), ", "));
  }
  refusals.If(strategy.recompute_layers > 0 && !strategy.recompute_ops.empty(), "strategy.recompute of parts of some layers",
              "it computes modules of all layers again, or whole layers of some");
  // numpy's seeds, which it sets from --seed, have 32 bits.
  refusals.If(subject.workload.seed > UINT32_MAX, fmt::format("workload.seed {}", subject.workload.seed), "seeds are below 2^32");
  const auto empty = std::ranges::find_if(strategy.stages, [&](const ir::Stage& stage) {
    const bool end = &stage == &strategy.stages.front() || &stage == &strategy.stages.back();
    return stage.layers() == 0 && !end;
  });
  refusals.If(empty != strategy.stages.end(), "a stage without layers between others", "an empty stage of its layout is an error");
  return refusals.ToStatus();
}

Result<Exported> ToMegatron(const Subject& subject) {
  HELM_RETURN_IF_ERROR(CheckMegatron(subject));
  OptionList options;
  AddParallelism(subject, options);
  AddDataParallelism(subject.strategy, options);
  AddTraining(subject, options);
  AddMegatronModel(subject.model, subject.workload, subject.strategy, options);
  std::string text = fmt::format(
      "# {}: {}\n# For Megatron-LM. Add what a plan does not say: data, tokenizer, schedule of the learning rate, checkpoints.\n",
      subject.model.name, ir::Describe(subject.strategy));
  text += Environment(subject) + options.ToText() + Launch(subject.cluster);
  return Exported{text, {}};
}

Status FromMegatron(const Exported& exported, Subject& subject) {
  HELM_ASSIGN_OR_RETURN(OptionList options, OptionList::Parse(exported.text));
  HELM_ASSIGN_OR_RETURN(const int64_t world, WorldSizeOf(exported.text));
  subject.strategy = {};
  TakeParallelism(options, subject.strategy);
  TakeCommunication(options, subject.software);
  const int64_t split = subject.strategy.tensor * subject.strategy.pipeline * subject.strategy.context;
  if (split < 1 || world % split != 0)
    return InvalidError(fmt::format("error: {} ranks are not divisible by tensor x pipeline x context {}", world, split));
  TakeDataParallelism(options, world / split, subject.strategy);
  TakeTraining(options, subject.workload);
  TakeMegatronModel(options, subject.strategy, subject.model);
  return options.Finish();
}

}  // namespace helm::exporter
