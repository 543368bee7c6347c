#include "profiler/visit.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <sstream>

#include "profiler/agreement.h"

namespace helm::profiler {
namespace {

using Clock = Slots::Clock;

// Samples between two agreements of the ranks last about this long, so that agreeing costs little and they measure at the same time.
constexpr double kBatchSeconds = 0.02;
constexpr int64_t kBatchSamplesMaximum = 100;

constexpr double kSlotOverSample = 1.2;  // a slot lasts so many times a sample of the slowest rank, so that few come late

Duration Since(Clock::time_point start) {
  return Duration::Nanoseconds(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
}

struct Samples {
  std::vector<Duration> durations;
  std::vector<Duration> launches;  // as many, zero on a CPU
  Bytes workspace;
};

std::string Encode(const Samples& samples) {
  std::ostringstream text;
  text << samples.workspace.count();
  for (size_t i = 0; i < samples.durations.size(); ++i) {
    text << ' ' << samples.durations[i].picoseconds() << ' ' << samples.launches[i].picoseconds();
  }
  return text.str();
}

// As Encode wrote them.
Samples Decode(const std::string& text) {
  std::istringstream numbers(text);
  Samples samples;
  int64_t value = 0;
  if (numbers >> value) samples.workspace = Bytes(value);
  for (int64_t launch = 0; numbers >> value >> launch;) {
    samples.durations.push_back(Duration::Picoseconds(value));
    samples.launches.push_back(Duration::Picoseconds(launch));
  }
  return samples;
}

// One visit to an item: adds samples until the rule is satisfied with `share` of its budget.
class ItemMeasurement {
 public:
  ItemMeasurement(const Item& item, RankSamples& samples, double share, runtime::World& world, const ProfileOptions& options)
      : item_(item), samples_(samples), share_(share), world_(world), options_(options) {}

  // None when interrupted.
  Result<std::optional<cost::Measurement>> Run() {
    HELM_ASSIGN_OR_RETURN(const Duration period, WarmUp());
    double agreed = kGoOn;
    while (agreed == kGoOn) {
      HELM_RETURN_IF_ERROR(RunBatch(period));
      HELM_ASSIGN_OR_RETURN(agreed, world_.AllReduceMaximum(Vote()));
    }
    if (agreed == kStop) return std::optional<cost::Measurement>();
    return Collect();
  }

 private:
  // Returns how long a sample takes with what comes before it, on the slowest rank.
  Result<Duration> WarmUp() {
    double seconds = 0;
    for (int64_t i = 0; i < options_.warm_up_samples && item_.run; ++i) {
      Slots at_once(Clock::now(), Duration());
      const auto start = Clock::now();
      HELM_RETURN_IF_ERROR(item_.run(at_once).status());
      seconds = Since(start).seconds();
    }
    HELM_ASSIGN_OR_RETURN(const double slowest, world_.AllReduceMaximum(seconds));
    return Duration::Seconds(kSlotOverSample * slowest);
  }

  Status RunBatch(Duration period) {
    const double fitting = kBatchSeconds / std::max(period.seconds(), 1e-9);
    const int64_t count = std::clamp<int64_t>(std::llround(fitting), 1, kBatchSamplesMaximum);
    HELM_ASSIGN_OR_RETURN(const double now,
                          world_.AllReduceMaximum(std::chrono::duration<double>(Clock::now().time_since_epoch()).count()));
    const auto first = Clock::time_point(std::chrono::nanoseconds(std::llround((now + period.seconds()) * 1e9)));
    Slots slots(first, period);
    for (int64_t i = 0; i < count && item_.run; ++i) {
      const auto start = Clock::now();
      HELM_ASSIGN_OR_RETURN(const auto sample, item_.run(slots));
      samples_.rule.AddSample(sample.duration, Since(start));
      samples_.launches.push_back(sample.launch);
      samples_.workspace = std::max(samples_.workspace, sample.workspace);
    }
    return OkStatus();
  }

  double Vote() const {
    if (options_.interrupted != nullptr && options_.interrupted->load()) return kStop;
    return !item_.run || samples_.rule.Finished(share_) ? kDone : kGoOn;
  }

  Result<std::optional<cost::Measurement>> Collect() {
    HELM_ASSIGN_OR_RETURN(const auto texts, world_.AllGatherText(Encode({samples_.rule.samples(), samples_.launches, samples_.workspace})));
    Samples all;
    std::vector<std::vector<Duration>> by_rank;
    for (const std::string& text : texts) {
      Samples of_rank = Decode(text);
      all.workspace = std::max(all.workspace, of_rank.workspace);
      std::ranges::copy(of_rank.durations, std::back_inserter(all.durations));
      std::ranges::copy(of_rank.launches, std::back_inserter(all.launches));
      by_rank.push_back(std::move(of_rank.durations));
    }
    if (all.durations.empty()) return InternalError("no rank measured " + item_.key);
    const Quartiles quartiles = QuartilesOf(all.durations);
    cost::Measurement measurement;
    measurement.median = quartiles.median;
    measurement.mean = quartiles.mean;
    measurement.quartile_lower = quartiles.lower;
    measurement.quartile_upper = quartiles.upper;
    measurement.samples = static_cast<int64_t>(all.durations.size());
    measurement.workspace = all.workspace;
    if (item_.together) measurement.ranks_wait = WaitOfRanks(by_rank);
    const Duration launch = QuartilesOf(all.launches).median;
    if (launch.picoseconds() > 0) measurement.launch = launch;
    return std::optional<cost::Measurement>(measurement);
  }

  const Item& item_;
  RankSamples& samples_;
  double share_;
  runtime::World& world_;
  const ProfileOptions& options_;
};

}  // namespace

std::optional<Duration> WaitOfRanks(const std::vector<std::vector<Duration>>& by_rank) {
  if (by_rank.size() < 2) return std::nullopt;
  const size_t slots = std::ranges::min(by_rank, {}, &std::vector<Duration>::size).size();
  std::vector<Duration> waits;
  for (size_t slot = 0; slot < slots; ++slot) {
    Duration sum, slowest;
    for (const std::vector<Duration>& rank : by_rank) {
      sum += rank[slot];
      slowest = std::max(slowest, rank[slot]);
    }
    waits.push_back(slowest - Duration::Picoseconds(sum.picoseconds() / static_cast<int64_t>(by_rank.size())));
  }
  if (waits.empty()) return std::nullopt;
  return QuartilesOf(waits).mean;
}

Result<std::optional<cost::Measurement>> Visit(const Item& item, RankSamples& samples, double share, runtime::World& world,
                                               const ProfileOptions& options) {
  return ItemMeasurement(item, samples, share, world, options).Run();
}

}  // namespace helm::profiler
