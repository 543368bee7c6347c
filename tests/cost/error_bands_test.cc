#include "cost/error_bands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace helm::cost {
namespace {

constexpr std::string_view kTable = R"({"format": "helm-error-bands/1", "made_by": "a test", "bands": [
  {"kind": "hopper", "rows": 40, "sources": 3, "low": 0.9, "high": 1.2},
  {"kind": "fp8", "rows": 42, "sources": 3, "low": 0.7, "high": 1.0},
  {"kind": "all", "rows": 100, "sources": 7, "low": 0.8, "high": 1.3}], "ratio": {"factor": 1.1, "pairs": 50, "sources": 4}})";

ErrorBands Table() { return ParseErrorBands(kTable, "test").value(); }

cluster::Device Gpu(const char* architecture) {
  cluster::Device device;
  device.architecture = architecture;
  return device;
}

double High(const cluster::Device& device, bool quantized) {
  const ErrorBands bands = Table();
  return BandOf(bands, RunKindsOf(device, quantized, 0.0))->high;
}

TEST(ErrorBands, TakesTheNarrowestKindThatTheTableHas) {
  EXPECT_EQ(High(Gpu("hopper"), false), 1.2);
  EXPECT_EQ(High(Gpu("hopper"), true), 1.0);  // no "hopper fp8": fp8
  EXPECT_EQ(High(Gpu("cdna3"), false), 1.3);
  EXPECT_EQ(High(Gpu(""), false), 1.3);
}

TEST(ErrorBands, SayNothingOfCpusNorOfMeasuredCostsThatNobodyHeldAgainstRuns) {
  cluster::Device cpu;
  cpu.is_cpu = true;
  const ErrorBands bands = Table();
  EXPECT_EQ(BandOf(bands, RunKindsOf(cpu, false, 0.0)), nullptr);
  EXPECT_EQ(BandOf(bands, RunKindsOf(Gpu("hopper"), false, 0.95)), nullptr);
}

// log(1.09) < log(1.1) < log(1.11), either way.
TEST(ErrorBands, ATieIsARatioWithinTheErrorOfRatios) {
  const ErrorBands bands = Table();
  EXPECT_TRUE(IsTie(bands, 1.0, 1.09));
  EXPECT_TRUE(IsTie(bands, 1.09, 1.0));
  EXPECT_FALSE(IsTie(bands, 1.0, 1.11));
  EXPECT_FALSE(IsTie(bands, 1.11, 1.0));
}

TEST(ErrorBands, RefusesWhatIsNoTable) {
  const auto message = [](std::string from, const std::string& to) {
    std::string text(kTable);
    text.replace(text.find(from), from.size(), to);
    return ParseErrorBands(text, "test").status().message();
  };
  EXPECT_THAT(message("helm-error-bands/1", "other"), testing::HasSubstr("allowed: 'helm-error-bands/1'"));
  EXPECT_THAT(message("\"low\": 0.9", "\"low\": 1.9"), testing::HasSubstr("allowed: 0 < low <= high"));
  EXPECT_THAT(message("\"factor\": 1.1", "\"factor\": 0.9"), testing::HasSubstr("allowed: 1 or more"));
  EXPECT_THAT(message("\"all\"", "\"some\""), testing::HasSubstr("no band of the kind 'all'"));
}

// What scripts/leave_one_out.py found is read; every kind rests on two sources at least, but what HELM measured itself.
TEST(ErrorBands, TheBuiltInTableRestsOnManyRows) {
  const ErrorBands& bands = BuiltInErrorBands();
  ASSERT_NE(BandOf(bands, {"hopper"}), nullptr);
  EXPECT_GT(bands.ratio_factor, 1.0);
  for (const ErrorBand& band : bands.bands) {
    EXPECT_GE(band.sources, band.kind == kMeasuredRuns ? 1 : 2) << band.kind;
    EXPECT_LT(band.low, band.high) << band.kind;
  }
}

}  // namespace
}  // namespace helm::cost
