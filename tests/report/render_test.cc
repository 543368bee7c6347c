// The text and the JSON of a comparison.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "report/compare.h"
#include "report/format.h"
#include "support/sample_timelines.h"

namespace helm::report {
namespace {

using Kind = ir::Stream::Kind;
using ::testing::HasSubstr;
using ::testing::Not;

// One op, 10 ms predicted and 12.5 ms measured; 1 GiB and 1.25 GiB; the measured one has an op more.
Comparison Small() {
  test::TimelineBuilder predicted("predicted", "h1");
  predicted.Event(0, predicted.Stream(Kind::kCompute, "compute"), predicted.Op("compute", "aten.mm", "mlp.up"), 0, 10000);
  predicted.Rank(0, 10000, 1073741824);
  test::TimelineBuilder measured("measured", "h2");
  const int32_t compute = measured.Stream(Kind::kCompute, "compute");
  measured.Event(0, compute, measured.Op("compute", "aten.mm", "mlp.up", "forward", "observed"), 0, 12000);
  measured.Event(0, compute, measured.Op("compute", "aten.add.Tensor", "residual", "forward", "observed"), 12000, 12500);
  measured.Rank(0, 12500, 1342177280);
  const Result<Comparison> comparison = Compare(predicted.Build(), measured.Build());
  EXPECT_TRUE(comparison.ok()) << comparison.status().message();
  return *comparison;
}

TEST(RenderText, SaysWhatThereIs) {
  EXPECT_EQ(RenderText(Small()),
            "predicted: data 1, tensor 2, micro_batch 1; 1 rank\n"
            "measured: data 1, tensor 2, micro_batch 1; 1 rank\n"
            "different programs: ops are paired by operator, label, phase, layer, micro-batch and occurrence\n"
            "                                 predicted      measured    relative\n"
            "step time                         10.00 ms      12.50 ms     -20.0 %\n"
            "peak memory                      1.000 GiB     1.250 GiB     -20.0 %\n"
            "  compute                         10.00 ms      12.50 ms     -20.0 %\n"
            "predicted rests on: measured 100.0 %, interpolated 0.0 %, analytic 0.0 % of op time\n"
            "1 ops paired; 1 only in 'measured' (500.0 us)\n"
            "\n"
            "on the critical path                                          ops   predicted    measured difference\n"
            "  compute                                                            10.00 ms    12.50 ms   -2.50 ms\n"
            "  step                                                               10.00 ms    12.50 ms   -2.50 ms\n"
            "most of it            operator            phase               ops   predicted    measured difference\n"
            "mlp.up                aten.mm             forward               1    10.00 ms    12.00 ms   -2.00 ms\n"
            "residual              aten.add.Tensor     forward             0/1         0 s    500.0 us  -500.0 us\n"
            "\n"
            "largest differences   operator            phase               ops   predicted    measured difference\n"
            "mlp.up                aten.mm             forward               1    10.00 ms    12.00 ms   -2.00 ms\n"
            "residual              aten.add.Tensor     forward             0/1         0 s    500.0 us  -500.0 us\n"
            "\n"
            "sums by operator                                  ops   predicted    measured difference    relative\n"
            "aten.mm                                             1    10.00 ms    12.00 ms   -2.00 ms     -16.7 %\n"
            "aten.add.Tensor                                   0/1         0 s    500.0 us  -500.0 us    -100.0 %\n");
}

TEST(RenderText, FitsATerminal) {
  const test::SampleTimelines sample = test::MakeSampleTimelines();
  const Result<Comparison> comparison = Compare(sample.predicted, sample.measured);
  ASSERT_TRUE(comparison.ok());
  const std::string text = RenderText(*comparison);
  EXPECT_LE(std::ranges::count(text, '\n'), 60);
  size_t widest = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    widest = std::max(widest, end - at);
    at = end + 1;
  }
  EXPECT_LE(widest, 100u);
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(RenderText(*comparison, {.colour = true}), HasSubstr("\x1b[32m"));
}

TEST(RenderJson, HoldsTheDocumentedKeys) {
  const nlohmann::ordered_json document = RenderJson(Small());
  EXPECT_EQ(document["schema_version"], 1);
  EXPECT_EQ(document["error"], (nlohmann::ordered_json{{"step_time", -0.2}, {"peak_memory", -0.2}}));
  EXPECT_EQ(document["predicted"]["step_time_s"], 0.01);
  EXPECT_EQ(document["measured"]["peak_memory"]["allocated_bytes"], 1342177280);
  EXPECT_EQ(
      document["measured"]["breakdown_s"],
      (nlohmann::ordered_json{{"compute", 0.0125}, {"exposed_communication", 0.0}, {"bubble", 0.0}, {"optimizer", 0.0}, {"host", 0.0}}));
  EXPECT_EQ(document["matched_by"], "name");
  const nlohmann::ordered_json op = {
      {"op", 0},          {"target", "aten.mm"},  {"label", "mlp.up"},   {"kind", "compute"},   {"phase", "forward"}, {"layer", 0},
      {"micro_batch", 0}, {"source", "measured"}, {"predicted_s", 0.01}, {"measured_s", 0.012}, {"error", -1.0 / 6}};
  EXPECT_EQ(document["ops"], nlohmann::ordered_json::array({op}));
  const nlohmann::ordered_json alone = {{"op", 1},           {"target", "aten.add.Tensor"}, {"label", "residual"},
                                        {"kind", "compute"}, {"phase", "forward"},          {"layer", 0},
                                        {"micro_batch", 0},  {"source", "observed"},        {"measured_s", 0.0005}};
  EXPECT_EQ(document["unmatched"]["measured"], nlohmann::ordered_json::array({alone}));
  // Numbers print as a person would write them.
  EXPECT_THAT(document.dump(), HasSubstr("\"measured_s\":0.012,"));
}

TEST(Format, FourDigitsAndAUnit) {
  const auto ms = [](double value) { return Duration::Milliseconds(value); };
  EXPECT_EQ(FormatPair(ms(9.9996), ms(0.5)), "10.00/0.50 ms");
  EXPECT_EQ(FormatPair(ms(0), ms(12345)), "0/12.35 s");
  EXPECT_EQ(FormatPair(std::nullopt, std::optional(ms(0.25))), "-/250.0 us");
  EXPECT_EQ(FormatPair(Bytes::Gibibytes(1), Bytes::Gibibytes(79.6)), "1.00/79.60 GiB");
  EXPECT_EQ(FormatMemory(Bytes::Gibibytes(79.6)), "79.60 GiB");
  EXPECT_EQ(FormatError(0.1234), "+12.3 %");
  EXPECT_EQ(FormatError(std::nullopt), "n/a");
  EXPECT_EQ(Shorten("aten._scaled_dot", 9), "aten._...");
}

}  // namespace
}  // namespace helm::report
