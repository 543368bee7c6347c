// Pair: an op and a collective that run at the same time on one rank, and what helm-profile measured of them: a row of a cost table.
//
// Two ops never run at the same time, since a program has one compute stream. Key of a row: "OP beside COLLECTIVE", the text forms of the
// two signatures. What a row says of other pairs: cost/pair_losses.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"
#include "core/units.h"
#include "ir/signature.h"

namespace helm::cost {

struct PairSignature {
  ir::OpSignature op;
  ir::CollectiveSignature collective;
  bool operator==(const PairSignature&) const = default;
};
std::string ToText(const PairSignature& signature);
Result<PairSignature> ParsePairSignature(std::string_view text);

// Calls of the op one after the other, so many that they and the collectives, as many, take about equally long. Medians; invariant: counts
// and times are positive.
struct PairMeasurement {
  int64_t op_runs = 1;
  int64_t collective_runs = 1;
  Duration op_alone;           // of all calls
  Duration collective_alone;   // of all collectives
  Duration op_beside;          // both started together: until the last call has ended
  Duration collective_beside;  // until the last collective has ended
  int64_t samples = 0;
  bool operator==(const PairMeasurement&) const = default;
};

// What a pair keeps of its rates while both run, 0 ... 1.
struct PairRates {
  double op = 1;
  double collective = 1;
};
// Until the one that ends first has ended both run at constant rates; then the other one goes on alone.
PairRates RatesOf(const PairMeasurement& pair);

// The overlap-efficiency factor, (alone + alone - together) / the shorter alone (DHeLlam, techniques.md 2.1), 0 ... 1.
double EfficiencyOf(const PairMeasurement& pair);

}  // namespace helm::cost
