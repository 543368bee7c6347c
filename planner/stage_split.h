// StageSplit: how many layers each stage of a pipeline holds, where the search may choose: the split whose slowest stage is the fastest.
//
// A pipeline runs at the pace of its slowest stage, and stages with equally many layers are not equally fast: the first embeds, the last
// has head and loss, layers with experts take longer than dense ones, and a stage may lie on slower devices than another. So a pipeline
// degree that does not divide the layers is split by what the parts of the model are predicted to take (planner/part_times.h), and one that
// does is tried both ways. The split is exact (techniques.md 3.3, min-max with a fixed order of the stages). Not for stages of several
// chunks (interleaving, a V): their layers are even. Nor on a local cluster: there helm-profile measures the ops of the strategies that the
// space lists, which have nearly equal stages.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/run_config.h"
#include "core/cancellation.h"
#include "core/status.h"
#include "core/units.h"
#include "ir/strategy.h"
#include "planner/part_times.h"
#include "planner/stage_times.h"

namespace helm::planner {

// Whether the framework of the configuration can be told how many layers each stage holds, and the configuration does not say it.
bool MaySplitStages(const config::RunConfig& config);
// Whether the layers of this strategy's stages are the search's to choose.
bool SplitIsOpen(const config::RunConfig& config, const ir::Strategy& strategy);

// As equal as whole layers allow, later stages the larger ones: the first holds the most micro-batches. Empty where all are equal.
// REQUIRES: 1 <= stages <= layers.
std::vector<ir::Stage> NearlyEqualStages(int64_t layers, int64_t stages);

// Of all splits those whose slowest stage takes least; of these the one whose layers, times the micro-batches that a stage holds
// (MicroBatchesHeldBy), are least where they are most; of these later stages hold as many layers as they may. The first and the last stage
// may hold none, and have the embedding and the head. REQUIRES: SplitIsOpen, `times` are those of the strategy.
std::vector<ir::Stage> BalancedStages(const config::RunConfig& config, const ir::Strategy& strategy, const StageTimes& times);

// The same of those splits in which each stage holds so many layers at most; none where there is no such split.
std::optional<std::vector<ir::Stage>> BalancedStagesWithin(const config::RunConfig& config, const ir::Strategy& strategy,
                                                           const StageTimes& times, const std::vector<int64_t>& layers_most);

// What its slowest stage takes at least for a micro-batch, forward and backward. REQUIRES: as BalancedStages; the stages may be any.
Duration SlowestStage(const config::RunConfig& config, const ir::Strategy& strategy, const StageTimes& times);

// What stands in the search for a strategy: it with stages of equally many layers, where these are possible, and with balanced ones, where
// their slowest stage is faster; each of them also with the fastest shares of the batch (planner/share_split.h), where these are not equal.
// The strategy itself where its split is not open, on a local cluster, or where nothing is known of the times. Fails only when it is
// cancelled.
Result<std::vector<ir::Strategy>> StageSplits(const config::RunConfig& config, const ir::Strategy& strategy, PartBook& parts,
                                              const Cancellation& cancellation);

}  // namespace helm::planner
