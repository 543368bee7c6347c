#include "planner/training_run.h"

#include <array>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "core/counted.h"

namespace helm::planner {
namespace {

constexpr double kSecondsPerDay = 86400, kSecondsPerHour = 3600;
constexpr double kGoodputLeast = 1e-6;  // a day of training in three thousand years

// 15 T, 3.02 M, 950.
std::string Short(double number) {
  constexpr std::array<std::pair<double, const char*>, 4> kUnits = {{{1e12, " T"}, {1e9, " G"}, {1e6, " M"}, {1e3, " k"}}};
  for (const auto& [unit, name] : kUnits) {
    if (number >= unit) return fmt::format("{:.4g}{}", number / unit, name);
  }
  return fmt::format("{:.4g}", number);
}

std::string Minutes(double seconds) {
  return seconds < kSecondsPerHour ? fmt::format("{:.1f} min", seconds / 60) : fmt::format("{:.1f} h", seconds / kSecondsPerHour);
}

const char* HowMet(const TrainingRun& run, double deadline_days) {
  if (!*run.deadline_met) return "MISSED";
  return run.days_band && run.days_band->second > deadline_days ? "met, but not at the slow end of the band" : "met";
}

bool IsAskedFor(const config::SearchOptions& search) {
  return search.tokens > 0 || search.price_per_gpu_hour > 0 || search.failures.has_value();
}

}  // namespace

FailingRun WithFailures(const config::Failures& failures, int64_t gpus) {
  const double mean = failures.mtbf_gpu_hours * kSecondsPerHour / static_cast<double>(gpus);
  const double dump = failures.checkpoint_s, restart = failures.restart_s;
  const double ratio = dump / (2 * mean);
  double interval = mean;
  if (dump < 2 * mean) interval = std::sqrt(2 * dump * mean) * (1 + std::sqrt(ratio) / 3 + ratio / 9) - dump;
  if (dump == 0) return {mean, 0, std::exp(-restart / mean)};  // the limit of an interval of nothing
  const double all = mean * std::exp(restart / mean) * std::expm1((interval + dump) / mean);
  return {mean, interval, interval / all};
}

bool Progresses(const TrainingRun& run) { return !run.failing || run.failing->goodput >= kGoodputLeast; }

TrainingRun TrainingRunOf(const config::RunConfig& config, const Prediction& prediction) {
  const config::SearchOptions& search = config.search;
  TrainingRun run;
  run.gpus = config.cluster.devices_used;
  if (search.failures) run.failing = WithFailures(*search.failures, run.gpus);
  if (!Progresses(run)) {
    if (search.deadline_days > 0) run.deadline_met = false;
    return run;
  }
  const double goodput = run.failing ? run.failing->goodput : 1;
  run.tokens_per_s = prediction.tokens_per_second_per_device * static_cast<double>(run.gpus) * goodput;
  if (search.price_per_gpu_hour > 0) {
    run.cost_of_1e9_tokens = search.price_per_gpu_hour * static_cast<double>(run.gpus) / kSecondsPerHour * 1e9 / run.tokens_per_s;
  }
  if (search.tokens == 0) return run;
  const auto tokens_of_step = static_cast<double>(config.workload.global_batch * config.workload.sequence_length);
  run.steps = static_cast<int64_t>(std::ceil(search.tokens / tokens_of_step));
  const auto days_of = [&](double step_s) { return static_cast<double>(run.steps) * step_s / goodput / kSecondsPerDay; };
  run.days = days_of(prediction.step_time.seconds());
  if (const auto band = BandSecondsOf(prediction)) run.days_band = {days_of(band->first), days_of(band->second)};
  if (search.deadline_days > 0) run.deadline_met = run.days <= search.deadline_days;
  return run;
}

double GpuHours(const TrainingRun& run) { return run.days * 24 * static_cast<double>(run.gpus); }

double CostOf(const config::RunConfig& config, const TrainingRun& run) { return GpuHours(run) * config.search.price_per_gpu_hour; }

std::string ToText(const config::RunConfig& config, const TrainingRun& run) {
  if (!IsAskedFor(config.search)) return "";
  std::string text;
  if (!Progresses(run)) {
    return fmt::format("failures       one in {}: the run makes no progress between them\n", Minutes(run.failing->failure_interval_s));
  }
  if (config.search.tokens > 0) {
    text += fmt::format("run            {} tokens: {}, {:.3g} days{}, {} GPU hours", Short(config.search.tokens),
                        Counted(run.steps, "step"), run.days,
                        run.days_band ? fmt::format(" ({:.3g} to {:.3g} by the band)", run.days_band->first, run.days_band->second) : "",
                        Short(GpuHours(run)));
    if (run.cost_of_1e9_tokens) text += fmt::format(", cost {}", Short(CostOf(config, run)));
    if (run.deadline_met) {
      text += fmt::format("; the deadline of {:g} days is {}", config.search.deadline_days, HowMet(run, config.search.deadline_days));
    }
    text += "\n";
  } else if (run.cost_of_1e9_tokens) {
    text += fmt::format("cost           {} for 1 G tokens\n", Short(*run.cost_of_1e9_tokens));
  }
  if (run.failing) {
    text += fmt::format("failures       one in {}; a checkpoint every {} loses least: {:.1f} % of the time counts\n",
                        Minutes(run.failing->failure_interval_s), Minutes(run.failing->checkpoint_interval_s), 100 * run.failing->goodput);
  }
  return text;
}

nlohmann::ordered_json ToJson(const config::RunConfig& config, const TrainingRun& run) {
  nlohmann::ordered_json json = {{"gpus", run.gpus}, {"tokens_per_s", run.tokens_per_s}};
  if (config.search.tokens > 0 && Progresses(run)) {
    json["tokens"] = config.search.tokens;
    json["steps"] = run.steps;
    json["days"] = run.days;
    if (run.days_band) json["days_band"] = {run.days_band->first, run.days_band->second};
    json["gpu_hours"] = GpuHours(run);
    if (run.cost_of_1e9_tokens) json["cost"] = CostOf(config, run);
  }
  if (run.cost_of_1e9_tokens) json["cost_of_1e9_tokens"] = *run.cost_of_1e9_tokens;
  if (run.deadline_met) json["deadline_met"] = *run.deadline_met;
  if (run.failing) {
    json["failures"] = {{"failure_interval_s", run.failing->failure_interval_s},
                        {"checkpoint_interval_s", run.failing->checkpoint_interval_s},
                        {"goodput", Progresses(run) ? run.failing->goodput : 0.0}};
  }
  return json;
}

}  // namespace helm::planner
