// One visit of the ranks to an op or a collective: they warm up, then take samples together until each knows its median well enough.
//
// Knows neither lists nor tables (profiler/profile.h). Ranks are processes or threads of one machine: they meet at times of its clock.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "cost/cost_table.h"
#include "profiler/profile.h"
#include "profiler/stopping_rule.h"
#include "runtime/communicator.h"
#include "runtime/measure.h"

namespace helm::profiler {

// When this rank may start each sample of a batch: ranks of one machine share a clock, so they meet without a word. Preparing an op (its
// rank sweeps the cache) takes longer than many an op, and would else fall on the other ranks' samples, where a step has ops.
class Slots {
 public:
  using Clock = std::chrono::steady_clock;

  Slots(Clock::time_point first, Duration period) : next_(first), period_(period) {}

  // Spins: a thread that slept would find a slower core. A rank that comes late starts at once.
  void WaitForNext() {
    while (Clock::now() < next_) {
    }
    next_ += std::chrono::nanoseconds(period_.picoseconds() / 1000);
  }

 private:
  Clock::time_point next_;
  Duration period_;
};

// One thing to measure, on this rank. A rank outside a collective's group takes part in the agreements only.
struct Item {
  std::string key;
  std::function<Result<runtime::OpSample>(Slots& slots)> run;  // empty outside the group
  StoppingRuleOptions stopping;
  bool together = false;  // all ranks start each sample at one moment
};

// What this rank has measured of one item so far.
struct RankSamples {
  StoppingRule rule;
  std::vector<Duration> launches;
  Bytes workspace;
};

// By how much the slowest rank exceeds the mean of the ranks, on average over the slots (all but the hundredth with the longest waits).
// None of one rank. by_rank[r][i]: what rank r took in slot i.
std::optional<Duration> WaitOfRanks(const std::vector<std::vector<Duration>>& by_rank);

// Adds samples of `item` to those of earlier visits until `share` of the rule's budget is used (StoppingRule::Finished). Collective call,
// also for a rank that has nothing to run. The row of all samples of all ranks so far; none when rank 0 was interrupted.
Result<std::optional<cost::Measurement>> Visit(const Item& item, RankSamples& samples, double share, runtime::World& world,
                                               const ProfileOptions& options);

}  // namespace helm::profiler
