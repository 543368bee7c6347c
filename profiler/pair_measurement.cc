#include "profiler/pair_measurement.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "profiler/agreement.h"
#include "runtime/measure.h"

namespace helm::profiler {
namespace {

constexpr double kRunsMost = 1000;  // of the shorter of the two; many small ops need no more to say what they lose

struct PairRuns {
  int64_t op = 1;
  int64_t collective = 1;
};

// Of one sample, or by sample.
template <typename Value>
struct PairTimes {
  Value op_alone, collective_alone, op_beside, collective_beside;
};

class PairBench {
 public:
  PairBench(std::unique_ptr<runtime::OpBench> op, std::unique_ptr<runtime::CollectiveBench> collective)
      : op_(std::move(op)), collective_(std::move(collective)) {}

  Result<PairTimes<Duration>> RunOnce(const PairRuns& runs) {
    PairTimes<Duration> times;
    HELM_ASSIGN_OR_RETURN(times.op_alone, op_->RunBeside(runs.op, [&] { collective_->Align(); }));
    HELM_RETURN_IF_ERROR(RunCollectives(0, runs.collective).status());
    HELM_ASSIGN_OR_RETURN(times.collective_alone, collective_->Finish());
    HELM_ASSIGN_OR_RETURN(times.op_beside, RunCollectives(runs.op, runs.collective));
    HELM_ASSIGN_OR_RETURN(times.collective_beside, collective_->Finish());
    return times;
  }

 private:
  Result<Duration> RunCollectives(int64_t calls, int64_t runs) {
    return op_->RunBeside(calls, [&] {
      collective_->Align();
      collective_->Start(runs);
    });
  }

  std::unique_ptr<runtime::OpBench> op_;
  std::unique_ptr<runtime::CollectiveBench> collective_;
};

std::string EncodePairs(const PairTimes<std::vector<Duration>>& times) {
  std::ostringstream text;
  for (size_t i = 0; i < times.op_alone.size(); ++i) {
    for (const Duration time : {times.op_alone[i], times.collective_alone[i], times.op_beside[i], times.collective_beside[i]}) {
      text << time.picoseconds() << ' ';
    }
  }
  return text.str();
}

void DecodePairs(const std::string& text, PairTimes<std::vector<Duration>>& into) {
  std::istringstream numbers(text);
  PairTimes<int64_t> times{};
  while (numbers >> times.op_alone >> times.collective_alone >> times.op_beside >> times.collective_beside) {
    into.op_alone.push_back(Duration::Picoseconds(times.op_alone));
    into.collective_alone.push_back(Duration::Picoseconds(times.collective_alone));
    into.op_beside.push_back(Duration::Picoseconds(times.op_beside));
    into.collective_beside.push_back(Duration::Picoseconds(times.collective_beside));
  }
}

class PairSession {
 public:
  // `bench`: null on a rank beyond the collective's.
  PairSession(PairBench* bench, runtime::World& world, const ProfileOptions& options)
      : bench_(bench), world_(world), options_(options), rule_(options.stopping_pairs) {}

  Result<std::optional<cost::PairMeasurement>> Run() {
    HELM_ASSIGN_OR_RETURN(const PairRuns runs, WarmUp());
    for (double agreed = kGoOn; agreed != kDone;) {
      HELM_RETURN_IF_ERROR(AgreeOnStatus(world_, Sample(runs)));
      HELM_ASSIGN_OR_RETURN(agreed, world_.AllReduceMaximum(Vote()));
      if (agreed == kStop) return std::optional<cost::PairMeasurement>();
    }
    return Collect(runs);
  }

 private:
  // How often each runs, the same on all ranks.
  Result<PairRuns> WarmUp() {
    PairRuns runs;
    for (int64_t i = 0; i <= options_.warm_up_samples; ++i) {  // of many calls in a row all but the first are warm
      PairTimes<Duration> times;
      Status status = OkStatus();
      if (bench_ != nullptr) {
        const auto sample = bench_->RunOnce(runs);
        status = sample.status();
        if (sample.ok()) times = *sample;
      }
      HELM_RETURN_IF_ERROR(AgreeOnStatus(world_, status));
      HELM_ASSIGN_OR_RETURN(double op, world_.AllReduceMaximum(times.op_alone.seconds()));
      HELM_ASSIGN_OR_RETURN(double collective, world_.AllReduceMaximum(times.collective_alone.seconds()));
      op /= static_cast<double>(runs.op);
      collective /= static_cast<double>(runs.collective);
      if (op <= 0 || collective <= 0) return PairRuns{};
      const auto count = [](double ratio) { return std::llround(std::clamp(ratio, 1.0, kRunsMost)); };
      runs = {count(collective / op), count(op / collective)};
    }
    return runs;
  }

  Status Sample(const PairRuns& runs) {
    if (bench_ == nullptr) return OkStatus();
    const auto start = std::chrono::steady_clock::now();
    HELM_ASSIGN_OR_RETURN(const PairTimes<Duration> times, bench_->RunOnce(runs));
    const auto spent =
        Duration::Nanoseconds(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count());
    rule_.AddSample(std::max(times.op_beside, times.collective_beside), spent);
    times_.op_alone.push_back(times.op_alone);
    times_.collective_alone.push_back(times.collective_alone);
    times_.op_beside.push_back(times.op_beside);
    times_.collective_beside.push_back(times.collective_beside);
    return OkStatus();
  }

  double Vote() const {
    if (options_.interrupted != nullptr && options_.interrupted->load()) return kStop;
    return bench_ == nullptr || rule_.Finished() ? kDone : kGoOn;
  }

  Result<std::optional<cost::PairMeasurement>> Collect(const PairRuns& runs) {
    HELM_ASSIGN_OR_RETURN(const auto texts, world_.AllGatherText(EncodePairs(times_)));
    PairTimes<std::vector<Duration>> all;
    for (const std::string& text : texts) DecodePairs(text, all);
    const auto median = [](const std::vector<Duration>& times) {
      return std::max(QuartilesOf(times).median, Duration::Picoseconds(1));  // an op that launches nothing
    };
    return std::optional(cost::PairMeasurement{.op_runs = runs.op,
                                               .collective_runs = runs.collective,
                                               .op_alone = median(all.op_alone),
                                               .collective_alone = median(all.collective_alone),
                                               .op_beside = median(all.op_beside),
                                               .collective_beside = median(all.collective_beside),
                                               .samples = static_cast<int64_t>(all.op_alone.size())});
  }

  PairBench* bench_;
  runtime::World& world_;
  const ProfileOptions& options_;
  StoppingRule rule_;
  PairTimes<std::vector<Duration>> times_;
};

}  // namespace

Result<std::optional<cost::PairMeasurement>> MeasurePair(const PairWork& pair, runtime::World& world, const ProfileOptions& options) {
  auto op = runtime::OpBench::Create(pair.op.op, options.device, world.rank(), pair.op.load);
  HELM_RETURN_IF_ERROR(AgreeOnStatus(world, op.status()));
  auto collective = runtime::CollectiveBench::Create(pair.collective, world, options.device);
  HELM_RETURN_IF_ERROR(AgreeOnStatus(world, collective.status()));
  if (world.rank() >= pair.collective.ranks) return PairSession(nullptr, world, options).Run();
  PairBench bench(std::move(op).value(), std::move(collective).value());
  return PairSession(&bench, world, options).Run();
}

}  // namespace helm::profiler
