// Frozen weights with low-rank adapters: how many parameters, and what a program does not hold, compute and send for the frozen ones. That
// it computes the right thing is tests/oracle (against PyTorch) and tests/exec/parity.
#include "model/lora.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/frozen.h"
#include "ir/program_text.h"
#include "ir/verify.h"
#include "model/lower.h"
#include "model/model_reader.h"
#include "model/parameter_plan.h"
#include "support/small_llama.h"

namespace helm::model {
namespace {

using testing::HasSubstr;

ModelSpec Llama(int64_t rank, std::vector<std::string> targets = {}) {
  ModelSpec model = test::SmallLlama(3);
  model.lora = {.rank = rank, .alpha = 2.0 * static_cast<double>(rank), .targets = std::move(targets)};
  if (rank > 0 && model.lora.targets.empty()) model.lora.targets = LoraTargetsOf(model);
  return model;
}

ir::Program LowerOrDie(const ModelSpec& model, const ir::Strategy& strategy = {}, ir::DataType dtype = ir::DataType::kBFloat16) {
  ir::Workload workload;
  workload.global_batch = strategy.data;
  workload.sequence_length = 6;
  workload.dtype = dtype;
  const auto program = Lower(model, workload, {}, strategy, ir::DeviceKind::kCpu);
  EXPECT_TRUE(program.ok()) << program.status().message();
  if (!program.ok()) return {};
  EXPECT_EQ(Verify(*program).message(), "");
  return *program;
}

int64_t PersistentBytes(const ir::Program& program, ir::StorageRole role) {
  int64_t bytes = 0;
  for (const ir::Storage& storage : program.storages) {
    if (storage.persistent && storage.role == role) bytes += storage.bytes.count();
  }
  return bytes;
}

std::string Sized(ModelSpec model, int64_t rank, std::vector<std::string> targets) {
  model.lora.rank = rank;
  model.lora.targets = targets.empty() ? LoraTargetsOf(model) : std::move(targets);
  return std::to_string(TrainedParameterCount(model)) + " of " + std::to_string(ParameterCount(model));
}

// What PEFT's print_trainable_parameters prints for these models: "trainable params: 4,194,304 || all params: 6,742,609,920" (Llama 2 7B),
// "41,943,040 || 8,072,204,288" (Llama 3 8B, all linear layers), "294,912 || 124,734,720" (GPT-2). By hand for the first: 32 layers x 2
// targets x 8 x (4096 + 4096).
TEST(Lora, CountsAsPeftDoes) {
  ModelSpec llama2{
      .family = Family::kLlama, .layers = 32, .hidden = 4096, .ffn = 11008, .heads = 32, .kv_heads = 32, .head_dim = 128, .vocab = 32000};
  EXPECT_EQ(Sized(llama2, 8, {"q_proj", "v_proj"}), "4194304 of 6742609920");
  ModelSpec llama3{
      .family = Family::kLlama, .layers = 32, .hidden = 4096, .ffn = 14336, .heads = 32, .kv_heads = 8, .head_dim = 128, .vocab = 128256};
  EXPECT_EQ(Sized(llama3, 16, {}), "41943040 of 8072204288");
  ModelSpec gpt2{.family = Family::kGpt,
                 .layers = 12,
                 .hidden = 768,
                 .ffn = 3072,
                 .heads = 12,
                 .kv_heads = 12,
                 .head_dim = 64,
                 .vocab = 50257,
                 .max_positions = 1024,
                 .activation = Activation::kGelu,
                 .norm = Norm::kLayerNorm,
                 .position = Position::kLearned,
                 .bias = true,
                 .tied_embeddings = true};
  EXPECT_EQ(Sized(gpt2, 8, {"c_attn"}), "294912 of 124734720");
}

// 2 x forward for what is frozen, 3 x for the core of attention and the adapters. One layer of hidden, heads x head_dim and ffn 1: products
// 4 + 3 multiply-adds and the head's 1, so 2 x 2 x 8 = 32; core 3 x (2 x 1 x s 1) = 6; q_proj's adapter of rank 1 has 2: 3 x 2 x 2 = 12.
TEST(Lora, ModelFlopsCountNoGradientsOfFrozenWeights) {
  ModelSpec model{.family = Family::kLlama,
                  .layers = 1,
                  .hidden = 1,
                  .ffn = 1,
                  .heads = 1,
                  .kv_heads = 1,
                  .head_dim = 1,
                  .vocab = 1,
                  .position = Position::kNone};
  model.lora = {.rank = 1, .alpha = 1, .targets = {"q_proj"}};
  EXPECT_DOUBLE_EQ(TrainingFlops(model, 1, 1).count(), 32 + 6 + 12);
  // A layer of multi-token prediction, frozen: 4 + 3 of its layer, 2 of the projection that joins, 1 of the head; a core of its own.
  model.mtp_layers = 1;
  EXPECT_DOUBLE_EQ(TrainingFlops(model, 1, 1).count(), 2 * 2 * (8 + 10) + 3 * 2 * 2 + 12);
}

// bf16: 2 bytes for each parameter; for each of the adapters' also 4 of gradient, 4 of master copy and 8 of moments, and AdamW's count.
TEST(Lora, FrozenParametersHaveNoGradientsAndNoOptimizerState) {
  const ModelSpec model = Llama(2);
  const ir::Program program = LowerOrDie(model);
  const int64_t trained = TrainedParameterCount(model);
  EXPECT_EQ(PersistentBytes(program, ir::StorageRole::kParameter), 2 * ParameterCount(model));
  EXPECT_EQ(PersistentBytes(program, ir::StorageRole::kGradient), 4 * trained);
  EXPECT_EQ(PersistentBytes(program, ir::StorageRole::kOptimizerState), 12 * trained + 4);
}

// Sharded over two ranks in the compute type, against fp32 shards and moments of what is trained.
TEST(Lora, Zero3ShardsFrozenParametersInTheComputeType) {
  const ModelSpec model = Llama(2);
  const ir::Program program = LowerOrDie(model, {.data = 2, .zero = 3});
  const int64_t trained = TrainedParameterCount(model), frozen = ParameterCount(model) - trained;
  EXPECT_EQ(PersistentBytes(program, ir::StorageRole::kParameter), frozen * 2 / 2 + trained * 4 / 2);
  EXPECT_EQ(PersistentBytes(program, ir::StorageRole::kOptimizerState), trained * 8 / 2 + 4);
}

TEST(Lora, NothingWritesFrozenParameters) {
  for (const int64_t zero : {0, 1, 2}) {
    const ir::Program program = LowerOrDie(Llama(2), {.data = 2, .tensor = 2, .sequence_parallel = true, .zero = zero});
    int64_t frozen = 0;
    for (const ir::ParameterSegment& segment : program.segments) {
      if (!IsFrozen(segment)) continue;
      ++frozen;
      for (const ir::Op& op : program.ops) {
        for (const ir::TensorId written : ir::WrittenTensors(program, op)) {
          EXPECT_TRUE(op.kind == ir::OpKind::kView || program.tensor(written).storage != segment.parameter) << op.target << " " << op.label;
        }
      }
    }
    EXPECT_EQ(frozen, 2);  // what is split over the tensor group, and what is not
  }
}

int64_t Collectives(const ir::Program& program, std::string_view group, bool gradients) {
  return std::ranges::count_if(program.ops, [&](const ir::Op& op) {
    return op.kind == ir::OpKind::kCollectiveStart && program.group(op.group).name == group &&
           op.label.starts_with("gradients.") == gradients;
  });
}

// Adapters add no collective of activations to those of the model that is trained whole. One falls away: that of the first layer's input
// gradient, which is not wanted.
TEST(Lora, AdaptersCommunicateNoActivations) {
  const ir::Strategy strategy{.tensor = 2};
  EXPECT_EQ(Collectives(LowerOrDie(Llama(2), strategy), "tensor", false), Collectives(LowerOrDie(Llama(0), strategy), "tensor", false) - 1);
}

// Only the adapters' gradients are reduced: fp32, 4 bytes each.
TEST(Lora, OnlyAdaptersAreReduced) {
  const ModelSpec model = Llama(2);
  const ir::Program program = LowerOrDie(model, {.data = 2});
  int64_t bytes = 0;
  for (const ir::Op& op : program.ops) {
    if (op.kind == ir::OpKind::kCollectiveStart && op.label.starts_with("gradients.")) bytes += ir::CollectiveBytes(program, op).count();
  }
  EXPECT_EQ(bytes, 4 * TrainedParameterCount(model));
}

// Products of the backward pass of the first layer, whose input is frozen: with all targets down (B, W, A; dB, dA), up (2 B, W, A; 2 dB,
// dA), out as down, and of query, key and value 3 B, 3 dB and dA, but neither W nor A; with down_proj alone B, dB and dA.
int64_t ProductsOfFirstLayer(const ModelSpec& model) {
  const ir::Program program = LowerOrDie(model, {}, ir::DataType::kFloat32);
  return std::ranges::count_if(program.ops, [](const ir::Op& op) {
    const bool backward = op.phase == ir::Phase::kInputGradient || op.phase == ir::Phase::kWeightGradient;
    return backward && op.layer == 0 && (op.target == "aten.mm" || op.target == "aten.mm.out");
  });
}
TEST(Lora, BackwardEndsAtTheFirstAdapters) {
  EXPECT_EQ(ProductsOfFirstLayer(Llama(2)), 5 + 7 + 5 + 7);
  EXPECT_EQ(ProductsOfFirstLayer(Llama(2, {"down_proj"})), 3);
  EXPECT_EQ(ProductsOfFirstLayer(Llama(2, {"up_proj"})), 1 + 3);         // through down's W
  EXPECT_EQ(ProductsOfFirstLayer(Llama(2, {"o_proj"})), 1 + 1 + 3);      // through down's W and up's
  EXPECT_EQ(ProductsOfFirstLayer(Llama(2, {"v_proj"})), 1 + 1 + 1 + 3);  // and out's
}

TEST(Lora, TextOfAProgramKeepsWhatIsFrozen) {
  const ir::Program program = LowerOrDie(Llama(2));
  const auto read = ir::ParseProgram(ir::ToText(program), "text");
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(ir::ToText(*read), ir::ToText(program));
  EXPECT_EQ(std::ranges::count_if(read->segments, &ir::IsFrozen), 1);
}

// A segment without moments but with a gradient is neither trained nor frozen.
TEST(Lora, HalfFrozenIsRefused) {
  ir::Program program = LowerOrDie(Llama(0));
  program.segments.front().moment_first = program.segments.front().moment_second = {};
  EXPECT_THAT(ir::Verify(program).message(), HasSubstr("names storage -1"));
}

std::string ErrorOf(const std::string& lora) {
  const auto document = nlohmann::ordered_json::parse(
      R"({"family": "llama", "layers": 2, "hidden": 24, "ffn": 40, "heads": 4, "vocab": 50, "lora": )" + lora + "}");
  return ModelFromJson(document, "model.json").status().message();
}

TEST(Lora, MistakesAreNamed) {
  EXPECT_EQ(ErrorOf(R"({"rank": 4})"), "");
  EXPECT_THAT(ErrorOf(R"({"alpha": 4})"), HasSubstr("rank"));
  EXPECT_THAT(ErrorOf(R"({"rank": 0})"), HasSubstr("rank"));
  EXPECT_THAT(ErrorOf(R"({"rank": 25})"), HasSubstr("lora.rank 25 exceeds hidden 24"));
  EXPECT_THAT(ErrorOf(R"({"rank": 4, "targets": []})"), HasSubstr("'targets' is empty"));
  EXPECT_THAT(ErrorOf(R"({"rank": 4, "targets": ["c_attn"]})"),
              HasSubstr("allowed: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"));
  EXPECT_THAT(ErrorOf(R"({"rank": 4, "targets": ["q_proj", "q_proj"]})"), HasSubstr("'q_proj' is listed twice"));
  EXPECT_THAT(ErrorOf(R"({"r": 4})"), HasSubstr("'r'"));
}

TEST(Lora, JsonReadsBack) {
  const ModelSpec model = Llama(3, {"q_proj", "down_proj"});
  const auto read = ModelFromJson(ToJson(model), "model.json");
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->lora, model.lora);
}

}  // namespace
}  // namespace helm::model
