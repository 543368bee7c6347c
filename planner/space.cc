#include "planner/space.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include <fmt/format.h>

#include "core/text.h"
#include "ir/sharding.h"
#include "model/lower.h"
#include "planner/device_places.h"
#include "planner/pipeline_orders.h"
#include "planner/stage_split.h"
#include "schedule/pass.h"
#include "schedule/pipeline_schedule.h"

namespace helm::planner {
namespace {

std::vector<int64_t> Divisors(int64_t number) {
  std::vector<int64_t> divisors;
  for (int64_t i = 1; i <= number; ++i) {
    if (number % i == 0) divisors.push_back(i);
  }
  return divisors;
}

bool Given(const config::RunConfig& config, const char* key) { return config.strategy_given.contains(key); }

// The values of a degree: the given one, or all that divide `number`.
std::vector<int64_t> Choices(const config::RunConfig& config, const char* key, int64_t given, int64_t number) {
  return Given(config, key) ? std::vector<int64_t>{given} : Divisors(number);
}

// Context parallelism costs more than tensor parallelism until a sequence is too long for the memory of a tensor group: Llama 3 was trained
// with it from 131072 tokens on, and without it at 8192 (arXiv 2407.21783, table 4). Searched from half way, in octaves, on.
constexpr int64_t kLongSequence = 32768;

std::vector<int64_t> ContextChoices(const config::RunConfig& config, int64_t ranks) {
  if (!Given(config, "context") && config.workload.sequence_length < kLongSequence) return {1};
  if (!Given(config, "context") && (!config.software.flash_attention || config.model.mla.kv_lora > 0)) return {1};
  std::vector<int64_t> choices = Choices(config, "context", config.strategy.context, ranks);
  if (!Given(config, "context")) {
    std::erase_if(choices, [&](int64_t context) { return config.workload.sequence_length % (2 * context) != 0; });
  }
  return choices;
}

std::vector<bool> SequenceParallelChoices(const config::RunConfig& config, int64_t tensor) {
  if (Given(config, "sequence_parallel")) return {config.strategy.sequence_parallel && tensor > 1};
  return tensor > 1 ? std::vector<bool>{false, true} : std::vector<bool>{false};
}

// More stages than one need a schedule other than none, and chunks of equally many layers, or stages that may be split (as many as there
// are layers at most). Those left out for their layers are rejected.
std::vector<int64_t> PipelineChoices(const config::RunConfig& config, int64_t world, Space& space) {
  if (Given(config, "pipeline")) return {config.strategy.pipeline};
  if (Given(config, "schedule") && config.strategy.schedule == "none") return {1};
  const int64_t layers = config.model.layers, chunks = config.strategy.virtual_pipeline;
  std::vector<int64_t> choices;
  for (const int64_t pipeline : Divisors(world)) {
    const bool divides = layers % (pipeline * chunks) == 0, splits = MaySplitStages(config) && chunks == 1;
    if (divides || (splits && pipeline <= layers)) {
      choices.push_back(pipeline);
    } else if (!splits && pipeline * chunks <= layers) {
      ir::Strategy strategy = config.strategy;
      strategy.pipeline = pipeline;
      space.rejected.push_back(
          {strategy, fmt::format("pipeline {} x virtual_pipeline {} does not divide the {} layers; strategy.stages says "
                                 "how many each stage holds where they are not equally many",
                                 pipeline, chunks, layers)});
    }
  }
  return choices;
}

// Interleaved pipelines want micro-batches in groups of as many as there are stages (schedule/pipeline_schedule.h).
bool Divides(const config::RunConfig& config, const ir::Strategy& strategy) {
  if (Given(config, "schedule") || Given(config, "virtual_pipeline") || strategy.schedule != "interleaved-1f1b") return true;
  const int64_t at_once = strategy.data * strategy.micro_batch;
  return config.workload.global_batch % at_once != 0 || config.workload.global_batch / at_once % strategy.pipeline == 0;
}

std::vector<int64_t> ZeroChoices(const config::RunConfig& config, int64_t batch_ranks) {
  if (Given(config, "zero")) return {config.strategy.zero};
  return batch_ranks > 1 ? std::vector<int64_t>{0, 1} : std::vector<int64_t>{0};
}

// Micro-batch sizes that divide one data-parallel rank's share of the batch; a share that is not whole is left for the check to refuse.
std::vector<int64_t> MicroBatchChoices(const config::RunConfig& config, int64_t data) {
  if (Given(config, "micro_batch")) return {config.strategy.micro_batch};
  if (config.workload.global_batch % data != 0) return {1};
  return Divisors(config.workload.global_batch / data);
}

// How the experts are split: their tensor parallelism like that of the rest, or none where each tensor rank has tokens of its own.
struct ExpertSplit {
  int64_t expert = 1;
  int64_t expert_tensor = 1;
};
std::vector<ExpertSplit> ExpertChoices(const config::RunConfig& config, const ir::Strategy& degrees) {
  if (config.model.moe.experts == 0) return {{degrees.expert, degrees.expert_tensor}};
  std::vector<int64_t> tensors = {degrees.tensor};
  if (degrees.tensor > 1 && degrees.sequence_parallel) tensors.push_back(1);
  if (Given(config, "expert_tensor")) tensors = {config.strategy.expert_tensor};
  const int64_t ranks = degrees.data * degrees.tensor * degrees.context, together = degrees.tensor * degrees.context;
  std::vector<ExpertSplit> choices;
  for (const int64_t tensor : tensors) {
    for (const int64_t expert : Choices(config, "expert", config.strategy.expert, config.model.moe.experts)) {
      const bool alike = expert == 1 && tensor == degrees.tensor;
      const bool fits = ranks % (expert * tensor) == 0 && (alike || expert * tensor % together == 0);
      if (fits || Given(config, "expert")) choices.push_back({expert, tensor});
    }
  }
  return choices;
}

Status WhyInexpressible(const Expressible& expressible, const ir::Strategy& strategy) {
  return expressible ? expressible(strategy) : OkStatus();
}

bool IsLeftOut(const config::RunConfig& config, const ir::Strategy& strategy, const Expressible& expressible) {
  return config::Forbidden(config.search, strategy) || !WhyInexpressible(expressible, strategy).ok();
}

void KeepRefusalsOfAll(const Status& refusal, Space& space) {
  const std::vector<std::string> lines = Split(refusal.message(), '\n');
  if (!space.refusals_of_all) space.refusals_of_all = lines;
  std::erase_if(*space.refusals_of_all, [&](const std::string& line) { return std::ranges::find(lines, line) == lines.end(); });
}

// One that is possible otherwise.
void ConsiderExpressible(const config::RunConfig& config, const Expressible& expressible, const ir::Strategy& strategy, Space& space) {
  const Status refusal = WhyInexpressible(expressible, strategy);
  if (refusal.ok()) {
    space.candidates.push_back(strategy);
    return;
  }
  space.rejected.push_back({strategy, refusal.message()});
  KeepRefusalsOfAll(refusal, space);
  if (const auto sharded = FullySharded(config, strategy, expressible)) space.candidates.push_back(*sharded);
}

// Whether there is an order of a pipeline's actions, found once for all strategies that have one in common: it is made to be looked at.
class Orders {
 public:
  const Status& Check(const ir::Workload& workload, const ir::Strategy& strategy) {
    const Status* refused = nullptr;
    int64_t data_rank = 0;
    for (const int64_t ranks : ShareRanks(strategy)) {
      const Status& status = CheckOf(MicroBatchesOf(workload, strategy, data_rank), strategy);
      if (refused == nullptr || !status.ok()) refused = &status;
      data_rank += ranks;
    }
    return *refused;
  }

 private:
  const Status& CheckOf(int64_t micro_batches, const ir::Strategy& strategy) {
    const auto [known, is_new] = known_.try_emplace({strategy.schedule, strategy.pipeline, strategy.virtual_pipeline, micro_batches});
    if (is_new) known->second = schedule::PipelineSchedules(strategy, micro_batches).status();
    return known->second;
  }

  std::map<std::tuple<std::string, int64_t, int64_t, int64_t>, Status> known_;
};

void Consider(const config::RunConfig& config, const Expressible& expressible, const ir::Strategy& strategy, Orders& orders, Space& space) {
  if (config::Forbidden(config.search, strategy)) {
    space.rejected.push_back({strategy, "search.forbid"});
  } else if (Status status = model::CheckStrategy(config.model, config.workload, strategy); !status.ok()) {
    space.rejected.push_back({strategy, status.message()});
  } else if (Status overlap = schedule::CheckOverlap(config.model, config.workload, config.software, strategy); !overlap.ok()) {
    space.rejected.push_back({strategy, overlap.message()});
  } else if (const Status& order = orders.Check(config.workload, strategy); !order.ok()) {
    space.rejected.push_back({strategy, order.message()});
  } else {
    ConsiderExpressible(config, expressible, strategy, space);
  }
}

}  // namespace

namespace {

// The strategies with these degrees and this split of sequences and experts.
void EnumerateSizes(const config::RunConfig& config, const Expressible& expressible, const ir::Strategy& degrees, Orders& orders,
                    Space& space) {
  const int64_t world = config.cluster.devices_used;
  for (const int64_t zero : ZeroChoices(config, BatchRanks(degrees))) {
    for (const int64_t micro_batch : MicroBatchChoices(config, degrees.data)) {
      ir::Strategy strategy = degrees;
      strategy.zero = zero;
      strategy.micro_batch = micro_batch;
      if (!Divides(config, strategy)) continue;
      if (strategy.world_size() != world) {
        space.rejected.push_back({strategy, fmt::format("uses {} of {} devices", strategy.world_size(), world)});
      } else {
        Consider(config, expressible, strategy, orders, space);
      }
    }
  }
}

// The strategies with these degrees.
void EnumerateRest(const config::RunConfig& config, const Expressible& expressible, ir::Strategy degrees, Orders& orders, Space& space) {
  for (const bool sequence_parallel : SequenceParallelChoices(config, degrees.tensor)) {
    degrees.sequence_parallel = sequence_parallel;
    for (const ExpertSplit& split : ExpertChoices(config, degrees)) {
      degrees.expert = split.expert;
      degrees.expert_tensor = split.expert_tensor;
      EnumerateSizes(config, expressible, degrees, orders, space);
    }
  }
}

}  // namespace

Space EnumerateStrategies(const config::RunConfig& config, const Expressible& expressible) {
  Space space;
  Orders orders;
  const int64_t world = config.cluster.devices_used;
  for (const int64_t pipeline : PipelineChoices(config, world, space)) {
    for (const int64_t tensor : Choices(config, "tensor", config.strategy.tensor, std::max<int64_t>(1, world / pipeline))) {
      for (const int64_t context : ContextChoices(config, std::max<int64_t>(1, world / (pipeline * tensor)))) {
        ir::Strategy degrees = config.strategy;
        degrees.pipeline = pipeline;
        degrees.tensor = tensor;
        degrees.context = context;
        if (!Given(config, "data")) degrees.data = std::max<int64_t>(1, world / (pipeline * tensor * context));
        for (const PipelineOrder& order : PipelineOrders(config, pipeline)) {
          degrees.schedule = order.schedule;
          degrees.virtual_pipeline = order.virtual_pipeline;
          if (SplitIsOpen(config, degrees) && pipeline <= config.model.layers) {
            degrees.stages = NearlyEqualStages(config.model.layers, pipeline);
          }
          for (const std::vector<std::string>& groups : GroupOrders(config, pipeline)) {
            degrees.groups = groups;
            EnumerateRest(config, expressible, degrees, orders, space);
          }
        }
      }
    }
  }
  return space;
}

std::optional<ir::Strategy> FullySharded(const config::RunConfig& config, const ir::Strategy& strategy, const Expressible& expressible) {
  if (Given(config, "zero") || strategy.zero != 1 || strategy.expert > 1) return std::nullopt;
  if (!strategy.micro_batches.empty()) return std::nullopt;  // gathered with each micro-batch, so all ranks need as many
  // Every action gathers its parameters: the more chunks, the more often.
  const bool other_order = strategy.pipeline > 1 && strategy.schedule != "1f1b";
  if (other_order && !Given(config, "schedule") && !Given(config, "virtual_pipeline")) return std::nullopt;
  ir::Strategy sharded = strategy;
  sharded.zero = 3;
  if (IsLeftOut(config, sharded, expressible)) return std::nullopt;
  return sharded;
}

std::vector<ir::Strategy> Fallbacks(const config::RunConfig& config, const ir::Strategy& strategy, const Expressible& expressible) {
  std::vector<ir::Strategy> fallbacks;
  if (Given(config, "recompute") || strategy.recompute != "none") return fallbacks;
  for (const char* recompute : {"selective", "full"}) {
    fallbacks.push_back(strategy);
    fallbacks.back().recompute = recompute;
    if (IsLeftOut(config, fallbacks.back(), expressible)) fallbacks.pop_back();
  }
  return fallbacks;
}

namespace {

bool LeavesPassesToSearch(const config::RunConfig& config) {
  const bool shares_cores = config.cluster.device.is_cpu && !config.cluster.emulated_network;
  return !Given(config, "overlap") && !shares_cores && config.software.framework == "helm";
}

}  // namespace

Space OverlapVariants(const config::RunConfig& config, const ir::Strategy& strategy, const Expressible& expressible) {
  Space variants;
  if (!LeavesPassesToSearch(config) || strategy.overlap != "none") return variants;
  for (const char* overlap : {"helix", "lattice", "strands"}) {
    ir::Strategy variant = strategy;
    variant.overlap = overlap;
    // Inside layers; tiles hide no exchange of context parallelism.
    const bool exchanges = strategy.tensor > 1 || strategy.expert > 1 || (strategy.context > 1 && !ir::IsTiled(variant));
    if (!exchanges) continue;
    if (config::Forbidden(config.search, variant)) {
      variants.rejected.push_back({variant, "search.forbid"});
    } else if (Status whole = model::CheckStrategy(config.model, config.workload, variant); !whole.ok()) {
      variants.rejected.push_back({variant, whole.message()});
    } else if (Status status = schedule::CheckOverlap(config.model, config.workload, config.software, variant); !status.ok()) {
      variants.rejected.push_back({variant, status.message()});
    } else if (Status refusal = WhyInexpressible(expressible, variant); !refusal.ok()) {
      variants.rejected.push_back({variant, refusal.message()});
    } else {
      variants.candidates.push_back(variant);
    }
  }
  return variants;
}

std::optional<ir::Strategy> WithMoreTiles(const config::RunConfig& config, const ir::Strategy& strategy) {
  if (!ir::IsTiled(strategy) || Given(config, "overlap") || Given(config, "overlap_tiles")) return std::nullopt;
  ir::Strategy more = strategy;
  more.overlap_tiles *= 2;
  if (!schedule::CheckOverlap(config.model, config.workload, config.software, more).ok()) return std::nullopt;
  return more;
}

std::optional<ir::Strategy> WithBuckets(const config::RunConfig& config, const ir::Strategy& strategy, const Expressible& expressible) {
  if (!LeavesPassesToSearch(config)) return std::nullopt;
  ir::Strategy variant = strategy;
  if (strategy.overlap == "lattice") {
    variant.overlap = "bucketed";
  } else if (strategy.overlap == "none" && ir::DataShards(strategy) > 1) {
    variant.overlap = "gradient_buckets";
  } else {
    return std::nullopt;
  }
  if (config::Forbidden(config.search, variant) || !WhyInexpressible(expressible, variant).ok()) return std::nullopt;
  if (!model::CheckStrategy(config.model, config.workload, variant).ok()) return std::nullopt;
  if (!schedule::CheckOverlap(config.model, config.workload, config.software, variant).ok()) return std::nullopt;
  return variant;
}

Status CheckFixedStrategy(const config::RunConfig& config) {
  const int64_t world = config.strategy.world_size();
  if (world != config.cluster.devices_used) {
    return InvalidError(
        fmt::format("{}: error: the strategy ({}) uses {} of the cluster's {} devices\n"
                    "  fix: give degrees whose product is {} (data x tensor x context x pipeline), or another number of devices",
                    config.path, ir::Describe(config.strategy), world, config.cluster.devices_used, config.cluster.devices_used));
  }
  if (Status status = model::CheckStrategy(config.model, config.workload, config.strategy); !status.ok()) {
    return InvalidError(fmt::format("{}: {}", config.path, status.message()));
  }
  if (Status status = schedule::CheckOverlap(config.model, config.workload, config.software, config.strategy); !status.ok()) {
    return InvalidError(fmt::format("{}: {}", config.path, status.message()));
  }
  return Orders().Check(config.workload, config.strategy);
}

}  // namespace helm::planner
