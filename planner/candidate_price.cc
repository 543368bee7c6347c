#include "planner/candidate_price.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/text.h"
#include "ir/strategy_text.h"
#include "planner/evaluate.h"

namespace helm::planner {
namespace {

// So many of the fastest, which stand in for a plan whose allocator reserves too much, and of those on the front of time and memory.
constexpr size_t kFastestShown = 16, kFrontShown = 8;

Result<Candidate> Price(const config::RunConfig& config, const ir::Strategy& strategy, sim::PriceBook& prices, sim::Engine engine,
                        StepForm form, const Cancellation& cancellation) {
  HELM_ASSIGN_OR_RETURN(Evaluation evaluation,
                        Evaluate(MakePlan(config, strategy), config.model, config.cluster, prices,
                                 {.record_timeline = false, .form = form, .engine = engine, .cancellation = cancellation}));
  Candidate candidate{strategy, std::move(evaluation.prediction), "", std::move(evaluation.written_out_because)};
  candidate.alone = engine == sim::Engine::kStatic;
  candidate.peak_of_class = std::move(evaluation.simulation.peak_of_class);
  return candidate;
}

}  // namespace

Result<Candidate> PriceToTheEnd(const config::RunConfig& config, const ir::Strategy& strategy, sim::PriceBook& prices,
                                const Cancellation& cancellation) {
  return Price(config, strategy, prices, sim::Engine::kAutomatic, StepForm::kComposed, cancellation);
}

Result<Candidate> PriceOfTemplates(const config::RunConfig& config, const ir::Strategy& strategy, sim::PriceBook& prices,
                                   const Cancellation& cancellation) {
  return Price(config, strategy, prices, sim::Engine::kAutomatic, StepForm::kTemplates, cancellation);
}

Result<Candidate> PriceAlone(const config::RunConfig& config, const ir::Strategy& strategy, sim::PriceBook& prices,
                             const Cancellation& cancellation) {
  if (!config.cluster.device.is_cpu) {
    Result<Candidate> alone = Price(config, strategy, prices, sim::Engine::kStatic, StepForm::kTemplates, cancellation);
    if (alone.ok() || alone.status().code() != StatusCode::kUnavailable) return alone;
  }
  return PriceToTheEnd(config, strategy, prices, cancellation);
}

namespace {

// Fastest first.
std::vector<size_t> ThoseShown(const std::vector<Candidate>& ranked) {
  std::vector<size_t> shown;
  std::optional<Bytes> smallest;
  size_t on_front = 0;
  for (size_t i = 0; i < ranked.size(); ++i) {
    const Bytes peak = ranked[i].prediction.memory_bytes_peak;
    const bool smaller = !smallest || peak < *smallest;
    if (smaller) smallest = peak;
    if (i < kFastestShown || (smaller && on_front < kFrontShown)) shown.push_back(i);
    if (smaller) ++on_front;
  }
  return shown;
}

}  // namespace

Status PriceThoseShown(const config::RunConfig& config, sim::PriceBook& prices, const Cancellation& cancellation, SearchResult& result) {
  const std::vector<size_t> shown = ThoseShown(result.ranked);
  std::vector<Candidate> kept;
  for (size_t i = 0; i < result.ranked.size(); ++i) {
    const Candidate& candidate = result.ranked[i];
    Result<Candidate> priced = candidate;
    if (candidate.alone) {
      priced = UnavailableError("not among those");
      if (std::ranges::binary_search(shown, i)) {
        priced = PriceOfTemplates(config, candidate.strategy, prices, cancellation);
      }
    }
    const StatusCode code = priced.status().code();
    if (priced.ok()) {
      kept.push_back(*std::move(priced));
    } else if (code != StatusCode::kUnavailable && code != StatusCode::kInterrupted) {
      return priced.status();
    } else {
      result.bounded.push_back(TooSlow(candidate.strategy, candidate.prediction.step_time, kept.front()));
    }
  }
  result.ranked = std::move(kept);
  return OkStatus();
}

Rejection TooSlow(const ir::Strategy& strategy, Duration bound, const Candidate& fastest) {
  return {strategy, fmt::format("takes at least {}, {} takes {}", FormatDuration(bound), ir::Describe(fastest.strategy),
                                FormatDuration(fastest.prediction.step_time))};
}

}  // namespace helm::planner
