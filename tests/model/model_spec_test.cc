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

// Totals as the models' pages give them (safetensors metadata; tied heads counted once); GPT-3, Megatron: sums of the shapes of the papers'
// tables.
TEST(ParameterCount, PublishedModels) {
  const std::pair<const char*, int64_t> published[] = {
      {"llama3-8b", 8030261248},     {"llama2-7b", 6738415616},       {"llama3.2-1b", 1235814400},  {"qwen2-7b", 7615616512},
      {"qwen2-0.5b", 494032768},     {"qwen3-8b", 8190735360},        {"qwen3-0.6b", 596049920},    {"mistral-7b", 7248023552},
      {"gpt2", 124439808},           {"gpt2-xl", 1557611200},         {"gpt3-175b", 174604259328},  {"tinyllama-1.1b", 1100048384},
      {"llama3-70b", 70553706496},   {"llama3.1-405b", 405853388800}, {"llama3.2-3b", 3212749824},  {"llama2-13b", 13015864320},
      {"llama2-70b", 68976648192},   {"qwen2.5-14b", 14770033664},    {"qwen2.5-32b", 32763876352}, {"qwen2.5-72b", 72706203648},
      {"qwen3-4b", 4022468096},      {"qwen3-14b", 14768307200},      {"qwen3-32b", 32762123264},   {"gemma-2b", 2506172416},
      {"gemma-7b", 8537680896},      {"gpt2-medium", 354823168},      {"gpt2-large", 774030080},    {"gpt3-6.7b", 6658404352},
      {"megatron-22b", 22074273792}, {"smollm2-135m", 134515008},     {"smollm2-1.7b", 1711376384}, {"yi-34b", 34388917248},
      {"demo-15m", 15151488}};
  for (const auto& [name, count] : published) EXPECT_EQ(ParameterCount(Preset(name)), count) << name;
}

// Totals as the models' pages give them; DeepSeek-V3's is that of its safetensors less the layer for multi-token prediction and the 58 x
// 256 correction terms of its router (arXiv 2412.19437, section 4.2: 671 B, 37 B active). Active as published: Mixtral 12.9 B (arXiv
// 2401.04088), Qwen3-30B-A3B 3.3 B (arXiv 2505.09388), gpt-oss 3.61 B and 5.13 B without the embedding's 0.58 B (arXiv 2508.10925, table
// 1), less the biases and sinks that HELM does not have.
TEST(ParameterCount, ExpertsAndLatentAttention) {
  struct Published {
    const char* name;
    int64_t parameters;
    double active_billions;
  };
  for (const auto& [name, parameters, active] :
       {Published{"mixtral-8x7b", 46702792704, 12.9}, Published{"qwen3-30b-a3b", 30532122624, 3.3},
        Published{"deepseek-v3", 671026404352, 37.5}, Published{"mixtral-8x22b", 140620634112, 39.1},
        Published{"qwen3-235b-a22b", 235093634560, 22.2}, Published{"deepseek-v2", 235741434880, 21.4},
        Published{"deepseek-v2-lite", 15706484224, 2.7}, Published{"gpt-oss-20b", 20914757184 - 24 * 279456, 4.19},
        Published{"gpt-oss-120b", 116829156672 - 36 * 1108992, 5.71}}) {
    EXPECT_EQ(ParameterCount(Preset(name)), parameters) << name;
    EXPECT_NEAR(static_cast<double>(ActiveParameterCount(Preset(name))) * 1e-9, active, 0.06) << name;
  }
  EXPECT_EQ(ActiveParameterCount(Preset("llama3-8b")), 8030261248);
}

// DeepSeek-V2 (arXiv 2405.04434): 236 B parameters, shapes of its config.json. Six operations for each active parameter and token, without
// the embedding, which is a look-up, and the norms; the attention core is small at length 1.
TEST(TrainingFlops, CountActiveExperts) {
  ModelSpec model = Preset("deepseek-v3");
  const double embedding = 129280.0 * 7168.0;
  EXPECT_NEAR(TrainingFlops(model, 1, 1).count() / 6 + embedding, static_cast<double>(ActiveParameterCount(model)), 2e7);
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
