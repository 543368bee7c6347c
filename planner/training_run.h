// TrainingRun: what a plan's step makes of a whole run: days, GPU hours and money for so many tokens, with failures and checkpoints.
//
// Not the time to a loss: how many tokens are wanted, what a GPU costs and how often one fails is what the configuration says
// (`search.tokens`, `.price_per_gpu_hour`, `.failures`), never a guess.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "config/run_config.h"
#include "core/units.h"
#include "planner/prediction.h"

namespace helm::planner {

// A run that fails by chance, at a constant rate, and goes on from its last checkpoint.
struct FailingRun {
  double failure_interval_s = 0;     // mean, of all GPUs together
  double checkpoint_interval_s = 0;  // training between two checkpoints
  double goodput = 1;                // training time that counts, of all time
};

// With the interval between checkpoints that loses least, and the time of the run that follows from it: perturbation solution and complete
// cost function of J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps" (Future Generation Computer
// Systems 22, 2006); the solution's first term is J. W. Young's sqrt(2 d M) (Communications of the ACM 17, 1974), d the checkpoint, M the
// mean time between failures. Checkpoints that take no time are written all the time.
FailingRun WithFailures(const config::Failures& failures, int64_t gpus);

struct TrainingRun {
  int64_t gpus = 0;
  std::optional<FailingRun> failing;  // where the configuration says how often GPUs fail
  double tokens_per_s = 0;            // of all GPUs, of all time
  int64_t steps = 0;                  // these and the days: 0 where the configuration says no tokens
  double days = 0;
  std::optional<std::pair<double, double>> days_band;  // by the ends of the step's band
  std::optional<bool> deadline_met;                    // where there is one
  std::optional<double> cost_of_1e9_tokens;            // in the unit of the price, where there is one
};

// Whether it gets anywhere between failures; where not, it has no throughput, days or cost.
bool Progresses(const TrainingRun& run);

TrainingRun TrainingRunOf(const config::RunConfig& config, const Prediction& prediction);

double GpuHours(const TrainingRun& run);
// REQUIRES: there is a price.
double CostOf(const config::RunConfig& config, const TrainingRun& run);

// Lines of the report; empty where the configuration asks for nothing of it.
std::string ToText(const config::RunConfig& config, const TrainingRun& run);
nlohmann::ordered_json ToJson(const config::RunConfig& config, const TrainingRun& run);

}  // namespace helm::planner
