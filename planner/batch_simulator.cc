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
#include "planner/time_bound.h"

namespace helm::planner {
namespace {

bool IsUsualOrder(const ir::Strategy& strategy) { return strategy.schedule == "none" || strategy.schedule == "1f1b"; }

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
      pruned.push_back({strategy, fmt::format("needs at least {} of {} per rank", FormatBytes(bound), FormatBytes(capacity))});
    }
  }
  return kept;
}

BatchSimulator::BatchSimulator(const config::RunConfig& config, std::vector<ir::Strategy> candidates, const SearchRun& run,
                               const Cancellation& cancellation)
    : config_(config), candidates_(std::move(candidates)), run_(run), cancellation_(cancellation) {}

BatchSimulator::Worker::Worker(std::unique_ptr<cost::Estimator> its_estimator, const config::RunConfig& config)
    : estimator(std::move(its_estimator)), prices(MakePriceBook(*estimator, config.cluster)), parts(config, prices) {}

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
  for (const size_t i : left) bounded.push_back(TooSlow(candidates_[i], bounds_[i], *fastest_));
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
    HELM_ASSIGN_OR_RETURN(bounds_.emplace_back(), BoundOf(strategy, worker.parts));
    order_.push_back(order_.size());
  }
  // The usual orders of pipelines first: far fewer, and a fast one of them makes most of the others hopeless.
  const auto key = [this](size_t i) { return std::pair(!IsUsualOrder(candidates_[i]), bounds_[i]); };
  std::ranges::stable_sort(order_, [&key](size_t a, size_t b) { return key(a) < key(b); });
  return OkStatus();
}

// Candidates that do not fit are tried with sharded parameters too, next.
Status BatchSimulator::AddSharded(Worker& worker) {
  std::vector<size_t> sharded;
  for (; sharded_next_ < next_; ++sharded_next_) {
    const size_t i = order_[sharded_next_];
    if (outcomes_[i].simulated.empty() || outcomes_[i].simulated.front().prediction.fits) continue;
    const std::optional<ir::Strategy> strategy = FullySharded(config_, candidates_[i], run_.expressible);
    if (!strategy) continue;
    HELM_ASSIGN_OR_RETURN(bounds_.emplace_back(), BoundOf(*strategy, worker.parts));
    sharded.push_back(candidates_.size());
    candidates_.push_back(*strategy);
    outcomes_.emplace_back();
  }
  order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(next_), sharded.begin(), sharded.end());
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
  batch_ = Undecided();
  if (!batch_.empty()) return OkStatus();
  HELM_RETURN_IF_ERROR(AddSharded(worker));
  DropHopeless();
  if (next_ < order_.size() && !IsUsualOrder(candidates_[order_[next_]]) && !sorted_by_usual_) SortByUsualOrders();
  const size_t end = std::min(order_.size(), next_ + (next_ == 0 ? kBatchFirst : kBatch));
  for (; next_ < end; ++next_) batch_.push_back({order_[next_], kAll});
  return OkStatus();
}

// The fastest of them, as far as is known.
std::vector<BatchSimulator::Task> BatchSimulator::Undecided() const {
  std::vector<Task> tasks;
  for (size_t place = 0; place < next_; ++place) {
    const std::vector<Candidate>& simulated = outcomes_[order_[place]].simulated;
    for (size_t i = 0; i < simulated.size(); ++i) {
      const Prediction& prediction = simulated[i].prediction;
      if (simulated[i].alone && prediction.fits && IsHopeful(prediction.step_time)) tasks.push_back({order_[place], i});
    }
  }
  const auto time = [this](const Task& task) { return outcomes_[task.candidate].simulated[task.simulated].prediction.step_time; };
  std::ranges::stable_sort(tasks, {}, time);
  if (tasks.size() > kBatchToTheEnd) tasks.resize(kBatchToTheEnd);
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
  std::map<size_t, std::pair<Duration, Duration>> key;
  for (size_t place = next_; place < order_.size(); ++place) {
    const size_t i = order_[place];
    const auto known = usual.find(DegreesOf(candidates_[i]));
    key[i] = {known == usual.end() ? Duration::Picoseconds(std::numeric_limits<int64_t>::max()) : known->second, bounds_[i]};
  }
  const auto rest = order_.begin() + static_cast<std::ptrdiff_t>(next_);
  std::stable_sort(rest, order_.end(), [&key](size_t a, size_t b) { return key.at(a) < key.at(b); });
  sorted_by_usual_ = true;
}

void BatchSimulator::DropHopeless() {
  const auto rest = order_.begin() + static_cast<std::ptrdiff_t>(next_);
  const auto hopeless = std::stable_partition(rest, order_.end(), [this](size_t i) { return IsHopeful(bounds_[i]); });
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
  HELM_ASSIGN_OR_RETURN(outcome.simulated.emplace_back(), PriceToTheEnd(config_, strategy, worker.prices, cancellation_));
  return OkStatus();
}

// With its fallbacks.
Status BatchSimulator::PriceUntilOneFits(const ir::Strategy& candidate, Worker& worker, Outcome& outcome) const {
  std::vector<ir::Strategy> strategies = Fallbacks(config_, candidate, run_.expressible);
  strategies.insert(strategies.begin(), candidate);
  const auto price = [&](const ir::Strategy& strategy) { return PriceAlone(config_, strategy, worker.prices, cancellation_); };
  std::optional<Candidate> first, last;  // of those simulated here
  for (const ir::Strategy& strategy : strategies) {
    HELM_ASSIGN_OR_RETURN(const Duration bound, BoundOf(strategy, worker.parts));
    // All layers again may be too slow, and some of them not.
    const bool tells_of_fewer = first && strategy.recompute == "full" && IsHopeful(first->prediction.step_time);
    if (!IsHopeful(bound) && !tells_of_fewer) {
      outcome.bounded.push_back(TooSlow(strategy, bound, *fastest_));
      continue;
    }
    HELM_ASSIGN_OR_RETURN(last, price(strategy));
    outcome.simulated.push_back(*last);
    if (!first) first = last;
    if (last->prediction.fits) break;
    if (!cluster::HasGroups(config_.cluster) || !SplitIsOpen(config_, strategy)) continue;
    HELM_ASSIGN_OR_RETURN(const std::vector<Candidate> refitted, RefitStages(config_, *last, worker.parts, price, cancellation_));
    outcome.simulated.insert(outcome.simulated.end(), refitted.begin(), refitted.end());
    // One that fits so may be far slower than the next one with balanced stages.
    if (!refitted.empty() && refitted.back().prediction.fits) last = refitted.back();
  }
  if (!first || first->prediction.fits || !last->prediction.fits || last->strategy.recompute != "full") return OkStatus();
  ir::Strategy in_some_layers = last->strategy;
  in_some_layers.recompute = "custom";
  in_some_layers.recompute_layers = 1;
  if (run_.expressible && !run_.expressible(in_some_layers).ok()) return OkStatus();
  HELM_ASSIGN_OR_RETURN(std::optional<Candidate> fewest, FewestLayers(config_, *first, *last, price));
  if (fewest) outcome.simulated.push_back(*std::move(fewest));
  return OkStatus();
}

}  // namespace helm::planner
