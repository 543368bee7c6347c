// Parameter counts of published models, exactly, and FLOPs of a step.
#include "model/model_spec.h"

#include <gtest/gtest.h>

#include "model/model_reader.h"

namespace helm::model {
namespace {

ModelSpec Preset(const std::string& name) {
  Diagnostics diagnostics;
  const auto document = ParseYaml(name, "test");
  EXPECT_TRUE(document.ok()) << document.status().message();
  const auto model = ReadModel(*document, {{{"configs"}}, "."}, diagnostics);
  EXPECT_TRUE(model.has_value()) << diagnostics.ToStatus().message();
  return model.value_or(ModelSpec{});
}

// Totals as the models' pages give them (safetensors metadata; tied heads counted once); GPT-3: sum of the shapes of table 2.1.
TEST(ParameterCount, PublishedModels) {
  const std::pair<const char*, int64_t> published[] = {
      {"llama3-8b", 8030261248}, {"llama2-7b", 6738415616}, {"llama3.2-1b", 1235814400}, {"qwen2-7b", 7615616512},
      {"qwen2-0.5b", 494032768}, {"qwen3-8b", 8190735360},  {"qwen3-0.6b", 596049920},   {"mistral-7b", 7248023552},
      {"gpt2", 124439808},       {"gpt2-xl", 1557611200},   {"gpt3-175b", 174604259328}, {"tinyllama-1.1b", 1100048384},
      {"demo-15m", 15151488}};
  for (const auto& [name, count] : published) EXPECT_EQ(ParameterCount(Preset(name)), count) << name;
}

// DeepSeek-V3 (arXiv 2412.19437, section 4.2): 671 B parameters in all, 37 B active; DeepSeek-V2 (arXiv 2405.04434): 236 B. Shapes of their
// config.json.
TEST(ParameterCount, ExpertsAndLatentAttention) {
  ModelSpec model;
  model.family = Family::kMoe;
  model.layers = 61;
  model.hidden = 7168;
  model.ffn = 18432;
  model.heads = model.kv_heads = 128;
  model.head_dim = 128;
  model.vocab = 129280;
  model.moe = {.experts = 256, .top_k = 8, .ffn = 2048, .shared_ffn = 2048, .dense_layers = 3};
  model.mla = {.q_lora = 1536, .kv_lora = 512, .qk_nope = 128, .qk_rope = 64, .v = 128};
  EXPECT_NEAR(static_cast<double>(ParameterCount(model)), 671e9, 0.5e9);
  // Six operations for each active parameter and token, without the embedding, which is a look-up; the attention core is small at length 1.
  const double embedding = 129280.0 * 7168.0;
  EXPECT_NEAR(TrainingFlops(model, 1, 1).count() / 6 + embedding, 37.5e9, 0.5e9);
  model.layers = 60;
  model.hidden = 5120;
  model.ffn = 12288;
  model.vocab = 102400;
  model.moe = {.experts = 160, .top_k = 6, .ffn = 1536, .shared_ffn = 3072, .dense_layers = 1};
  EXPECT_NEAR(static_cast<double>(ParameterCount(model)), 236e9, 0.5e9);
}

// One layer, hidden 4, 2 heads of 2, 1 key-value head, SwiGLU of 6, 10 tokens; per token of a sequence of 3:
//   query/key/value 2*4*(2+2)*2 = 64, out 2*4*4 = 32, causal core 2*3*4 = 24, feed-forward 4*4*6*1.5 = 144, head 2*4*10 = 80: 344 in all;
// 3 x forward x 5 sequences x 3 tokens = 15480.
TEST(TrainingFlops, SmallModelByHand) {
  ModelSpec model;
  model.layers = 1;
  model.hidden = 4;
  model.ffn = 6;
  model.heads = 2;
  model.kv_heads = 1;
  model.head_dim = 2;
  model.vocab = 10;
  EXPECT_EQ(TrainingFlops(model, 5, 3).count(), 15480.0);
}

// Megatron's formula for GPT-3 (Narayanan et al. 2021, equation 3) 96 B s l h^2 (1 + s/(6h) + V/(16 l h)) counts the full attention
// matrix and recomputation: its model FLOPs are 72 instead of 96, and a causal core is half of s/(6h).
TEST(TrainingFlops, AgreesWithMegatronsFormula) {
  const double s = 2048, l = 96, h = 12288, v = 50257;
  const double expected = 72 * s * l * h * h * (1 + s / (12 * h) + v / (12 * l * h));
  EXPECT_NEAR(TrainingFlops(Preset("gpt3-175b"), 1, 2048).count() / expected, 1.0, 1e-12);
}

TEST(ValidateModel, ReportsEveryProblem) {
  ModelSpec model = Preset("gpt2");
  model.kv_heads = 5;
  model.max_positions = 0;
  EXPECT_EQ(ValidateModel(model).message(),
            "error: model kv_heads 5 does not divide heads 12; use a divisor of 12\n"
            "error: model max_positions is missing; learned positions need it");
}

TEST(ValidateModel, RefusesSizesThatNoModelHas) {
  ModelSpec model = Preset("gpt2");
  model.layers = int64_t{1} << 40;
  model.ffn = int64_t{1} << 62;
  EXPECT_EQ(ValidateModel(model).message(),
            "error: model layers is 1099511627776; allowed: 1 to 65536\n"
            "error: model hidden 768 and ffn make a matrix of more than 2^40 elements; give smaller sizes");
}

}  // namespace
}  // namespace helm::model
