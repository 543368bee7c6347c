#include "cost/pair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cost/pair_losses.h"

namespace helm::cost {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kProduct[] = "aten.mm(f32[8,4], f32[4,2])";
constexpr char kInside[] = "all_reduce f32 ranks=2 per_node=2 bytes=4096";

PairMeasurement Row(double op_alone, double collective_alone, double op_beside, double collective_beside) {
  return {1,
          1,
          Duration::Microseconds(op_alone),
          Duration::Microseconds(collective_alone),
          Duration::Microseconds(op_beside),
          Duration::Microseconds(collective_beside),
          9};
}

TEST(Pair, KeysAreReadAsTheyAreWritten) {
  const std::string key = std::string(kProduct) + " beside " + kInside;
  const auto pair = ParsePairSignature(key);
  ASSERT_TRUE(pair.ok()) << pair.status().message();
  EXPECT_EQ(pair->op.target, "aten.mm");
  EXPECT_EQ(pair->collective.bytes, Bytes(4096));
  EXPECT_EQ(ToText(*pair), key);
  EXPECT_THAT(ParsePairSignature(kProduct).status().message(), HasSubstr("expected 'OP beside COLLECTIVE'"));
  EXPECT_FALSE(ParsePairSignature(std::string(kInside) + " beside " + kProduct).ok());
}

// 10 and 10 alone. Together the op ends at 12.5, the collective at 16. The op has done 10 in 12.5: 0.8. The collective does its last 3.5
// alone, so 6.5 in 12.5: 0.52. Of the 10 that could be saved 20 - 16 = 4 are.
TEST(Pair, RatesAndEfficiencyFromBothEnds) {
  const PairMeasurement pair = Row(10, 10, 12.5, 16);
  EXPECT_DOUBLE_EQ(RatesOf(pair).op, 0.8);
  EXPECT_DOUBLE_EQ(RatesOf(pair).collective, 0.52);
  EXPECT_DOUBLE_EQ(EfficiencyOf(pair), 0.4);
}

// The collective ends first, at 8 instead of 6: 0.75. The op does its last 24 - 8 = 16 alone, so 20 - 16 = 4 in 8: 0.5. Saved: 20 + 6 - 24
// = 2 of 6.
TEST(Pair, TheOpMayEndLast) {
  const PairMeasurement pair = Row(20, 6, 24, 8);
  EXPECT_NEAR(RatesOf(pair).collective, 0.75, 1e-12);
  EXPECT_NEAR(RatesOf(pair).op, 0.5, 1e-12);
  EXPECT_NEAR(EfficiencyOf(pair), 1.0 / 3, 1e-12);
}

// Faster together than alone is noise, and slower than one after the other is no rate below 0.
TEST(Pair, RatesStayWithinTheirRange) {
  EXPECT_DOUBLE_EQ(RatesOf(Row(10, 10, 9, 9)).op, 1);
  EXPECT_DOUBLE_EQ(EfficiencyOf(Row(10, 10, 9, 9)), 1);
  EXPECT_DOUBLE_EQ(RatesOf(Row(10, 10, 12, 40)).collective, 0);
  EXPECT_DOUBLE_EQ(EfficiencyOf(Row(10, 10, 12, 40)), 0);
}

// Three products inside a node lose 0.2, 0.5, 0.6 (10 in 12.5, 20, 25 until both end), their collectives the same: the medians replace the
// formula's. Of other kernels, and between nodes, nothing was measured: the formulas stay.
TEST(PairLosses, MediansReplaceFormulasOfTheirKindAlone) {
  const OverlapLosses modelled{
      .inside = {.product = 0.18, .memory_bound = 0.27}, .network = {.product = 0.06, .memory_bound = 0.03}, .communication = 0.07};
  PairTable pairs;
  const std::string inside = std::string(" beside ") + kInside;
  pairs["aten.mm(f32[8,4], f32[4,2])" + inside] = Row(10, 10, 12.5, 12.5);
  pairs["aten.mm(f32[8,4], f32[4,3])" + inside] = Row(10, 10, 20, 20);
  pairs["aten.mm(f32[8,4], f32[4,4])" + inside] = Row(10, 10, 25, 25);
  const OverlapLosses losses = WithMeasured(modelled, pairs);
  EXPECT_DOUBLE_EQ(losses.inside.product, 0.5);
  EXPECT_DOUBLE_EQ(losses.communication_beside_products, 0.5);
  EXPECT_DOUBLE_EQ(losses.saved_inside.product.value(), 0);
  EXPECT_EQ(losses.measured_pairs, 3);
  EXPECT_DOUBLE_EQ(losses.inside.memory_bound, 0.27);
  EXPECT_EQ(losses.network, modelled.network);
  EXPECT_DOUBLE_EQ(losses.communication, 0.07);
  EXPECT_FALSE(losses.saved_inside.memory_bound.has_value());
  EXPECT_EQ(WithMeasured(modelled, {}), modelled);
  EXPECT_THAT(
      DescribeMeasured(pairs),
      ElementsAre("matrix products and attention beside collectives within a node: measured, 3 pairs: they lose 50 % of their rate, "
                  "the collectives 50 %; 0 % is saved",
                  "modelled, since no pair of their kind was measured: other kernels beside collectives within a node; matrix "
                  "products and attention beside collectives between nodes; other kernels beside collectives between nodes"));
  EXPECT_TRUE(DescribeMeasured({}).empty());
}

// Two ranks of four on one node: the collective leaves the node. Of two pairs the middle lies between them: (0.2 + 0.5) / 2.
TEST(PairLosses, TellsNodesApart) {
  PairTable pairs;
  pairs["aten.neg(f32[8]) beside all_reduce f32 ranks=4 per_node=2 bytes=4096"] = Row(10, 10, 12.5, 12.5);
  pairs["aten.neg(f32[9]) beside all_reduce f32 ranks=4 per_node=2 bytes=4096"] = Row(10, 10, 20, 20);
  const OverlapLosses losses = WithMeasured({}, pairs);
  EXPECT_DOUBLE_EQ(losses.network.memory_bound, 0.35);
  EXPECT_DOUBLE_EQ(losses.communication, 0.35);
  EXPECT_EQ(losses.inside, OverlapLosses::Beside());
}

}  // namespace
}  // namespace helm::cost
