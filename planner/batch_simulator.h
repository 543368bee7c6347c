// BatchSimulator: simulates the candidates of a search, the most promising first, several at a time, until a lower bound says that no other
// can be the fastest.
//
// Before a candidate is priced its memory is looked at, by what its layers keep (planner/stage_memory_bound.h): it goes back in line with
// the time bound of the least that may fit. In turns: a batch of candidates is priced as if no op slowed another down
// (planner/candidate_price.h), each with its fallbacks until one fits; then those that may be the fastest are priced to the end, the
// fastest of them first, until the others cannot be. One whose step has to be written out for it, which takes a hundred times as long,
// waits until no candidate in line may be faster than it is at least: then nothing but its own time can tell. Which candidates a batch has
// is decided between batches of a fixed size, and slot i belongs to candidate i: neither depends on the number of threads.
#pragma once

#include <atomic>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "config/run_config.h"
#include "core/cancellation.h"
#include "core/status.h"
#include "planner/fewest_layers.h"
#include "planner/memory_bound.h"
#include "planner/part_times.h"
#include "planner/search.h"
#include "planner/stage_memory_bound.h"

namespace helm::planner {

// Of a step composed of templates, at most, as a share of the step written out (DESIGN section 5, rule 8).
inline constexpr double kTemplateErrorMax = 0.005;

// Drops the candidates whose memory lower bound exceeds the capacity; where it would not with sharded parameters, that takes their place.
std::vector<ir::Strategy> PruneByMemory(const config::RunConfig& config, const std::vector<ir::Strategy>& candidates,
                                        const Expressible& expressible, StagesTaken stages, std::vector<Rejection>& pruned);

class BatchSimulator {
 public:
  // All but the candidates outlive it.
  BatchSimulator(const config::RunConfig& config, std::vector<ir::Strategy> candidates, const SearchRun& run,
                 const Cancellation& cancellation);

  Status Run(const EstimatorFactory& make_estimator);

  // Of a candidate: it and, where it does not fit, what was tried in its place.
  struct Outcome {
    std::vector<Candidate> simulated;  // empty: it was not looked at
    std::vector<Rejection> bounded;
    std::vector<Rejection> pruned;   // they need more memory than there is by what their layers keep
    std::optional<bool> plain_fits;  // the candidate itself; none: it was not looked at
    std::set<size_t> not_composed;   // of `simulated` and `alone`: templates do not tell of the step to the end
  };
  // Those that fit and are `alone` are slower than the fastest, unless the simulation was cut short.
  const std::vector<Outcome>& outcomes() const { return outcomes_; }
  // Those whose stages need more memory than there is, as they were split.
  const std::vector<Rejection>& pruned() const { return pruned_; }
  // Of those that were dropped by what their layers keep the one that needs least.
  const std::optional<ir::Strategy>& smallest_pruned() const { return smallest_pruned_; }
  // Whether each candidate was simulated or left out.
  bool decided() const { return decided_; }
  // The candidates that were left out because their steps take longer than the fastest one found; in the order of the space.
  std::vector<Rejection> Bounded() const;

 private:
  static constexpr size_t kBatchFirst = 4, kBatch = 16, kBatchToTheEnd = 2;
  static constexpr size_t kAll = std::numeric_limits<size_t>::max();

  // What one thread remembers.
  struct Worker {
    Worker(std::unique_ptr<cost::Estimator> its_estimator, const config::RunConfig& config);

    std::unique_ptr<cost::Estimator> estimator;
    sim::PriceBook prices;
    PartBook parts;
    StageMemoryBounds memory;
  };
  // What is known of a candidate before it is priced.
  struct Outlook {
    Duration bound;
    bool comes_first = false;
    bool looked_at = false;  // at its memory too: the bound is of what may fit
    bool sharded_added = false;
    Duration usual = Duration::Picoseconds(std::numeric_limits<int64_t>::max());  // the fastest of its degrees by a usual order
  };
  struct Task {
    size_t candidate = 0;
    size_t simulated = kAll;  // this one of its outcome, to the end; kAll: the candidate and its fallbacks
    bool composed = true;     // to the end of templates, or not at all
  };

  Result<Duration> BoundOf(const ir::Strategy& strategy, PartBook& parts) const;
  Status SplitStages(Worker& worker);
  Status FindBounds(Worker& worker);
  Status AddSharded(Worker& worker);
  Result<bool> MayDoWithSome(const ir::Strategy& strategy, Worker& worker) const;
  Result<std::optional<Candidate>> WithFewestLayers(const ir::Strategy& plain, Bytes lacks, const Candidate& full, Worker& worker,
                                                    const PriceStrategy& price) const;
  Result<std::optional<size_t>> AddShardedOf(size_t candidate, Worker& worker);
  Result<std::optional<Duration>> BoundOfWhatMayFit(const ir::Strategy& strategy, Worker& worker, bool& plain_may_fit);
  Status LookAtNext(Worker& worker);
  void PutInOrder(size_t candidate, size_t place_first);
  std::tuple<bool, Duration, Duration> KeyOf(size_t candidate) const;
  bool IsHopeful(Duration bound) const;
  Status FillBatch(Worker& worker);
  std::vector<Task> Undecided(bool composed) const;
  std::vector<Task> UndecidedThatWait() const;
  void SortByUsualOrders();
  void DropHopeless();
  void KeepFastest();
  Status RunBatch(std::deque<Worker>& workers);
  void Work(Worker& worker);
  void Fail(size_t place, const Status& status);
  Status PriceOne(const Task& task, Worker& worker, Outcome& outcome);
  Status PriceUntilOneFits(const ir::Strategy& candidate, Worker& worker, Outcome& outcome) const;

  const config::RunConfig& config_;
  std::vector<ir::Strategy> candidates_;
  std::vector<Rejection> pruned_;
  const SearchRun& run_;
  const Cancellation& cancellation_;
  Bytes capacity_;
  std::vector<Outlook> outlook_;   // by candidate
  std::vector<size_t> order_;      // candidates that may yet be the fastest, the most promising first
  std::vector<size_t> hopeless_;   // those that may not
  std::vector<Outcome> outcomes_;  // by candidate
  std::optional<ir::Strategy> smallest_pruned_;
  Bytes smallest_pruned_bytes_;
  bool sorted_by_usual_ = false;
  bool decided_ = false;
  std::optional<Candidate> fastest_;  // of the batches so far
  size_t next_ = 0;                   // of those in order_ that were in no batch
  size_t sharded_next_ = 0;           // of those in order_ whose sharded form was not thought of
  std::vector<Task> batch_;

  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  size_t begun_ = 0;  // of the batch
  int64_t done_ = 0;
  size_t error_place_ = std::numeric_limits<size_t>::max();
  Status error_;
};

}  // namespace helm::planner
