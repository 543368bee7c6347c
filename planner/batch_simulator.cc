#include "planner/batch_simulator.h"

#include <algorithm>
#include <map>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "cluster/device_groups.h"
#include "core/text.h"
#include "ir/strategy_text.h"
#include "planner/candidate_price.h"
#include "planner/evaluate.h"
#include "planner/fewest_layers.h"
#include "planner/stage_refit.h"
#include "planner/stage_split.h"
#include "planner/step_form.h"
#include "planner/time_bound.h"

namespace helm::planner {
namespace {

std::string NeedsAtLeast(Bytes bound, Bytes capacity) {
  return fmt::format("needs at least {} of {} per rank", FormatBytes(bound), FormatBytes(capacity));
}

// The usual orders of pipelines, but for steps that have to be written out, which takes seconds.
bool ComesFirst(const config::RunConfig& config, const ir::Strategy& strategy) {
  const bool usual = strategy.schedule == "none" || strategy.schedule == "1f1b";
  return usual && WhyNotComposed(config.model, config.workload, strategy, /*contends=*/false).empty();
}

std::string DegreesOf(ir::Strategy strategy) {
  strategy.schedule = "none";
  strategy.virtual_pipeline = 1;
  strategy.stages.clear();
  strategy.recompute = "none";
  strategy.recompute_ops.clear();
  strategy.recompute_layers = 0;
  return ir::Describe(strategy);
}

}  // namespace

std::vector<ir::Strategy> PruneByMemory(const config::RunConfig& config, const std::vector<ir::Strategy>& candidates,
                                        const Expressible& expressible, StagesTaken stages, std::vector<Rejection>& pruned) {
  const Bytes capacity = MemoryCapacity(config.cluster, config.search.memory_fraction);
  const auto bound_of = [&](const ir::Strategy& strategy) {
    return MemoryLowerBound(config.model, config.workload, config.software, strategy,
                            SplitIsOpen(config, strategy) ? stages : StagesTaken::kAsGiven);
  };
  std::vector<ir::Strategy> kept;
  for (const ir::Strategy& strategy : candidates) {
    const Bytes bound = bound_of(strategy);
    const std::optional<ir::Strategy> sharded = FullySharded(config, strategy, expressible);
    if (bound <= capacity) {
      kept.push_back(strategy);
    } else {
      if (sharded && bound_of(*sharded) <= capacity) kept.push_back(*sharded);
      pruned.push_back({strategy, NeedsAtLeast(bound, capacity)});
    }
  }
  return kept;
}

BatchSimulator::BatchSimulator(const config::RunConfig& config, std::vector<ir::Strategy> candidates, const SearchRun& run,
                               const Cancellation& cancellation)
    : config_(config),
      candidates_(std::move(candidates)),
      run_(run),
      cancellation_(cancellation),
      capacity_(MemoryCapacity(config.cluster, config.search.memory_fraction)) {}

BatchSimulator::Worker::Worker(std::unique_ptr<cost::Estimator> its_estimator, const config::RunConfig& config)
    : estimator(std::move(its_estimator)),
      prices(MakePriceBook(*estimator, config.cluster)),
      parts(config, prices),
      memory(config, parts) {}

Status BatchSimulator::Run(const EstimatorFactory& make_estimator) {
  const auto threads = std::clamp<int64_t>(run_.threads, 1, std::max<int64_t>(1, static_cast<int64_t>(candidates_.size())));
  std::deque<Worker> workers;
  for (int64_t i = 0; i < threads; ++i) {
    HELM_ASSIGN_OR_RETURN(auto estimator, make_estimator());
    workers.emplace_back(std::move(estimator), config_);
  }
  HELM_RETURN_IF_ERROR(SplitStages(workers.front()));
  HELM_RETURN_IF_ERROR(FindBounds(workers.front()));
  for (;;) {
    HELM_RETURN_IF_ERROR(FillBatch(workers.front()));
    if (batch_.empty()) break;
    HELM_RETURN_IF_ERROR(RunBatch(workers));
  }
  decided_ = !cancellation_.requested();
  return OkStatus();
}

std::vector<Rejection> BatchSimulator::Bounded() const {
  std::vector<size_t> left = hopeless_;
  std::ranges::sort(left);
  std::vector<Rejection> bounded;
  for (const size_t i : left) bounded.push_back(TooSlow(candidates_[i], outlook_[i].bound, *fastest_));
  return bounded;
}

// How little a strategy can take; if its communication may yet be hidden, as if all of it were.
Result<Duration> BatchSimulator::BoundOf(const ir::Strategy& strategy, PartBook& parts) const {
  HELM_ASSIGN_OR_RETURN(const TimeBound bound, TimeLowerBound(config_, strategy, parts, cancellation_));
  const bool hides = ir::HidesCommunication(strategy) || !OverlapVariants(config_, strategy, run_.expressible).candidates.empty();
  return hides ? bound.computing : bound.step;
}

// The candidates with their layers split over the stages.
Status BatchSimulator::SplitStages(Worker& worker) {
  std::vector<ir::Strategy> split;
  for (const ir::Strategy& strategy : candidates_) {
    HELM_ASSIGN_OR_RETURN(const std::vector<ir::Strategy> splits, StageSplits(config_, strategy, worker.parts, cancellation_));
    for (const ir::Strategy& one : splits) {
      if (const Status refusal = run_.expressible ? run_.expressible(one) : OkStatus(); !refusal.ok()) {
        pruned_.push_back({one, refusal.message()});
      } else {
        split.push_back(one);
      }
    }
  }
  candidates_ = PruneByMemory(config_, split, run_.expressible, StagesTaken::kAsGiven, pruned_);
  outcomes_.resize(candidates_.size());
  return OkStatus();
}

Status BatchSimulator::FindBounds(Worker& worker) {
  for (const ir::Strategy& strategy : candidates_) {
    Outlook& outlook = outlook_.emplace_back();
    outlook.comes_first = ComesFirst(config_, strategy);
    HELM_ASSIGN_OR_RETURN(outlook.bound, BoundOf(strategy, worker.parts));
    order_.push_back(order_.size());
  }
  std::ranges::stable_sort(order_, {}, [this](size_t i) { return KeyOf(i); });
  return OkStatus();
}

// The usual orders of pipelines first: far fewer, and a fast one of them makes most of the others hopeless. Then those whose degrees did
// well with the usual order.
std::tuple<bool, Duration, Duration> BatchSimulator::KeyOf(size_t candidate) const {
  const Outlook& outlook = outlook_[candidate];
  return {!outlook.comes_first, outlook.usual, outlook.bound};
}

// Among those behind `place_first`, and behind all that are as promising.
void BatchSimulator::PutInOrder(size_t candidate, size_t place_first) {
  const auto rest = order_.begin() + static_cast<std::ptrdiff_t>(place_first);
  order_.insert(std::ranges::upper_bound(rest, order_.end(), KeyOf(candidate), {}, [this](size_t i) { return KeyOf(i); }), candidate);
}

// Of the strategy and its fallbacks, those that may fit by what their layers keep; none: none may.
Result<std::optional<Duration>> BatchSimulator::BoundOfWhatMayFit(const ir::Strategy& strategy, Worker& worker, bool& plain_may_fit) {
  std::optional<Duration> least;
  HELM_ASSIGN_OR_RETURN(const Bytes plain, worker.memory.Of(strategy, cancellation_));
  plain_may_fit = plain <= capacity_;
  if (plain_may_fit) {
    HELM_ASSIGN_OR_RETURN(least, BoundOf(strategy, worker.parts));
    return least;
  }
  Bytes smallest = plain;
  ir::Strategy smallest_strategy = strategy;
  for (ir::Strategy fallback : Fallbacks(config_, strategy, run_.expressible)) {
    HELM_ASSIGN_OR_RETURN(const Bytes needs, worker.memory.Of(fallback, cancellation_));
    if (needs < smallest) {
      smallest = needs;
      smallest_strategy = fallback;
    }
    if (needs > capacity_) continue;
    if (fallback.recompute == "full") {
      HELM_ASSIGN_OR_RETURN(const std::optional<int64_t> layers, worker.memory.FewestRecomputed(strategy, capacity_, cancellation_));
      fallback = WithRecomputedLayers(strategy, layers.value_or(1));
    }
    HELM_ASSIGN_OR_RETURN(const Duration bound, BoundOf(fallback, worker.parts));
    least = std::min(least.value_or(bound), bound);
  }
  if (!least) {
    if (!smallest_pruned_ || smallest < smallest_pruned_bytes_) {
      smallest_pruned_ = smallest_strategy;
      smallest_pruned_bytes_ = smallest;
    }
    pruned_.push_back({strategy, NeedsAtLeast(smallest, capacity_)});
  }
  return least;
}

// The next one in order, by its memory: with a longer bound it goes back among the others, and where it does not fit as it is its sharded
// form goes there too.
Status BatchSimulator::LookAtNext(Worker& worker) {
  const size_t i = order_[next_];
  bool plain_may_fit = true;
  HELM_ASSIGN_OR_RETURN(const std::optional<Duration> bound, BoundOfWhatMayFit(candidates_[i], worker, plain_may_fit));
  outlook_[i].looked_at = true;
  order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(next_));
  if (bound) {
    outlook_[i].bound = std::max(outlook_[i].bound, *bound);
    PutInOrder(i, next_);
  }
  if (plain_may_fit) return OkStatus();
  HELM_ASSIGN_OR_RETURN(const std::optional<size_t> sharded, AddShardedOf(i, worker));
  if (sharded) PutInOrder(*sharded, next_);
  return OkStatus();
}

Result<std::optional<size_t>> BatchSimulator::AddShardedOf(size_t candidate, Worker& worker) {
  if (outlook_[candidate].sharded_added) return std::optional<size_t>();
  outlook_[candidate].sharded_added = true;
  const std::optional<ir::Strategy> strategy = FullySharded(config_, candidates_[candidate], run_.expressible);
  if (!strategy) return std::optional<size_t>();
  Outlook sharded{.comes_first = ComesFirst(config_, *strategy), .usual = outlook_[candidate].usual};
  HELM_ASSIGN_OR_RETURN(sharded.bound, BoundOf(*strategy, worker.parts));
  outlook_.push_back(sharded);
  candidates_.push_back(*strategy);
  outcomes_.emplace_back();
  return std::optional<size_t>(candidates_.size() - 1);
}

// Candidates that do not fit are tried with sharded parameters too.
Status BatchSimulator::AddSharded(Worker& worker) {
  for (; sharded_next_ < next_; ++sharded_next_) {
    const size_t i = order_[sharded_next_];
    if (outcomes_[i].plain_fits.value_or(true)) continue;
    HELM_ASSIGN_OR_RETURN(const std::optional<size_t> added, AddShardedOf(i, worker));
    if (added) PutInOrder(*added, next_);
  }
  return OkStatus();
}

// Whether a step may yet be as fast as the fastest of the batches before, or so near that writing both out decides.
bool BatchSimulator::IsHopeful(Duration bound) const {
  return !fastest_ || bound.seconds() <= fastest_->prediction.step_time.seconds() * (1 + kTemplateErrorMax);
}

// With candidates that may be the fastest but were not priced to the end, else with the next hopeful ones.
Status BatchSimulator::FillBatch(Worker& worker) {
  batch_.clear();
  begun_ = 0;
  KeepFastest();
  if (cancellation_.requested()) return OkStatus();
  batch_ = Undecided(/*composed=*/true);
  if (!batch_.empty()) return OkStatus();
  HELM_RETURN_IF_ERROR(AddSharded(worker));
  DropHopeless();
  batch_ = UndecidedThatWait();
  if (!batch_.empty()) return OkStatus();
  const size_t most = next_ == 0 ? kBatchFirst : kBatch;
  while (batch_.size() < most && next_ < order_.size() && !cancellation_.requested()) {
    const size_t i = order_[next_];
    if (!IsHopeful(outlook_[i].bound)) {
      hopeless_.push_back(i);
      order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(next_));
    } else if (!sorted_by_usual_ && !outlook_[i].comes_first) {
      if (!batch_.empty()) break;
      SortByUsualOrders();
    } else if (!outlook_[i].looked_at) {
      HELM_RETURN_IF_ERROR(LookAtNext(worker));
    } else {
      batch_.push_back({i, kAll});
      ++next_;
    }
  }
  return OkStatus();
}

// The fastest of them, as far as is known: of those that may be composed of templates, or of those that may not.
std::vector<BatchSimulator::Task> BatchSimulator::Undecided(bool composed) const {
  std::vector<Task> tasks;
  for (size_t place = 0; place < next_; ++place) {
    const Outcome& outcome = outcomes_[order_[place]];
    for (size_t i = 0; i < outcome.simulated.size(); ++i) {
      const Candidate& simulated = outcome.simulated[i];
      if (outcome.not_composed.contains(i) == composed) continue;
      if (simulated.alone && simulated.prediction.fits && IsHopeful(simulated.prediction.step_time)) {
        tasks.push_back({order_[place], i, composed});
      }
    }
  }
  const auto time = [this](const Task& task) { return outcomes_[task.candidate].simulated[task.simulated].prediction.step_time; };
  std::ranges::stable_sort(tasks, {}, time);
  if (tasks.size() > kBatchToTheEnd) tasks.resize(kBatchToTheEnd);
  return tasks;
}

// Those whose turn has come: no candidate in line may be faster, or nothing is known yet that would make others hopeless.
std::vector<BatchSimulator::Task> BatchSimulator::UndecidedThatWait() const {
  std::vector<Task> tasks = Undecided(/*composed=*/false);
  if (!fastest_) return tasks;
  std::optional<Duration> least;
  for (size_t place = next_; place < order_.size(); ++place) {
    const Duration bound = outlook_[order_[place]].bound;
    least = std::min(least.value_or(bound), bound);
  }
  std::erase_if(
      tasks, [&](const Task& task) { return least && outcomes_[task.candidate].simulated[task.simulated].prediction.step_time > *least; });
  return tasks;
}

// Those first whose degrees did well with the usual order: a bound knows nothing of memory, and without it large micro-batches, which
// need recomputation, look best.
void BatchSimulator::SortByUsualOrders() {
  std::map<std::string, Duration> usual;  // the fastest that fits, by degrees
  for (const Outcome& outcome : outcomes_) {
    for (const Candidate& candidate : outcome.simulated) {
      if (!candidate.prediction.fits) continue;
      const auto [known, is_new] = usual.emplace(DegreesOf(candidate.strategy), candidate.prediction.step_time);
      if (!is_new) known->second = std::min(known->second, candidate.prediction.step_time);
    }
  }
  for (size_t place = next_; place < order_.size(); ++place) {
    const auto known = usual.find(DegreesOf(candidates_[order_[place]]));
    if (known != usual.end()) outlook_[order_[place]].usual = known->second;
  }
  const auto rest = order_.begin() + static_cast<std::ptrdiff_t>(next_);
  std::stable_sort(rest, order_.end(), [this](size_t a, size_t b) { return KeyOf(a) < KeyOf(b); });
  sorted_by_usual_ = true;
}

void BatchSimulator::DropHopeless() {
  const auto rest = order_.begin() + static_cast<std::ptrdiff_t>(next_);
  const auto hopeless = std::stable_partition(rest, order_.end(), [this](size_t i) { return IsHopeful(outlook_[i].bound); });
  hopeless_.insert(hopeless_.end(), hopeless, order_.end());
  order_.erase(hopeless, order_.end());
}

void BatchSimulator::KeepFastest() {
  for (const Outcome& outcome : outcomes_) {
    for (const Candidate& candidate : outcome.simulated) {
      const bool faster = !fastest_ || candidate.prediction.step_time < fastest_->prediction.step_time;
      if (candidate.prediction.fits && !candidate.alone && faster) fastest_ = candidate;
    }
  }
}

Status BatchSimulator::RunBatch(std::deque<Worker>& workers) {
  {
    std::vector<std::jthread> working;
    for (Worker& worker : workers) working.emplace_back([&] { Work(worker); });
  }
  return error_;
}

void BatchSimulator::Work(Worker& worker) {
  while (!cancellation_.requested() && !failed_) {
    size_t place = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (begun_ == batch_.size()) return;
      place = begun_++;
    }
    const Task& task = batch_[place];
    const bool all = task.simulated == kAll;
    Outcome outcome;
    const Status status = all ? PriceUntilOneFits(candidates_[task.candidate], worker, outcome) : PriceOne(task, worker, outcome);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (status.ok() && all) {
      outcomes_[task.candidate] = std::move(outcome);
    } else if (status.ok()) {
      outcomes_[task.candidate].simulated[task.simulated] = std::move(outcome.simulated.front());
    } else if (task.composed && status.code() == StatusCode::kUnavailable) {
      outcomes_[task.candidate].not_composed.insert(task.simulated);
    } else if (status.code() == StatusCode::kInterrupted) {
      return;
    } else {
      Fail(place, status);
    }
    if (all) ++done_;
    if (run_.progress) run_.progress(done_, static_cast<int64_t>(order_.size()));
  }
}

// Keeps the error of the first task that has one, whichever thread finds it when: tasks are begun in order, so those before one that failed
// have all been begun.
void BatchSimulator::Fail(size_t place, const Status& status) {
  if (place < error_place_) {
    error_ = status;
    error_place_ = place;
  }
  failed_ = true;
}

// To the end. Another task of the batch may be another strategy of the same candidate, so no more than the strategy is read here.
Status BatchSimulator::PriceOne(const Task& task, Worker& worker, Outcome& outcome) {
  ir::Strategy strategy;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    strategy = outcomes_[task.candidate].simulated[task.simulated].strategy;
  }
  const auto price = task.composed ? PriceOfTemplates : PriceToTheEnd;
  HELM_ASSIGN_OR_RETURN(outcome.simulated.emplace_back(), price(config_, strategy, worker.prices, cancellation_));
  return OkStatus();
}

// With its fallbacks.
Status BatchSimulator::PriceUntilOneFits(const ir::Strategy& candidate, Worker& worker, Outcome& outcome) const {
  std::vector<ir::Strategy> strategies = Fallbacks(config_, candidate, run_.expressible);
  strategies.insert(strategies.begin(), candidate);
  const auto price = [&](const ir::Strategy& strategy) { return PriceAlone(config_, strategy, worker.prices, cancellation_); };
  std::optional<Candidate> last;  // of those simulated here
  Bytes plain_lacks;              // at least, on the rank with least left, where it does not fit
  for (const ir::Strategy& strategy : strategies) {
    const bool is_plain = strategy == candidate;
    HELM_ASSIGN_OR_RETURN(const Bytes needs, worker.memory.Of(strategy, cancellation_));
    if (is_plain) plain_lacks = needs - capacity_;
    if (needs > capacity_) {
      outcome.pruned.push_back({strategy, NeedsAtLeast(needs, capacity_)});
      if (is_plain) outcome.plain_fits = false;
      continue;
    }
    HELM_ASSIGN_OR_RETURN(const Duration bound, BoundOf(strategy, worker.parts));
    // All layers again may be too slow, and some of them not.
    HELM_ASSIGN_OR_RETURN(const bool some_may_do, !is_plain && strategy.recompute == "full" ? MayDoWithSome(candidate, worker) : false);
    if (!IsHopeful(bound) && !some_may_do) {
      outcome.bounded.push_back(TooSlow(strategy, bound, *fastest_));
      continue;
    }
    HELM_ASSIGN_OR_RETURN(last, price(strategy));
    outcome.simulated.push_back(*last);
    if (is_plain) {
      outcome.plain_fits = last->prediction.fits;
      plain_lacks = last->prediction.memory_bytes_peak - last->prediction.memory_bytes_capacity;
    }
    if (last->prediction.fits) break;
    if (!cluster::HasGroups(config_.cluster) || !SplitIsOpen(config_, strategy)) continue;
    HELM_ASSIGN_OR_RETURN(const std::vector<Candidate> refitted, RefitStages(config_, *last, worker.parts, price, cancellation_));
    outcome.simulated.insert(outcome.simulated.end(), refitted.begin(), refitted.end());
    // One that fits so may be far slower than the next one with balanced stages.
    if (!refitted.empty() && refitted.back().prediction.fits) last = refitted.back();
  }
  if (outcome.plain_fits.value_or(true) || !last || !last->prediction.fits || last->strategy.recompute != "full") return OkStatus();
  HELM_ASSIGN_OR_RETURN(std::optional<Candidate> fewest, WithFewestLayers(candidate, plain_lacks, *last, worker, price));
  if (fewest) outcome.simulated.push_back(*std::move(fewest));
  return OkStatus();
}

// Whether the strategy may be the fastest with as few layers computed again as memory may allow.
Result<bool> BatchSimulator::MayDoWithSome(const ir::Strategy& strategy, Worker& worker) const {
  HELM_ASSIGN_OR_RETURN(const std::optional<int64_t> fewest, worker.memory.FewestRecomputed(strategy, capacity_, cancellation_));
  if (!fewest) return false;
  HELM_ASSIGN_OR_RETURN(const Duration bound, BoundOf(WithRecomputedLayers(strategy, *fewest), worker.parts));
  return IsHopeful(bound);
}

// Of a strategy that lacks `lacks` or more, and fits with all layers computed again: then another rank may be the fullest.
Result<std::optional<Candidate>> BatchSimulator::WithFewestLayers(const ir::Strategy& plain, Bytes lacks, const Candidate& full,
                                                                  Worker& worker, const PriceStrategy& price) const {
  if (run_.expressible && !run_.expressible(WithRecomputedLayers(plain, 1)).ok()) return std::optional<Candidate>();
  TooFewLayers too_few{0, lacks};
  HELM_ASSIGN_OR_RETURN(const std::optional<int64_t> fewest, worker.memory.FewestRecomputed(plain, capacity_, cancellation_));
  if (fewest.value_or(1) > 1) {
    const ir::Strategy fewer = WithRecomputedLayers(plain, *fewest - 1);
    HELM_ASSIGN_OR_RETURN(const Bytes needs, worker.memory.Of(fewer, cancellation_));
    too_few = {*fewest - 1, needs - capacity_};
  }
  return FewestLayers(config_, too_few, full, price);
}

}  // namespace helm::planner
