#include "planner/stage_split.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "model/chunks.h"
#include "planner/memory_bound.h"
#include "planner/pipeline_orders.h"
#include "planner/share_split.h"

namespace helm::planner {
namespace {

ResourceTimes OnePass(const Part& part) {
  ResourceTimes times = part.forward.inner;
  times += part.backward.inner;
  return times;
}

// The slowest of what a stage needs for a micro-batch.
int64_t Slowest(const ResourceTimes& times) { return std::max({times.compute, times.host, times.gathering}); }

class Splitter {
 public:
  // `layers_most`: by stage; empty: any number.
  Splitter(const config::RunConfig& config, const ir::Strategy& strategy, const StageTimes& times,
           const std::vector<int64_t>& layers_most = {})
      : layers_(config.model.layers),
        stages_(strategy.pipeline),
        embedding_(OnePass(times.front()->embedding)),
        head_(OnePass(times.back()->head)),
        times_(times),
        layers_most_(layers_most) {
    for (const PartTimes* of_stage : times) {
      std::vector<ResourceTimes>& before = before_[of_stage];
      if (!before.empty()) continue;
      before.emplace_back();
      for (int64_t layer = 0; layer < layers_; ++layer) {
        before.push_back(before.back());
        before.back() += OnePass(of_stage->layer[model::HasExperts(config.model, layer) ? 1 : 0]);
      }
    }
    for (int64_t stage = 0; stage < stages_; ++stage) held_.push_back(MicroBatchesHeldBy(config.workload, strategy, stage));
  }

  // Picoseconds of a micro-batch on the slowest stage.
  int64_t TimeOf(const std::vector<ir::Stage>& split) const {
    int64_t most = 0;
    for (size_t i = 0; i < split.size(); ++i) most = std::max(most, Time(static_cast<int64_t>(i), split[i]));
    return most;
  }

  // None where the layers do not fit into the most that the stages hold.
  std::optional<std::vector<ir::Stage>> Best() const {
    if (!Fill(kNoLimit, kNoLimit)) return std::nullopt;
    const int64_t held_most = layers_ * *std::ranges::max_element(held_);
    const int64_t time = Least(TimeOf(Fill(kNoLimit, kNoLimit).value()), [&](int64_t limit) { return Fill(limit, kNoLimit).has_value(); });
    const int64_t held = Least(held_most, [&](int64_t limit) { return Fill(time, limit).has_value(); });
    return Fill(time, held);
  }

 private:
  static constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

  int64_t Time(int64_t stage, const ir::Stage& layers) const {
    const std::vector<ResourceTimes>& before = before_.at(times_[static_cast<size_t>(stage)]);
    const ResourceTimes& last = before[static_cast<size_t>(layers.layer_end)];
    const ResourceTimes& first = before[static_cast<size_t>(layers.layer_first)];
    ResourceTimes times{last.compute - first.compute, last.host - first.host, 0, last.gathering - first.gathering};
    if (stage == 0) times += embedding_;
    if (stage + 1 == stages_) times += head_;
    return Slowest(times);
  }

  // The smallest limit up to `most` that is possible. REQUIRES: `most` is, and so is all above one that is.
  template <typename Possible>
  static int64_t Least(int64_t most, const Possible& possible) {
    int64_t impossible = -1;
    while (most - impossible > 1) {
      const int64_t middle = impossible + (most - impossible) / 2;
      (possible(middle) ? most : impossible) = middle;
    }
    return most;
  }

  // The last stage takes as many layers as it may, then the one before it: no split leaves fewer to the earlier ones, so if these cannot
  // take them, none does. What a stage takes leaves a layer for each inner one before it.
  std::optional<std::vector<ir::Stage>> Fill(int64_t time, int64_t held) const {
    std::vector<ir::Stage> split(static_cast<size_t>(stages_));
    int64_t end = layers_;
    for (int64_t stage = stages_ - 1; stage >= 0; --stage) {
      const auto fits = [&](const ir::Stage& layers) {
        const auto place = static_cast<size_t>(stage);
        return Time(stage, layers) <= time && layers.layers() * held_[place] <= held &&
               (layers_most_.empty() || layers.layers() <= layers_most_[place]);
      };
      const bool inner = stage > 0 && stage + 1 < stages_;
      const int64_t first_least = std::max<int64_t>(0, stage - 1);
      ir::Stage& layers = split[static_cast<size_t>(stage)];
      layers = {inner ? end - 1 : end, end};
      if (!fits(layers) || layers.layer_first < first_least) return std::nullopt;
      while (layers.layer_first > first_least && fits({layers.layer_first - 1, end})) --layers.layer_first;
      end = layers.layer_first;
    }
    return end == 0 ? std::optional(split) : std::nullopt;
  }

  int64_t layers_, stages_;
  ResourceTimes embedding_, head_;
  const StageTimes& times_;
  const std::vector<int64_t> layers_most_;
  std::map<const PartTimes*, std::vector<ResourceTimes>> before_;  // by the times of a stage, by layer: of all layers before it
  std::vector<int64_t> held_;                                      // micro-batches, by stage
};

}  // namespace

bool MaySplitStages(const config::RunConfig& config) {
  return SplitsUnevenly(config.software.framework) && !config.strategy_given.contains("stages") &&
         !config.strategy_given.contains("head_stage");
}

bool SplitIsOpen(const config::RunConfig& config, const ir::Strategy& strategy) {
  const bool own_order = strategy.schedule == "csv";
  return strategy.pipeline > 1 && strategy.virtual_pipeline == 1 && !own_order && MaySplitStages(config);
}

std::vector<ir::Stage> NearlyEqualStages(int64_t layers, int64_t stages) {
  std::vector<ir::Stage> split;
  if (layers % stages == 0) return split;
  int64_t next = 0;
  for (int64_t stage = 0; stage < stages; ++stage) {
    const int64_t own = (layers + stage) / stages;
    split.push_back({next, next + own});
    next += own;
  }
  return split;
}

std::vector<ir::Stage> BalancedStages(const config::RunConfig& config, const ir::Strategy& strategy, const StageTimes& times) {
  return Splitter(config, strategy, times).Best().value();  // layers go anywhere
}

std::optional<std::vector<ir::Stage>> BalancedStagesWithin(const config::RunConfig& config, const ir::Strategy& strategy,
                                                           const StageTimes& times, const std::vector<int64_t>& layers_most) {
  return Splitter(config, strategy, times, layers_most).Best();
}

Duration SlowestStage(const config::RunConfig& config, const ir::Strategy& strategy, const StageTimes& times) {
  std::vector<ir::Stage> split;
  for (const model::Chunk& chunk : model::ChunksOf(config.model, strategy)) split.push_back({chunk.layer_begin, chunk.layer_end});
  return Duration::Picoseconds(Splitter(config, strategy, times).TimeOf(split));
}

namespace {

Result<std::vector<ir::Strategy>> SplitsOfLayers(const config::RunConfig& config, const ir::Strategy& strategy, PartBook& parts,
                                                 const Cancellation& cancellation) {
  if (!SplitIsOpen(config, strategy) || config.cluster.local) return std::vector{strategy};
  HELM_ASSIGN_OR_RETURN(const StageTimes times, TimesOfStages(config, strategy, parts, cancellation));
  ir::Strategy balanced = strategy;
  balanced.stages = BalancedStages(config, strategy, times);
  if (SlowestStage(config, balanced, times) >= SlowestStage(config, strategy, times)) return std::vector{strategy};
  return std::vector{strategy, balanced};  // the slower one may be the one that fits
}

}  // namespace

Result<std::vector<ir::Strategy>> StageSplits(const config::RunConfig& config, const ir::Strategy& strategy, PartBook& parts,
                                              const Cancellation& cancellation) {
  HELM_ASSIGN_OR_RETURN(std::vector<ir::Strategy> splits, SplitsOfLayers(config, strategy, parts, cancellation));
  const size_t equal = splits.size();
  for (size_t i = 0; i < equal; ++i) {
    HELM_ASSIGN_OR_RETURN(const auto shared, WithFastestShares(config, splits[i], parts, cancellation));
    if (shared) splits.push_back(*shared);  // passes are for the one with equal shares
  }
  return splits;
}

}  // namespace helm::planner
