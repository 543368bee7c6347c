#include "schedule/tiling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "ir/verify.h"
#include "model/lower.h"
#include "model/model_spec.h"
#include "schedule/pass.h"
#include "schedule/pipeline_schedule.h"
#include "schedule/round_robin.h"
#include "schedule/streams.h"
#include "support/program_from_text.h"

namespace helm::schedule {
namespace {

constexpr std::string_view kHead = R"(helm-program/1
program p device=cpu
mesh tensor=2
group tensor = [tensor]
storage w: 64 bytes parameter persistent
storage g: 64 bytes gradient persistent
storage x: 64 bytes input persistent
tensor %w: f32[4,4] @w
tensor %g: f32[4,4] @g
tensor %x: f32[4,4] @x
input x = %x
)";

Result<ir::Program> Tiled(std::string_view statements, int64_t tiles = 2) {
  Result<ir::Program> tiled = Tile(test::ProgramFromText(std::string(kHead) + std::string(statements)), tiles);
  EXPECT_EQ(tiled.ok() ? ir::Verify(*tiled).message() : "", "");
  return tiled;
}

std::string OpsOf(const ir::Program& program) {
  std::string text;
  for (const ir::Op& op : program.ops) text += op.target + ":" + std::to_string(op.tile) + " ";
  return text;
}

// Views of the input's halves, a product for each, a product over the rows for the first half that overwrites the gradient and one for the
// second that adds to it; what sees no rows (the transposed weight) stays one.
TEST(Tile, SplitsRowsAndSumsPartialProducts) {
  const auto tiled = Tiled(R"(#0 %wt: f32[4,4]{1,4} @w = view aten.t(%w)
#1 %y: f32[4,4] = aten.mm(%x, %wt)
#2 %yt: f32[4,4]{1,4} @y = view aten.t(%y)
#3 %g.1: f32[4,4] @g = aten.mm.out(%yt, %x, %g)
output g = %g.1
)");
  ASSERT_TRUE(tiled.ok()) << tiled.status().message();
  EXPECT_EQ(OpsOf(*tiled),
            "aten.t:0 aten.slice.Tensor:0 aten.slice.Tensor:1 aten.mm:0 aten.mm:1 aten.t:0 aten.t:1 aten.mm.out:0 aten.addmm_:1 ");
  const ir::Tensor& y = tiled->tensor(tiled->ops[3].results[0]);
  EXPECT_EQ(y.shape, (ir::Shape{2, 4}));
  EXPECT_EQ(tiled->storage(y.storage).bytes, Bytes(32));
  EXPECT_EQ(tiled->tensor(tiled->ops[2].results[0]).offset, 8);
  EXPECT_EQ(tiled->tensor(tiled->ops[6].results[0]).shape, (ir::Shape{4, 2}));
  // What others know as the gradient is the sum.
  EXPECT_EQ(tiled->outputs.at("g"), tiled->ops[8].results[0]);
  EXPECT_EQ(std::get<ir::TensorId>(tiled->ops[8].arguments[0]), tiled->ops[7].results[0]);
}

// The outside gets a sum over the rows added up, and rows put together, right behind where they are made.
TEST(Tile, JoinsOutputs) {
  const auto tiled = Tiled(R"(#0 %a: f32[4,4] = aten.abs(%x)
#1 %s: f32[4] = aten.sum.dim_IntList(%a, [0], false, f32)
#2 %m: f32[4,1] = aten.mean.dim(%a, [1], true)
output m = %m
output s = %s
)");
  ASSERT_TRUE(tiled.ok()) << tiled.status().message();
  EXPECT_TRUE(OpsOf(*tiled).ends_with("aten.sum.dim_IntList:1 aten.add_.Tensor:1 aten.mean.dim:0 aten.mean.dim:1 aten.cat:1 "))
      << OpsOf(*tiled);
  EXPECT_EQ(tiled->tensor(tiled->outputs.at("m")).shape, (ir::Shape{4, 1}));
  EXPECT_EQ(tiled->tensor(tiled->outputs.at("s")).shape, (ir::Shape{4}));
}

std::string Refusal(std::string_view statements, int64_t tiles = 2) {
  const auto tiled = Tiled(statements, tiles);
  return tiled.ok() ? "accepted" : tiled.status().message();
}

TEST(Tile, SaysWhyItRefuses) {
  constexpr std::string_view kAbs = "#0 %a: f32[4,4] = aten.abs(%x)\n";
  EXPECT_NE(Refusal(std::string(kAbs) + "output a = %a\n", 3).find("has 4 sequences, which 3 tiles do not divide"), std::string::npos);
  EXPECT_NE(Refusal(std::string(kAbs) + "#1 %b: f32[4,4] = aten.cumsum(%a, 0)\noutput b = %b\n").find("goes over the rows"),
            std::string::npos);
  EXPECT_NE(Refusal(std::string(kAbs) + "#1 %b: f32[2,4] @a = view aten.slice.Tensor(%a, 0, 0, 2)\n#2 %c: f32[2,4] = aten.abs(%b)\n"
                                        "output c = %c\n")
                .find("takes some of the rows"),
            std::string::npos);
  EXPECT_NE(Refusal(std::string(kAbs) + "#1 %b: f32[4,4] = aten.sort(%a)\noutput b = %b\n").find("there is no rule for it"),
            std::string::npos);
  EXPECT_NE(Refusal(std::string(kAbs) + "#1 %b: f32[4,4] = aten.mm(%w, %a)\noutput b = %b\n").find("no rows of the product"),
            std::string::npos);
}

// One sequence of `positions`: a product that makes query, key and value at once, attention, its gradients, and products of these.
Result<ir::Program> OneSequence(int64_t positions, int64_t tiles) {
  constexpr std::string_view kText = R"(helm-program/1
program p device=cpu
mesh tensor=1
storage w: 64 bytes parameter persistent
storage x: {1} bytes input persistent
tensor %w: f32[4,4] @w
tensor %x: i64[1,{0}] @x
input x = %x
#0 %ids: i64[{0}] @x = view aten.view(%x, [{0}])
#1 %e: f32[{0},4] = aten.embedding(%w, %ids)
#2 %y: f32[{0},4] = aten.mm(%e, %w)
#3 %h: f32[1,{0},2,2] @y = view aten.view(%y, [1, {0}, 2, 2])
#4 %q: f32[1,2,{0},2]{{{2},2,4,1}} @y = view aten.transpose.int(%h, 1, 2)
#5 %o: f32[1,2,{0},2]{{{2},2,4,1}}, %l: f32[1,2,{0}] = aten._scaled_dot_product_flash_attention_for_cpu(%q, %q, %q, 0.0, true)
#6 %dq: f32[1,2,{0},2]{{{2},2,4,1}}, %dk: f32[1,2,{0},2]{{{2},2,4,1}}, %dv: f32[1,2,{0},2]{{{2},2,4,1}} = )"
                                     R"(aten._scaled_dot_product_flash_attention_for_cpu_backward(%o, %q, %q, %q, %o, %l, 0.0, true)
#7 %t: f32[1,{0},2,2] @dk = view aten.transpose.int(%dk, 1, 2)
#8 %r: f32[{0},4] @dk = view aten.view(%t, [{0}, 4])
#9 %z: f32[{0},4] = aten.mm(%r, %w)
#10 %tv: f32[1,{0},2,2] @dv = view aten.transpose.int(%dv, 1, 2)
#11 %rv: f32[{0},4] @dv = view aten.view(%tv, [{0}, 4])
#12 %zv: f32[{0},4] = aten.mm(%rv, %w)
#13 %tq: f32[1,{0},2,2] @dq = view aten.transpose.int(%dq, 1, 2)
#14 %rq: f32[{0},4] @dq = view aten.view(%tq, [{0}, 4])
#15 %zq: f32[{0},4] = aten.mm(%rq, %w)
output z = %z
output zv = %zv
output zq = %zq
)";
  return Tile(test::ProgramFromText(fmt::format(kText, positions, 8 * positions, 4 * positions)), tiles);
}

std::vector<const ir::Op*> OpsNamed(const ir::Program& program, std::string_view target) {
  std::vector<const ir::Op*> ops;
  for (const ir::Op& op : program.ops) {
    if (op.target == target) ops.push_back(&op);
  }
  return ops;
}

const ir::Shape& ShapeOf(const ir::Program& program, const ir::Op& op, size_t argument) {
  return program.tensor(std::get<ir::TensorId>(op.arguments[argument])).shape;
}

// Six positions in three tiles: each has two queries, and keys of 2, 4 and 6 positions. On the CPU the first tile is causal by itself, the
// others come with a mask of [queries, keys], made once for forward and backward of an action.
TEST(Tile, SplitsAttentionByItsQueries) {
  const auto tiled = OneSequence(6, 3);
  ASSERT_TRUE(tiled.ok()) << tiled.status().message();
  EXPECT_EQ(ir::Verify(*tiled).message(), "");
  const auto forward = OpsNamed(*tiled, "aten._scaled_dot_product_flash_attention_for_cpu");
  ASSERT_EQ(forward.size(), 3U);
  for (size_t k = 0; k < 3; ++k) {
    const auto keys = static_cast<int64_t>(2 * (k + 1));
    EXPECT_EQ(forward[k]->tile, static_cast<int32_t>(k));
    EXPECT_EQ(ShapeOf(*tiled, *forward[k], 0), (ir::Shape{1, 2, 2, 2}));
    EXPECT_EQ(ShapeOf(*tiled, *forward[k], 1), (ir::Shape{1, 2, keys, 2}));
    EXPECT_EQ(ShapeOf(*tiled, *forward[k], 2), (ir::Shape{1, 2, keys, 2}));
    EXPECT_EQ(std::get<bool>(forward[k]->arguments[4]), k == 0);
    EXPECT_EQ(tiled->tensor(forward[k]->results[1]).shape, (ir::Shape{1, 2, 2}));
    if (k > 0) {
      EXPECT_EQ(ShapeOf(*tiled, *forward[k], 5), (ir::Shape{2, keys}));
    }
  }
  EXPECT_EQ(OpsNamed(*tiled, "aten.triu_").size(), 2U);
}

// The gradients of a prefix are partial: those of tile j are the sum of what the tiles from j on have, so of three tiles 2 and 1 sums for
// the first and the second, of keys and of values. The last tile comes first, which needs no other.
TEST(Tile, AddsUpTheGradientsOfKeys) {
  const auto tiled = OneSequence(6, 3);
  ASSERT_TRUE(tiled.ok()) << tiled.status().message();
  const auto backward = OpsNamed(*tiled, "aten._scaled_dot_product_flash_attention_for_cpu_backward");
  ASSERT_EQ(backward.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(backward[i]->tile, static_cast<int32_t>(2 - i));
    EXPECT_EQ(tiled->tensor(backward[i]->results[0]).shape, (ir::Shape{1, 2, 2, 2}));
    EXPECT_EQ(tiled->tensor(backward[i]->results[1]).shape, (ir::Shape{1, 2, static_cast<int64_t>(6 - 2 * i), 2}));
  }
  EXPECT_EQ(OpsNamed(*tiled, "aten.add_.Tensor").size(), 6U);
}

// --- programs of the lowering ---

model::ModelSpec SmallModel(bool llama) {
  model::ModelSpec model;
  model.name = llama ? "llama" : "gpt";
  model.layers = 3;
  model.hidden = 32;
  model.ffn = 64;
  model.heads = 4;
  model.kv_heads = llama ? 2 : 4;
  model.head_dim = 8;
  model.vocab = 64;
  model.max_positions = 16;
  model.activation = llama ? model::Activation::kSwiGlu : model::Activation::kGelu;
  model.norm = llama ? model::Norm::kRmsNorm : model::Norm::kLayerNorm;
  model.position = llama ? model::Position::kRope : model::Position::kLearned;
  model.bias = !llama;
  return model;
}

struct Lowered {
  ir::Strategy strategy;
  ir::StepPrograms step;
};

// Four experts, two for a token, whose slots drop some tokens or none; with the loss that balances them.
model::ModelSpec WithExperts(model::ModelSpec model) {
  model.family = model::Family::kMoe;
  model.moe = {.experts = 4, .top_k = 2, .ffn = 24, .shared_ffn = 16, .dense_layers = 1};
  model.moe.capacity_factor = *rc::gen::element(1.0, 2.0);
  model.moe.aux_loss = *rc::gen::element(0.0, 0.01);
  return model;
}

// Latent attention, whose keys and values come from a narrow projection.
model::ModelSpec WithLatentAttention(model::ModelSpec model) {
  model.kv_heads = model.heads;
  model.mla = {.q_lora = 12, .kv_lora = 16, .qk_nope = 4, .qk_rope = 4, .v = 4};
  model.head_dim = 8;
  return model;
}

// A strategy that tiles can be made of, with all that it changes in the program, and its programs.
Lowered RandomLowered() {
  const bool llama = *rc::gen::arbitrary<bool>();
  Lowered lowered;
  ir::Strategy& strategy = lowered.strategy;
  strategy.tensor = *rc::gen::element<int64_t>(1, 2);
  strategy.sequence_parallel = strategy.tensor > 1 && *rc::gen::arbitrary<bool>();
  strategy.data = *rc::gen::element<int64_t>(1, 2);
  strategy.zero = strategy.data > 1 ? *rc::gen::element<int64_t>(0, 1, 3) : 0;
  strategy.micro_batch = *rc::gen::element<int64_t>(1, 2, 4);
  strategy.recompute = *rc::gen::element<std::string>("none", "selective", "full");
  const bool experts = llama && strategy.zero < 3 && *rc::gen::arbitrary<bool>();
  if (experts) {
    strategy.expert = *rc::gen::element<int64_t>(1, strategy.data);
    const bool over_tensor = strategy.sequence_parallel && *rc::gen::arbitrary<bool>();
    (over_tensor ? strategy.expert : strategy.expert_tensor) *= strategy.tensor;
  }
  if (strategy.zero == 0 && *rc::gen::arbitrary<bool>()) {
    strategy.pipeline = 3;
    strategy.schedule = *rc::gen::element<std::string>("1f1b", "gpipe", "zb-h1");
  }
  ir::Workload workload;
  workload.sequence_length = 16;
  workload.global_batch = strategy.data * strategy.micro_batch * *rc::gen::element<int64_t>(1, 3);
  workload.dtype = *rc::gen::element(ir::DataType::kFloat32, ir::DataType::kBFloat16);
  ir::Software software;
  software.gradient_accumulation_fusion = *rc::gen::arbitrary<bool>();
  software.fused.rope = *rc::gen::arbitrary<bool>();
  software.flash_attention = strategy.micro_batch == 1 || *rc::gen::arbitrary<bool>();
  const ir::DeviceKind device =
      workload.dtype == ir::DataType::kBFloat16 && *rc::gen::arbitrary<bool>() ? ir::DeviceKind::kCuda : ir::DeviceKind::kCpu;
  const bool latent = llama && strategy.micro_batch > 1 && *rc::gen::arbitrary<bool>();
  if (latent) software.flash_attention = true;
  model::ModelSpec model = experts ? WithExperts(SmallModel(llama)) : SmallModel(llama);
  if (latent) model = WithLatentAttention(std::move(model));
  RC_ASSERT(CheckOverlap(model, workload, software, strategy).ok());
  const auto schedules = PipelineSchedules(strategy, MicroBatches(workload, strategy));
  RC_ASSERT(schedules.ok());
  for (size_t stage = 0; stage < schedules->size(); ++stage) {
    auto program = model::LowerStage(model, workload, software, strategy, device, (*schedules)[stage], static_cast<int64_t>(stage));
    if (!program.ok()) RC_FAIL(program.status().message());
    lowered.step.classes.push_back(std::move(program).value());
  }
  return lowered;
}

int64_t ProductsOf(const ir::Program& program) {
  return std::ranges::count_if(program.ops, [](const ir::Op& op) { return op.target.find("mm") != std::string::npos; });
}

// Whatever the strategy: the tiles' programs are valid, by themselves and together; every product over the batch is there once for each
// tile.
RC_GTEST_PROP(TileProperty, ProgramsOfTheLoweringAreValid, ()) {
  const Lowered lowered = RandomLowered();
  ir::StepPrograms tiled;
  for (const ir::Program& program : lowered.step.classes) {
    Result<ir::Program> result = RunPass("tile=2", program);
    if (!result.ok()) RC_FAIL(result.status().message());
    RC_ASSERT(ProductsOf(*result) == 2 * ProductsOf(program));
    RC_ASSERT(RunPass("round_robin", *result).ok());
    tiled.classes.push_back(std::move(result).value());
  }
  const Status together = ir::VerifyStep(tiled);
  if (!together.ok()) RC_FAIL(together.message());
}

// Whichever ops are done on all rows at once.
RC_GTEST_PROP(TileProperty, AnyOpsMayBeDoneOnAllRows, ()) {
  const Lowered lowered = RandomLowered();
  const auto one_in = *rc::gen::inRange<uint64_t>(1, 5);
  const auto seed = *rc::gen::inRange<uint64_t>(0, 1000);
  ir::StepPrograms step;
  int64_t joined_ops = 0;
  for (const ir::Program& program : lowered.step.classes) {
    std::vector<bool> joined(program.ops.size());
    for (size_t i = 0; i < joined.size(); ++i) joined[i] = (i * 7919 + seed) % one_in == 0;
    Result<TiledProgram> result = TileWithJoined(program, 2, joined);
    if (!result.ok()) RC_FAIL(result.status().message());
    RC_ASSERT(result->origin.size() == result->program.ops.size());
    for (size_t i = 0; i < joined.size(); ++i) joined_ops += joined[i] && result->can_be_joined[i] ? 1 : 0;
    const Status alone = ir::Verify(result->program);
    if (!alone.ok()) RC_FAIL(alone.message());
    step.classes.push_back(RoundRobin(result->program));
  }
  RC_ASSERT(joined_ops > 0);
  const Status together = ir::VerifyStep(step);
  if (!together.ok()) RC_FAIL(together.message());
}

// Refused before anything is lowered, so that a search leaves such candidates out. 2 x 15 tokens to two of four experts: 15 slots each.
TEST(CheckOverlap, SaysWhyItRefuses) {
  model::ModelSpec model = SmallModel(true);
  ir::Workload workload;
  workload.sequence_length = 15;
  workload.dtype = ir::DataType::kBFloat16;
  ir::Strategy strategy;
  strategy.overlap = "lattice";
  strategy.micro_batch = 2;
  ir::Software software;
  const auto refusal = [&] { return CheckOverlap(model, workload, software, strategy).message(); };
  EXPECT_EQ(refusal(), "");
  workload.quantization = ir::Quantization::kFp8;
  EXPECT_THAT(refusal(), testing::HasSubstr("is not possible with workload.dtype fp8"));
  workload.quantization = ir::Quantization::kNone;
  model.moe = {.experts = 4, .top_k = 2, .ffn = 24, .capacity_factor = 1.0};
  EXPECT_THAT(refusal(), testing::HasSubstr("splits the 15 slots that an expert has for a rank's tokens"));
  workload.sequence_length = 16;
  EXPECT_EQ(refusal(), "");
  software.expert_grouped_gemm = false;
  EXPECT_THAT(refusal(), testing::HasSubstr("experts that are computed one by one"));
  software.expert_grouped_gemm = true;
  model.mla.kv_lora = 16;
  EXPECT_EQ(refusal(), "");
  strategy.micro_batch = 1;
  EXPECT_THAT(refusal(), testing::HasSubstr("cannot split the one sequence of micro_batch 1 with latent attention"));
}

// Round robin keeps the order in each tile and every op.
RC_GTEST_PROP(RoundRobinProperty, KeepsTheOrderOfATile, ()) {
  const Lowered lowered = RandomLowered();
  const auto tiled = RunPass("tile=2", lowered.step.classes.front());
  RC_ASSERT(tiled.ok());
  const ir::Program robin = RoundRobin(*tiled);
  RC_ASSERT(robin.ops.size() == tiled->ops.size());
  for (const int32_t tile : {0, 1}) {
    std::vector<std::string> before, after;
    for (const ir::Op& op : tiled->ops) {
      if (op.tile == tile) before.push_back(op.target + op.label);
    }
    for (const ir::Op& op : robin.ops) {
      if (op.tile == tile) after.push_back(op.target + op.label);
    }
    RC_ASSERT(before == after);
  }
}

}  // namespace
}  // namespace helm::schedule
