#include "validation/validate.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "core/check.h"
#include "validation/dialect.h"
#include "validation/words.h"

namespace helm::validation {
namespace {

constexpr double kBytesPerGibibyte = 1073741824.0;

double Error(double predicted, double measured) { return (predicted - measured) / measured; }

double OfRank(const Prediction::Memory& memory, MemoryRank rank) {
  switch (rank) {
    case MemoryRank::kFirst:
      return memory.first;
    case MemoryRank::kLast:
      return memory.last;
    case MemoryRank::kMax:
      return memory.fullest;
  }
  HELM_CHECK(false, "a rank whose memory was read");
}

// What is held against a published kind. A source that does not say which memory it read prints what PyTorch calls allocated, in the two
// suites where that can be told (nanotron's first stage, Megatron-Bridge).
std::optional<Prediction::Memory> MemoryOfKind(const Prediction& prediction, MemoryKind kind) {
  switch (kind) {
    case MemoryKind::kAllocated:
    case MemoryKind::kUnstated:
      return prediction.allocated;
    case MemoryKind::kReserved:
      return prediction.reserved;
    case MemoryKind::kDevice:
      return prediction.total;
  }
  HELM_CHECK(false, "a kind of memory");
}

void Compare(const Measured& measured, Outcome& outcome) {
  const Prediction& prediction = *outcome.prediction;
  if (measured.step_time_s && !measured.out_of_memory) outcome.step_time_error = Error(prediction.step_time_s, *measured.step_time_s);
  for (const MeasuredMemory& memory : measured.memory) {
    const auto predicted = MemoryOfKind(prediction, memory.kind);
    if (predicted) outcome.memory_errors.push_back({memory.kind, Error(OfRank(*predicted, memory.rank), memory.gib * kBytesPerGibibyte)});
  }
}

bool NeedsAllMemory(const Measured& measured) {
  return std::ranges::any_of(measured.memory, [](const MeasuredMemory& memory) {
    return memory.kind == MemoryKind::kReserved || memory.kind == MemoryKind::kDevice;
  });
}

Outcome PredictRow(const Row& row, const config::ConfigContext& context, const Predictor& predict) {
  Outcome outcome;
  Result<Run> run = ReadRun(row, context);
  if (!run.ok()) {
    outcome.reason = run.status().message();
    return outcome;
  }
  outcome.notes = run->notes;
  Result<Prediction> prediction = predict(run->config, NeedsAllMemory(row.measured));
  if (!prediction.ok()) {
    outcome.reason = OneLine(prediction.status().message());
    return outcome;
  }
  outcome.prediction = std::move(prediction).value();
  for (const std::string& words : outcome.prediction->not_modelled) outcome.notes.push_back("not modelled: " + words);
  if (!outcome.prediction->written_out_because.empty()) outcome.notes.push_back("written out: " + outcome.prediction->written_out_because);
  Compare(row.measured, outcome);
  return outcome;
}

}  // namespace

Result<std::vector<Outcome>> Validate(const std::vector<Row>& rows, const config::ConfigContext& context,
                                      const PredictorFactory& make_predictor, const ValidateOptions& options) {
  const auto jobs = std::clamp<int64_t>(options.jobs, 1, std::max<int64_t>(1, static_cast<int64_t>(rows.size())));
  std::vector<Predictor> predictors;
  for (int64_t i = 0; i < jobs; ++i) {
    HELM_ASSIGN_OR_RETURN(Predictor predictor, make_predictor());
    predictors.push_back(std::move(predictor));
  }
  std::vector<Outcome> outcomes(rows.size());
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  int64_t done = 0;
  const auto work = [&](const Predictor& predict) {
    for (size_t i = next.fetch_add(1); i < rows.size(); i = next.fetch_add(1)) {
      outcomes[i] = PredictRow(rows[i], context, predict);
      outcomes[i].row = i;
      const std::lock_guard<std::mutex> lock(mutex);
      if (options.progress) options.progress(++done, static_cast<int64_t>(rows.size()));
    }
  };
  {
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < predictors.size(); ++i) threads.emplace_back([&, i] { work(predictors[i]); });
    work(predictors[0]);
  }
  return outcomes;
}

}  // namespace helm::validation
