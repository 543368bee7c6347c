#include "planner/search.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "core/cancellation.h"
#include "core/text.h"
#include "planner/batch_simulator.h"
#include "planner/candidate_price.h"
#include "planner/memory_bound.h"
#include "planner/no_plan.h"
#include "planner/plan_difference.h"
#include "schedule/pass.h"

namespace helm::planner {
namespace {

using Clock = Cancellation::Clock;

constexpr double kTimeLimitSecondsMost = 1e9;  // 30 years: a clock in nanoseconds holds it
constexpr auto kWriteOutAfterStop = std::chrono::seconds(1);

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Leaders are priced again with their steps written out: those within the bound that templates are held to (DESIGN section 5, rule 8). Not
// those that were written out already.
constexpr size_t kLeadersMax = 4;

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
  if (!result.ranked.empty()) result.ranked[0].reason.clear();
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
    std::vector<size_t> hopeful(result_.ranked.size());
    std::iota(hopeful.begin(), hopeful.end(), size_t{0});
    std::ranges::stable_sort(hopeful, {}, [this](size_t i) { return Bound(result_.ranked[i]); });
    size_t tried = 0;
    for (const size_t i : hopeful) {
      if (Bound(result_.ranked[i]) >= best_.prediction.step_time) break;
      if (tried == kOverlappedMost) {
        result_.passes_complete = false;
        break;
      }
      const Space variants = OverlapVariants(config_, result_.ranked[i].strategy, run_.expressible);
      result_.pruned.insert(result_.pruned.end(), variants.rejected.begin(), variants.rejected.end());
      if (variants.candidates.empty()) continue;
      ++tried;
      if (result_.ranked[i].alone) {  // what the passes gain is told against it
        HELM_ASSIGN_OR_RETURN(result_.ranked[i], PriceToTheEnd(config_, result_.ranked[i].strategy, prices_, cancellation_));
      }
      for (const ir::Strategy& strategy : variants.candidates) HELM_RETURN_IF_ERROR(Try(strategy));
    }
    HELM_RETURN_IF_ERROR(TryMoreTiles());
    return TryBuckets();
  }

 private:
  static Duration Bound(const Candidate& c) { return c.prediction.step_time - c.prediction.breakdown.exposed_communication; }

  // What turns out not to be possible is no candidate.
  Status Try(const ir::Strategy& strategy) {
    auto priced = PriceToTheEnd(config_, strategy, prices_, cancellation_);
    if (!priced.ok()) {
      const Status refusal = priced.status();
      if (refusal.code() != StatusCode::kInvalid) return refusal;
      result_.pruned.push_back({strategy, refusal.message()});
      return OkStatus();
    }
    const Candidate variant = *std::move(priced);
    (variant.prediction.fits ? result_.ranked : result_.unfit).push_back(variant);
    if (variant.prediction.fits && variant.prediction.step_time < best_.prediction.step_time) best_ = variant;
    const bool fastest_tiled = !tiled_ || variant.prediction.step_time < tiled_->prediction.step_time;
    if (variant.prediction.fits && ir::IsTiled(strategy) && fastest_tiled) tiled_ = variant;
    return OkStatus();
  }

  // More tiles hide more and compute in smaller pieces: twice as many as long as that makes the fastest tiled one faster, and their costs
  // are known; not where no passes pay.
  Status TryMoreTiles() {
    if (!tiled_ || !ir::HidesCommunication(best_.strategy)) return OkStatus();
    for (auto more = WithMoreTiles(config_, tiled_->strategy); more; more = WithMoreTiles(config_, tiled_->strategy)) {
      const Status tried = Try(*more);
      if (tried.code() == StatusCode::kUnavailable) break;
      HELM_RETURN_IF_ERROR(tried);
      if (tiled_->strategy != *more) break;
    }
    return OkStatus();
  }

  // On the fastest alone, so that no bound of others needs to know of it.
  Status TryBuckets() {
    const auto buckets = WithBuckets(config_, best_.strategy, run_.expressible);
    if (!buckets) return OkStatus();
    for (Candidate& candidate : result_.ranked) {
      if (!candidate.alone || candidate.strategy != best_.strategy) continue;
      HELM_ASSIGN_OR_RETURN(candidate, PriceToTheEnd(config_, candidate.strategy, prices_, cancellation_));
      best_ = candidate;
    }
    const Status tried = Try(*buckets);
    return tried.code() == StatusCode::kUnavailable ? OkStatus() : tried;
  }

  const config::RunConfig& config_;
  const SearchRun& run_;
  sim::PriceBook& prices_;
  const Cancellation& cancellation_;
  SearchResult& result_;
  Candidate best_;
  std::optional<Candidate> tiled_;  // the fastest of those that were tried and fit
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
      result.set_aside = static_cast<int64_t>(i);
      std::move(result.ranked.begin(), result.ranked.begin() + static_cast<std::ptrdiff_t>(i), std::back_inserter(result.unfit));
      result.ranked.erase(result.ranked.begin(), result.ranked.begin() + static_cast<std::ptrdiff_t>(i));
      return OkStatus();
    }
    candidate.reason = fmt::format("reserved and outside the allocator it takes {}", FormatBytes(evaluation.prediction.tightest->taken));
  }
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

// Of a search that was cut short: leaves out what may be faster than the fastest plan that was priced to the end, but was not itself. Where
// none was, the most promising one of those that are composed of templates is.
Status SettleCutShort(const config::RunConfig& config, sim::PriceBook& prices, const Cancellation& cancellation, SearchResult& result) {
  auto settled = std::ranges::find(result.ranked, false, &Candidate::alone);
  for (auto next = result.ranked.begin(); settled == result.ranked.end() && next != result.ranked.end(); ++next) {
    Result<Candidate> priced = PriceOfTemplates(config, next->strategy, prices, cancellation);
    if (priced.status().code() == StatusCode::kInterrupted) break;
    if (priced.status().code() == StatusCode::kUnavailable) continue;  // it would have to be written out
    if (!priced.ok()) return priced.status();
    *next = *std::move(priced);
    settled = next;
  }
  for (auto faster = result.ranked.begin(); faster != settled; ++faster) {
    result.pruned.push_back({faster->strategy, fmt::format("fits and takes at least {}; there was no time left to find how long",
                                                           FormatDuration(faster->prediction.step_time))});
  }
  const auto unsettled = settled - result.ranked.begin();
  result.ranked.erase(result.ranked.begin(), settled);
  return result.ranked.empty() ? NothingPricedYet(config, unsettled, result.interrupted) : OkStatus();
}

// What is cut short in these is done without.
Status UnlessInterrupted(const Status& status) { return status.code() == StatusCode::kInterrupted ? OkStatus() : status; }

// Where nothing fits and nothing was simulated: the one that may need least, so that it is told what that takes.
Status SimulateClosest(const config::RunConfig& config, const EstimatorFactory& make_estimator, const std::optional<ir::Strategy>& smallest,
                       const Cancellation& cancellation, SearchResult& result) {
  if (!result.ranked.empty() || !result.unfit.empty() || !smallest) return OkStatus();
  HELM_ASSIGN_OR_RETURN(const auto estimator, make_estimator());
  sim::PriceBook prices = MakePriceBook(*estimator, config.cluster);
  HELM_ASSIGN_OR_RETURN(result.unfit.emplace_back(), PriceToTheEnd(config, *smallest, prices, cancellation));
  return OkStatus();
}

}  // namespace

bool IsProven(const SearchResult& result) { return result.complete && result.passes_complete && result.set_aside == 0; }

std::string WhyNotOverlapped(const SearchResult& result) {
  if (result.ranked.empty() || ir::HidesCommunication(result.ranked.front().strategy)) return "";
  int64_t fit = 0;
  const Candidate* fastest = nullptr;
  for (const Candidate& candidate : result.ranked) {
    if (!ir::HidesCommunication(candidate.strategy)) continue;
    ++fit;
    if (fastest == nullptr) fastest = &candidate;
  }
  const auto unfit =
      std::ranges::count_if(result.unfit, [](const Candidate& candidate) { return ir::HidesCommunication(candidate.strategy); });
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
  if (config.workload.kind != "training") {
    return InvalidError(
        fmt::format("{}: error: not supported by this version: to search plans for workload.kind '{}'; helm-sim prices one strategy\n"
                    "  fix: helm-sim, or kind: training",
                    config.path, config.workload.kind));
  }
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
  BatchSimulator simulator(config, std::move(candidates), run, cancellation);
  HELM_RETURN_IF_ERROR(UnlessInterrupted(simulator.Run(make_estimator)));
  result.interrupted = cancellation.interrupted();
  result.bounded = simulator.Bounded();
  result.pruned.insert(result.pruned.end(), simulator.pruned().begin(), simulator.pruned().end());
  for (const BatchSimulator::Outcome& outcome : simulator.outcomes()) {
    result.bounded.insert(result.bounded.end(), outcome.bounded.begin(), outcome.bounded.end());
    result.pruned.insert(result.pruned.end(), outcome.pruned.begin(), outcome.pruned.end());
    for (const Candidate& candidate : outcome.simulated) {
      (candidate.prediction.fits ? result.ranked : result.unfit).push_back(candidate);
    }
  }
  result.complete = simulator.decided();
  if (result.ranked.empty() && !result.complete) return NothingYet(config, result);
  HELM_RETURN_IF_ERROR(UnlessInterrupted(SimulateClosest(config, make_estimator, simulator.smallest_pruned(), cancellation, result)));
  Rank(result);
  if (result.ranked.empty()) return NothingFits(config, space.candidates, result);

  HELM_ASSIGN_OR_RETURN(const auto estimator, make_estimator());
  sim::PriceBook prices = MakePriceBook(*estimator, config.cluster);
  if (!result.complete) HELM_RETURN_IF_ERROR(SettleCutShort(config, prices, LastMoment(run, deadline), result));
  if (result.complete) {
    const Status trials = OverlapTrials(config, run, prices, cancellation, result).Run();
    HELM_RETURN_IF_ERROR(UnlessInterrupted(trials));
    result.passes_complete = result.passes_complete && trials.ok();
  }
  Rank(result);
  HELM_RETURN_IF_ERROR(PriceThoseShown(config, prices, cancellation, result));
  Rank(result);
  const Status leaders = result.complete ? WriteOutLeaders(config, prices, cancellation, result) : OkStatus();
  HELM_RETURN_IF_ERROR(UnlessInterrupted(leaders));
  Rank(result);
  HELM_RETURN_IF_ERROR(UnlessInterrupted(SetAsideWhatReservesTooMuch(config, prices, LastMoment(run, deadline), result)));
  Rank(result);
  result.best = Found(config, result);
  result.best_not_written_out_because = "there was no time left";
  const StepForm form = run.timeline ? StepForm::kWrittenOut : StepForm::kBySize;
  if (leaders.ok()) HELM_RETURN_IF_ERROR(UnlessInterrupted(Report(config, prices, form, LastMoment(run, deadline), result)));
  result.interrupted = cancellation.interrupted();
  result.search_time_s = SecondsSince(start);
  return result;
}

}  // namespace helm::planner
