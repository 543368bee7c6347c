// The lattice: the fastest interleaving of two streams of work at op level, by dynamic programming (techniques.md 1.5).
//
// A schedule is a monotone path in the grid (steps of A, steps of B). A label at a cell says when the compute stream and each communication
// channel become free, when each collective that is still open ends, and optionally the peak of memory. The times are max-plus monotone in
// the labels, so a label that is nowhere smaller than another of its cell can be dropped without loss; a cell keeps at most `beam`, beyond
// which the answer need not be the best. Model of time: a start begins when it is issued and its channel is free; a wait holds the compute
// stream until its collective has ended; launches cost nothing and tasks do not slow each other down. Those are the simulator's to judge.
//
// Knows nothing of programs (schedule/lattice_pass.h does). Invariant: the result is a legal order whatever the beam.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/units.h"

namespace helm::schedule {

enum class StepKind : uint8_t { kCompute, kStart, kWait };

inline constexpr size_t kNoStep = SIZE_MAX;

struct LatticeStep {
  StepKind kind = StepKind::kCompute;
  int64_t duration = 0;    // picoseconds; of a start that of the collective, of a wait 0
  size_t channel = 0;      // of a start
  size_t start = kNoStep;  // of a wait: the step of its own stream that it ends; kNoStep: one from before, which has ended
  size_t after = 0;        // so many steps of the other stream must come first
  int64_t allocates = 0;   // bytes, before it runs
  int64_t frees = 0;       // bytes, behind it
};

// Steps of both streams that may be done as one: A's [a, a + count) and B's [b, b + count), compute alone.
struct LatticeMerge {
  size_t a = 0, b = 0, count = 0;
  int64_t duration = 0;   // picoseconds, of all together
  int64_t allocates = 0;  // bytes, while they run, beyond what their steps do
};

struct LatticeOptions {
  size_t beam = 32;                    // labels of a cell
  size_t window = SIZE_MAX;            // cells with |a x B's steps - b x A's steps| / A's steps beyond it are left out
  std::optional<Bytes> memory_budget;  // of what the streams allocate: labels beyond it are dropped
  std::vector<LatticeMerge> merges;    // that may be chosen; REQUIRES: none holds another step than compute
};

struct Interleaving {
  std::vector<bool> from_b;    // of each next step
  int64_t makespan = 0;        // picoseconds, until the compute stream and all channels are free
  int64_t memory_peak = 0;     // bytes
  std::vector<size_t> merged;  // of LatticeOptions::merges, those chosen, in the order of time; their steps are A's, then B's in `from_b`
};

// None where no order meets the budget. REQUIRES: the order in which A's and B's steps alternate, each as soon as its `after` allows,
// exists.
std::optional<Interleaving> FastestInterleaving(const std::vector<LatticeStep>& a, const std::vector<LatticeStep>& b, size_t channels,
                                                const LatticeOptions& options = {});

// Time and memory of a given order by the same model. REQUIRES: it names every step once and respects `after`.
Interleaving Play(const std::vector<LatticeStep>& a, const std::vector<LatticeStep>& b, size_t channels, const std::vector<bool>& from_b);

}  // namespace helm::schedule
