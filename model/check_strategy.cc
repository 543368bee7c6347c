// CheckStrategy: which splits of which models the lowering knows, with every reason against one at once.
#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/text.h"
#include "ir/schedule_check.h"
#include "ir/strategy_text.h"
#include "model/chunks.h"
#include "model/lower.h"
#include "model/supported.h"

namespace helm::model {

namespace {

class Problems {
 public:
  void Require(bool fine, std::string message) {
    if (!fine) problems_.push_back("error: " + std::move(message));
  }
  // `what` in units of `count` cannot be shared evenly by `ranks`.
  void Divides(const char* what, int64_t count, const char* degree, int64_t ranks) {
    Require(ranks > 0 && count % ranks == 0,
            fmt::format("{} {} is not divisible by {} {}; choose a {} that divides {}", what, count, degree, ranks, degree, count));
  }
  bool empty() const { return problems_.empty(); }
  Status ToStatus() const { return problems_.empty() ? OkStatus() : InvalidError(Join(problems_, "\n")); }

 private:
  std::vector<std::string> problems_;
};

void CheckPositive(const ir::Workload& workload, const ir::Strategy& strategy, Problems& problems) {
  const std::pair<const char*, int64_t> values[] = {{"strategy.data", strategy.data},
                                                    {"strategy.tensor", strategy.tensor},
                                                    {"strategy.context", strategy.context},
                                                    {"strategy.pipeline", strategy.pipeline},
                                                    {"strategy.expert", strategy.expert},
                                                    {"strategy.expert_tensor", strategy.expert_tensor},
                                                    {"strategy.virtual_pipeline", strategy.virtual_pipeline},
                                                    {"strategy.micro_batch", strategy.micro_batch},
                                                    {"workload.global_batch", workload.global_batch},
                                                    {"workload.sequence_length", workload.sequence_length}};
  for (const auto& [name, value] : values) problems.Require(value >= 1, fmt::format("{} is {}; it must be at least 1", name, value));
}

void CheckSupported(const ir::Workload& workload, const ir::Strategy& strategy, Problems& problems) {
  problems.Require(strategy.zero >= 0 && strategy.zero <= 3, fmt::format("strategy.zero {} is not known; allowed: 0 to 3", strategy.zero));
  constexpr std::array kRecompute = {"none", "selective", "full", "custom"};
  problems.Require(std::ranges::find(kRecompute, strategy.recompute) != kRecompute.end(),
                   fmt::format("strategy.recompute '{}' is not known; allowed: none, selective, full, or a mapping of ops and layers",
                               strategy.recompute));
  problems.Require(
      std::ranges::find(ir::WorkloadKinds(), workload.kind) != ir::WorkloadKinds().end(),
      fmt::format("workload.kind '{}' is not supported by this version; allowed: {}", workload.kind, Join(ir::WorkloadKinds(), ", ")));
  problems.Require(
      workload.dtype == ir::DataType::kFloat32 || workload.dtype == ir::DataType::kBFloat16 || workload.dtype == ir::DataType::kFloat16,
      fmt::format("workload.dtype '{}' is not supported by this version; allowed: fp32, bf16, fp16", ir::Name(workload.dtype)));
}

void CheckTensorSplit(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy, Problems& problems) {
  problems.Divides("model heads", model.heads, "strategy.tensor", strategy.tensor);
  problems.Divides("model kv_heads", model.kv_heads, "strategy.tensor", strategy.tensor);
  if (HasDenseLayers(model)) problems.Divides("model ffn", model.ffn, "strategy.tensor", strategy.tensor);
  problems.Divides("model padded_vocab", model.padded_vocab, "strategy.tensor", strategy.tensor);
  problems.Require(model.padded_vocab == 0 || model.padded_vocab >= model.vocab,
                   fmt::format("model padded_vocab {} is less than its vocab {}", model.padded_vocab, model.vocab));
  if (!strategy.sequence_parallel) return;
  const int64_t tokens = strategy.micro_batch * workload.sequence_length / strategy.context;
  problems.Divides("with sequence_parallel, tokens of a micro-batch (micro_batch x sequence_length)", tokens, "strategy.tensor",
                   strategy.tensor);
}

// Each rank has two of 2 x context equal parts of a sequence (lower_context.cc).
void CheckContext(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy, Problems& problems) {
  if (strategy.context == 1) return;
  problems.Require(
      strategy.context > 0 && workload.sequence_length % (2 * strategy.context) == 0,
      fmt::format("workload.sequence_length {} is not divisible by 2 x strategy.context {}, the parts that each rank has two of; choose a "
                  "multiple of {}",
                  workload.sequence_length, strategy.context, 2 * strategy.context));
  problems.Require(model.mla.kv_lora == 0,
                   fmt::format("strategy.context {} with latent attention is not supported by this version; allowed: 1", strategy.context));
}

// Which ranks hold which experts: expert x expert_tensor neighbours hold all of them once.
void CheckExpertMesh(const ir::Strategy& strategy, Problems& problems) {
  const int64_t tensor = strategy.tensor, ranks = tensor * strategy.context * strategy.data;
  const int64_t holders = strategy.expert * strategy.expert_tensor;
  problems.Require(strategy.expert_tensor == 1 || strategy.expert_tensor == tensor,
                   fmt::format("strategy.expert_tensor {} is not supported by this version; allowed: 1 or strategy.tensor {}",
                               strategy.expert_tensor, tensor));
  problems.Require(strategy.expert_tensor == tensor || strategy.sequence_parallel,
                   fmt::format("strategy.expert_tensor 1 with tensor {} needs sequence_parallel: true, so that the tensor ranks have "
                               "different tokens; or use expert_tensor: {}",
                               tensor, tensor));
  problems.Require(ranks % holders == 0, fmt::format("strategy.expert {} x expert_tensor {} does not divide data x tensor x context = {}; "
                                                     "choose degrees whose product divides {}",
                                                     strategy.expert, strategy.expert_tensor, ranks, ranks));
  const bool alike = strategy.expert == 1 && strategy.expert_tensor == tensor;  // all tensor groups hold all experts
  problems.Require(alike || holders % (tensor * strategy.context) == 0,
                   fmt::format("strategy.expert {} x expert_tensor {} is no multiple of tensor x context = {}; use expert_tensor: {}",
                               strategy.expert, strategy.expert_tensor, tensor * strategy.context, tensor));
  problems.Require(
      strategy.expert == 1 || (strategy.zero <= 1 && strategy.fsdp_shard == 0),
      fmt::format("strategy.zero {} with expert {} is not supported by this version; allowed: 0, 1", strategy.zero, strategy.expert));
}

void CheckExperts(const ModelSpec& model, const ir::Strategy& strategy, Problems& problems) {
  if (model.moe.experts == 0) {
    const std::pair<const char*, int64_t> degrees[] = {{"expert", strategy.expert}, {"expert_tensor", strategy.expert_tensor}};
    for (const auto& [name, value] : degrees) {
      problems.Require(value == 1, fmt::format("strategy.{} {} needs a model with experts; allowed: 1", name, value));
    }
    return;
  }
  problems.Divides("model moe.experts", model.moe.experts, "strategy.expert", strategy.expert);
  problems.Divides("model moe.ffn", model.moe.ffn, "strategy.expert_tensor", strategy.expert_tensor);
  problems.Divides("model moe.shared_ffn", model.moe.shared_ffn, "strategy.tensor", strategy.tensor);
  CheckExpertMesh(strategy, problems);
}

// Parts that the model has.
void CheckRecomputedParts(const ModelSpec& model, const ir::Strategy& strategy, Problems& problems) {
  const bool experts = model.moe.experts > 0, dense = HasDenseLayers(model);
  const std::map<std::string_view, std::pair<bool, const char*>> needs = {
      {"mla_up_projection", {model.mla.kv_lora > 0, "latent attention"}},
      {"mlp", {dense, "dense layers"}},
      {"mlp_up", {dense, "dense layers"}},
      {"mlp_activation", {dense, "dense layers"}},
      {"mlp_down", {dense, "dense layers"}},
      {"moe", {experts, "experts"}},
      {"moe_activation", {experts, "experts"}},
      {"shared_experts", {model.moe.shared_ffn > 0, "shared experts"}}};
  const auto has = [&](std::string_view part) { return std::ranges::find(strategy.recompute_ops, part) != strategy.recompute_ops.end(); };
  for (const auto& [part, need] : needs) {
    problems.Require(need.first || !has(part),
                     fmt::format("strategy.recompute.ops: {} needs a model with {}; remove it", part, need.second));
  }
  const bool heads = has("qkv_projection") || has("rope");
  problems.Require(strategy.context == 1 || !heads || has("core_attention"),
                   fmt::format("strategy.recompute.ops: qkv_projection and rope with context {} need core_attention too: what the ranks "
                               "exchange is made of query, key and value",
                               strategy.context));
}

// A stage without embedding, head and loss needs a layer.
void CheckNoIdleStage(const ir::Strategy& strategy, Problems& problems) {
  std::vector<bool> busy(static_cast<size_t>(strategy.pipeline), false);
  for (size_t chunk = 0; chunk < strategy.stages.size(); ++chunk) {
    const bool end = chunk == 0 || chunk + 1 == strategy.stages.size() || static_cast<int64_t>(chunk) == HeadChunk(strategy);
    const auto stage = static_cast<size_t>(StageOfChunk(strategy, static_cast<int64_t>(chunk)));
    if (stage < busy.size() && (end || strategy.stages[chunk].layers() > 0)) busy[stage] = true;  // beyond it: another problem
  }
  const auto idle = std::ranges::find(busy, false) - busy.begin();
  problems.Require(idle == std::ssize(busy),
                   fmt::format("strategy.stages give stage {} of {} neither a layer nor embedding or head", idle, strategy.pipeline));
}

// The head comes behind all layers.
void CheckHead(const ir::Strategy& strategy, Problems& problems) {
  if (strategy.head_stage < 0) return;
  problems.Require(
      strategy.virtual_pipeline == 1 && strategy.head_stage < strategy.pipeline,
      fmt::format("strategy.head_stage {} needs virtual_pipeline 1 and more than {} stages", strategy.head_stage, strategy.head_stage));
  problems.Require(!strategy.stages.empty() || strategy.head_stage + 1 == strategy.pipeline,
                   "strategy.head_stage before the last stage needs strategy.stages");
  for (int64_t stage = strategy.head_stage + 1; stage < std::ssize(strategy.stages); ++stage) {
    problems.Require(strategy.stages[static_cast<size_t>(stage)].layers() == 0,
                     fmt::format("strategy.stages: stage {} has layers, behind the head on stage {}", stage, strategy.head_stage));
  }
}

// With `fsdp: {shard, replicate}`.
void CheckSharding(const ir::Strategy& strategy, Problems& problems) {
  if (strategy.fsdp_shard == 0) return;
  const int64_t ranks = strategy.data * strategy.context;
  problems.Require(strategy.zero >= 2, fmt::format("strategy.fsdp needs zero 2 (parameters kept between forward and backward) or 3 "
                                                   "(dropped), not zero {}",
                                                   strategy.zero));
  problems.Require(strategy.fsdp_shard * strategy.fsdp_replicate == ranks,
                   fmt::format("strategy.fsdp: shard {} x replicate {} is not data x context = {}", strategy.fsdp_shard,
                               strategy.fsdp_replicate, ranks));
  problems.Require(strategy.fsdp_shard % strategy.context == 0,
                   fmt::format("strategy.fsdp: shard {} is no multiple of context {}, whose ranks are neighbours", strategy.fsdp_shard,
                               strategy.context));
  problems.Require(strategy.fsdp_replicate == 1 || strategy.fsdp_shard > 1,
                   "strategy.fsdp: shard 1 with several copies is zero 0; remove 'fsdp'");
}

// A schedule of the user's own says how many stages and chunks there are.
void CheckScheduleRows(const ir::Strategy& strategy, Problems& problems) {
  if (strategy.schedule != "csv") return;
  const auto rows = std::ssize(strategy.schedule_rows);
  const int64_t chunks = ir::StagesOf(strategy.schedule_rows);
  problems.Require(rows == strategy.pipeline && chunks == strategy.pipeline * strategy.virtual_pipeline,
                   fmt::format("strategy.schedule has {} rows with {} stages; it needs strategy.pipeline {} rows with {} (pipeline x "
                               "virtual_pipeline) stages",
                               rows, chunks, strategy.pipeline, strategy.pipeline * strategy.virtual_pipeline));
}

void CheckPipeline(const ModelSpec& model, const ir::Strategy& strategy, Problems& problems) {
  const int64_t chunks = strategy.pipeline * strategy.virtual_pipeline;
  CheckScheduleRows(strategy, problems);
  if (strategy.stages.empty()) {
    problems.Require(
        model.layers % chunks == 0,
        fmt::format("model layers {} is not divisible by strategy.pipeline x strategy.virtual_pipeline {}; choose degrees whose "
                    "product divides {}, or say with strategy.stages how many layers each stage holds",
                    model.layers, chunks, model.layers));
  } else {
    problems.Require(static_cast<int64_t>(strategy.stages.size()) == chunks,
                     fmt::format("strategy.stages has {} items; it needs strategy.pipeline x strategy.virtual_pipeline = {}",
                                 strategy.stages.size(), chunks));
    int64_t next = 0;
    for (const ir::Stage& stage : strategy.stages) {
      problems.Require(
          stage.layer_first == next && stage.layer_end >= next,
          fmt::format("strategy.stages: layers [{}, {}] do not follow the {} layers before", stage.layer_first, stage.layer_end, next));
      next = stage.layer_end;
    }
    if (std::ssize(strategy.stages) == chunks) CheckNoIdleStage(strategy, problems);
    problems.Require(next == model.layers, fmt::format("strategy.stages hold {} layers, the model has {}", next, model.layers));
  }
  CheckHead(strategy, problems);
  problems.Require(strategy.pipeline > 1 || strategy.schedule == "none",
                   fmt::format("strategy.schedule '{}' needs pipeline > 1; allowed without it: none", strategy.schedule));
  problems.Require(strategy.pipeline > 1 || strategy.virtual_pipeline == 1,
                   fmt::format("strategy.virtual_pipeline {} needs pipeline > 1; allowed without it: 1", strategy.virtual_pipeline));
  problems.Require(strategy.pipeline == 1 || strategy.schedule != "none",
                   "strategy.schedule 'none' cannot run pipeline > 1; name one, such as 1f1b");
}

// Data-parallel ranks with different numbers of micro-batches meet once a step, when all their gradients are whole.
void CheckShares(const ir::Workload& workload, const ir::Strategy& strategy, Problems& problems) {
  const std::vector<int64_t>& counts = strategy.micro_batches;
  problems.Require(std::ssize(counts) == strategy.data, fmt::format("strategy.micro_batches has {} items; it needs one for each of the {} "
                                                                    "data-parallel ranks",
                                                                    counts.size(), strategy.data));
  problems.Require(std::ranges::all_of(counts, [](int64_t count) { return count >= 1; }),
                   "strategy.micro_batches: each data-parallel rank needs at least one");
  const int64_t sum = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  problems.Require(sum * strategy.micro_batch == workload.global_batch,
                   fmt::format("strategy.micro_batches are {} in all, of micro_batch {} sequences; workload.global_batch is {}", sum,
                               strategy.micro_batch, workload.global_batch));
  const auto alone = [&](bool fine, const std::string& with, const char* allowed) {
    problems.Require(fine, fmt::format("strategy.micro_batches with {} is not supported; allowed: {}", with, allowed));
  };
  alone(strategy.zero <= 1 && strategy.fsdp_shard == 0,
        strategy.fsdp_shard > 0 ? "fsdp" : fmt::format("zero {}, which communicates with every micro-batch,", strategy.zero), "zero 0, 1");
  alone(strategy.expert == 1, fmt::format("expert {}, which exchanges tokens in every micro-batch,", strategy.expert), "1");
  alone(strategy.overlap == "none", "overlap " + strategy.overlap, "none");
  alone(strategy.schedule != "csv", "a schedule of its own, which is of one number of micro-batches,", "a schedule's name");
}

void CheckWorkload(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy, Problems& problems) {
  const int64_t per_pass = strategy.micro_batch * strategy.data;
  if (!strategy.micro_batches.empty()) CheckShares(workload, strategy, problems);
  problems.Require(!strategy.micro_batches.empty() || workload.global_batch % per_pass == 0,
                   fmt::format("workload.global_batch {} is not divisible by strategy.micro_batch {} x strategy.data {} = {}; choose a "
                               "multiple of {}",
                               workload.global_batch, strategy.micro_batch, strategy.data, per_pass, per_pass));
  problems.Require(model.position != Position::kLearned || workload.sequence_length <= model.max_positions,
                   fmt::format("workload.sequence_length {} exceeds the model's max_positions {}, where its learned positions end; use "
                               "{} at most",
                               workload.sequence_length, model.max_positions, model.max_positions));
  problems.Require(
      model.sliding_window == 0 || model.sliding_window >= workload.sequence_length,
      fmt::format("model sliding_window {} is shorter than workload.sequence_length {}, and windowed attention is not supported; use "
                  "sequence_length <= {}",
                  model.sliding_window, workload.sequence_length, model.sliding_window));
}

// Tensors of more than 2^40 elements are a slip in some size; the products of larger ones would not fit 64 bits.
void CheckLargestTensor(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy, Problems& problems) {
  const int64_t width =
      std::max({model.hidden, 2 * model.ffn, model.vocab, model.padded_vocab, 3 * model.heads * model.head_dim, model.moe.experts});
  const double elements =
      static_cast<double>(strategy.micro_batch) * static_cast<double>(workload.sequence_length) * static_cast<double>(width);
  problems.Require(elements <= 0x1p40, fmt::format("strategy.micro_batch {} x workload.sequence_length {} x the model's widest layer {} is "
                                                   "more than 2^40 elements; is sequence_length in tokens, global_batch in sequences?",
                                                   strategy.micro_batch, workload.sequence_length, width));
}

// Of the slots of all experts for one rank's tokens. REQUIRES: CheckLargestTensor found nothing.
void CheckSlots(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy, Problems& problems) {
  if (model.moe.experts == 0) return;
  const int64_t capacity =
      ExpertCapacity(model.moe, strategy.micro_batch * workload.sequence_length / strategy.context, workload.routing_imbalance);
  const double elements = static_cast<double>(capacity) * static_cast<double>(model.moe.experts) *
                          static_cast<double>(std::max(model.hidden, 2 * model.moe.ffn));
  problems.Require(elements <= 0x1p40,
                   fmt::format("{} slots at each of {} experts make a tensor of more than 2^40 elements; give a smaller "
                               "micro_batch, capacity_factor or routing.imbalance",
                               capacity, model.moe.experts));
}

// What the formats can say and the lowering cannot do yet; the software is checked by LowerStage.
Status CheckFeatures(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy) {
  std::vector<std::string> lines;
  for (const Unsupported& item : UnsupportedFeatures(model, workload, {}, strategy)) {
    if (item.section == "software") continue;
    lines.push_back(fmt::format("error: {}.{}: {} is not supported by this version; {}", item.section, item.key, item.what, item.allowed));
  }
  return lines.empty() ? OkStatus() : InvalidError(Join(lines, "\n"));
}

}  // namespace

Status CheckStrategy(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy) {
  HELM_RETURN_IF_ERROR(ValidateModel(model));
  HELM_RETURN_IF_ERROR(CheckFeatures(model, workload, strategy));
  Problems problems;
  CheckPositive(workload, strategy, problems);
  CheckSupported(workload, strategy, problems);
  CheckSharding(strategy, problems);
  if (!problems.empty()) return problems.ToStatus();
  CheckContext(model, workload, strategy, problems);
  CheckTensorSplit(model, workload, strategy, problems);
  CheckExperts(model, strategy, problems);
  CheckRecomputedParts(model, strategy, problems);
  CheckPipeline(model, strategy, problems);
  CheckWorkload(model, workload, strategy, problems);
  CheckLargestTensor(model, workload, strategy, problems);
  if (problems.empty()) CheckSlots(model, workload, strategy, problems);
  return problems.ToStatus();
}

}  // namespace helm::model
