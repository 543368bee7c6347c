// Products of 8-bit operands in lowered programs: which there are, what is kept and what travels. That the numbers are right is
// tests/oracle/check_lowering.py.
#include <map>

#include <gtest/gtest.h>

#include "ir/region.h"
#include "ir/signature.h"
#include "ir/target.h"
#include "ir/verify.h"
#include "model/lower.h"
#include "model/parameter_plan.h"
#include "support/bytes_kept.h"

namespace helm::model {
namespace {

// 32 tokens in one micro-batch; 4 heads of 8, gate and up of 48 each.
constexpr int64_t kTokens = 32, kHidden = 32, kFfn = 48;

ModelSpec Model(int64_t layers) {
  ModelSpec model;
  model.family = Family::kLlama;
  model.layers = layers;
  model.hidden = kHidden;
  model.ffn = kFfn;
  model.heads = model.kv_heads = 4;
  model.head_dim = 8;
  model.vocab = 64;
  return model;
}

struct Setting {
  bool fp8 = true;
  ir::Fp8Recipe recipe = ir::Fp8Recipe::kDelayed;
  int64_t tensor = 1;
  bool norm_linear = false;
  std::string recompute = "none";
  bool fused_gradients = false;
};

ir::Program LowerOrDie(const Setting& setting, int64_t layers = 1) {
  ir::Workload workload;
  workload.global_batch = 1;
  workload.sequence_length = kTokens;
  workload.dtype = ir::DataType::kBFloat16;
  if (setting.fp8) workload.quantization = ir::Quantization::kFp8;
  ir::Software software;
  software.fp8_recipe = setting.recipe;
  software.fused.norm_linear = setting.norm_linear;
  software.gradient_accumulation_fusion = setting.fused_gradients;
  ir::Strategy strategy;
  strategy.tensor = setting.tensor;
  strategy.sequence_parallel = setting.tensor > 1;
  strategy.recompute = setting.recompute;
  const auto program = Lower(Model(layers), workload, software, strategy, ir::DeviceKind::kCuda);
  EXPECT_TRUE(program.ok()) << program.status().message();
  if (!program.ok()) return {};
  EXPECT_EQ(Verify(*program).message(), "");
  return *program;
}

// By the operands' width in bytes.
std::map<int64_t, double> FlopsOfProducts(const ir::Program& program) {
  std::map<int64_t, double> flops;
  for (const ir::Op& op : program.ops) {
    const std::string base = ir::BaseName(op.target);
    const bool product = base == "mm" || base == "_scaled_mm";
    if (product) flops[ElementBytes(program.tensor(ir::TensorArguments(op)[0]).dtype)] += FlopsOf(SignatureOf(program, op)).count();
  }
  return flops;
}

// Of a token: 2 x (4 h^2 + 3 h f) in each of forward, input gradient and weight gradient of the layer, in 8 bits; 3 x 2 h V of the head in
// 16. The same sum as without fp8.
TEST(Fp8, TheLayersProductsHave8BitOperands) {
  const double layer = 3.0 * 2 * kTokens * (4 * kHidden * kHidden + 3 * kHidden * kFfn), head = 3.0 * 2 * kTokens * kHidden * 64;
  EXPECT_EQ(FlopsOfProducts(LowerOrDie({})), (std::map<int64_t, double>{{1, layer}, {2, head}}));
  EXPECT_EQ(FlopsOfProducts(LowerOrDie({.recipe = ir::Fp8Recipe::kCurrent})), (std::map<int64_t, double>{{1, layer}, {2, head}}));
  EXPECT_EQ(FlopsOfProducts(LowerOrDie({.fp8 = false})), (std::map<int64_t, double>{{2, layer + head}}));
}

// By their operands' width in bytes: products that add to a gradient in their own kernel.
std::map<int64_t, int64_t> AddingProducts(const ir::Program& program) {
  const ir::Regions regions(program);
  std::map<int64_t, int64_t> count;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (!regions.IsLeader(i)) continue;
    const ir::OpSignature signature = regions.SignatureOf(i);
    if (signature.target == "aten.addmm") ++count[ElementBytes(std::get<ir::TensorSignature>(signature.arguments[1]).dtype)];
  }
  return count;
}

// The layer's four matrices in 8 bits, the head in 16.
TEST(Fp8, ProductsMayAddToTheGradientThemselves) {
  EXPECT_EQ(AddingProducts(LowerOrDie({.fused_gradients = true})), (std::map<int64_t, int64_t>{{1, 4}, {2, 1}}));
  EXPECT_TRUE(AddingProducts(LowerOrDie({})).empty());
}

int64_t ResidentBytes(const ir::Program& program) {
  int64_t bytes = 0;
  for (const ir::Storage& storage : program.storages) bytes += storage.persistent ? storage.bytes.count() : 0;
  return bytes;
}

// Both ways of each of the layer's four matrices, a byte an element, and 4 bytes for the number that they were divided by; delayed scaling
// has 4 bytes for each of three numbers a parameter.
TEST(Fp8, WeightsStayInBothWays) {
  const int64_t copies = 2 * (4 * kHidden * kHidden + 3 * kHidden * kFfn) + 4 * 4;
  const int64_t wide = ResidentBytes(LowerOrDie({.fp8 = false}));
  EXPECT_EQ(ResidentBytes(LowerOrDie({.recipe = ir::Fp8Recipe::kCurrent})), wide + copies);
  const auto parameters = static_cast<int64_t>(PlanParameters(Model(1), {}, 1, 0).parameters.size());
  EXPECT_EQ(ResidentBytes(LowerOrDie({})), wide + copies + 3 * 4 * parameters);
}

int64_t BytesOfLayer(const Setting& setting) { return test::BytesKept(LowerOrDie(setting, 2)) - test::BytesKept(LowerOrDie(setting, 1)); }

// Inputs of products are kept in 8 bits, transposed: both norms' outputs (h) and the activation's (f) take one byte in place of two; the
// attention's output (h) is kept in 16 bits for its own backward and in 8 for the projection's. Nothing else changes where the layer is run
// again. For three numbers of each of the layer's six parameters there are scales and their inverses, fp32.
TEST(Fp8, KeepsInputsIn8Bits) {
  const int64_t wide = BytesOfLayer({.fp8 = false}), scales = 2 * 3 * 4 * 6;
  EXPECT_EQ(BytesOfLayer({}), wide + kTokens * (-2 * kHidden - kFfn + kHidden) + scales);
  EXPECT_EQ(BytesOfLayer({.norm_linear = true}), BytesOfLayer({}));
  EXPECT_EQ(BytesOfLayer({.recompute = "full"}), BytesOfLayer({.fp8 = false, .recompute = "full"}) + scales);
}

int64_t GatheredBytes(const ir::Program& program) {
  int64_t bytes = 0;
  for (const ir::Op& op : program.ops) {
    const bool layer = op.layer >= 0 && op.target == "c10d.all_gather" && program.group(op.group).name == "tensor";
    if (layer) bytes += CollectiveBytes(program, op).count();
  }
  return bytes;
}

// Sequence parallelism gathers rows of 8 bits: before both split products in forward and again for their weight gradients, and the
// gradients behind both others: six times T h.
TEST(Fp8, RowsTravelIn8Bits) {
  EXPECT_EQ(GatheredBytes(LowerOrDie({.tensor = 2})), 6 * kTokens * kHidden);
  EXPECT_EQ(GatheredBytes(LowerOrDie({.fp8 = false, .tensor = 2})), 6 * kTokens * kHidden * 2);
}

// With the norm in one kernel the norm's own output is never written.
TEST(Fp8, OneKernelNormalisesAndCasts) {
  const auto written = [](const ir::Program& program) {
    const std::vector<bool> inside = ir::StoragesInsideRegions(program);
    int64_t norms = 0;
    for (const ir::Op& op : program.ops) {
      if (op.target == "aten._fused_rms_norm" && op.layer >= 0) norms += inside[program.tensor(op.results[0]).storage.index()] ? 0 : 1;
    }
    return norms;
  };
  EXPECT_EQ(written(LowerOrDie({})), 2);
  EXPECT_EQ(written(LowerOrDie({.norm_linear = true})), 0);
  EXPECT_EQ(written(LowerOrDie({.recipe = ir::Fp8Recipe::kCurrent, .norm_linear = true})), 2);  // its largest magnitude is wanted before
}

}  // namespace
}  // namespace helm::model
