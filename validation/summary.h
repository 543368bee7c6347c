// Summary: what the errors of many rows come to. All errors and shares are fractions.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "validation/row.h"
#include "validation/validate.h"

namespace helm::validation {

// Of |error|; bias is the mean of the error itself. All 0 where count is.
struct ErrorStatistics {
  double mape = 0, median = 0, p90 = 0, worst = 0, bias = 0;
  int64_t count = 0;
};
// p90: the smallest value that at least 90 % do not exceed.
ErrorStatistics StatisticsOf(const std::vector<double>& errors);

// Pairs of rows that differ only in the strategy and by more than 1 % in measured time; a tie in the prediction is not in order.
struct Order {
  int64_t right = 0, pairs = 0;
  double share() const { return pairs == 0 ? 0.0 : static_cast<double>(right) / static_cast<double>(pairs); }
};

// Of the groups of at least two such rows: measured time of the row with the smallest predicted time over the smallest measured one, less
// one.
struct Regret {
  double mean = 0, max = 0;
  int64_t groups = 0;
};

struct Summary {
  int64_t rows = 0, complete = 0, predicted = 0;
  std::vector<std::pair<std::string, int64_t>> skipped;  // by count, then by reason
  ErrorStatistics step_time;
  int64_t in_band = 0;  // of the step times: within the prediction's band
  Order order;
  Regret regret;
  ErrorStatistics memory[kMemoryKinds];
};

// REQUIRES: outcomes[i].row indexes `rows`.
Summary Summarise(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes);
// The same by source, in the order in which sources first occur.
std::vector<std::pair<std::string, Summary>> SummariesBySource(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes);

// What two rows must have in common for their strategies to be compared: everything published but the strategy and what follows from it
// (the padding of the vocabulary, zero-bubble's validation of the update).
std::string GroupKey(const Row& row);

// DESIGN section 4.
nlohmann::ordered_json ToJson(const Summary& summary);

}  // namespace helm::validation
