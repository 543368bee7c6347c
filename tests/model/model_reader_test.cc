#include "model/model_reader.h"

#include <gtest/gtest.h>

namespace helm::model {
namespace {

std::string ErrorsOf(const std::string& text) {
  Diagnostics diagnostics;
  const auto document = ParseYaml(text, "m.yaml");
  EXPECT_TRUE(document.ok()) << document.status().message();
  EXPECT_FALSE(ReadModel(*document, {{{"configs"}}, "."}, diagnostics).has_value());
  return diagnostics.ToStatus().message();
}

std::optional<ModelSpec> Read(const std::string& text) {
  Diagnostics diagnostics;
  const auto model = ReadModel(*ParseYaml(text, "m.yaml"), {{{"configs"}}, "."}, diagnostics);
  EXPECT_TRUE(model.has_value()) << diagnostics.ToStatus().message();
  return model;
}

TEST(ModelReader, LlamaDefaults) {
  ModelSpec expected;
  expected.name = "inline";
  expected.layers = 2;
  expected.hidden = 24;
  expected.ffn = 40;
  expected.heads = expected.kv_heads = 4;
  expected.head_dim = 6;
  expected.vocab = 50;
  EXPECT_EQ(Read("{family: llama, layers: 2, hidden: 24, ffn: 40, heads: 4, vocab: 50}"), expected);
}

TEST(ModelReader, GptDefaults) {
  const auto model = Read("{family: gpt, name: small, layers: 2, hidden: 24, heads: 4, vocab: 50, max_positions: 8}");
  ASSERT_TRUE(model.has_value());
  EXPECT_EQ(model->ffn, 96);
  EXPECT_EQ(model->activation, Activation::kGelu);
  EXPECT_EQ(model->norm, Norm::kLayerNorm);
  EXPECT_EQ(model->position, Position::kLearned);
  EXPECT_TRUE(model->bias);
  EXPECT_TRUE(model->tied_embeddings);
}

TEST(ModelReader, EveryPresetSurvivesJson) {
  const PresetPath path{{"configs"}};
  ASSERT_GE(PresetNames(path, "models").size(), 12u);
  for (const std::string& name : PresetNames(path, "models")) {
    const auto model = Read(name);
    ASSERT_TRUE(model.has_value()) << name;
    EXPECT_EQ(model->name, name);
    const auto again = ModelFromJson(ToJson(*model));
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(*again, *model) << name;
  }
}

TEST(ModelReader, AllProblemsTogether) {
  const std::string errors =
      ErrorsOf("family: llama\nlayers: 0\nhiden: 24\nffn: 40\nheads: 4\nvocab: many\nmoe: {experts: 8}\nposition: alibo\n");
  for (const char* expected : {"m.yaml:2:9: error:", "m.yaml:3:1: error:", "did you mean 'hidden'?", "m.yaml:6:8: error:",
                               "'moe' needs the key 'top_k'", "'position' cannot be 'alibo'", "allowed: learned, rope, alibi, none"}) {
    EXPECT_NE(errors.find(expected), std::string::npos) << expected << " in\n" << errors;
  }
}

TEST(ModelReader, ExpertsAndLatentAttentionSurviveJson) {
  const auto model = Read(
      "{family: moe, layers: 4, hidden: 24, ffn: 40, heads: 4, vocab: 50, padded_vocab: 64, "
      "mtp_layers: 1, "
      "moe: {experts: 8, top_k: 2, ffn: 16, shared_ffn: 8, dense_layers: 1, layer_freq: 2, capacity_factor: 1.25, pad_to_capacity: true, "
      "aux_loss: 0.01}, mla: {q_lora: 12, kv_lora: 8, qk_nope: 6, qk_rope: 2, v: 4}}");
  ASSERT_TRUE(model.has_value());
  EXPECT_EQ(model->moe, (MixtureOfExperts{8, 2, 16, 8, 1, 2, 1.25, true, 0.01}));
  EXPECT_EQ(model->mla, (LatentAttention{12, 8, 6, 2, 4}));
  const auto again = ModelFromJson(ToJson(*model));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(*again, *model);
  EXPECT_NE(ErrorsOf("{family: moe, layers: 1, hidden: 8, ffn: 4, heads: 2, vocab: 5}").find("needs `moe:"), std::string::npos);
}

TEST(ModelReader, HeadsMustDivideHidden) {
  EXPECT_NE(ErrorsOf("{family: llama, layers: 1, hidden: 10, ffn: 4, heads: 3, vocab: 5}").find("`heads` 3 does not divide `hidden` 10"),
            std::string::npos);
}

}  // namespace
}  // namespace helm::model
