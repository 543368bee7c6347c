#include "model/layer_excerpt.h"

#include <gtest/gtest.h>

namespace helm::model {
namespace {

ModelSpec EightLayers() {
  ModelSpec model;
  model.layers = 8;
  model.hidden = 4;
  model.ffn = 8;
  model.heads = 2;
  model.kv_heads = 2;
  model.head_dim = 2;
  model.vocab = 10;
  return model;
}

// Two chunks of four layers: of layers 0 1 2 3 the inner ones are 1 and 2, and 1 stands for 2.
TEST(LayerExcerpt, OneInnerLayerOfAChunkStandsForTheOthers) {
  ir::Strategy strategy;
  strategy.pipeline = 2;
  const LayerExcerpt excerpt = ExcerptOf(EightLayers(), {}, strategy, 1);
  EXPECT_EQ(excerpt.told_by, (std::vector<int32_t>{0, 1, 2, 3, 4, 5, 5, 7}));
  EXPECT_EQ(excerpt.told_by_in_last, excerpt.told_by);
  EXPECT_TRUE(excerpt.LeavesOut(6, false));
  EXPECT_FALSE(excerpt.LeavesOut(7, false));
}

// A layer has 4 x 4 x 4 + 3 x 4 x 8 + 2 x 4 = 168 parameters, 672 bytes of fp32 gradients, the head 40 parameters, 160 bytes. Buckets of
// 1,344 bytes: backward fills the first with the head, the final norm (16 bytes), layer 7 (848 bytes so far), and 496 bytes of layer 6's
// 672, which its norms complete or not; the layers in which some bucket is completed are written in the last micro-batch.
TEST(LayerExcerpt, LayersThatCompleteABucketStandForThemselvesInTheLastMicroBatch) {
  ir::Software software;
  software.gradient_bucket_bytes = 1344;
  ir::Strategy strategy;
  strategy.data = 2;
  const LayerExcerpt excerpt = ExcerptOf(EightLayers(), software, strategy, 0);
  EXPECT_EQ(excerpt.told_by, (std::vector<int32_t>{0, 1, 1, 1, 1, 1, 1, 7}));
  // Of two layers in a row about one completes a bucket: none stands for all, and not all are written.
  int64_t written = 0;
  for (int64_t layer = 0; layer < 8; ++layer) written += excerpt.LeavesOut(layer, true) ? 0 : 1;
  EXPECT_GE(written, 5);
  EXPECT_LT(written, 8);
}

// While a layer computes the next two are gathered: the first two are gathered before any layer, the last two gather nothing.
TEST(LayerExcerpt, AsManyAtEitherEndAsAreGatheredAheadStandForThemselves) {
  ir::Software software;
  software.fsdp_prefetch = 2;
  ir::Strategy strategy;
  strategy.zero = 3;
  strategy.data = 2;
  const LayerExcerpt excerpt = ExcerptOf(EightLayers(), software, strategy, 0);
  EXPECT_EQ(excerpt.told_by, (std::vector<int32_t>{0, 1, 2, 2, 2, 2, 6, 7}));
  EXPECT_EQ(excerpt.told_by_in_last, excerpt.told_by);
}

// The second copy of a layer's shard is added in the next micro-batch.
TEST(LayerExcerpt, LeavesOutNothingWhereShardsHaveCopies) {
  ir::Strategy strategy;
  strategy.zero = 3;
  strategy.data = 4;
  strategy.fsdp_shard = strategy.fsdp_replicate = 2;
  EXPECT_TRUE(ExcerptOf(EightLayers(), {}, strategy, 0).told_by.empty());
}

}  // namespace
}  // namespace helm::model
