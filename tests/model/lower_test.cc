// The shape of lowered programs; that they compute the right thing is checked against PyTorch (tests/oracle/check_lowering.py).
#include "model/lower.h"

#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "ir/program_text.h"
#include "ir/region.h"
#include "ir/verify.h"
#include "support/any_recompute.h"
#include "support/bytes_kept.h"
#include "support/small_llama.h"

namespace helm::model {
namespace {

using ir::DataType;
using ir::DeviceKind;
using ir::OpKind;
using test::SmallLlama;

ir::Workload Batch(int64_t global_batch, DataType dtype = DataType::kFloat32) {
  ir::Workload workload;
  workload.global_batch = global_batch;
  workload.sequence_length = 6;
  workload.dtype = dtype;
  return workload;
}

ir::Program LowerOrDie(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy,
                       DeviceKind device = DeviceKind::kCpu, int64_t bucket_bytes = 8000) {
  ir::Software software;
  software.gradient_bucket_bytes = bucket_bytes;
  const auto program = Lower(model, workload, software, strategy, device);
  EXPECT_TRUE(program.ok()) << program.status().message();
  return program.ok() ? *program : ir::Program{};
}

// "data c10d.all_reduce bucket0" and so on, in launch order; waits as "wait".
std::vector<std::string> Collectives(const ir::Program& program, std::string_view group) {
  std::vector<std::string> result;
  for (const ir::Op& op : program.ops) {
    if (op.kind != OpKind::kCollectiveStart && op.kind != OpKind::kWait) continue;
    if (program.group(op.group).name == group) result.push_back(op.target.substr(5) + " " + op.label);
  }
  return result;
}

int64_t Count(const ir::Program& program, std::string_view target) {
  return std::ranges::count_if(program.ops, [&](const ir::Op& op) { return op.target == target; });
}

TEST(Lower, OneRankHasNoCollectives) {
  const ir::Program program = LowerOrDie(SmallLlama(), Batch(2), {});
  EXPECT_TRUE(Verify(program).ok()) << Verify(program).message();
  EXPECT_TRUE(Collectives(program, "tensor").empty());
  EXPECT_TRUE(Collectives(program, "data").empty());
  EXPECT_EQ(program.inputs.size(), 4u);  // tokens and labels of two micro-batches
  EXPECT_EQ(program.outputs.size(), 3u);
}

// Per layer 4 weight gradients: of the first micro-batch they overwrite, of the second they add. The head makes one more.
TEST(Lower, FirstMicroBatchOverwritesGradients) {
  const ir::Program program = LowerOrDie(SmallLlama(), Batch(2), {});
  EXPECT_EQ(Count(program, "aten.mm.out"), 2 * 4 + 1);
  EXPECT_EQ(Count(program, "aten.addmm_"), 2 * 4 + 1);
}

// Megatron's g and f: one all-reduce in forward and one in backward for attention and feed-forward of each layer.
TEST(Lower, TensorParallelCollectives) {
  ir::Strategy strategy;
  strategy.tensor = 2;
  const std::vector<std::string> found = Collectives(LowerOrDie(SmallLlama(), Batch(1), strategy), "tensor");
  std::vector<std::string> expected = {"embedding"};
  for (int layer = 0; layer < 2; ++layer) expected.insert(expected.end(), {"attention.out", "mlp.down"});
  expected.insert(expected.end(), {"loss", "loss", "loss", "head"});
  for (int layer = 0; layer < 2; ++layer) expected.insert(expected.end(), {"mlp.up", "attention.qkv"});
  expected.emplace_back("gradient_norm");
  std::vector<std::string> starts;
  for (const std::string& line : found) {
    if (line.starts_with("all_reduce ")) starts.push_back(line.substr(11));
  }
  EXPECT_EQ(starts, expected);
  EXPECT_EQ(found.size(), 2 * expected.size());
}

// techniques.md 4.1: 2 all-gathers and 2 reduce-scatters of a layer in forward; 2 reduce-scatters, 2 all-gathers of gradients and 2 of the
// inputs again in backward. The embedding scatters (and gathers its gradient), the head gathers (and scatters).
TEST(Lower, SequenceParallelCollectives) {
  ir::Strategy strategy;
  strategy.tensor = 2;
  strategy.sequence_parallel = true;
  const ir::Program program = LowerOrDie(SmallLlama(), Batch(1), strategy);
  EXPECT_EQ(Count(program, "c10d.all_gather"), 2 * (2 + 4) + 2);
  EXPECT_EQ(Count(program, "c10d.reduce_scatter"), 2 * (2 + 2) + 2);
  EXPECT_EQ(Count(program, "c10d.all_reduce"), 3 + 1 + 1);  // loss, partial gradients, norm
}

// Between the start of an input gradient's reduction and its wait lies the weight gradient.
TEST(Lower, WeightGradientHidesTheReduction) {
  ir::Strategy strategy;
  strategy.tensor = 2;
  const ir::Program program = LowerOrDie(SmallLlama(), Batch(1), strategy);
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (program.ops[i].target != "c10d.all_reduce" || program.ops[i].label != "mlp.up") continue;
    EXPECT_EQ(program.ops[i + 2].target, "aten.mm.out");
    EXPECT_EQ(program.ops[i + 3].target, "c10d.wait");
  }
}

// Buckets are reduced as soon as they are complete, only in the last micro-batch, and all waits come after the backward pass.
TEST(Lower, BucketsAreReducedDuringTheLastBackward) {
  ir::Strategy strategy;
  strategy.data = 2;
  const ir::Program program = LowerOrDie(SmallLlama(), Batch(4), strategy);
  const std::vector<std::string> found = Collectives(program, "data");
  ASSERT_GT(program.segments.size(), 4u);
  const size_t buckets = (found.size() - 2) / 2;
  for (size_t i = 0; i < buckets; ++i) {
    EXPECT_EQ(found[i], "all_reduce gradients.bucket" + std::to_string(i));
    EXPECT_EQ(found[buckets + 1 + i], "wait gradients.bucket" + std::to_string(i));
  }
  EXPECT_EQ(found[buckets], "all_reduce loss");
  const auto first = std::ranges::find_if(program.ops, [](const ir::Op& op) { return op.label == "gradients.bucket0"; });
  EXPECT_EQ(first->micro_batch, 1);
  EXPECT_EQ(std::ranges::find_if(first, program.ops.end(), [](const ir::Op& op) { return op.layer == 0; }) == program.ops.end(), false);
}

ir::Program LowerFor(const ir::Software& software, const ir::Strategy& strategy, DeviceKind device = DeviceKind::kCuda) {
  const auto program = Lower(SmallLlama(), Batch(4, DataType::kBFloat16), software, strategy, device);
  EXPECT_TRUE(program.ok()) << program.status().message();
  if (!program.ok()) return {};
  EXPECT_EQ(Verify(*program).message(), "");
  return *program;
}

// Without overlap all buckets are reduced behind the last backward pass.
TEST(Lower, ReductionsMayComeAfterBackward) {
  ir::Strategy strategy;
  strategy.data = 2;
  ir::Software software;
  software.gradient_bucket_bytes = 8000;
  const auto ops_behind_first_reduction = [&] {
    const ir::Program program = LowerFor(software, strategy);
    const auto first = std::ranges::find_if(program.ops, [](const ir::Op& op) { return op.label == "gradients.bucket0"; });
    return std::count_if(first, program.ops.end(), [](const ir::Op& op) { return op.layer >= 0; });
  };
  EXPECT_GT(ops_behind_first_reduction(), 0);
  software.gradient_reduce_overlap = false;
  EXPECT_EQ(ops_behind_first_reduction(), 0);
}

// bf16 products of two layers and the head, 4 each and one: each adds to the fp32 sum in its own kernel, or as part of the product.
TEST(Lower, ProductsMayAddToGradientsThemselves) {
  ir::Software software;
  const auto regions = [&](DeviceKind device) {
    const ir::Program program = LowerFor(software, {}, device);
    return std::ranges::count_if(program.ops, [](const ir::Op& op) { return op.target == "aten.mm" && op.region >= 0; });
  };
  EXPECT_EQ(regions(DeviceKind::kCuda), 0);
  software.gradient_accumulation_fusion = true;
  EXPECT_EQ(regions(DeviceKind::kCuda), 4 * (2 * 4 + 1));
  EXPECT_EQ(regions(DeviceKind::kCpu), 0);
}

// Two stages of two tensor ranks: 6 tokens of 24 features cross as 3 rows each, and are gathered behind the message: of each of four
// micro-batches the rows one way, their gradient the other.
TEST(Lower, StagesMaySendPartsAndGatherThem) {
  ir::Strategy strategy;
  strategy.pipeline = strategy.tensor = 2;
  strategy.schedule = "1f1b";
  ir::Software software;
  software.pipeline_scatter = true;
  const ir::Schedule schedule = ir::ScheduleInTurn(4);
  const auto stage = [&](int64_t number) {
    ir::Schedule own = schedule;
    for (ir::Action& action : own) action.stage = static_cast<int32_t>(number);
    const auto program = LowerStage(SmallLlama(), Batch(4, DataType::kBFloat16), software, strategy, DeviceKind::kCuda, own, number);
    EXPECT_TRUE(program.ok() && Verify(*program).ok()) << program.status().message();
    return program.ok() ? *program : ir::Program{};
  };
  const ir::Program first = stage(0), second = stage(1);
  for (const ir::Program* program : {&first, &second}) {
    EXPECT_EQ(Count(*program, "aten.index_select"), 4);
    EXPECT_EQ(Count(*program, "c10d.all_gather"), 4);
    for (const ir::Op& op : program->ops) {
      if (op.target != "c10d.send") continue;
      EXPECT_EQ(program->tensor(ir::TensorArguments(op).front()).shape, (ir::Shape{3, 24}));
    }
  }
}

// Two copies of query, key and value and of their gradients, three small kernels in each direction, of two layers and two micro-batches.
TEST(Lower, FrameworksMayCopyAndLaunchMore) {
  ir::Software software;
  const auto count = [&](std::string_view target) { return Count(LowerFor(software, {}), target); };
  const int64_t copies = count("aten.copy_"), small = count("aten.add_.Scalar");
  software.qkv_copies = 2;
  software.layer_kernels = 3;
  EXPECT_EQ(count("aten.copy_") - copies, 2 * 2 * 2 * 4);
  EXPECT_EQ(count("aten.add_.Scalar") - small, 3 * 2 * 2 * 4);
}

// The small kernels of a forward write nothing that those of a backward touch, so that either may run first.
TEST(Lower, SmallKernelsOfForwardAndBackwardAreApart) {
  ir::Software software;
  software.layer_kernels = 3;
  const ir::Program program = LowerFor(software, {});
  std::map<bool, std::set<ir::StorageId>> written;
  for (const ir::Op& op : program.ops) {
    if (op.label == "layer.small_kernels") written[op.phase == ir::Phase::kForward].insert(program.tensor(op.results[0]).storage);
  }
  ASSERT_EQ(written[true].size(), 1U);
  ASSERT_EQ(written[false].size(), 1U);
  EXPECT_NE(*written[true].begin(), *written[false].begin());
}

// DistributedDataParallel holds buckets in bf16 beside the fp32 gradients: half as much again; with ZeRO it is not used.
TEST(Lower, BucketsMayBeTensorsOfTheirOwn) {
  ir::Strategy strategy;
  strategy.data = 2;
  ir::Software software;
  const auto gradient_bytes = [&] {
    int64_t bytes = 0;
    const ir::Program program = LowerFor(software, strategy);
    for (const ir::Storage& storage : program.storages) {
      if (storage.role == ir::StorageRole::kGradient) bytes += storage.bytes.count();
    }
    return bytes;
  };
  const int64_t without = gradient_bytes();
  software.gradient_bucket_copies = true;
  EXPECT_EQ(gradient_bytes() * 2, without * 3);
  strategy.zero = 1;
  const int64_t sharded = gradient_bytes();
  software.gradient_bucket_copies = false;
  EXPECT_EQ(gradient_bytes(), sharded);
}

// The logits less their maximum are written over them, or beside them.
TEST(Lower, CrossEntropyMayCopyTheLogits) {
  ir::Software software;
  const int64_t in_place = Count(LowerFor(software, {}), "aten.sub_.Tensor");
  software.cross_entropy_in_place = false;
  EXPECT_EQ(Count(LowerFor(software, {}), "aten.sub_.Tensor"), in_place - 4);
}

// Of 6 tokens' 50 logits: what is launched as one kernel reads the bf16 logits and leaves their fp32 copy and its maximum, turns that copy
// into exponentials in place, and reads it for the bf16 gradient.
TEST(Lower, AFusedCrossEntropyStillCopiesTheLogits) {
  ir::Software software;
  software.fused.cross_entropy = true;
  const auto program = Lower(SmallLlama(), Batch(1, DataType::kBFloat16), software, {}, DeviceKind::kCuda);
  ASSERT_TRUE(program.ok()) << program.status().message();
  const ir::Regions regions(*program);
  std::vector<std::string> kernels;
  for (size_t i = 0; i < program->ops.size(); ++i) {
    if (program->ops[i].label == "loss" && regions.IsLeader(i)) kernels.push_back(ir::ToText(regions.SignatureOf(i)));
  }
  EXPECT_EQ(kernels, (std::vector<std::string>{"helm.region([bf16[6,50]], [f32[6,50], f32[6,1]])",
                                               "helm.region([f32[6,50], f32[6,1], i64[6,1]], [f32[6,50], f32[6,1]])",
                                               "helm.region([f32[6,50], f32[6,1], i64[6,1]], [bf16[6,50]])"}));
}

// Gradients in bf16: 2 bytes a parameter instead of 4, written by the first product itself; the update has fp32 copies.
TEST(Lower, GradientsMayBeKeptInTheComputeType) {
  ir::Software software;
  const auto gradient_bytes = [&] {
    int64_t bytes = 0;
    const ir::Program program = LowerFor(software, {});
    for (const ir::Storage& storage : program.storages) {
      if (storage.role == ir::StorageRole::kGradient) bytes += storage.bytes.count();
    }
    return bytes;
  };
  const int64_t wide = gradient_bytes();
  software.gradients = ir::Precision::kCompute;
  EXPECT_EQ(gradient_bytes() * 2, wide);
  const ir::Program program = LowerFor(software, {});
  EXPECT_EQ(Count(program, "aten.mm.out"), 2 * 4 + 1);
  EXPECT_EQ(Count(program, "aten.addmm_"), 0);
  for (const ir::Op& op : program.ops) {
    if (op.target != "aten._fused_adamw_") continue;
    EXPECT_EQ(program.tensor(ir::TensorArguments(op)[1]).dtype, DataType::kFloat32);
  }
}

int64_t PersistentBytes(const ir::Program& program) {
  int64_t bytes = 0;
  for (const ir::Storage& storage : program.storages) {
    if (storage.persistent && storage.role != ir::StorageRole::kInput && storage.name != "optimizer.step") bytes += storage.bytes.count();
  }
  return bytes;
}

// techniques.md 4.4: 16 bytes a parameter in fp32, 18 in bf16 with fp32 gradients, masters and moments.
TEST(Lower, BytesPerParameter) {
  EXPECT_EQ(PersistentBytes(LowerOrDie(SmallLlama(), Batch(1), {})), 16 * ParameterCount(SmallLlama()));
  EXPECT_EQ(PersistentBytes(LowerOrDie(SmallLlama(), Batch(1, DataType::kBFloat16), {})), 18 * ParameterCount(SmallLlama()));
}

// In bf16: parameter, gradient, fp32 copy and two moments, 2 + 2 + 4 + 2 + 2; without the copy 8. On a GPU the update is one kernel that
// reads all but the parameter, and the parameter is a copy of what it leaves; where all is bf16 ATen's own kernel does it.
TEST(Lower, TheOptimizerStateMayBeNarrow) {
  ir::Software software;
  software.gradients = software.optimizer_state = ir::Precision::kCompute;
  const ir::Program mixed = LowerFor(software, {});
  EXPECT_EQ(PersistentBytes(mixed), 12 * ParameterCount(SmallLlama()));
  const auto in_regions = [](const ir::Program& program) {
    return std::ranges::count_if(program.ops, [](const ir::Op& op) { return op.target == "aten._fused_adamw_" && op.region >= 0; });
  };
  EXPECT_EQ(in_regions(mixed), Count(mixed, "aten._fused_adamw_"));
  software.main_parameters = false;
  const ir::Program narrow = LowerFor(software, {});
  EXPECT_EQ(PersistentBytes(narrow), 8 * ParameterCount(SmallLlama()));
  EXPECT_EQ(in_regions(narrow), 0);
  // With ZeRO-3 a rank of two holds half of the parameters and of the moments; gradients live only for a while.
  ir::Strategy strategy;
  strategy.data = 2;
  strategy.zero = 3;
  strategy.fsdp_shard = 2;
  EXPECT_EQ(PersistentBytes(LowerFor(software, strategy)), 3 * ParameterCount(SmallLlama()));
}

// What is live when the loss begins, beyond persistent storages: techniques.md 4.5 for the layers' activations. Per token and layer, in
// fp32: norm inputs and outputs 4h, query/key/value (a + 2k) d, attention output a d, gate and up 2f, product f, and 4-byte log-sum-exp a
// and rstd 2.
TEST(Lower, SavedActivations) {
  ModelSpec one = SmallLlama();
  ModelSpec two = SmallLlama();
  one.layers = 1;
  auto live_at_loss = [](const ModelSpec& model) { return test::BytesKept(LowerOrDie(model, Batch(1), {})); };
  const int64_t h = 24, a = 4, k = 2, d = 6, f = 40, tokens = 6;
  EXPECT_EQ(live_at_loss(two) - live_at_loss(one), 4 * tokens * (4 * h + (a + 2 * k) * d + a * d + 3 * f + a + 2));
}

TEST(Lower, CudaUsesItsOwnKernels) {
  const ir::Program program = LowerOrDie(SmallLlama(), Batch(1, DataType::kBFloat16), {}, DeviceKind::kCuda);
  EXPECT_TRUE(Verify(program).ok()) << Verify(program).message();
  EXPECT_EQ(Count(program, "aten._scaled_dot_product_flash_attention"), 2);
  EXPECT_EQ(Count(program, "aten._scaled_dot_product_flash_attention_backward"), 2);
  EXPECT_EQ(Count(program, "aten._fused_rms_norm_backward"), 5);
  EXPECT_EQ(Count(program, "aten._scaled_dot_product_flash_attention_for_cpu"), 0);
}

TEST(Lower, Deterministic) {
  ir::Strategy strategy;
  strategy.tensor = strategy.data = 2;
  EXPECT_EQ(ToText(LowerOrDie(SmallLlama(), Batch(4), strategy)), ToText(LowerOrDie(SmallLlama(), Batch(4), strategy)));
}

TEST(CheckStrategy, ReportsEveryProblem) {
  ir::Strategy strategy;
  strategy.tensor = 3;
  strategy.data = 2;
  strategy.sequence_parallel = true;
  strategy.micro_batch = 2;
  ir::Workload workload = Batch(6);
  workload.sequence_length = 7;
  EXPECT_EQ(
      CheckStrategy(SmallLlama(), workload, strategy).message(),
      "error: model heads 4 is not divisible by strategy.tensor 3; choose a strategy.tensor that divides 4\n"
      "error: model kv_heads 2 is not divisible by strategy.tensor 3; choose a strategy.tensor that divides 2\n"
      "error: model ffn 40 is not divisible by strategy.tensor 3; choose a strategy.tensor that divides 40\n"
      "error: with sequence_parallel, tokens of a micro-batch (micro_batch x sequence_length) 14 is not divisible by strategy.tensor 3; "
      "choose a strategy.tensor that divides 14\n"
      "error: workload.global_batch 6 is not divisible by strategy.micro_batch 2 x strategy.data 2 = 4; choose a multiple of 4");
}

TEST(CheckStrategy, RefusesWhatItCannotLower) {
  ir::Strategy strategy;
  strategy.recompute = "some";
  strategy.zero = 4;
  const std::string message = CheckStrategy(SmallLlama(), Batch(4), strategy).message();
  EXPECT_NE(message.find("strategy.recompute 'some' is not known"), std::string::npos);
  EXPECT_NE(message.find("strategy.zero 4 is not known"), std::string::npos);
}

TEST(CheckStrategy, PipelinesHoldAllLayersInOrder) {
  ir::Strategy strategy;
  strategy.virtual_pipeline = 2;
  EXPECT_EQ(CheckStrategy(SmallLlama(), Batch(4), strategy).message(),
            "error: strategy.virtual_pipeline 2 needs pipeline > 1; allowed without it: 1");
  strategy.virtual_pipeline = 1;
  strategy.pipeline = 2;
  EXPECT_EQ(CheckStrategy(SmallLlama(), Batch(4), strategy).message(),
            "error: strategy.schedule 'none' cannot run pipeline > 1; name one, such as 1f1b");
  strategy.schedule = "1f1b";
  EXPECT_EQ(CheckStrategy(SmallLlama(), Batch(4), strategy).message(), "");
  strategy.stages = {{0, 1}, {0, 2}};
  EXPECT_NE(CheckStrategy(SmallLlama(), Batch(4), strategy).message().find("layers [0, 2] do not follow the 1 layers before"),
            std::string::npos);
  strategy.stages = {{0, 1}};
  EXPECT_NE(CheckStrategy(SmallLlama(), Batch(4), strategy).message().find("has 1 items"), std::string::npos);
  strategy.stages = {{0, 2}, {2, 2}};  // only the head on the second stage
  EXPECT_EQ(CheckStrategy(SmallLlama(), Batch(4), strategy).message(), "");
}

// Three stages: embedding, layers and head each on their own are possible, but a stage in the middle without a layer has nothing to do. Of
// a V (zb-v) the first stage has both ends, the second the two chunks in the middle.
TEST(CheckStrategy, NoStageIsIdle) {
  ir::Strategy strategy;
  strategy.pipeline = 3;
  strategy.schedule = "1f1b";
  strategy.stages = {{0, 0}, {0, 2}, {2, 2}};
  EXPECT_EQ(CheckStrategy(SmallLlama(), Batch(4), strategy).message(), "");
  strategy.stages = {{0, 1}, {1, 1}, {1, 2}};
  EXPECT_EQ(CheckStrategy(SmallLlama(), Batch(4), strategy).message(),
            "error: strategy.stages give stage 1 of 3 neither a layer nor embedding or head");
  strategy.pipeline = strategy.virtual_pipeline = 2;
  strategy.schedule = "zb-v";
  strategy.stages = {{0, 0}, {0, 2}, {2, 2}, {2, 2}};
  EXPECT_EQ(CheckStrategy(SmallLlama(), Batch(4), strategy).message(), "");
  strategy.stages = {{0, 1}, {1, 1}, {1, 1}, {1, 2}};
  EXPECT_EQ(CheckStrategy(SmallLlama(), Batch(4), strategy).message(),
            "error: strategy.stages give stage 1 of 2 neither a layer nor embedding or head");
}

// 2^31 tokens x the widest layer, up: 2 x ffn 40 = 80 -> more than 2^37; at 2^34 tokens more than 2^40.
TEST(CheckStrategy, RefusesTensorsThatNobodyHas) {
  ir::Workload workload = Batch(16);
  workload.sequence_length = int64_t{1} << 30;
  ir::Strategy strategy;
  EXPECT_EQ(CheckStrategy(SmallLlama(), workload, strategy).message(), "");
  strategy.micro_batch = 16;
  EXPECT_NE(CheckStrategy(SmallLlama(), workload, strategy).message().find("more than 2^40 elements"), std::string::npos);
}

TEST(CheckStrategy, WindowsAndPositions) {
  ModelSpec model = SmallLlama();
  model.sliding_window = 5;
  EXPECT_NE(CheckStrategy(model, Batch(1), {}).message().find("sliding_window 5 is shorter than workload.sequence_length 6"),
            std::string::npos);
  model.sliding_window = 6;
  EXPECT_TRUE(CheckStrategy(model, Batch(1), {}).ok());
  model.position = Position::kLearned;
  model.max_positions = 5;
  EXPECT_NE(CheckStrategy(model, Batch(1), {}).message().find("exceeds the model's max_positions 5"), std::string::npos);
}

rc::Gen<ModelSpec> AnyModel() {
  return rc::gen::exec([] {
    ModelSpec model;
    model.name = "random";
    model.family = *rc::gen::element(Family::kGpt, Family::kLlama);
    model.layers = *rc::gen::inRange<int64_t>(1, 4);
    model.kv_heads = 4 * *rc::gen::inRange<int64_t>(1, 3);
    model.heads = model.kv_heads * *rc::gen::inRange<int64_t>(1, 3);
    model.head_dim = 2 * *rc::gen::inRange<int64_t>(1, 5);
    model.hidden = *rc::gen::inRange<int64_t>(1, 40);
    model.ffn = 4 * *rc::gen::inRange<int64_t>(1, 10);
    model.vocab = *rc::gen::inRange<int64_t>(2, 70);
    model.max_positions = 8;
    model.activation = *rc::gen::element(Activation::kGelu, Activation::kGeGlu, Activation::kSwiGlu, Activation::kSquaredRelu);
    model.position = *rc::gen::element(Position::kLearned, Position::kRope, Position::kAlibi, Position::kNone);
    model.norm = *rc::gen::element(Norm::kLayerNorm, Norm::kLayerNorm1p, Norm::kRmsNorm, Norm::kRmsNorm1p);
    model.scaled_embeddings = *rc::gen::arbitrary<bool>();
    model.bias = *rc::gen::arbitrary<bool>();
    model.attention_bias = *rc::gen::arbitrary<bool>();
    model.tied_embeddings = *rc::gen::arbitrary<bool>();
    model.qk_norm = model.norm == Norm::kRmsNorm && *rc::gen::arbitrary<bool>();
    return model;
  });
}

ir::Software AnySoftware(const ModelSpec& model) {
  const auto any = [] { return *rc::gen::arbitrary<bool>(); };
  ir::Software software;
  software.gradient_bucket_bytes = *rc::gen::inRange<int64_t>(1, 20000);
  software.flash_attention = model.position != Position::kAlibi && any();
  software.fused.linear_bias = any();
  software.fused.norm = any();
  software.fused.rope = any();
  software.fused.cross_entropy = any();
  software.logits = any() ? ir::Precision::kFloat32 : ir::Precision::kCompute;
  software.fused.bias_activation = any();
  software.fused.gated_activation = any();
  software.fused.bias_dropout_add = any();
  software.fused.masked_softmax = any();
  software.attention_softmax = any() ? ir::Precision::kFloat32 : ir::Precision::kCompute;
  software.attention_dropout = *rc::gen::element(0.0, 0.1);
  software.hidden_dropout = *rc::gen::element(0.0, 0.1);
  software.activation_recomputed = any();
  software.recompute_whole = any();
  software.fused.elementwise = any();
  return software;
}

RC_GTEST_PROP(Lower, EveryProgramVerifies, ()) {
  const ModelSpec model = *AnyModel();
  ir::Strategy strategy;
  test::RecomputeAnything(model, strategy);
  strategy.tensor = *rc::gen::element<int64_t>(1, 2, 4);
  strategy.data = *rc::gen::element<int64_t>(1, 2, 3);
  strategy.sequence_parallel = *rc::gen::arbitrary<bool>();
  strategy.zero = *rc::gen::element<int64_t>(0, 1, 2, 3);
  if (strategy.data > 1 && strategy.zero >= 2 && *rc::gen::arbitrary<bool>()) {
    strategy.fsdp_shard = strategy.data;
    strategy.fsdp_replicate = *rc::gen::element<int64_t>(1, 2);
    strategy.data *= strategy.fsdp_replicate;
  }
  strategy.micro_batch = *rc::gen::inRange<int64_t>(1, 3);
  ir::Workload workload = Batch(strategy.data * strategy.micro_batch * *rc::gen::inRange<int64_t>(1, 4));
  workload.sequence_length = 4 * *rc::gen::inRange<int64_t>(1, 3);
  workload.dtype = *rc::gen::element(DataType::kFloat32, DataType::kBFloat16);
  workload.optimizer.clip_norm = *rc::gen::element(0.0, 1.0);
  const bool cuda = workload.dtype == DataType::kBFloat16 && *rc::gen::arbitrary<bool>();
  ir::Software software = AnySoftware(model);
  software.fsdp_prefetch = *rc::gen::inRange<int64_t>(0, 4);
  software.fsdp_backward_prefetch = *rc::gen::element(ir::BackwardPrefetch::kNone, ir::BackwardPrefetch::kPost, ir::BackwardPrefetch::kPre);
  for (bool* flag : {&software.fsdp_root_kept, &software.fsdp_last_kept, &software.fsdp_no_sync, &software.fsdp_gather_copied,
                     &software.fsdp_gradient_divided}) {
    *flag = *rc::gen::arbitrary<bool>();
  }
  const auto program = Lower(model, workload, software, strategy, cuda ? DeviceKind::kCuda : DeviceKind::kCpu);
  RC_ASSERT(program.ok());
  const Status verified = Verify(*program);
  RC_ASSERT(verified.message() == "");
}

}  // namespace
}  // namespace helm::model
