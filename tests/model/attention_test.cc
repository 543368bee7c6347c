// Attention without flash kernels, dropout and fused kernels: what is kept, and which kernels there are. That the numbers are right is
// checked against PyTorch (tests/oracle/check_lowering.py).
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "ir/region.h"
#include "ir/verify.h"
#include "model/lower.h"
#include "support/bytes_kept.h"
#include "support/korthikanti_block.h"

namespace helm::model {
namespace {

using ir::DeviceKind;
using test::korthikanti::Gpt;
using test::korthikanti::kB;
using test::korthikanti::kH;
using test::korthikanti::kS;
using test::korthikanti::kScores;
using test::korthikanti::kStatistics;
using test::korthikanti::kTokensHidden;

// What Megatron-LM of 2022 fuses and drops.
ir::Software Megatron() {
  ir::Software software;
  software.flash_attention = false;
  software.attention_dropout = software.hidden_dropout = 0.1;
  software.fused.linear_bias = false;
  software.fused.bias_activation = software.fused.bias_dropout_add = software.fused.masked_softmax = true;
  software.recompute_whole = true;
  return software;
}

ir::Program LowerGpt(int64_t layers, const ir::Software& software, const ir::Strategy& how, DeviceKind device = DeviceKind::kCuda) {
  ir::Workload workload;
  workload.global_batch = kB;
  workload.sequence_length = kS;
  workload.dtype = ir::DataType::kBFloat16;
  ir::Strategy strategy = how;
  strategy.micro_batch = kB;
  const auto program = Lower(Gpt(layers), workload, software, strategy, device);
  EXPECT_TRUE(program.ok()) << program.status().message();
  if (!program.ok()) return {};
  EXPECT_EQ(Verify(*program).message(), "");
  return *program;
}

// Of one layer.
int64_t BytesOfLayer(const ir::Software& software, const ir::Strategy& strategy) {
  return test::BytesKept(LowerGpt(2, software, strategy)) - test::BytesKept(LowerGpt(1, software, strategy));
}

ir::Strategy Split(int64_t tensor, bool sequence_parallel, const std::string& recompute) {
  ir::Strategy strategy;
  strategy.tensor = tensor;
  strategy.sequence_parallel = sequence_parallel;
  strategy.recompute = recompute;
  return strategy;
}

// Table 2 of the paper: sbh (34 + 5 a s / h); tensor parallel sbh (10 + 24 / t + 5 a s / (h t)); with sequence parallelism all of it / t.
TEST(ScoresAttention, KeepsWhatKorthikantiCounts) {
  EXPECT_EQ(BytesOfLayer(Megatron(), Split(1, false, "none")), 34 * kTokensHidden + 5 * kScores + kStatistics);
  EXPECT_EQ(BytesOfLayer(Megatron(), Split(2, false, "none")), (10 + 24 / 2) * kTokensHidden + 5 * kScores / 2 + kStatistics);
  EXPECT_EQ(BytesOfLayer(Megatron(), Split(4, true, "none")), (34 * kTokensHidden + 5 * kScores + kStatistics) / 4);
}

// Selective recomputation keeps no a s^2 b terms, full only the layer's input: 2 sbh, of which each rank has all without sequence
// parallelism.
TEST(ScoresAttention, RecomputationKeepsWhatKorthikantiCounts) {
  EXPECT_EQ(BytesOfLayer(Megatron(), Split(2, false, "selective")), (10 + 24 / 2) * kTokensHidden + kStatistics);
  EXPECT_EQ(BytesOfLayer(Megatron(), Split(2, true, "selective")), (34 * kTokensHidden + kStatistics) / 2);
  EXPECT_EQ(BytesOfLayer(Megatron(), Split(2, false, "full")), 2 * kTokensHidden);
  EXPECT_EQ(BytesOfLayer(Megatron(), Split(2, true, "full")), 2 * kTokensHidden / 2);
}

// Without dropout there are no masks (2 sbh) and no dropped copy of the probabilities (as^2b + 2as^2b).
TEST(ScoresAttention, WithoutDropoutKeepsNoMasks) {
  ir::Software software = Megatron();
  software.attention_dropout = software.hidden_dropout = 0;
  EXPECT_EQ(BytesOfLayer(software, Split(1, false, "none")), 32 * kTokensHidden + 2 * kScores + kStatistics);
}

// fp32 probabilities (4as^2b) beside their copy in the compute dtype, which dropout reads and then nobody needs.
TEST(ScoresAttention, SoftmaxInFp32KeepsWideProbabilities) {
  ir::Software software = Megatron();
  software.fused.masked_softmax = false;
  software.attention_softmax = ir::Precision::kFloat32;
  EXPECT_EQ(BytesOfLayer(software, Split(1, false, "none")), 34 * kTokensHidden + (4 + 1 + 2) * kScores + kStatistics);
}

// Kernels of a layer, forward: those that are launched, regions once.
std::vector<std::string> KernelsOf(const ir::Program& program, ir::Phase phase) {
  const ir::Regions regions(program);
  std::vector<std::string> kernels;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    if (op.layer != 0 || op.phase != phase || op.kind != ir::OpKind::kCompute || regions.IsFollower(i)) continue;
    if (op.target == "aten.new_empty") continue;
    kernels.push_back((regions.IsLeader(i) ? "one " : op.target.substr(5) + " ") + op.label);
  }
  return kernels;
}

using Kernels = std::vector<std::string>;

TEST(FusedKernels, MegatronsLayer) {
  const Kernels expected = {"native_layer_norm attention.norm",
                            "mm attention.qkv",
                            "add_.Tensor attention.qkv",
                            "matmul attention.core",
                            "one attention.core",
                            "native_dropout attention.core",
                            "matmul attention.core",
                            "copy_ attention.core",
                            "mm attention.out",
                            "one attention.out",
                            "native_layer_norm mlp.norm",
                            "mm mlp.up",
                            "one mlp.activation",
                            "mm mlp.down",
                            "one mlp.down"};
  EXPECT_EQ(KernelsOf(LowerGpt(1, Megatron(), Split(1, false, "none")), ir::Phase::kForward), expected);
  // Reentrant checkpointing repeats all of it.
  EXPECT_EQ(KernelsOf(LowerGpt(1, Megatron(), Split(1, false, "full")), ir::Phase::kRecompute), expected);
}

TEST(FusedKernels, WithoutThemEachOperationIsAKernel) {
  ir::Software software = Megatron();
  software.fused.bias_activation = software.fused.bias_dropout_add = software.fused.masked_softmax = false;
  software.fused.linear_bias = true;
  const Kernels expected = {"native_layer_norm attention.norm",
                            "addmm attention.qkv",
                            "matmul attention.core",
                            "mul_.Scalar attention.core",
                            "masked_fill_.Scalar attention.core",
                            "_softmax attention.core",
                            "native_dropout attention.core",
                            "matmul attention.core",
                            "copy_ attention.core",
                            "mm attention.out",
                            "add_.Tensor attention.out",
                            "native_dropout attention.residual",
                            "add_.Tensor attention.residual",
                            "native_layer_norm mlp.norm",
                            "addmm mlp.up",
                            "gelu mlp.activation",
                            "mm mlp.down",
                            "add_.Tensor mlp.down",
                            "native_dropout mlp.residual",
                            "add_.Tensor mlp.residual"};
  EXPECT_EQ(KernelsOf(LowerGpt(1, software, Split(1, false, "none")), ir::Phase::kForward), expected);
}

// A CPU has no fused kernels: the program is the same but for the marks.
TEST(FusedKernels, AreOfGpus) {
  const ir::Program program = LowerGpt(1, Megatron(), Split(1, false, "none"), DeviceKind::kCpu);
  EXPECT_TRUE(std::ranges::all_of(program.ops, [](const ir::Op& op) { return op.region < 0; }));
}

// Gated: fused kernels keep gate, other half and product (6 f bytes a token); plain autograd the activation beside them (2 f).
TEST(FusedKernels, PlainAutogradKeepsTheGatesActivation) {
  ModelSpec one = Gpt(1), two = Gpt(2);
  for (ModelSpec* model : {&one, &two}) model->activation = Activation::kSwiGlu;
  const auto bytes = [&](const ir::Software& software) {
    ir::Workload workload;
    workload.global_batch = 1;
    workload.sequence_length = kS;
    workload.dtype = ir::DataType::kBFloat16;
    return test::BytesKept(*Lower(two, workload, software, {}, DeviceKind::kCuda)) -
           test::BytesKept(*Lower(one, workload, software, {}, DeviceKind::kCuda));
  };
  ir::Software fused;
  fused.fused.gated_activation = true;
  ir::Software plain;
  plain.activation_recomputed = false;
  EXPECT_EQ(bytes(ir::Software()), bytes(fused));
  EXPECT_EQ(bytes(plain) - bytes(fused), 2 * 4 * kH * kS);
}

TEST(ScoresAttention, AlibiNeedsScores) {
  ModelSpec model = Gpt(1);
  model.position = Position::kAlibi;
  ir::Workload workload;
  workload.global_batch = 1;
  workload.sequence_length = kS;
  EXPECT_EQ(Lower(model, workload, {}, {}, DeviceKind::kCpu).status().message(),
            "error: model.position: alibi needs software.flash_attention: false, since the flash kernels take no bias");
  ir::Software software;
  software.flash_attention = false;
  EXPECT_TRUE(Lower(model, workload, software, {}, DeviceKind::kCpu).ok());
}

}  // namespace
}  // namespace helm::model
