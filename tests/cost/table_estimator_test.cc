#include "cost/table_estimator.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace helm::cost {
namespace {

Measurement Took(double microseconds, int64_t workspace = 0) {
  const Duration median = Duration::Microseconds(microseconds);
  return {median, median, median, 9, Bytes(workspace), median};
}

// Matrix products [M,64] x [64,64] at 1 GFLOP/s for M = 64 and 4 GFLOP/s for M = 256: 2 * 64 * 64 * 64 = 524288 FLOPs in 524.288 us,
// 2097152 in 524.288 us. Pointwise ops at 4 GB/s for 4000 bytes and 16 GB/s for 16000: 1 us each.
CostTable Table() {
  CostTable table;
  table.device = {"cpu", "test", 1, 2};
  table.ops = {{"aten.mm(f32[64,64], f32[64,64])", Took(524.288, 1000)},
               {"aten.mm(f32[256,64], f32[64,64])", Took(524.288)},
               {"aten.neg(f32[1000])", Took(1)},
               {"aten.neg(f32[4000])", Took(1)},
               {"aten._fused_rms_norm(f32[64,384], [384], none, 1e-05)", Took(64)},
               {"aten._fused_rms_norm(f32[64,768], [768], none, 1e-05)", Took(128)},
               {"aten.embedding(@f32[257,64], i64[8,64]<257)", Took(10)},
               {"aten.embedding(@f32[257,64], i64[8,256]<257)", Took(40)},
               {"aten.sum.dim_IntList(f32[64,64], [0], false)", Took(5)}};
  table.collectives = {{"all_reduce f32 ranks=2 per_node=2 bytes=100", Took(1)},
                       {"all_reduce f32 ranks=2 per_node=2 bytes=10000", Took(10)},
                       {"all_gather f32 ranks=2 per_node=2 bytes=100", Took(3)}};
  return table;
}

TableEstimator Estimator() {
  auto estimator = TableEstimator::Create(Table());
  HELM_CHECK(estimator.ok(), estimator.status().message().c_str());
  return std::move(estimator).value();
}

std::string Described(const Result<Estimate>& estimate) {
  if (!estimate.ok()) return "unknown";
  return fmt::format("{} {:.4f} us, {} bytes", Name(estimate->source), estimate->duration.microseconds(), estimate->workspace.count());
}

struct Case {
  std::string name;
  std::string key;
  std::string expected;
};

// The ranks wait a tenth of the time at the measured product of 64 rows, and never at that of 256: of one of 80 rows the closest in size
// decides.
TEST(TableEstimator, TheWaitOfRanksScalesWithTheOp) {
  CostTable table = Table();
  table.ops.at("aten.mm(f32[64,64], f32[64,64])").ranks_wait = Duration::Microseconds(52.4288);
  const auto estimator = TableEstimator::Create(table);
  ASSERT_TRUE(estimator.ok());
  const auto measured = estimator->EstimateOp(*ir::ParseOpSignature("aten.mm(f32[64,64], f32[64,64])"));
  EXPECT_EQ(measured->ranks_wait, Duration::Microseconds(52.4288));
  const auto between = estimator->EstimateOp(*ir::ParseOpSignature("aten.mm(f32[80,64], f32[64,64])"));
  EXPECT_EQ(between->source, Source::kInterpolated);
  EXPECT_NEAR(between->ranks_wait.seconds() / between->duration.seconds(), 0.1, 1e-6);
}

class OpCases : public testing::TestWithParam<Case> {};

TEST_P(OpCases, HasTheCostOfTheName) {
  const auto op = ir::ParseOpSignature(GetParam().key);
  ASSERT_TRUE(op.ok()) << op.status().message();
  EXPECT_EQ(Described(Estimator().EstimateOp(*op)), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, OpCases,
    testing::Values(
        Case{"ExactRow", "aten.mm(f32[64,64], f32[64,64])", "measured 524.2880 us, 1000 bytes"},
        // Half way in log M: sqrt(1 * 4) = 2 GFLOP/s for 2 * 128 * 64 * 64 FLOPs. The workspace is that of the relative whose operands are
        // closest in size: |log(128 + 64) - log(64 + 64)| = 0.405 < |log(128 + 64) - log(256 + 64)| = 0.511; times 192 / 128.
        Case{"EfficiencyBetweenRows", "aten.mm(f32[128,64], f32[64,64])", "interpolated 524.2880 us, 1500 bytes"},
        // Twice the largest M: its 4 GFLOP/s still hold.
        Case{"TwiceTheLargest", "aten.mm(f32[512,64], f32[64,64])", "interpolated 1048.5760 us, 0 bytes"},
        Case{"MoreThanTwiceTheLargest", "aten.mm(f32[520,64], f32[64,64])", "unknown"},
        Case{"LessThanHalfTheSmallest", "aten.mm(f32[31,64], f32[64,64])", "unknown"},
        // Each size is in reach (twice the rows), but not the product: 256 x 128 x 128 is twice two times over.
        Case{"TooMuchWork", "aten.mm(f32[256,128], f32[128,128])", "unknown"},
        Case{"OtherLayout", "aten.mm(f32[128,64], f32[64,64]{1,64})", "unknown"},
        Case{"OtherType", "aten.mm(bf16[128,64], bf16[64,64])", "unknown"},
        Case{"ColdOperand", "aten.mm(f32[128,64], @f32[64,64])", "unknown"},
        Case{"VectorIsNoMatrix", "aten.mm(f32[1,64], f32[64,64])", "unknown"},
        Case{"OtherTarget", "aten.bmm(f32[2,64,64], f32[2,64,64])", "unknown"},
        // 8000 bytes at sqrt(4 * 16) = 8 GB/s.
        Case{"BytesPerSecondBetweenRows", "aten.neg(f32[2000])", "interpolated 1.0000 us, 0 bytes"},
        // The normalised shape repeats the size of the operand, so it is no scalar of its own: 64 * 512 elements at the rate of both rows.
        Case{"ScalarThatIsASize", "aten._fused_rms_norm(f32[64,512], [512], none, 1e-05)", "interpolated 85.3333 us, 0 bytes"},
        Case{"OtherScalar", "aten._fused_rms_norm(f32[64,512], [512], none, 1e-06)", "unknown"},
        Case{"OtherDimension", "aten.sum.dim_IntList(f32[128,64], [1], false)", "unknown"},
        // The table is mostly not read: the time follows the number of tokens, about sqrt(10 * 40) us half way. Exactly, with arguments of
        // 69888, 73984 and 82176 bytes: 73984 / sqrt(69888 / 10 * 82176 / 40).
        Case{"LookupFollowsItsTokens", "aten.embedding(@f32[257,64], i64[8,128]<257)", "interpolated 19.5251 us, 0 bytes"}),
    [](const auto& info) { return info.param.name; });

class CollectiveCases : public testing::TestWithParam<Case> {};

TEST_P(CollectiveCases, HasTheCostOfTheName) {
  const auto collective = ir::ParseCollectiveSignature(GetParam().key);
  ASSERT_TRUE(collective.ok()) << collective.status().message();
  EXPECT_EQ(Described(Estimator().EstimateCollective(*collective)), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(Cases, CollectiveCases,
                         testing::Values(Case{"ExactRow", "all_reduce f32 ranks=2 per_node=2 bytes=100", "measured 1.0000 us, 0 bytes"},
                                         Case{"Between", "all_reduce f32 ranks=2 per_node=2 bytes=1000", "interpolated 3.1623 us, 0 bytes"},
                                         Case{"Beyond", "all_reduce f32 ranks=2 per_node=2 bytes=20000", "analytic 19.0909 us, 0 bytes"},
                                         Case{"OtherRanks", "all_reduce f32 ranks=4 per_node=2 bytes=100", "unknown"},
                                         Case{"OtherPlacement", "all_reduce f32 ranks=2 per_node=1 bytes=100", "unknown"},
                                         Case{"OtherType", "all_reduce bf16 ranks=2 per_node=2 bytes=100", "unknown"},
                                         Case{"OneRowOnly", "all_gather f32 ranks=2 per_node=2 bytes=200", "unknown"}),
                         [](const auto& info) { return info.param.name; });

TEST(TableEstimator, UnknownOpIsAStatusThatNamesIt) {
  const auto op = ir::ParseOpSignature("aten.abs(f32[3])");
  ASSERT_TRUE(op.ok());
  EXPECT_EQ(Estimator().EstimateOp(*op).status().message(), "aten.abs(f32[3]): no measured row is near it");
}

TEST(TableEstimator, HostCostsAreThoseOfTheTable) {
  EXPECT_FALSE(Estimator().EstimateHost().ok());
  CostTable table = Table();
  table.host = HostMeasurement{Duration::Microseconds(1), Duration::Microseconds(2), Duration::Microseconds(3)};
  const auto estimator = TableEstimator::Create(table);
  const auto host = estimator->EstimateHost();
  ASSERT_TRUE(host.ok());
  EXPECT_EQ(host->per_collective, Duration::Microseconds(2));
  EXPECT_EQ(host->source, Source::kMeasured);
}

TEST(TableEstimator, KeyThatIsNoSignatureIsRefused) {
  CostTable table = Table();
  table.ops["not an op"] = Took(1);
  EXPECT_FALSE(TableEstimator::Create(table).ok());
}

}  // namespace
}  // namespace helm::cost
