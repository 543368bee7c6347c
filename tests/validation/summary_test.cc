#include "validation/summary.h"

#include <gtest/gtest.h>

namespace helm::validation {
namespace {

Row MakeRow(const std::string& id, const std::string& strategy, double measured, const std::string& software = "{framework: helm}") {
  Row row;
  row.id = id;
  row.source = "s";
  row.complete = true;
  row.strategy = *ParseYaml(strategy, "r");
  row.software = *ParseYaml(software, "r");
  row.cluster = row.model = row.workload = *ParseYaml("{a: 1}", "r");
  row.measured.step_time_s = measured;
  return row;
}

Outcome MakeOutcome(size_t row, double predicted, double measured) {
  Outcome outcome;
  outcome.row = row;
  outcome.prediction.emplace();
  outcome.prediction->step_time_s = predicted;
  outcome.step_time_error = (predicted - measured) / measured;
  return outcome;
}

// |e| = 0.1, 0.1, 0.2, 0.4: mean 0.2, median 0.15, ninth decile (the fourth of four) 0.4; bias (0.1 - 0.1 + 0.2 - 0.4) / 4 = -0.05.
TEST(Statistics, OfFourErrors) {
  const ErrorStatistics statistics = StatisticsOf({0.1, -0.1, 0.2, -0.4});
  EXPECT_DOUBLE_EQ(statistics.mape, 0.2);
  EXPECT_DOUBLE_EQ(statistics.median, 0.15);
  EXPECT_DOUBLE_EQ(statistics.p90, 0.4);
  EXPECT_DOUBLE_EQ(statistics.worst, 0.4);
  EXPECT_NEAR(statistics.bias, -0.05, 1e-15);
  EXPECT_EQ(statistics.count, 4);
  EXPECT_EQ(StatisticsOf({}).count, 0);
}

// Measured a 1.0, b 2.0, c 2.01, predicted a 3.0, b 2.5, c 2.0. Pairs by over 1 %: a-b, a-c (b and c differ by 0.5 %); both are ranked
// wrong. HELM would pick c: regret 2.01 / 1.0 - 1.
TEST(Summary, OrderAndRegretOfOneGroup) {
  const std::vector<Row> rows = {MakeRow("a", "{tensor: 1}", 1.0), MakeRow("b", "{tensor: 2}", 2.0), MakeRow("c", "{tensor: 4}", 2.01)};
  const Summary summary = Summarise(rows, {MakeOutcome(0, 3.0, 1.0), MakeOutcome(1, 2.5, 2.0), MakeOutcome(2, 2.0, 2.01)});
  EXPECT_EQ(summary.order.pairs, 2);
  EXPECT_EQ(summary.order.right, 0);
  EXPECT_EQ(summary.regret.groups, 1);
  EXPECT_DOUBLE_EQ(summary.regret.mean, 2.01 / 1.0 - 1);
  EXPECT_DOUBLE_EQ(summary.regret.max, summary.regret.mean);
}

// A row of other software is another group; the same strategy on another day is no pair; a tie in the prediction is not in order.
// Measured 1 and 2 s; a band of 0.9 to 1.1 s holds the first, none of the second's is known.
TEST(Summary, CountsStepTimesWithinTheirBands) {
  const std::vector<Row> rows = {MakeRow("a", "{tensor: 1}", 1.0), MakeRow("b", "{tensor: 2}", 2.0)};
  std::vector<Outcome> outcomes = {MakeOutcome(0, 1.0, 1.0), MakeOutcome(1, 2.0, 2.0)};
  outcomes[0].prediction->step_time_band_s = {0.9, 1.1};
  EXPECT_EQ(Summarise(rows, outcomes).in_band, 1);
  outcomes[1].prediction->step_time_band_s = {2.1, 2.5};
  EXPECT_EQ(Summarise(rows, outcomes).in_band, 1);
}

TEST(Summary, WhatIsComparedWithWhat) {
  const std::vector<Row> rows = {MakeRow("a", "{tensor: 1}", 1.0), MakeRow("b", "{tensor: 1}", 2.0),
                                 MakeRow("c", "{tensor: 2}", 3.0, "{framework: other}"),
                                 MakeRow("d", "{tensor: 2}", 3.0, "{framework: helm, optimizer_post_validation: true}")};
  const Summary summary =
      Summarise(rows, {MakeOutcome(0, 1.0, 1.0), MakeOutcome(1, 1.0, 2.0), MakeOutcome(2, 3.0, 3.0), MakeOutcome(3, 1.0, 3.0)});
  EXPECT_EQ(summary.order.pairs, 2);  // a-d and b-d
  EXPECT_EQ(summary.order.right, 0);
  EXPECT_EQ(summary.regret.groups, 1);
}

TEST(Summary, CountsReasonsAndHasEveryKeyWithoutRows) {
  std::vector<Row> rows = {MakeRow("a", "{tensor: 1}", 1.0), MakeRow("b", "{tensor: 1}", 2.0)};
  rows[1].complete = false;
  Outcome skipped;
  skipped.reason = "no";
  Outcome other = skipped;
  other.row = 1;
  const auto json = ToJson(Summarise(rows, {skipped, other}));
  EXPECT_EQ(json.dump(),
            R"({"rows":2,"complete":1,"predicted":0,"skipped":[{"reason":"no","count":2}],)"
            R"("step_time":{"mape":0.0,"median":0.0,"p90":0.0,"worst":0.0,"bias":0.0,"count":0},"order":{"share":0.0,"pairs":0},)"
            R"("regret":{"mean":0.0,"max":0.0,"groups":0},"peak_memory":{"allocated":{"mape":0.0,"median":0.0,"count":0},)"
            R"("reserved":{"mape":0.0,"median":0.0,"count":0},"device":{"mape":0.0,"median":0.0,"count":0},)"
            R"("unstated":{"mape":0.0,"median":0.0,"count":0}},"in_band":0})");
}

}  // namespace
}  // namespace helm::validation
