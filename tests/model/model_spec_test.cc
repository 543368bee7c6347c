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

}  // namespace
}  // namespace helm::model
