// Recomputation of chosen parts: what each keeps, and what is computed again. That the numbers are right is checked against PyTorch
// (tests/oracle/check_lowering.py) and against the unsplit model (tests/exec/parity/).
#include "model/recompute.h"

#include <algorithm>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "ir/verify.h"
#include "model/lower.h"
#include "support/bytes_kept.h"
#include "support/korthikanti_block.h"

namespace helm::model {
namespace {

using Parts = std::vector<std::string>;
using test::korthikanti::Gpt;
using test::korthikanti::kB;
using test::korthikanti::kS;
using test::korthikanti::kScores;
using test::korthikanti::kStatistics;
using test::korthikanti::kTokensHidden;

// Without dropout: inputs of norms and what they give 2 x (2 + 2), query, key and value 6, the input of attention's output projection 2,
// before and behind GELU 8 + 8.
constexpr int64_t kAll = 32 * kTokensHidden + 2 * kScores + kStatistics;

ir::Program LowerGpt(int64_t layers, const Parts& parts, int64_t again_layers = 0) {
  ir::Workload workload;
  workload.global_batch = kB;
  workload.sequence_length = kS;
  workload.dtype = ir::DataType::kBFloat16;
  ir::Strategy strategy;
  strategy.micro_batch = kB;
  strategy.recompute = parts.empty() && again_layers == 0 ? "none" : "custom";
  strategy.recompute_ops = parts;
  strategy.recompute_layers = again_layers;
  ir::Software software;
  software.flash_attention = false;
  software.fused.bias_activation = software.fused.bias_dropout_add = software.fused.masked_softmax = true;
  const auto program = Lower(Gpt(layers), workload, software, strategy, ir::DeviceKind::kCuda);
  EXPECT_TRUE(program.ok()) << program.status().message();
  if (!program.ok()) return {};
  EXPECT_EQ(Verify(*program).message(), "");
  return *program;
}

// Of one layer.
int64_t BytesOfLayer(const Parts& parts) { return test::BytesKept(LowerGpt(2, parts)) - test::BytesKept(LowerGpt(1, parts)); }

// The labels of what is computed again in the only layer.
std::set<std::string> LabelsAgain(const Parts& parts) {
  std::set<std::string> labels;
  for (const ir::Op& op : LowerGpt(1, parts).ops) {
    if (op.phase == ir::Phase::kRecompute) labels.insert(op.label);
  }
  return labels;
}

TEST(RecomputedParts, EachKeepsOnlyItsInput) {
  EXPECT_EQ(BytesOfLayer({}), kAll);
  EXPECT_EQ(BytesOfLayer({"norm"}), kAll - 4 * kTokensHidden - kStatistics);
  EXPECT_EQ(BytesOfLayer({"qkv_projection"}), kAll - 6 * kTokensHidden);
  EXPECT_EQ(BytesOfLayer({"core_attention"}), kAll - 2 * kScores);
  EXPECT_EQ(BytesOfLayer({"attention_output"}), kAll - 2 * kTokensHidden);
  EXPECT_EQ(BytesOfLayer({"mlp_up"}), kAll - 8 * kTokensHidden);
  EXPECT_EQ(BytesOfLayer({"mlp_activation"}), kAll - 8 * kTokensHidden);
  EXPECT_EQ(BytesOfLayer({"mlp"}), kAll - 16 * kTokensHidden);
}

// Positions that are learned are turned by nobody, and the output of the down projection is what the next layer keeps.
TEST(RecomputedParts, SomeKeepNothingAnyway) {
  for (const char* part : {"rope", "mlp_down"}) {
    EXPECT_EQ(BytesOfLayer({part}), kAll) << part;
    EXPECT_EQ(LabelsAgain({part}), std::set<std::string>{}) << part;
  }
}

// The inputs of the parts behind the first are not kept either: with the output projection that of attention (2sbh), and so on, until the
// layer's input is left.
TEST(RecomputedParts, InARowKeepTheInputOfTheFirst) {
  EXPECT_EQ(BytesOfLayer({"core_attention", "attention_output"}), kAll - 2 * kScores - 4 * kTokensHidden);
  EXPECT_EQ(BytesOfLayer({"norm", "qkv_projection", "core_attention", "attention_output", "mlp"}), 2 * kTokensHidden);
}

TEST(RecomputedParts, AreComputedAgainAndNothingElse) {
  EXPECT_EQ(LabelsAgain({"norm"}), (std::set<std::string>{"attention.norm", "mlp.norm"}));
  EXPECT_EQ(LabelsAgain({"qkv_projection"}), (std::set<std::string>{"attention.heads", "attention.qkv"}));
  EXPECT_EQ(LabelsAgain({"core_attention"}), (std::set<std::string>{"attention.core"}));
  EXPECT_EQ(LabelsAgain({"attention_output"}), (std::set<std::string>{"attention.out", "attention.residual"}));
  EXPECT_EQ(LabelsAgain({"mlp_activation"}), (std::set<std::string>{"mlp.activation"}));
}

// With 8-bit products: what backward reads is cast by then, and nothing is cast for nobody, whatever parts are chosen.
TEST(RecomputedParts, AnyOfThemWithEightBits) {
  const Parts parts = {"norm", "qkv_projection", "core_attention", "attention_output", "mlp_up", "mlp_activation", "mla_up_projection"};
  ModelSpec llama = Gpt(2);
  llama.family = Family::kLlama;
  llama.norm = Norm::kRmsNorm;
  llama.position = Position::kRope;
  llama.activation = Activation::kSwiGlu;
  llama.bias = false;
  ModelSpec latent = llama, direct = llama;  // with and without compressed queries
  latent.mla = {.q_lora = 16, .kv_lora = 16, .qk_nope = 16, .qk_rope = 16, .v = 16};
  direct.mla = {.q_lora = 0, .kv_lora = 16, .qk_nope = 16, .qk_rope = 16, .v = 16};
  for (const ModelSpec& model : {llama, latent, direct}) {
    for (size_t set = 1; set < size_t{1} << parts.size(); ++set) {
      ir::Workload workload;
      workload.global_batch = 2;
      workload.sequence_length = kS;
      workload.dtype = ir::DataType::kBFloat16;
      workload.quantization = ir::Quantization::kFp8;
      ir::Strategy strategy;
      strategy.tensor = 2;
      strategy.sequence_parallel = set % 2 == 0;
      strategy.recompute = "custom";
      for (size_t i = 0; i < parts.size(); ++i) {
        const bool has = parts[i] != "mla_up_projection" || model.mla.kv_lora > 0;
        if (has && (set >> i) % 2 == 1) strategy.recompute_ops.push_back(parts[i]);
      }
      ir::Software software;
      software.fp8_recipe = set % 3 == 0 ? ir::Fp8Recipe::kCurrent : ir::Fp8Recipe::kDelayed;
      const auto program = Lower(model, workload, software, strategy, ir::DeviceKind::kCuda);
      ASSERT_TRUE(program.ok()) << ir::Describe(strategy) << ": " << program.status().message();
      ASSERT_EQ(Verify(*program).message(), "") << ir::Describe(strategy);
    }
  }
}

// Two of three layers keep their input alone (2sbh), the third everything. The last layer's difference to a model of one less is that of
// BytesOfLayer.
TEST(RecomputedParts, OfTheFirstLayersOfAChunk) {
  EXPECT_EQ(test::BytesKept(LowerGpt(3, {}, 2)) - test::BytesKept(LowerGpt(2, {}, 2)), kAll);
  EXPECT_EQ(test::BytesKept(LowerGpt(2, {}, 2)) - test::BytesKept(LowerGpt(1, {}, 2)), 2 * kTokensHidden);
}

// Four layers on two stages with two chunks each are chunks of one layer: all are first ones.
TEST(RecomputedByLayer, CountsFromTheStartOfEachChunk) {
  ir::Strategy strategy;
  strategy.recompute = "custom";
  strategy.recompute_layers = 1;
  const auto whole = [&] {
    std::string text;
    for (const Recomputed& layer : RecomputedByLayer(Gpt(4), strategy)) text += layer.whole ? 'x' : '.';
    return text;
  };
  EXPECT_EQ(whole(), "x...");
  strategy.pipeline = 2;
  EXPECT_EQ(whole(), "x.x.");
  strategy.stages = {{0, 3}, {3, 4}};
  EXPECT_EQ(whole(), "x..x");
  strategy.stages.clear();
  strategy.virtual_pipeline = 2;
  EXPECT_EQ(whole(), "xxxx");
}

TEST(RecomputedParts, MustBePartsOfTheModel) {
  ir::Workload workload;
  workload.global_batch = 2;
  workload.sequence_length = kS;
  ir::Strategy strategy;
  strategy.recompute = "custom";
  strategy.recompute_ops = {"norm", "moe", "mla_up_projection", "shared_experts"};
  EXPECT_EQ(CheckStrategy(Gpt(1), workload, strategy).message(),
            "error: strategy.recompute.ops: mla_up_projection needs a model with latent attention; remove it\n"
            "error: strategy.recompute.ops: moe needs a model with experts; remove it\n"
            "error: strategy.recompute.ops: shared_experts needs a model with shared experts; remove it");
  strategy.recompute_ops = {"qkv_projection"};
  strategy.context = 2;
  EXPECT_EQ(
      CheckStrategy(Gpt(1), workload, strategy).message(),
      "error: strategy.recompute.ops: qkv_projection and rope with context 2 need core_attention too: what the ranks exchange is made "
      "of query, key and value");
}

}  // namespace
}  // namespace helm::model
