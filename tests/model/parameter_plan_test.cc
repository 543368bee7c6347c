#include "model/parameter_plan.h"

#include <map>
#include <set>

#include <gtest/gtest.h>

#include "model/lower.h"

namespace helm::model {
namespace {

ModelSpec Llama() {
  ModelSpec model;
  model.layers = 2;
  model.hidden = 6;
  model.ffn = 10;
  model.heads = 4;
  model.kv_heads = 2;
  model.head_dim = 2;
  model.vocab = 9;
  return model;
}

ModelSpec Gpt() {
  ModelSpec model = Llama();
  model.family = Family::kGpt;
  model.kv_heads = 4;
  model.max_positions = 5;
  model.activation = Activation::kGelu;
  model.norm = Norm::kLayerNorm;
  model.position = Position::kLearned;
  model.bias = model.tied_embeddings = true;
  return model;
}

ir::Strategy Tensor(int64_t tensor, bool sequence_parallel = false) {
  ir::Strategy strategy;
  strategy.tensor = tensor;
  strategy.sequence_parallel = sequence_parallel;
  return strategy;
}

// Elements of the file's parameters that the boxes of all tensor ranks cover, per name; every element counted as often as it is covered.
std::map<std::string, std::vector<int>> Coverage(const ParameterPlan& plan, const ir::Strategy& strategy) {
  std::map<std::string, std::vector<int>> covered;
  const auto mesh = MeshOf(strategy);
  for (int64_t rank = 0; rank < strategy.tensor; ++rank) {
    for (const ir::ParameterSegment& segment : plan.segments) {
      for (const ir::ParameterPiece& piece : segment.pieces) {
        auto& count = covered[piece.name];
        count.resize(static_cast<size_t>(ir::ElementCount(piece.global_shape)));
        const int64_t columns = piece.global_shape.size() > 1 ? piece.global_shape[1] : 1;
        const int64_t row = ir::Evaluate(piece.box_offset[0], mesh, {rank, 0, 0, 0});
        const int64_t column = columns > 1 ? ir::Evaluate(piece.box_offset[1], mesh, {rank, 0, 0, 0}) : 0;
        const int64_t width = piece.box_shape.size() > 1 ? piece.box_shape[1] : 1;
        for (int64_t i = row; i < std::min(row + piece.box_shape[0], piece.global_shape[0]); ++i) {
          for (int64_t j = column; j < column + width; ++j) ++count[static_cast<size_t>(i * columns + j)];
        }
      }
    }
  }
  return covered;
}

TEST(ParameterPlan, LlamaOnOneRank) {
  const ParameterPlan plan = PlanParameters(Llama(), Tensor(1), 1 << 20, 0);
  ASSERT_EQ(plan.buckets.size(), 1u);
  ASSERT_EQ(plan.segments.size(), 2u);
  // decay: tables 2 x 9 x 6 = 108; layer: (4 + 2*2)*2*6 = 96, out 6*8 = 48, gate and up 2*10*6 = 120, down 60: 324 x 2. No decay: norms 5
  // x 6.
  EXPECT_EQ(plan.segments[0].name, "bucket0.decay");
  EXPECT_EQ(plan.segments[0].elements, 108 + 648);
  EXPECT_TRUE(plan.segments[0].weight_decay);
  EXPECT_EQ(plan.segments[1].name, "bucket0.no_decay");
  EXPECT_EQ(plan.segments[1].elements, 30);
  EXPECT_EQ(plan.segments[1].gradient_offset, 756);
  EXPECT_FALSE(plan.segments[1].tensor_replicated);
}

TEST(ParameterPlan, EveryElementIsHeldOnceOrByAll) {
  ModelSpec heads_normed = Llama();
  heads_normed.qk_norm = heads_normed.attention_bias = true;
  for (const ModelSpec& model : {Llama(), Gpt(), heads_normed}) {
    for (const ir::Strategy& strategy : {Tensor(1), Tensor(2), Tensor(2, true)}) {
      const ParameterPlan plan = PlanParameters(model, strategy, 64, 0);
      int64_t parameters = 0;
      std::set<std::string> replicated;
      for (const ir::ParameterSegment& segment : plan.segments) {
        for (const ir::ParameterPiece& piece : segment.pieces) {
          if (segment.tensor_replicated) replicated.insert(piece.name);
        }
      }
      for (const auto& [name, counts] : Coverage(plan, strategy)) {
        parameters += static_cast<int64_t>(counts.size());
        const int expected = replicated.contains(name) ? static_cast<int>(strategy.tensor) : 1;
        EXPECT_EQ(counts, std::vector<int>(counts.size(), expected)) << name << " tensor " << strategy.tensor;
      }
      EXPECT_EQ(parameters, ParameterCount(model));
    }
  }
}

TEST(ParameterPlan, PiecesFillTheirSegments) {
  for (const ModelSpec& model : {Llama(), Gpt()}) {
    const ParameterPlan plan = PlanParameters(model, Tensor(2), 200, 0);
    for (const ir::ParameterSegment& segment : plan.segments) {
      int64_t end = 0;
      for (const ir::ParameterPiece& piece : segment.pieces) {
        EXPECT_EQ(piece.offset, end) << piece.name;
        end += ir::ElementCount(piece.box_shape);
      }
      EXPECT_EQ(end, segment.elements) << segment.name;
    }
  }
}

TEST(ParameterPlan, BucketsFollowTheBackwardPass) {
  const ParameterPlan plan = PlanParameters(Llama(), Tensor(2, true), 4 * 100, 0);
  std::vector<std::string> names;
  for (const Bucket& bucket : plan.buckets) names.push_back(bucket.name);
  // Sharded elements in backward order: head 128 (padded to 256 rows / 2 x 6 = 768) | down 30, up 60, out 24 = 114 | qkv 48, down 30, up 60
  // = 138 | out 24, qkv 48, embedding 768.
  EXPECT_EQ(names, (std::vector<std::string>{"bucket0", "bucket1", "bucket2", "bucket3", "partial"}));
  EXPECT_EQ(plan.buckets[0].elements, 768);
  EXPECT_EQ(plan.buckets[1].elements, 114);
  EXPECT_EQ(plan.buckets[2].elements, 138);
  EXPECT_EQ(plan.buckets[3].elements, 840);
  EXPECT_EQ(plan.buckets[4].elements, 30);
}

// Norms of heads are computed from a rank's own heads, so their gradients are partial even without sequence parallelism.
// 25 MiB of fp32, or of gradients half as wide; or 40 million elements, from 41 ranks on a million for each (Megatron Core).
TEST(ParameterPlan, BucketsCloseByBytesOrElements) {
  ir::Software software;
  ir::Strategy strategy;
  EXPECT_EQ(BucketBytes(software, strategy), 25 << 20);
  software.gradients = ir::Precision::kCompute;
  EXPECT_EQ(BucketBytes(software, strategy), 50 << 20);
  software.gradient_bucket_elements = 40'000'000;
  software.gradient_bucket_elements_per_rank = 1'000'000;
  EXPECT_EQ(BucketBytes(software, strategy), 160'000'000);
  strategy.data = 64;
  EXPECT_EQ(BucketBytes(software, strategy), 256'000'000);
}

TEST(ParameterPlan, NormsOfHeadsArePartial) {
  ModelSpec model = Llama();
  model.qk_norm = true;
  const ParameterPlan plan = PlanParameters(model, Tensor(2), 1 << 20, 0);
  ASSERT_EQ(plan.buckets.size(), 3u);
  EXPECT_EQ(plan.buckets[1].share, Share::kReplicated);
  EXPECT_EQ(plan.buckets[2].share, Share::kPartial);
  EXPECT_EQ(plan.buckets[2].elements, 2 * 2 * 2);
}

TEST(ParameterPlan, Gpt2NamesAndOrientation) {
  const ParameterPlan plan = PlanParameters(Gpt(), Tensor(2), 1 << 20, 0);
  const Parameter& qkv = plan.parameters[static_cast<size_t>(plan.layers[1].qkv_weight)];
  EXPECT_EQ(qkv.shape, (ir::Shape{12, 6}));
  ASSERT_EQ(qkv.pieces.size(), 3u);
  const ir::ParameterPiece& key = qkv.pieces[1];
  EXPECT_EQ(key.name, "transformer.h.1.attn.c_attn.weight");
  EXPECT_TRUE(key.transposed);
  EXPECT_EQ(key.global_shape, (ir::Shape{24, 6}));
  EXPECT_EQ(key.box_offset[0], (ir::RankExpression{8, {{"tensor", 4}}}));
  EXPECT_EQ(plan.head, plan.embedding);
}

ModelSpec WithVocabulary(int64_t vocab, int64_t padded = 0) {
  ModelSpec model;
  model.vocab = vocab;
  model.padded_vocab = padded;
  return model;
}

TEST(PaddedVocabulary, IsWhatTheModelSays) { EXPECT_EQ(PaddedVocabulary(WithVocabulary(50257, 50432), 2), 50432); }

// Megatron-LM's 128 x tensor: GPT-2's vocabulary on one rank and on eight, and what the model says before that.
TEST(PaddedVocabulary, IsAMultipleThatTheSoftwareSays) {
  const ir::Software megatron{.vocabulary_multiple = 128};
  EXPECT_EQ(WithPaddedVocabulary(WithVocabulary(50257), megatron, 1).padded_vocab, 50304);
  EXPECT_EQ(WithPaddedVocabulary(WithVocabulary(50257), megatron, 8).padded_vocab, 51200);
  EXPECT_EQ(WithPaddedVocabulary(WithVocabulary(50257, 50432), megatron, 2).padded_vocab, 50432);
  EXPECT_EQ(WithPaddedVocabulary(WithVocabulary(50257), {}, 8).padded_vocab, 0);
}

TEST(PaddedVocabulary, OnlyWhereTensorDoesNotDivide) {
  EXPECT_EQ(PaddedVocabulary(WithVocabulary(50257), 1), 50257);
  EXPECT_EQ(PaddedVocabulary(WithVocabulary(50257), 8), 51200);  // multiple of 128 x 8 = 1024
  EXPECT_EQ(PaddedVocabulary(WithVocabulary(50304), 8), 50304);
  EXPECT_EQ(PaddedVocabulary(WithVocabulary(257), 2), 512);
}

}  // namespace
}  // namespace helm::model
