#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cluster/device_groups.h"
#include "config/sections.h"
#include "core/counted.h"
#include "core/text.h"
#include "model/chunks.h"
#include "model/lower.h"
#include "model/supported.h"

namespace helm::config {
namespace {

// Only what the user gave is checked: a key of `strategy` that is not given is chosen later, by the search or by its default.
class Checker {
 public:
  Checker(const RunConfig& config, const YamlValue& document, Diagnostics& diagnostics)
      : config_(config), document_(document), diagnostics_(diagnostics) {}

  // What the lowering cannot do yet, at the key that asks for it.
  void CheckFeatures() {
    for (const model::Unsupported& item : model::UnsupportedFeatures(config_.model, config_.workload, config_.software, config_.strategy)) {
      Unsupported(Where(item.section.c_str(), item.key.c_str()), item.what, item.allowed, diagnostics_);
    }
  }

  void Run() {
    CheckWorld();
    CheckBatch();
    CheckTensorSplit();
    CheckPipeline();
    CheckChunks();
    CheckTiles();
    CheckSequence();
    CheckObjective();
    CheckGroups();
    CheckEightBits();
  }

 private:
  bool Given(const char* key) const { return config_.strategy_given.contains(key); }

  Location Where(const char* section, const char* key) const {
    const YamlValue* mapping = document_.Find(section);
    if (mapping == nullptr) return document_.where;
    const YamlValue* value = mapping->Find(key);
    return value == nullptr ? mapping->where : value->where;
  }

  // "data 2 x tensor 4 = 8", with context and pipeline where they are used.
  std::string Degrees() const {
    const ir::Strategy& strategy = config_.strategy;
    std::string text = fmt::format("data {} x tensor {}", strategy.data, strategy.tensor);
    if (strategy.context > 1) text += fmt::format(" x context {}", strategy.context);
    if (strategy.pipeline > 1) text += fmt::format(" x pipeline {}", strategy.pipeline);
    return text + fmt::format(" = {}", strategy.world_size());
  }

  void CheckObjective() {
    if (!config_.cluster.local || config_.search.objective == Objective::kStepTime) return;
    diagnostics_.Error(Where("search", "objective"),
                       "'objective' asks for parts of a cluster, and the ranks of one machine share its cores",
                       {"fix: objective: step_time, or a cluster of GPUs"});
  }

  // A rate for 8-bit operands is what says that a GPU has such products.
  void CheckEightBits() {
    if (config_.workload.quantization == ir::Quantization::kNone) return;
    const cluster::Cluster& all = config_.cluster;
    for (const cluster::Cluster& nodes : cluster::HasGroups(all) ? std::span(all.groups) : std::span(&all, 1)) {
      if (nodes.device.is_cpu || nodes.device.peak.contains("fp8")) continue;
      diagnostics_.Error(Where("workload", "dtype"), fmt::format("'{}' has no matrix products of 8-bit operands", nodes.device.name),
                         {"fix: dtype: bf16, or a GPU whose peak_tflops name fp8 (Hopper, Ada, Blackwell, MI300)"});
    }
  }

  void CheckGroups() {
    const cluster::Cluster& cluster = config_.cluster;
    if (const auto order = cluster::GroupOrder(cluster, config_.strategy.groups); !order.ok()) {
      std::vector<std::string> lines = Split(order.status().message(), '\n');
      const std::string first = lines.front();
      lines.erase(lines.begin());
      diagnostics_.Error(Where("strategy", "groups"), first, std::move(lines));
    }
    if (!cluster::HasGroups(cluster) || config_.search.objective == Objective::kStepTime) return;
    Unsupported(Where("search", "objective"), "objectives that ask for parts of a cluster of several kinds of nodes",
                "allowed: step_time, on all of it", diagnostics_);
  }

  void CheckWorld() {
    const int64_t devices = config_.cluster.devices_used;
    const int64_t world = config_.strategy.world_size();  // degrees that were not given count 1
    const std::string degrees = Degrees();
    const char* key = Given("tensor") ? "tensor" : Given("data") ? "data" : "pipeline";
    if (Given("data") && Given("tensor") && (Given("pipeline") || world > devices) && world != devices) {
      diagnostics_.Error(Where("strategy", key),
                         fmt::format("the strategy uses {} ({}), the cluster '{}' has {}", Counted(world, "device"), degrees,
                                     config_.cluster.name, devices),
                         {fmt::format("fix: choose degrees whose product is {}, or use another number of devices", devices)});
    } else if (devices % world != 0) {
      const int64_t degree = Given("tensor") ? config_.strategy.tensor : Given("data") ? config_.strategy.data : config_.strategy.pipeline;
      // One degree alone, or several whose product it is.
      const std::string what = degree == world ? fmt::format("'{}' {} does", key, world) : fmt::format("{} devices do", degrees);
      diagnostics_.Error(Where("strategy", key),
                         fmt::format("{} not divide the {} of the cluster '{}'", what, Counted(devices, "device"), config_.cluster.name),
                         {fmt::format("fix: choose {} divides {}", degree == world ? "a degree that" : "degrees whose product", devices)});
    }
  }

  void CheckShares() {
    const std::vector<int64_t>& counts = config_.strategy.micro_batches;
    const int64_t batch = config_.workload.global_batch, micro_batch = config_.strategy.micro_batch;
    const int64_t sum = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    if (std::ssize(counts) != config_.strategy.data) {
      diagnostics_.Error(Where("strategy", "micro_batches"),
                         fmt::format("'micro_batches' has {} items, one for each data-parallel rank, and 'data' is {}", counts.size(),
                                     config_.strategy.data),
                         {fmt::format("fix: give data: {}, or {} items", counts.size(), config_.strategy.data)});
    }
    if (sum * micro_batch == batch) return;
    diagnostics_.Error(Where("workload", "global_batch"),
                       Given("micro_batch") ? fmt::format("'global_batch' is {}, 'micro_batches' are {} in all x 'micro_batch' {} = {}",
                                                          batch, sum, micro_batch, sum * micro_batch)
                                            : fmt::format("'global_batch' {} is not divisible by the {} of 'micro_batches'", batch, sum),
                       {"fix: change one of them"});
  }

  void CheckBatch() {
    if (!config_.strategy.micro_batches.empty()) return CheckShares();
    const int64_t batch = config_.workload.global_batch;
    const int64_t data = config_.strategy.data, micro_batch = config_.strategy.micro_batch;
    if (batch % (data * micro_batch) == 0) return;
    const std::string parts = Given("data") && Given("micro_batch")
                                  ? fmt::format("'data' {} x 'micro_batch' {} = {}", data, micro_batch, data * micro_batch)
                                  : (Given("data") ? fmt::format("'data' {}", data) : fmt::format("'micro_batch' {}", micro_batch));
    diagnostics_.Error(Where("workload", "global_batch"), fmt::format("'global_batch' {} is not divisible by {}", batch, parts),
                       {fmt::format("fix: choose a multiple of {}", data * micro_batch)});
  }

  void Divides(const char* what, int64_t size) {
    const int64_t tensor = config_.strategy.tensor;
    if (size % tensor == 0) return;
    diagnostics_.Error(Where("strategy", "tensor"), fmt::format("'tensor' {} does not divide the model's {} ({})", tensor, what, size),
                       {fmt::format("fix: choose a degree that divides {}", size)});
  }

  void CheckTensorSplit() {
    const ir::Strategy& strategy = config_.strategy;
    if (Given("tensor") && strategy.tensor == 1 && strategy.sequence_parallel) {
      diagnostics_.Error(Where("strategy", "sequence_parallel"), "'sequence_parallel: true' needs 'tensor' above 1",
                         {"fix: remove 'sequence_parallel', or choose a larger 'tensor'"});
    }
    if (!Given("tensor")) return;
    Divides("attention heads", config_.model.heads);
    Divides("key-value heads", config_.model.kv_heads);
    if (model::HasDenseLayers(config_.model)) Divides("ffn size", config_.model.ffn);
    const int64_t tokens = strategy.micro_batch * config_.workload.sequence_length;
    if (!strategy.sequence_parallel || !Given("micro_batch") || tokens % strategy.tensor == 0) return;
    diagnostics_.Error(Where("strategy", "sequence_parallel"),
                       fmt::format("with 'sequence_parallel', 'tensor' {} must divide the tokens of a micro-batch ('micro_batch' {} x "
                                   "'sequence_length' {} = {})",
                                   strategy.tensor, strategy.micro_batch, config_.workload.sequence_length, tokens),
                       {"fix: change one of the three"});
  }

  // A search may split the layers over the stages (planner/stage_split.h); who prices without one is told then.
  bool SplitIsOpen() const {
    const ir::Strategy& strategy = config_.strategy;
    return strategy.stages.empty() && strategy.virtual_pipeline == 1 && strategy.pipeline <= config_.model.layers;
  }

  void CheckPipeline() {
    const ir::Strategy& strategy = config_.strategy;
    const int64_t chunks = strategy.pipeline * strategy.virtual_pipeline;
    if (strategy.stages.empty() && config_.model.layers % chunks != 0 && !SplitIsOpen()) {
      diagnostics_.Error(Where("strategy", Given("virtual_pipeline") ? "virtual_pipeline" : "pipeline"),
                         fmt::format("'pipeline' {} x 'virtual_pipeline' {} does not divide the model's layers ({})", strategy.pipeline,
                                     strategy.virtual_pipeline, config_.model.layers),
                         {fmt::format("fix: choose degrees whose product divides {}, or say with 'stages' how many layers each stage holds",
                                      config_.model.layers)});
    }
    if (Given("schedule") && Given("pipeline") && (strategy.pipeline == 1) != (strategy.schedule == "none")) {
      diagnostics_.Error(Where("strategy", "schedule"),
                         fmt::format("'schedule: {}' does not go with 'pipeline' {}", strategy.schedule, strategy.pipeline),
                         {strategy.pipeline == 1 ? "fix: remove 'schedule', or choose a larger 'pipeline'"
                                                 : "fix: choose another schedule, such as 1f1b"});
    }
    if (model::IsFolded(strategy) && strategy.virtual_pipeline != 2) {
      diagnostics_.Error(Where("strategy", "virtual_pipeline"),
                         fmt::format("'schedule: {}' has two chunks on each stage, not {}", strategy.schedule, strategy.virtual_pipeline),
                         {"fix: remove 'virtual_pipeline', or give 2"});
    } else if (!model::IsFolded(strategy) && strategy.virtual_pipeline > 1 && Given("schedule") &&
               strategy.schedule != "interleaved-1f1b" && strategy.schedule != "csv") {
      diagnostics_.Error(
          Where("strategy", "virtual_pipeline"),
          fmt::format("'virtual_pipeline' {} needs 'schedule: interleaved-1f1b', not {}", strategy.virtual_pipeline, strategy.schedule),
          {"fix: remove one of the two"});
    }
  }

  // Of a number of stages that is chosen later: that there is one.
  void CheckChunks() {
    const ir::Strategy& strategy = config_.strategy;
    const int64_t devices = config_.cluster.devices_used, chunks = strategy.virtual_pipeline;
    if (chunks == 1 || Given("pipeline")) return;
    for (int64_t pipeline = 2; pipeline <= devices; ++pipeline) {
      const bool holds =
          strategy.stages.empty() ? config_.model.layers % (pipeline * chunks) == 0 : std::ssize(strategy.stages) == pipeline * chunks;
      if (holds && devices % (strategy.world_size() * pipeline) == 0) return;
    }
    const std::string layers = strategy.stages.empty() ? fmt::format("divides the model's layers ({})", config_.model.layers)
                                                       : fmt::format("is the number of 'stages' ({})", strategy.stages.size());
    diagnostics_.Error(
        Where("strategy", "virtual_pipeline"),
        fmt::format("'virtual_pipeline' {} needs stages: no number of them above 1 divides the devices that are left ({}) and, "
                    "times {}, {}",
                    chunks, devices / strategy.world_size(), chunks, layers),
        {"fix: remove 'virtual_pipeline', or use another number of devices or layers"});
  }

  void CheckTiles() {
    const ir::Strategy& strategy = config_.strategy;
    if (!Given("overlap") || !Given("overlap_tiles") || ir::IsTiled(strategy)) return;
    diagnostics_.Error(
        Where("strategy", "overlap_tiles"),
        fmt::format("'overlap_tiles' {} does nothing with 'overlap: {}', which makes no tiles", strategy.overlap_tiles, strategy.overlap),
        {"fix: remove 'overlap_tiles', or choose another overlap: async_tp, helix, lattice, bucketed"});
  }

  void CheckSequence() {
    const model::ModelSpec& model = config_.model;
    const int64_t length = config_.workload.sequence_length;
    if (model.position == model::Position::kLearned && length > model.max_positions) {
      diagnostics_.Error(Where("workload", "sequence_length"),
                         fmt::format("'sequence_length' {} is beyond the model's {} learned positions", length, model.max_positions),
                         {fmt::format("allowed: whole numbers from 1 to {}", model.max_positions)});
    }
    if (model.sliding_window > 0 && length > model.sliding_window) {
      Unsupported(Where("workload", "sequence_length"),
                  fmt::format("attention in a sliding window ({}) shorter than 'sequence_length' {}", model.sliding_window, length),
                  fmt::format("allowed: whole numbers from 1 to {}", model.sliding_window), diagnostics_);
    }
  }

  const RunConfig& config_;
  const YamlValue& document_;
  Diagnostics& diagnostics_;
};

// Of chunks whose stages are counted later, what does not depend on them.
ir::Strategy WithoutOpenPipeline(const RunConfig& config) {
  ir::Strategy strategy = config.strategy;
  if (strategy.virtual_pipeline == 1 || config.strategy_given.contains("pipeline")) return strategy;
  strategy.virtual_pipeline = 1;
  strategy.schedule = "none";
  strategy.stages.clear();
  return strategy;
}

}  // namespace

void CheckMeaning(const RunConfig& config, const YamlValue& document, Diagnostics& diagnostics) {
  const size_t errors_before = diagnostics.error_count();
  Checker checker(config, document, diagnostics);
  checker.CheckFeatures();
  if (diagnostics.error_count() > errors_before) return;
  checker.Run();
  if (diagnostics.error_count() > errors_before) return;
  // Nothing found: the lowering has the last word, unless that word depends on stages, a micro-batch or ranks for the experts, chosen
  // later.
  const auto given = [&](const char* key) { return config.strategy_given.contains(key); };
  if (config.strategy.stages.empty() && config.model.layers % (config.strategy.pipeline * config.strategy.virtual_pipeline) != 0) return;
  if (config.strategy.sequence_parallel && !given("micro_batch")) return;
  const bool split = given("data") && given("tensor") && given("expert") && given("expert_tensor");
  if (config.model.moe.experts > 0 && !split) return;
  const Status status = model::CheckStrategy(config.model, config.workload, WithoutOpenPipeline(config));
  if (!status.ok()) diagnostics.Error({document.where.source, 0, 0}, "the strategy is not possible for this model", {status.message()});
}

}  // namespace helm::config
