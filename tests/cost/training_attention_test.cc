#include "cost/training_attention.h"

#include <gtest/gtest.h>

namespace helm::cost {
namespace {

// 16384 tokens a batch, sequences of 16 heads: 4 sequences of 4096 have 64.
TEST(TrainingAttention, PublishedLengthsAreAsPublished) {
  const auto cudnn = PublishedTrainingAttention("hopper", true, true, 4096);
  ASSERT_TRUE(cudnn.has_value());
  EXPECT_DOUBLE_EQ(cudnn->flops_per_second, 518e12);
  EXPECT_EQ(cudnn->length, 4096);
  EXPECT_EQ(cudnn->heads, 64);
  EXPECT_DOUBLE_EQ(PublishedTrainingAttention("hopper", true, false, 2048)->flops_per_second, 617e12);
  EXPECT_DOUBLE_EQ(PublishedTrainingAttention("hopper", false, true, 16384)->flops_per_second, 335e12);
  EXPECT_DOUBLE_EQ(PublishedTrainingAttention("hopper", false, false, 512)->flops_per_second, 309e12);
}

// Half an octave above 1024: half of the way from 410 to 484.
TEST(TrainingAttention, BetweenLengthsByTheirLogarithm) {
  EXPECT_NEAR(PublishedTrainingAttention("hopper", true, true, 1448)->flops_per_second, 447e12, 0.1e12);
}

TEST(TrainingAttention, BeyondThePublishedLengthsAsAtTheNearest) {
  const auto longer = PublishedTrainingAttention("hopper", true, true, 131072);
  EXPECT_DOUBLE_EQ(longer->flops_per_second, 539e12);
  EXPECT_EQ(longer->length, 16384);
  EXPECT_EQ(longer->heads, 16);
  EXPECT_DOUBLE_EQ(PublishedTrainingAttention("hopper", true, true, 128)->flops_per_second, 315e12);
}

TEST(TrainingAttention, OnlyHopperIsPublished) { EXPECT_FALSE(PublishedTrainingAttention("ampere", true, true, 4096).has_value()); }

}  // namespace
}  // namespace helm::cost
