#include "planner/no_plan.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "core/text.h"
#include "planner/memory_bound.h"

namespace helm::planner {
namespace {

Bytes CapacityOf(const config::RunConfig& config) { return MemoryCapacity(config.cluster, config.search.memory_fraction); }

// What a strategy needs on the rank with the most; by its bound where it was dropped for that.
struct Need {
  ir::Strategy strategy;
  Bytes peak;
  Bytes state;     // of it parameters, gradients and optimizer state
  Bytes capacity;  // of that rank
  bool at_least = false;
};

Need Simulated(const Candidate& candidate) {
  const auto of = [&](ir::StorageRole role) { return Bytes(candidate.prediction.peak.by_role[static_cast<size_t>(role)]); };
  const Bytes state = of(ir::StorageRole::kParameter) + of(ir::StorageRole::kGradient) + of(ir::StorageRole::kOptimizerState);
  return {candidate.strategy, candidate.prediction.memory_bytes_peak, state, candidate.prediction.memory_bytes_capacity, false};
}

// The least of those that were simulated; where none was, of those that a bound dropped.
std::optional<Need> Closest(const config::RunConfig& config, const std::vector<ir::Strategy>& candidates, const SearchResult& result) {
  if (!result.unfit.empty()) return Simulated(result.unfit.front());
  std::optional<Need> closest;
  for (const ir::Strategy& strategy : candidates) {
    const Bytes peak = MemoryLowerBound(config.model, config.workload, config.software, strategy);
    if (closest && closest->peak <= peak) continue;
    closest = {strategy, peak, StateLowerBound(config.model, config.workload, config.software, strategy), CapacityOf(config), true};
  }
  return closest;
}

std::string Fix(const config::RunConfig& config, const Need& need) {
  const Bytes capacity = need.capacity;
  if (need.state <= capacity) return "use more devices, a smaller micro-batch or batch, or a shorter sequence";
  const double more = static_cast<double>(need.state.count()) / static_cast<double>(capacity.count());
  return fmt::format(
      "parameters, gradients and optimizer state alone take {}{}, so smaller batches do not help: use {:.0f} devices or more, or let\n"
      "    `strategy` and --export allow to shard them over more ranks (zero, fsdp, tensor, pipeline)",
      need.at_least ? "at least " : "", FormatBytes(need.state), std::ceil(more * static_cast<double>(config.cluster.devices_used)));
}

}  // namespace

Status NothingFits(const config::RunConfig& config, const std::vector<ir::Strategy>& candidates, const SearchResult& result) {
  std::string message = fmt::format("{}: error: no feasible plan\n", config.path);
  if (const std::optional<Need> closest = Closest(config, candidates, result)) {
    const Bytes capacity = closest->capacity;
    message += fmt::format("  closest: {}\n  memory binds: needs {}{} per rank, {} more than the {} it may use\n  fix: {}",
                           ir::Describe(closest->strategy), closest->at_least ? "at least " : "", FormatBytes(closest->peak),
                           FormatBytes(closest->peak - capacity), FormatBytes(capacity), Fix(config, *closest));
  } else if (!result.pruned.empty()) {
    message += fmt::format("  none of {} strategies is possible; for example {}: {}\n", result.pruned.size(),
                           ir::Describe(result.pruned.front().strategy), result.pruned.front().reason);
    message += "  fix: relax what `strategy` fixes, or change the number of devices";
  } else {
    message += "  `strategy` and `search.forbid` leave no candidate";
  }
  return InfeasibleError(message);
}

Status NothingYet(const config::RunConfig& config, const SearchResult& result) {
  if (result.interrupted) {
    return {StatusCode::kInterrupted,
            fmt::format("{}: error: interrupted before a plan was found that fits; nothing was written", config.path)};
  }
  std::string message = fmt::format(
      "{}: error: no plan was found within the time limit of {:g} s: {} strategies were simulated to the end, none of them fits; {} were\n"
      "  dropped before\n",
      config.path, config.search.time_limit_s, result.unfit.size(), result.pruned.size());
  const auto peak = [](const Candidate& candidate) { return candidate.prediction.memory_bytes_peak; };
  if (const auto closest = std::ranges::min_element(result.unfit, {}, peak); closest != result.unfit.end()) {
    message += fmt::format("  closest so far: {}, which needs {} of {} per rank\n", ir::Describe(closest->strategy),
                           FormatBytes(peak(*closest)), FormatBytes(closest->prediction.memory_bytes_capacity));
  }
  return InfeasibleError(message + "  fix: give it longer (--time-limit, search.time_limit_s), or fix more of `strategy`");
}

Status NothingPricedYet(const config::RunConfig& config, int64_t fitting, bool interrupted) {
  const std::string found = fmt::format("{} strategies fit into memory, but how long their steps are was not found yet", fitting);
  if (interrupted) return {StatusCode::kInterrupted, fmt::format("{}: error: interrupted: {}; nothing was written", config.path, found)};
  return InfeasibleError(
      fmt::format("{}: error: no plan was found within the time limit of {:g} s: {}\n  fix: give it longer (--time-limit, "
                  "search.time_limit_s), or fix more of `strategy`",
                  config.path, config.search.time_limit_s, found));
}

}  // namespace helm::planner
