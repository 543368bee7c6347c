#include "model/fuse_elementwise.h"

#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ir/region.h"
#include "ir/verify.h"
#include "model/lower.h"

namespace helm::model {
namespace {

ModelSpec Llama(int64_t vocabulary) {
  ModelSpec model;
  model.name = "llama";
  model.layers = 2;
  model.hidden = 64;
  model.ffn = 128;
  model.heads = model.kv_heads = 4;
  model.head_dim = 16;
  model.vocab = vocabulary;
  return model;
}

ir::Program LowerLlama(bool compile, ir::Strategy strategy = {}, int64_t vocabulary = 96) {
  ir::Workload workload;
  workload.global_batch = 2 * strategy.data;
  workload.sequence_length = 16;
  workload.dtype = ir::DataType::kBFloat16;
  ir::Software software;
  software.framework = "torchtitan";
  software.compile = compile;
  const auto program = Lower(Llama(vocabulary), workload, software, strategy, ir::DeviceKind::kCuda);
  EXPECT_TRUE(program.ok()) << program.status().message();
  if (!program.ok()) return {};
  EXPECT_EQ(Verify(*program).message(), "");
  return *program;
}

// Of what is launched in the first micro-batch, in order: regions as the labels that they hold.
std::vector<std::string> KernelsOf(const ir::Program& program, int32_t layer, ir::Phase phase) {
  const ir::Regions regions(program);
  std::vector<std::string> kernels;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    if (op.layer != layer || op.phase != phase || op.micro_batch != 0 || op.kind != ir::OpKind::kCompute) continue;
    if (op.target.starts_with("aten.new_")) continue;
    const std::string text = op.target.substr(5) + " " + op.label;
    if (op.region < 0) {
      kernels.push_back(text);
    } else if (regions.IsLeader(i)) {
      kernels.push_back("[" + text + "]");
    } else if (!kernels.empty() && kernels.back().ends_with("]")) {
      kernels.back().insert(kernels.back().size() - 1, ", " + text);
    }
  }
  return kernels;
}

using Kernels = std::vector<std::string>;

// The residual and the norm behind it are one kernel; the layer's first norm and last residual stand alone, since what comes before and
// behind them is another block.
TEST(FuseElementwise, JoinsWhatLiesBetweenProducts) {
  const Kernels kernels = KernelsOf(LowerLlama(true), 0, ir::Phase::kForward);
  const Kernels expected = {"_fused_rms_norm attention.norm",
                            "mm attention.qkv",
                            "[",  // rotary positions: many small steps
                            "_scaled_dot_product_flash_attention attention.core",
                            "mm attention.out",
                            "[add_.Tensor attention.residual, _fused_rms_norm mlp.norm]",
                            "mm mlp.up",
                            "[silu mlp.activation, mul_.Tensor mlp.activation]",
                            "mm mlp.down",
                            "add_.Tensor mlp.residual"};
  ASSERT_EQ(kernels.size(), expected.size()) << testing::PrintToString(kernels);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(kernels[i].substr(0, expected[i] == "[" ? 1 : std::string::npos), expected[i]);
  }
  EXPECT_TRUE(kernels[2].starts_with("[") && kernels[2].find("attention.core") == std::string::npos) << kernels[2];
}

TEST(FuseElementwise, LeavesAloneWhatNobodyCompiles) {
  for (const std::string& kernel : KernelsOf(LowerLlama(false), 0, ir::Phase::kForward)) EXPECT_FALSE(kernel.starts_with("[")) << kernel;
}

// The activation that backward computes again and its gradient are one kernel, though of two phases; nothing of the optimizer is joined.
TEST(FuseElementwise, StaysInBackwardAndOutOfTheOptimizer) {
  const ir::Program program = LowerLlama(true);
  std::map<int32_t, std::pair<bool, bool>> has;  // by region: forward, backward
  for (const ir::Op& op : program.ops) {
    if (op.region < 0) continue;
    EXPECT_NE(op.phase, ir::Phase::kOptimizer);
    (op.phase == ir::Phase::kForward ? has[op.region].first : has[op.region].second) = true;
  }
  for (const auto& [region, sides] : has) EXPECT_FALSE(sides.first && sides.second) << region;
  const Kernels again = KernelsOf(program, 0, ir::Phase::kRecompute);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].substr(0, 22), "[silu mlp.activation]");
}

// Rows of 96 numbers fit: the loss of a small vocabulary is few kernels. Of 40,000 fp32 numbers (160 KB) the maximum ends a kernel, and
// what subtracts it reads the logits again in another.
TEST(FuseElementwise, ReadsLongRowsAgain) {
  const auto joins_maximum = [](int64_t vocabulary) {
    const ir::Program program = LowerLlama(true, {}, vocabulary);
    for (size_t i = 0; i + 1 < program.ops.size(); ++i) {
      if (program.ops[i].target == "aten.amax") return program.ops[i].region >= 0 && program.ops[i].region == program.ops[i + 1].region;
    }
    return false;
  };
  EXPECT_TRUE(joins_maximum(96));
  EXPECT_FALSE(joins_maximum(40'000));
}

// A gate of [16, 128] bf16: compiled, silu x up is one kernel that reads both and writes one; the activated gate itself is in registers.
TEST(FuseElementwise, PricesWhatEntersAndLeaves) {
  const ir::Program program = LowerLlama(true);
  const ir::Regions regions(program);
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (program.ops[i].label != "mlp.activation" || !regions.IsLeader(i)) continue;
    EXPECT_EQ(ir::ToText(regions.SignatureOf(i)), "helm.region([bf16[16,128]{256,1}, bf16[16,128]{256,1}], [bf16[16,128]])");
    return;
  }
  FAIL() << "no activation";
}

}  // namespace
}  // namespace helm::model
