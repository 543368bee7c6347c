// Search: finds the best strategy of a space, and says why the others lost.
//
// Every candidate is either dropped by the memory lower bound, left out because its time lower bound (planner/time_bound.h) or its step
// without the ops slowing each other down (planner/candidate_price.h) is longer than the fastest step found, or simulated, so the best is
// the best of the space and its time is the proven lower bound of it. The result does not depend on the number of threads: which candidates
// are simulated is decided between batches of a fixed size, and they are merged in the order of the space.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/run_config.h"
#include "core/status.h"
#include "cost/estimator.h"
#include "planner/evaluate.h"
#include "planner/space.h"

namespace helm::planner {

struct Candidate {
  ir::Strategy strategy;
  Prediction prediction;
  std::string reason;                // why it lost; empty for the best
  std::string written_out_because;   // why it was not composed of templates; empty: it was
  bool alone = false;                // priced as if no op slowed another down: the step takes at least so long; its memory is right
  std::vector<Bytes> peak_of_class;  // by stage
};

struct SearchResult {
  Evaluation best;                           // with programs, hash and timeline where it was written out; else as it was found
  std::string best_not_written_out_because;  // empty: it was
  std::vector<Candidate> ranked;             // all that fit, fastest first; the first is the best
  std::vector<Candidate> unfit;              // simulated, maybe `alone`, but over the memory capacity; smallest first
  std::vector<Rejection> pruned;             // dropped unsimulated
  std::vector<Rejection> bounded;            // left out: they cannot be as fast as the best
  std::vector<size_t> pareto;                // indices into ranked: no other of those is both faster and smaller
  bool complete = true;                      // false: stopped by time limit or interrupt
  bool passes_complete = true;               // false: passes were tried on the most promising strategies alone, or cut short
  int64_t set_aside = 0;                     // of `unfit`: faster plans that were held to fit until their allocators were replayed
  bool interrupted = false;
  double search_time_s = 0;
};

// Whether no strategy of the space can be faster than the best: not where candidates were left out because of a plan that was set aside.
bool IsProven(const SearchResult& result);

// Why the plan has no passes that hide communication, where some were tried: the fastest of them against the plan. Empty else.
std::string WhyNotOverlapped(const SearchResult& result);

using EstimatorFactory = std::function<Result<std::unique_ptr<cost::Estimator>>()>;  // one for each thread

struct SearchRun {
  int64_t threads = 1;
  Expressible expressible;                                    // may be empty; called by all threads at once
  bool timeline = false;                                      // write the best out however large its step is
  const std::atomic<bool>* interrupted = nullptr;             // may be null
  std::function<void(int64_t done, int64_t total)> progress;  // may be empty; called from one thread at a time
};

// kInvalid when `run.expressible` refuses every strategy for the same: its lines.
// kInfeasible when nothing fits: the message names the closest plan, how much is missing and which constraint binds.
//
// Interrupt and time limit also stop a candidate that is being simulated (core/cancellation.h). After them the best candidate so far may
// take a second more to be written out; an interrupt during that stops that too. When no candidate was found by then that fits, the search
// fails: with kInterrupted, or with kInfeasible and the time limit as what binds.
Result<SearchResult> Search(const config::RunConfig& config, const EstimatorFactory& make_estimator, const SearchRun& run);

}  // namespace helm::planner
