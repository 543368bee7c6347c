#include "exporter/torchtitan.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include <fmt/format.h>

#include "core/text.h"
#include "exporter/toml.h"
#include "ir/schedule_check.h"
#include "ir/schedule_csv.h"
#include "ir/strategy_text.h"
#include "model/chunks.h"
#include "schedule/pipeline_schedule.h"

namespace helm::exporter {
namespace {

// Models of torchtitan's registry (torchtitan/models/*/__init__.py, v0.2.2) by the sizes that tell them apart.
struct Flavor {
  const char* name;
  const char* flavor;
  int64_t layers, hidden, heads, kv_heads, ffn, vocab, experts;
};
constexpr Flavor kFlavors[] = {
    {"llama3", "8B", 32, 4096, 32, 8, 14336, 128256, 0},      {"llama3", "70B", 80, 8192, 64, 8, 28672, 128256, 0},
    {"llama3", "405B", 126, 16384, 128, 8, 53248, 128256, 0}, {"qwen3", "0.6B", 28, 1024, 16, 8, 3072, 151936, 0},
    {"qwen3", "1.7B", 28, 2048, 16, 8, 6144, 151936, 0},      {"qwen3", "4B", 36, 2560, 32, 8, 9728, 151936, 0},
    {"qwen3", "8B", 36, 4096, 32, 8, 12288, 151936, 0},       {"qwen3", "14B", 40, 5120, 40, 8, 17408, 151936, 0},
    {"qwen3", "32B", 64, 5120, 64, 8, 25600, 151936, 0}};

const Flavor* FlavorOf(const model::ModelSpec& m) {
  const auto* const found = std::ranges::find_if(kFlavors, [&](const Flavor& f) {
    return f.layers == m.layers && f.hidden == m.hidden && f.heads == m.heads && f.kv_heads == m.kv_heads && f.ffn == m.ffn &&
           f.vocab == m.vocab && f.experts == m.moe.experts;
  });
  return found == std::end(kFlavors) ? nullptr : found;
}

std::string FlavorNames() {
  std::vector<std::string> names;
  for (const Flavor& flavor : kFlavors) names.push_back(fmt::format("{} {}", flavor.name, flavor.flavor));
  return Join(names, ", ");
}

// Schedules that are the same in PyTorch, action by action (tests/oracle/check_schedules.py).
struct Equal {
  const char* schedule;
  const char* pytorch;
};
constexpr Equal kEqual[] = {{"gpipe", "GPipe"}, {"1f1b", "1F1B"}, {"interleaved-1f1b", "Interleaved1F1B"}, {"dualpipev", "DualPipeV"}};

const char* PyTorchName(const std::string& schedule) {
  const auto* const found = std::ranges::find(kEqual, std::string_view(schedule), &Equal::schedule);
  return found == std::end(kEqual) ? nullptr : found->pytorch;
}

// The modules of each chunk, by torchtitan's names.
std::string ModulesOf(const Subject& subject) {
  std::vector<std::string> parts;
  for (const model::Chunk& chunk : model::ChunksOf(subject.model, subject.strategy)) {
    std::vector<std::string> modules;
    if (chunk.embedding) modules.emplace_back(R"("tok_embeddings")");
    for (int64_t layer = chunk.layer_begin; layer < chunk.layer_end; ++layer) modules.push_back(fmt::format(R"("layers.{}")", layer));
    if (chunk.head) modules.insert(modules.end(), {R"("norm")", R"("output")"});
    parts.push_back("[" + Join(modules, ", ") + "]");
  }
  return "[" + Join(parts, ", ") + "]";
}

// The layers of each chunk, counted.
std::vector<ir::Stage> StagesOfModules(std::string_view modules) {
  std::vector<ir::Stage> stages;
  int64_t next = 0;
  for (size_t open = modules.find('[', 1); open != std::string_view::npos; open = modules.find('[', open + 1)) {
    const std::string_view part = modules.substr(open, modules.find(']', open) - open);
    int64_t layers = 0;
    for (size_t at = part.find("layers."); at != std::string_view::npos; at = part.find("layers.", at + 1)) ++layers;
    stages.push_back({next, next + layers});
    next += layers;
  }
  return stages;
}

void AddTraining(const Subject& subject, TomlSections& toml) {
  const ir::Workload& workload = subject.workload;
  const int64_t micro_batches = subject.strategy.pipeline > 1 ? MicroBatches(workload, subject.strategy) : 1;
  toml.AddText("optimizer", "name", "AdamW");
  toml.Add("optimizer", "lr", workload.optimizer.learning_rate);
  toml.Add("optimizer", "beta1", workload.optimizer.beta1);
  toml.Add("optimizer", "beta2", workload.optimizer.beta2);
  toml.Add("optimizer", "eps", workload.optimizer.epsilon);
  toml.Add("optimizer", "weight_decay", workload.optimizer.weight_decay);
  // Of one data-parallel rank at once; what is left of the global batch is accumulated.
  toml.Add("training", "local_batch_size", subject.strategy.micro_batch * micro_batches);
  toml.Add("training", "global_batch_size", workload.global_batch);
  toml.Add("training", "seq_len", workload.sequence_length);
  toml.Add("training", "max_norm", workload.optimizer.clip_norm);
  toml.AddText("training", "mixed_precision_param", workload.dtype == ir::DataType::kBFloat16 ? "bfloat16" : "float32");
  toml.AddText("training", "mixed_precision_reduce", "float32");
  toml.AddRaw("training", "seed", std::to_string(workload.seed));
}

void AddDegrees(const Subject& subject, TomlSections& toml) {
  const ir::Strategy& strategy = subject.strategy;
  const int64_t copies = strategy.zero == 0 ? strategy.data : strategy.fsdp_replicate;
  toml.Add("parallelism", "data_parallel_replicate_degree", copies);
  toml.Add("parallelism", "data_parallel_shard_degree", strategy.data / copies);
  if (strategy.zero > 0) toml.AddText("parallelism", "fsdp_reshard_after_forward", strategy.zero == 3 ? "always" : "never");
  toml.Add("parallelism", "tensor_parallel_degree", strategy.tensor);
  toml.Add("parallelism", "context_parallel_degree", strategy.context);
  const bool ring = subject.software.context_communication == ir::ContextCommunication::kRing;  // shards go round by an all-to-all
  if (strategy.context > 1) toml.AddText("parallelism", "context_parallel_rotate_method", ring ? "alltoall" : "allgather");
  toml.Add("parallelism", "pipeline_parallel_degree", strategy.pipeline);
}

// With a file of the schedule where PyTorch has no equal.
Status AddPipeline(const Subject& subject, TomlSections& toml, Exported& exported) {
  const ir::Strategy& strategy = subject.strategy;
  if (strategy.pipeline == 1) return OkStatus();
  if (const char* name = PyTorchName(strategy.schedule)) {
    toml.AddText("parallelism", "pipeline_parallel_schedule", name);
  } else {
    HELM_ASSIGN_OR_RETURN(const auto rows, schedule::PipelineSchedules(strategy, MicroBatches(subject.workload, strategy)));
    toml.AddText("parallelism", "pipeline_parallel_schedule", "PipelineScheduleMulti");
    toml.AddText("parallelism", "pipeline_parallel_schedule_csv", kScheduleFile);
    exported.more.push_back({kScheduleFile, ir::ToCsv(rows)});
  }
  toml.Add("parallelism", "pipeline_parallel_microbatch_size", strategy.micro_batch);
  toml.AddRaw("parallelism", "module_fqns_per_model_part", ModulesOf(subject));
  return OkStatus();
}

Status TakePipeline(TomlSections& toml, const Exported& exported, const model::ModelSpec& model, ir::Strategy& strategy) {
  strategy.micro_batch = toml.TakeInt("parallelism", "pipeline_parallel_microbatch_size", strategy.micro_batch);
  const std::string word = toml.TakeText("parallelism", "pipeline_parallel_schedule", "");
  if (const auto* const equal = std::ranges::find(kEqual, std::string_view(word), &Equal::pytorch); equal != std::end(kEqual)) {
    strategy.schedule = equal->schedule;
  }
  if (const std::string file = toml.TakeText("parallelism", "pipeline_parallel_schedule_csv", ""); !file.empty()) {
    const auto found = std::ranges::find(exported.more, file, &File::name);
    if (found == exported.more.end()) return InvalidError(fmt::format("error: the schedule {} is missing", file));
    HELM_ASSIGN_OR_RETURN(strategy.schedule_rows, ir::ParseScheduleCsv(found->text, file));
    strategy.schedule = "csv";
  }
  const auto modules = toml.TakeRaw("parallelism", "module_fqns_per_model_part");
  if (!modules) return OkStatus();
  strategy.stages = StagesOfModules(*modules);
  strategy.virtual_pipeline = std::ssize(strategy.stages) / strategy.pipeline;
  ir::Strategy equal = strategy;
  equal.stages.clear();
  if (model.layers % std::ssize(strategy.stages) != 0) return OkStatus();
  const auto even = model::ChunksOf(model, equal), own = model::ChunksOf(model, strategy);
  const bool same = std::ranges::equal(even, own, {}, &model::Chunk::layer_end, &model::Chunk::layer_end);
  if (same) strategy.stages.clear();
  return OkStatus();
}

void TakeTraining(TomlSections& toml, ir::Workload& workload) {
  toml.TakeText("optimizer", "name", "AdamW");
  workload.optimizer.learning_rate = toml.TakeDouble("optimizer", "lr", 8e-4);
  workload.optimizer.beta1 = toml.TakeDouble("optimizer", "beta1", 0.9);
  workload.optimizer.beta2 = toml.TakeDouble("optimizer", "beta2", 0.95);
  workload.optimizer.epsilon = toml.TakeDouble("optimizer", "eps", 1e-8);
  workload.optimizer.weight_decay = toml.TakeDouble("optimizer", "weight_decay", 0.1);
  workload.optimizer.clip_norm = toml.TakeDouble("training", "max_norm", 1.0);
  workload.global_batch = toml.TakeInt("training", "global_batch_size", workload.global_batch);
  workload.sequence_length = toml.TakeInt("training", "seq_len", 2048);
  workload.dtype =
      toml.TakeText("training", "mixed_precision_param", "bfloat16") == "bfloat16" ? ir::DataType::kBFloat16 : ir::DataType::kFloat32;
  toml.TakeText("training", "mixed_precision_reduce", "float32");
  workload.seed = ParseUint64(toml.TakeRaw("training", "seed").value_or("")).value_or(0);
}

void TakeDegrees(TomlSections& toml, ir::Software& software, ir::Strategy& strategy) {
  const int64_t copies = toml.TakeInt("parallelism", "data_parallel_replicate_degree", 1);
  const int64_t shards = toml.TakeInt("parallelism", "data_parallel_shard_degree", 1);
  const std::string reshard = toml.TakeText("parallelism", "fsdp_reshard_after_forward", "");
  strategy.data = copies * shards;
  if (!reshard.empty()) {
    strategy.zero = reshard == "always" ? 3 : 2;
    strategy.fsdp_replicate = copies;
  }
  strategy.tensor = toml.TakeInt("parallelism", "tensor_parallel_degree", 1);
  strategy.sequence_parallel = strategy.tensor > 1;
  strategy.context = toml.TakeInt("parallelism", "context_parallel_degree", 1);
  if (!reshard.empty()) strategy.fsdp_shard = shards * strategy.context;
  const std::string rotate = toml.TakeText("parallelism", "context_parallel_rotate_method", "");
  if (rotate == "alltoall") software.context_communication = ir::ContextCommunication::kRing;
  if (rotate == "allgather") software.context_communication = ir::ContextCommunication::kAllGather;
  strategy.pipeline = toml.TakeInt("parallelism", "pipeline_parallel_degree", 1);
}

}  // namespace

Status CheckTorchtitan(const Subject& subject) {
  const ir::Strategy& strategy = subject.strategy;
  Refusals refusals("torchtitan");
  RefuseCommon(subject, refusals);
  refusals.If(subject.cluster.device.is_cpu, "a cluster of CPUs", "it trains on GPUs");
  refusals.If(FlavorOf(subject.model) == nullptr, "model " + subject.model.name, "it trains models of its registry: " + FlavorNames());
  // Its flavors of Llama 3 are Llama 3.1's, which scale by 8 (torchtitan/models/llama3/model/args.py); those of Qwen3 do not scale.
  const bool scaled = subject.model.rope_scaling.type != model::RopeScaling::Type::kNone;
  refusals.If(scaled && (subject.model.qk_norm || subject.model.rope_scaling != model::Llama3RopeScaling(8)), "model.rope_scaling",
              "its flavors of Llama 3 scale as Llama 3.1 does, by 8; those of Qwen3 do not");
  refusals.If(strategy.zero == 1, "strategy.zero 1", "it shards the optimizer's state only together with the parameters (zero 3)");
  refusals.If(strategy.zero == 2 && strategy.fsdp_shard == 0, "strategy.zero 2 without fsdp",
              "it shards gradients only together with the parameters (zero 3, or fsdp with zero 2)");
  refusals.If(strategy.tensor > 1 && !strategy.sequence_parallel,
              fmt::format("strategy.tensor {} without sequence_parallel", strategy.tensor),
              "its tensor parallelism is always sequence parallel");
  refusals.If(strategy.recompute == "selective" || strategy.recompute == "custom",
              strategy.recompute == "custom" ? "strategy.recompute of chosen parts or layers" : "strategy.recompute selective",
              "its selective mode keeps other tensors than HELM's; allowed: none, full");
  refusals.If(strategy.context > 1 && (strategy.zero < 2 || strategy.fsdp_replicate > 1),
              fmt::format("strategy.context {} without parameters sharded over all ranks", strategy.context),
              "its context ranks share parameters with the data ranks; use zero: 3");
  refusals.If(strategy.context > 1 && subject.software.context_communication == ir::ContextCommunication::kAllToAll,
              "software.context_communication all_to_all", "its context ranks keep their positions; allowed: ring, all_gather");
  refusals.If(strategy.expert > 1, fmt::format("strategy.expert {}", strategy.expert),
              "it spreads experts over ranks that share parameters");
  refusals.If(subject.workload.dtype == ir::DataType::kFloat16, "workload.dtype fp16", "it trains in bfloat16 or float32");
  const int64_t micro_batches = MicroBatches(subject.workload, strategy), stages = strategy.pipeline * strategy.virtual_pipeline;
  refusals.If(strategy.pipeline > 1 && micro_batches < stages, fmt::format("{} micro-batches for {} stages", micro_batches, stages),
              "it needs at least as many micro-batches as stages");
  return refusals.ToStatus();
}

Result<Exported> ToTorchtitan(const Subject& subject) {
  HELM_RETURN_IF_ERROR(CheckTorchtitan(subject));
  Exported exported;
  TomlSections toml;
  const Flavor& flavor = *FlavorOf(subject.model);
  toml.AddText("model", "name", flavor.name);
  toml.AddText("model", "flavor", flavor.flavor);
  AddTraining(subject, toml);
  AddDegrees(subject, toml);
  HELM_RETURN_IF_ERROR(AddPipeline(subject, toml, exported));
  toml.AddText("activation_checkpoint", "mode", subject.strategy.recompute);
  if (subject.software.compile) toml.AddRaw("compile", "enable", "true");
  exported.text =
      fmt::format(
          "# {}: {}\n# For torchtitan v0.2.2: --job.config_file. Add what a plan does not say: data, tokenizer, steps, checkpoints.\n",
          subject.model.name, ir::Describe(subject.strategy)) +
      toml.ToText();
  return exported;
}

Status FromTorchtitan(const Exported& exported, Subject& subject) {
  HELM_ASSIGN_OR_RETURN(TomlSections toml, TomlSections::Parse(exported.text));
  const std::string name = toml.TakeText("model", "name", ""), flavor = toml.TakeText("model", "flavor", "");
  const Flavor* own = FlavorOf(subject.model);
  if (own == nullptr || name != own->name || flavor != own->flavor) {
    return InvalidError(fmt::format("error: model {} {} is not {}", name, flavor, subject.model.name));
  }
  ir::Strategy strategy;
  TakeDegrees(toml, subject.software, strategy);
  TakeTraining(toml, subject.workload);
  strategy.micro_batch = toml.TakeInt("training", "local_batch_size", 8);
  HELM_RETURN_IF_ERROR(TakePipeline(toml, exported, subject.model, strategy));
  strategy.recompute = toml.TakeText("activation_checkpoint", "mode", "selective");
  subject.software.compile = toml.TakeRaw("compile", "enable").value_or("false") == "true";
  subject.strategy = strategy;
  return toml.Finish();
}

}  // namespace helm::exporter
