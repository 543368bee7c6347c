// Validate: predicts rows and holds the predictions against what was measured.
//
// How a run configuration is predicted comes from the caller (a Predictor), since the modules of one row do not know each other.
// Deterministic: outcomes stand in the order of the rows, whatever the number of threads.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/run_config.h"
#include "core/status.h"
#include "validation/row.h"

namespace helm::validation {

struct Prediction {
  double step_time_s = 0;
  std::string run_kind;  // the narrowest kind of run that its error may depend on (cost/error_bands.h); empty: none
  std::optional<std::pair<double, double>> step_time_band_s;  // between which the step probably takes; none where nothing is known
  // Bytes of the first stage, the last, and the fullest rank; reserved and total only where they were asked for.
  struct Memory {
    double first = 0, last = 0, fullest = 0;
  };
  Memory allocated;
  std::optional<Memory> reserved;
  std::optional<Memory> total;
  nlohmann::ordered_json document;        // DESIGN section 4's prediction
  std::vector<std::string> not_modelled;  // switches that the prediction leaves out
  std::string written_out_because;        // why the step was not composed of templates; empty: it was
};

// `all_memory`: also what is reserved and in total. Not called by two threads at once; each thread has its own.
using Predictor = std::function<Result<Prediction>(const config::RunConfig&, bool all_memory)>;
using PredictorFactory = std::function<Result<Predictor>()>;

// (predicted - measured) / measured.
struct MemoryError {
  MemoryKind kind;
  double error = 0;
};

struct Outcome {
  size_t row = 0;
  std::optional<Prediction> prediction;
  std::string reason;  // why there is none
  std::vector<std::string> notes;
  std::optional<double> step_time_error;
  std::vector<MemoryError> memory_errors;
};

struct ValidateOptions {
  int64_t jobs = 1;
  std::function<void(int64_t done, int64_t total)> progress;  // may be empty; called from one thread at a time
};

// One outcome a row, in their order. Fails only when no predictor can be made.
Result<std::vector<Outcome>> Validate(const std::vector<Row>& rows, const config::ConfigContext& context,
                                      const PredictorFactory& make_predictor, const ValidateOptions& options);

}  // namespace helm::validation
