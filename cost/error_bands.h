// ErrorBands: how far HELM's predictions of runs that others measured were off, by kind of run, and what follows for a new prediction: a
// band that holds the time of four runs of five of a source that HELM has not seen, and which two predictions are a tie.
//
// Compiled in from traces/errors/error_bands.json, which scripts/leave_one_out.py makes: ratios measured / predicted with the fitted
// constants refitted without the source of the row, a source counting as the root of the number of its rows. Not a bound: one run of five
// lies outside.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/cluster.h"
#include "core/status.h"

namespace helm::cost {

// The kind of run whose step rests on the device's own cost table.
inline constexpr std::string_view kMeasuredRuns = "measured";

struct ErrorBand {
  std::string kind;  // of run: "hopper", "hopper fp8", "measured", ...; "all"
  int64_t rows = 0, sources = 0;
  double low = 1, high = 1;  // measured / predicted: the quantiles of 10 and 90 %
};

struct ErrorBands {
  std::vector<ErrorBand> bands;  // "all" is one of them
  // Of two predictions on the same machine, which share most of their error: four of five measured ratios of two strategies lie within this
  // factor, either way, of the predicted ratio.
  double ratio_factor = 1;
  int64_t pairs = 0;
};

// What a run is, as far as its error depends on it, the narrowest kind first: architecture and whether products have 8-bit operands; 8-bit
// operands alone; all. `share_measured` of the step's time by rows of the device's own cost table: from 0.9 on that alone is the kind.
// None for a CPU, of which nobody publishes runs.
std::vector<std::string> RunKindsOf(const cluster::Device& device, bool quantized, double share_measured);

// The band of the first of these kinds that the table has; nothing where there is none.
const ErrorBand* BandOf(const ErrorBands& bands, const std::vector<std::string>& kinds);

// True where the predicted ratio says less than the error of such ratios. REQUIRES: both above 0.
bool IsTie(const ErrorBands& bands, double seconds, double other_seconds);

Result<ErrorBands> ParseErrorBands(std::string_view text, const std::string& file);
const ErrorBands& BuiltInErrorBands();

}  // namespace helm::cost
