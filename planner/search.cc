#include "planner/search.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "core/cancellation.h"
#include "core/text.h"
#include "planner/fewest_layers.h"
#include "planner/memory_bound.h"
#include "planner/no_plan.h"
#include "planner/part_times.h"
#include "planner/plan_difference.h"
#include "planner/stage_split.h"
#include "planner/time_bound.h"
#include "schedule/pass.h"

namespace helm::planner {
namespace {

using Clock = Cancellation::Clock;

constexpr double kTimeLimitSecondsMost = 1e9;  // 30 years: a clock in nanoseconds holds it
constexpr auto kWriteOutAfterStop = std::chrono::seconds(1);

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Drops the candidates whose memory lower bound exceeds the capacity; where it would not with sharded parameters, that takes their place.
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

// Leaders are priced again with their steps written out: those within the bound that templates are held to (DESIGN section 5, rule 8). Not
// those that were written out already.
constexpr double kTemplateErrorMax = 0.005;
constexpr size_t kLeadersMax = 4;

// As the search prices: composed of templates where that is possible.
Result<Candidate> Price(const config::RunConfig& config, const ir::Strategy& strategy, sim::PriceBook& prices,
                        const Cancellation& cancellation) {
  HELM_ASSIGN_OR_RETURN(const Evaluation evaluation,
                        Evaluate(MakePlan(config, strategy), config.model, config.cluster, prices,
                                 {.record_timeline = false, .form = StepForm::kComposed, .cancellation = cancellation}));
  return Candidate{strategy, evaluation.prediction, "", evaluation.written_out_because};
}

// Simulates the candidates, the most promising first, several at a time, until a lower bound says that no other can be the fastest. Slot i
// belongs to candidate i, so that the order of finishing does not matter; which are simulated is decided between batches of a fixed size.
class Simulator {
 public:
  Simulator(const config::RunConfig& config, std::vector<ir::Strategy> candidates, const SearchRun& run, const Cancellation& cancellation)
      : config_(config), candidates_(std::move(candidates)), run_(run), cancellation_(cancellation) {}

  Status Run(const EstimatorFactory& make_estimator) {
    const auto threads = std::clamp<int64_t>(run_.threads, 1, std::max<int64_t>(1, static_cast<int64_t>(candidates_.size())));
    std::deque<Worker> workers;
    for (int64_t i = 0; i < threads; ++i) {
      HELM_ASSIGN_OR_RETURN(auto estimator, make_estimator());
      workers.emplace_back(std::move(estimator), config_);
    }
    HELM_RETURN_IF_ERROR(SplitStages(workers.front()));
    HELM_RETURN_IF_ERROR(FindBounds(workers.front()));
    while (FillBatch()) {
      std::vector<std::jthread> working;
      for (Worker& worker : workers) working.emplace_back([&] { Work(worker); });
      working.clear();  // waits for them
      HELM_RETURN_IF_ERROR(error_);
    }
    return OkStatus();
  }

  // Of a candidate: it and, where it does not fit, what was tried in its place.
  struct Outcome {
    std::vector<Candidate> simulated;  // empty: it was not looked at
    std::vector<Rejection> bounded;
  };
  const std::vector<Outcome>& outcomes() const { return outcomes_; }
  // Those whose stages need more memory than there is, as they were split.
  const std::vector<Rejection>& pruned() const { return pruned_; }
  // Whether each candidate was simulated or left out.
  bool decided() const {
    const auto simulated = std::ranges::count_if(outcomes_, [](const Outcome& outcome) { return !outcome.simulated.empty(); });
    return static_cast<size_t>(simulated) + hopeless_.size() == candidates_.size();
  }

  // The candidates that were left out because their steps take longer than the fastest one found; in the order of the space.
  std::vector<Rejection> Bounded() const {
    std::vector<size_t> left = hopeless_;
    std::ranges::sort(left);
    std::vector<Rejection> bounded;
    for (const size_t i : left) bounded.push_back(TooSlow(candidates_[i], bounds_[i]));
    return bounded;
  }

 private:
  static constexpr size_t kBatchFirst = 4, kBatch = 16;

  // What one thread remembers.
  struct Worker {
    Worker(std::unique_ptr<cost::Estimator> its_estimator, const config::RunConfig& config)
        : estimator(std::move(its_estimator)), prices(MakePriceBook(*estimator, config.cluster)), parts(config, prices) {}

    std::unique_ptr<cost::Estimator> estimator;
    sim::PriceBook prices;
    PartBook parts;
  };

  // How little a strategy can take; if its communication may yet be hidden, as if all of it were.
  Result<Duration> BoundOf(const ir::Strategy& strategy, PartBook& parts) const {
    HELM_ASSIGN_OR_RETURN(const TimeBound bound, TimeLowerBound(config_, strategy, parts, cancellation_));
    const bool hides = ir::IsTiled(strategy) || !OverlapVariants(config_, strategy, run_.expressible).candidates.empty();
    return hides ? bound.computing : bound.step;
  }

  // The candidates with their layers split over the stages.
  Status SplitStages(Worker& worker) {
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

  Status FindBounds(Worker& worker) {
    for (const ir::Strategy& strategy : candidates_) {
      HELM_ASSIGN_OR_RETURN(bounds_.emplace_back(), BoundOf(strategy, worker.parts));
      order_.push_back(order_.size());
    }
    // The usual orders of pipelines first: far fewer, and a fast one of them makes most of the others hopeless.
    const auto key = [this](size_t i) { return std::pair(!IsUsualOrder(candidates_[i]), bounds_[i]); };
    std::ranges::stable_sort(order_, [&key](size_t a, size_t b) { return key(a) < key(b); });
    return OkStatus();
  }

  static bool IsUsualOrder(const ir::Strategy& strategy) { return strategy.schedule == "none" || strategy.schedule == "1f1b"; }

  // Whether a step may yet be as fast as the fastest of the batches before, or so near that writing both out decides.
  bool IsHopeful(Duration bound) const {
    return !fastest_ || bound.seconds() <= fastest_->prediction.step_time.seconds() * (1 + kTemplateErrorMax);
  }
  Rejection TooSlow(const ir::Strategy& strategy, Duration bound) const {
    return {strategy, fmt::format("takes at least {}, {} takes {}", FormatDuration(bound), ir::Describe(fastest_->strategy),
                                  FormatDuration(fastest_->prediction.step_time))};
  }

  // Takes the next hopeful candidates.
  bool FillBatch() {
    KeepFastest();
    if (cancellation_.requested()) return false;
    DropHopeless();
    if (end_ < order_.size() && !IsUsualOrder(candidates_[order_[end_]]) && !sorted_by_usual_) SortByUsualOrders();
    const size_t first = end_, most = first + (first == 0 ? kBatchFirst : kBatch);
    end_ = std::min(order_.size(), most);
    return end_ > first;
  }

  // Those first whose degrees did well with the usual order: a bound knows nothing of memory, and without it large micro-batches, which
  // need recomputation, look best.
  void SortByUsualOrders() {
    std::map<std::string, Duration> usual;  // the fastest that fits, by degrees
    for (const Outcome& outcome : outcomes_) {
      for (const Candidate& candidate : outcome.simulated) {
        if (!candidate.prediction.fits) continue;
        const auto [known, is_new] = usual.emplace(DegreesOf(candidate.strategy), candidate.prediction.step_time);
        if (!is_new) known->second = std::min(known->second, candidate.prediction.step_time);
      }
    }
    std::map<size_t, std::pair<Duration, Duration>> key;
    for (size_t place = end_; place < order_.size(); ++place) {
      const size_t i = order_[place];
      const auto known = usual.find(DegreesOf(candidates_[i]));
      key[i] = {known == usual.end() ? Duration::Picoseconds(std::numeric_limits<int64_t>::max()) : known->second, bounds_[i]};
    }
    const auto rest = order_.begin() + static_cast<std::ptrdiff_t>(end_);
    std::stable_sort(rest, order_.end(), [&key](size_t a, size_t b) { return key.at(a) < key.at(b); });
    sorted_by_usual_ = true;
  }

  static std::string DegreesOf(ir::Strategy strategy) {
    strategy.schedule = "none";
    strategy.virtual_pipeline = 1;
    strategy.stages.clear();
    strategy.recompute = "none";
    strategy.recompute_ops.clear();
    strategy.recompute_layers = 0;
    return ir::Describe(strategy);
  }

  void DropHopeless() {
    const auto rest = order_.begin() + static_cast<std::ptrdiff_t>(end_);
    const auto hopeless = std::stable_partition(rest, order_.end(), [this](size_t i) { return IsHopeful(bounds_[i]); });
    hopeless_.insert(hopeless_.end(), hopeless, order_.end());
    order_.erase(hopeless, order_.end());
  }

  void KeepFastest() {
    for (const Outcome& outcome : outcomes_) {
      for (const Candidate& candidate : outcome.simulated) {
        const bool faster = !fastest_ || candidate.prediction.step_time < fastest_->prediction.step_time;
        if (candidate.prediction.fits && faster) fastest_ = candidate;
      }
    }
  }

  void Work(Worker& worker) {
    while (!cancellation_.requested() && !failed_) {
      size_t place = 0;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (next_ == end_) return;
        place = next_++;
      }
      Outcome outcome;
      const Status status = PriceWithFallbacks(candidates_[order_[place]], worker, outcome);
      const std::lock_guard<std::mutex> lock(mutex_);
      if (status.ok()) {
        outcomes_[order_[place]] = std::move(outcome);
      } else if (status.code() == StatusCode::kInterrupted) {
        return;
      } else {
        Fail(place, status);
      }
      if (run_.progress) run_.progress(++done_, static_cast<int64_t>(order_.size()));
    }
  }

  // Keeps the error of the first candidate that has one, whichever thread finds it when: candidates are begun in order, so those before one
  // that failed have all been begun.
  void Fail(size_t place, const Status& status) {
    if (place < error_place_) {
      error_ = status;
      error_place_ = place;
    }
    failed_ = true;
  }

  // With its fallbacks, and those of its sharded form, until one of each fits.
  Status PriceWithFallbacks(const ir::Strategy& candidate, Worker& worker, Outcome& outcome) const {
    HELM_RETURN_IF_ERROR(PriceUntilOneFits(candidate, worker, outcome));
    const std::optional<ir::Strategy> sharded = FullySharded(config_, candidate, run_.expressible);
    if (outcome.simulated.empty() || outcome.simulated.front().prediction.fits || !sharded) return OkStatus();
    return PriceUntilOneFits(*sharded, worker, outcome);
  }

  Status PriceUntilOneFits(const ir::Strategy& candidate, Worker& worker, Outcome& outcome) const {
    std::vector<ir::Strategy> strategies = Fallbacks(config_, candidate, run_.expressible);
    strategies.insert(strategies.begin(), candidate);
    const auto price = [&](const ir::Strategy& strategy) { return Price(config_, strategy, worker.prices, cancellation_); };
    std::optional<Candidate> first, last;  // of those simulated here
    for (const ir::Strategy& strategy : strategies) {
      HELM_ASSIGN_OR_RETURN(const Duration bound, BoundOf(strategy, worker.parts));
      // All layers again may be too slow, and some of them not.
      const bool tells_of_fewer = first && strategy.recompute == "full" && IsHopeful(first->prediction.step_time);
      if (!IsHopeful(bound) && !tells_of_fewer) {
        outcome.bounded.push_back(TooSlow(strategy, bound));
        continue;
      }
      HELM_ASSIGN_OR_RETURN(last, price(strategy));
      outcome.simulated.push_back(*last);
      if (!first) first = last;
      if (last->prediction.fits) break;
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

  const config::RunConfig& config_;
  std::vector<ir::Strategy> candidates_;
  std::vector<Rejection> pruned_;
  const SearchRun& run_;
  const Cancellation& cancellation_;
  std::vector<Duration> bounds_;  // by candidate
  std::vector<size_t> order_;     // candidates that may yet be the fastest, the most promising first
  std::vector<size_t> hopeless_;  // those that may not
  bool sorted_by_usual_ = false;
  std::optional<Candidate> fastest_;  // of the batches so far
  size_t end_ = 0;                    // of the batch, in order_
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  size_t next_ = 0;  // in order_
  int64_t done_ = 0;
  size_t error_place_ = std::numeric_limits<size_t>::max();
  Status error_;
  std::vector<Outcome> outcomes_;  // by candidate
};

bool Faster(const Candidate& a, const Candidate& b) { return a.prediction.step_time < b.prediction.step_time; }

std::vector<size_t> ParetoFront(const std::vector<Candidate>& ranked) {
  std::vector<size_t> front;
  std::optional<Bytes> smallest;
  for (size_t i = 0; i < ranked.size(); ++i) {
    const Bytes peak = ranked[i].prediction.memory_bytes_peak;
    if (!smallest || peak < *smallest) {
      front.push_back(i);
      smallest = peak;
    }
  }
  return front;
}

void Rank(SearchResult& result) {
  std::stable_sort(result.ranked.begin(), result.ranked.end(), Faster);
  std::stable_sort(result.unfit.begin(), result.unfit.end(),
                   [](const Candidate& a, const Candidate& b) { return a.prediction.memory_bytes_peak < b.prediction.memory_bytes_peak; });
  for (size_t i = 1; i < result.ranked.size(); ++i)
    result.ranked[i].reason = WhyLost(result.ranked[0].prediction, result.ranked[i].prediction);
  result.pareto = ParetoFront(result.ranked);
}

// Passes that overlap communication are tried on the candidates that could then be the fastest: overlap can save no more than the
// communication that is exposed. In the order of that bound, up to so many, since tiled steps are not composed of templates.
constexpr size_t kOverlappedMost = 8;

class OverlapTrials {
 public:
  OverlapTrials(const config::RunConfig& config, const SearchRun& run, sim::PriceBook& prices, const Cancellation& cancellation,
                SearchResult& result)
      : config_(config), run_(run), prices_(prices), cancellation_(cancellation), result_(result), best_(result.ranked.front()) {}

  Status Run() {
    std::vector<Candidate> hopeful = result_.ranked;
    std::stable_sort(hopeful.begin(), hopeful.end(), [](const Candidate& a, const Candidate& b) { return Bound(a) < Bound(b); });
    size_t tried = 0;
    for (const Candidate& candidate : hopeful) {
      if (tried == kOverlappedMost || Bound(candidate) >= best_.prediction.step_time) break;
      const Space variants = OverlapVariants(config_, candidate.strategy, run_.expressible);
      result_.pruned.insert(result_.pruned.end(), variants.rejected.begin(), variants.rejected.end());
      tried += variants.candidates.empty() ? 0 : 1;
      for (const ir::Strategy& strategy : variants.candidates) HELM_RETURN_IF_ERROR(Try(strategy));
    }
    return TryMoreTiles();
  }

 private:
  static Duration Bound(const Candidate& c) { return c.prediction.step_time - c.prediction.breakdown.exposed_communication; }

  Status Try(const ir::Strategy& strategy) {
    HELM_ASSIGN_OR_RETURN(const Candidate variant, Price(config_, strategy, prices_, cancellation_));
    (variant.prediction.fits ? result_.ranked : result_.unfit).push_back(variant);
    if (variant.prediction.fits && variant.prediction.step_time < best_.prediction.step_time) best_ = variant;
    return OkStatus();
  }

  // More tiles hide more and compute in smaller pieces: twice as many as long as that makes the best one faster, and their costs are known.
  Status TryMoreTiles() {
    for (auto more = WithMoreTiles(config_, best_.strategy); more; more = WithMoreTiles(config_, best_.strategy)) {
      const Status tried = Try(*more);
      if (tried.code() == StatusCode::kUnavailable) break;
      HELM_RETURN_IF_ERROR(tried);
      if (best_.strategy != *more) break;
    }
    return OkStatus();
  }

  const config::RunConfig& config_;
  const SearchRun& run_;
  sim::PriceBook& prices_;
  const Cancellation& cancellation_;
  SearchResult& result_;
  Candidate best_;
};

Status WriteOutLeaders(const config::RunConfig& config, sim::PriceBook& prices, const Cancellation& cancellation, SearchResult& result) {
  const double within = result.ranked.front().prediction.step_time.seconds() * (1 + kTemplateErrorMax);
  const size_t count = std::min(result.ranked.size(), kLeadersMax);
  for (size_t i = 0; i < count && result.ranked[i].prediction.step_time.seconds() <= within; ++i) {
    Candidate& leader = result.ranked[i];
    if (!leader.written_out_because.empty()) continue;
    HELM_ASSIGN_OR_RETURN(const Evaluation evaluation,
                          Evaluate(MakePlan(config, leader.strategy), config.model, config.cluster, prices,
                                   {.record_timeline = false, .form = StepForm::kBySize, .cancellation = cancellation}));
    if (!evaluation.not_written_out_because.empty()) continue;
    leader.prediction = evaluation.prediction;
    leader.written_out_because = "among the fastest";
  }
  return OkStatus();
}

// Why the plan has the passes that it has: its step and peak against those without.
std::string WhyOverlapped(const SearchResult& result) {
  const Candidate& best = result.ranked.front();
  for (const std::vector<Candidate>* candidates : {&result.ranked, &result.unfit}) {
    for (const Candidate& other : *candidates) {
      ir::Strategy overlapped = other.strategy;
      overlapped.overlap = best.strategy.overlap;
      overlapped.overlap_tiles = best.strategy.overlap_tiles;
      if (other.strategy.overlap != "none" || overlapped != best.strategy) continue;
      return fmt::format("step {} instead of {}, peak {} instead of {}", FormatDuration(best.prediction.step_time),
                         FormatDuration(other.prediction.step_time), FormatBytes(best.prediction.memory_bytes_peak),
                         FormatBytes(other.prediction.memory_bytes_peak));
    }
  }
  return "asked for by strategy.overlap";
}

void LogPasses(const SearchResult& result, ir::Plan& plan) {
  const std::vector<std::string> specs = schedule::PassesOf(plan.strategy);
  if (specs.empty()) {
    if (const std::string why = WhyNotOverlapped(result); !why.empty()) plan.passes.push_back({"overlap", "none", why});
    return;
  }
  const std::string why = WhyOverlapped(result);
  for (const std::string& spec : specs) {
    const auto [name, value] = schedule::SplitPass(spec);
    plan.passes.push_back({std::string(name), std::string(value.value_or("")), why});
  }
}

// The best plan without its program, as it was found.
Evaluation Found(const config::RunConfig& config, const SearchResult& result) {
  const Candidate& best = result.ranked.front();
  Evaluation found{.plan = MakePlan(config, best.strategy), .prediction = best.prediction};
  found.plan.prediction = Summary(best.prediction);
  found.plan.passes.push_back({"search", "", fmt::format("fastest of {} simulated strategies that fit", result.ranked.size())});
  LogPasses(result, found.plan);
  return found;
}

// Sets aside the fastest plans whose allocator reserves more than the device has, up to the first that does not; where none of so many is
// one, the fastest stays.
constexpr size_t kReplayedMost = 32;

Status SetAsideWhatReservesTooMuch(const config::RunConfig& config, sim::PriceBook& prices, const Cancellation& cancellation,
                                   SearchResult& result) {
  for (size_t i = 0; i < std::min(kReplayedMost, result.ranked.size()); ++i) {
    Candidate& candidate = result.ranked[i];
    const EvaluateOptions options{
        .record_timeline = false, .form = StepForm::kComposed, .replay_allocator = true, .cancellation = cancellation};
    HELM_ASSIGN_OR_RETURN(const Evaluation evaluation,
                          Evaluate(MakePlan(config, candidate.strategy), config.model, config.cluster, prices, options));
    if (!ReservesTooMuch(evaluation.prediction)) {
      std::move(result.ranked.begin(), result.ranked.begin() + static_cast<std::ptrdiff_t>(i), std::back_inserter(result.unfit));
      result.ranked.erase(result.ranked.begin(), result.ranked.begin() + static_cast<std::ptrdiff_t>(i));
      Rank(result);
      return OkStatus();
    }
    candidate.reason = fmt::format("reserved and outside the allocator it takes {}", FormatBytes(*MemoryTaken(evaluation.prediction)));
  }
  Rank(result);
  return OkStatus();
}

// The best plan as it is reported: written out, with its timeline and its program's hash, its allocator replayed.
Status Report(const config::RunConfig& config, sim::PriceBook& prices, StepForm form, const Cancellation& cancellation,
              SearchResult& result) {
  const EvaluateOptions options{.form = form, .replay_allocator = true, .cancellation = cancellation};
  auto written_out = Evaluate(result.best.plan, config.model, config.cluster, prices, options);
  if (!written_out.ok()) return written_out.status();
  result.best = std::move(written_out).value();
  result.best_not_written_out_because = result.best.not_written_out_because;
  return OkStatus();
}

// How long the best plan may take to be written out.
Cancellation LastMoment(const SearchRun& run, Clock::time_point deadline) {
  const Clock::time_point soon = Clock::now() + kWriteOutAfterStop;
  const bool interrupted = Cancellation(run.interrupted).interrupted();
  return interrupted ? Cancellation(nullptr, soon) : Cancellation(run.interrupted, std::max(deadline, soon));
}

// What is cut short in these is done without.
Status UnlessInterrupted(const Status& status) { return status.code() == StatusCode::kInterrupted ? OkStatus() : status; }

}  // namespace

std::string WhyNotOverlapped(const SearchResult& result) {
  if (result.ranked.empty() || ir::IsTiled(result.ranked.front().strategy)) return "";
  int64_t fit = 0;
  const Candidate* fastest = nullptr;
  for (const Candidate& candidate : result.ranked) {
    if (!ir::IsTiled(candidate.strategy)) continue;
    ++fit;
    if (fastest == nullptr) fastest = &candidate;
  }
  const auto unfit = std::ranges::count_if(result.unfit, [](const Candidate& candidate) { return ir::IsTiled(candidate.strategy); });
  if (fit + unfit == 0) return "";
  std::string why = fmt::format("none of {} programs with passes is kept", fit + unfit);
  if (fastest != nullptr) {
    why += fmt::format(": the fastest, {}, takes {} instead of {}", Join(schedule::PassesOf(fastest->strategy), ", "),
                       FormatDuration(fastest->prediction.step_time), FormatDuration(result.ranked.front().prediction.step_time));
  }
  if (unfit > 0) why += fmt::format("{} {} do not fit into memory", fastest == nullptr ? ":" : ";", unfit);
  return why;
}

Result<SearchResult> Search(const config::RunConfig& config, const EstimatorFactory& make_estimator, const SearchRun& run) {
  const auto start = Clock::now();
  SearchResult result;
  Space space = EnumerateStrategies(config, run.expressible);
  if (space.candidates.empty() && space.refusals_of_all && !space.refusals_of_all->empty()) {
    return InvalidError(Join(*space.refusals_of_all, "\n"));
  }
  result.pruned = std::move(space.rejected);
  std::vector<ir::Strategy> candidates = PruneByMemory(config, space.candidates, run.expressible, StagesTaken::kAny, result.pruned);

  const std::chrono::duration<double> seconds(std::min(config.search.time_limit_s, kTimeLimitSecondsMost));
  const auto deadline = start + std::chrono::duration_cast<Clock::duration>(seconds);
  const Cancellation cancellation(run.interrupted, deadline);
  Simulator simulator(config, std::move(candidates), run, cancellation);
  HELM_RETURN_IF_ERROR(UnlessInterrupted(simulator.Run(make_estimator)));
  result.interrupted = cancellation.interrupted();
  result.bounded = simulator.Bounded();
  result.pruned.insert(result.pruned.end(), simulator.pruned().begin(), simulator.pruned().end());
  for (const auto& [simulated, bounded] : simulator.outcomes()) {
    result.bounded.insert(result.bounded.end(), bounded.begin(), bounded.end());
    for (const Candidate& candidate : simulated) (candidate.prediction.fits ? result.ranked : result.unfit).push_back(candidate);
  }
  result.complete = simulator.decided();
  if (result.ranked.empty() && !result.complete) return NothingYet(config, result);
  Rank(result);
  if (result.ranked.empty()) return NothingFits(config, space.candidates, result);

  HELM_ASSIGN_OR_RETURN(const auto estimator, make_estimator());
  sim::PriceBook prices = MakePriceBook(*estimator, config.cluster);
  if (result.complete) HELM_RETURN_IF_ERROR(UnlessInterrupted(OverlapTrials(config, run, prices, cancellation, result).Run()));
  Rank(result);
  const Status leaders = result.complete ? WriteOutLeaders(config, prices, cancellation, result) : OkStatus();
  HELM_RETURN_IF_ERROR(UnlessInterrupted(leaders));
  Rank(result);
  HELM_RETURN_IF_ERROR(UnlessInterrupted(SetAsideWhatReservesTooMuch(config, prices, LastMoment(run, deadline), result)));
  result.best = Found(config, result);
  result.best_not_written_out_because = "there was no time left";
  const StepForm form = run.timeline ? StepForm::kWrittenOut : StepForm::kBySize;
  if (leaders.ok()) HELM_RETURN_IF_ERROR(UnlessInterrupted(Report(config, prices, form, LastMoment(run, deadline), result)));
  result.interrupted = cancellation.interrupted();
  result.search_time_s = SecondsSince(start);
  return result;
}

}  // namespace helm::planner
