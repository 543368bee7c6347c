// ZeRO-2, ZeRO-3 and HSDP in lowered programs: which collectives in which order, how many bytes, what is held when. That they compute the
// right thing is tests/exec/parity.
#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "ir/lifetime.h"
#include "ir/program_text.h"
#include "ir/verify.h"
#include "model/lower.h"
#include "model/parameter_plan.h"
#include "support/small_llama.h"

namespace helm::model {
namespace {

using ir::DataType;
using test::SmallLlama;

// Elements: of a layer's matrices (a + 2k) d h + a d h + 2 f h + f h = 48 x 24 + 24 x 24 + 80 x 24 + 40 x 24 = 4608; of the tables
// 2 x 50 x 24 = 2400; of the norms (2 x layers + 1) x 24.
constexpr int64_t kLayer = 4608;
constexpr int64_t kTables = 2400;
int64_t Norms(int64_t layers) { return (2 * layers + 1) * 24; }

ir::Strategy Sharded(int64_t zero, int64_t data = 2) {
  ir::Strategy strategy;
  strategy.data = data;
  strategy.zero = zero;
  return strategy;
}

// PyTorch's names for it: SHARD_GRAD_OP with zero 2, FULL_SHARD with zero 3; HYBRID_SHARD with several copies.
ir::Strategy Fsdp(int64_t zero, int64_t shard, int64_t replicate = 1) {
  ir::Strategy strategy = Sharded(zero, shard * replicate);
  strategy.fsdp_shard = shard;
  strategy.fsdp_replicate = replicate;
  return strategy;
}

struct Settings {
  int64_t micro_batches = 1;
  DataType dtype = DataType::kFloat32;
  ir::Software software;
};

ir::Program LowerOrDie(const ModelSpec& model, const ir::Strategy& strategy, const Settings& settings = {}) {
  ir::Workload workload;
  workload.global_batch = strategy.data * settings.micro_batches;
  workload.sequence_length = 6;
  workload.dtype = settings.dtype;
  const auto program = Lower(model, workload, settings.software, strategy, ir::DeviceKind::kCpu);
  EXPECT_TRUE(program.ok()) << program.status().message();
  if (!program.ok()) return {};
  EXPECT_EQ(Verify(*program).message(), "");
  return *program;
}

// "all_gather parameters.layer0" and so on, in launch order, of a group.
std::vector<std::string> Collectives(const ir::Program& program, std::string_view group) {
  std::vector<std::string> result;
  for (const ir::Op& op : program.ops) {
    if (op.kind != ir::OpKind::kCollectiveStart && op.kind != ir::OpKind::kWait) continue;
    if (program.group(op.group).name == group) result.push_back(op.target.substr(5) + " " + op.label);
  }
  return result;
}

// Bytes of the whole tensors that a kind of collective of a group moves; of labels that begin so.
int64_t Bytes(const ir::Program& program, std::string_view target, std::string_view label, std::string_view group = "data") {
  int64_t bytes = 0;
  for (const ir::Op& op : program.ops) {
    if (op.target != target || !op.label.starts_with(label) || program.group(op.group).name != group) continue;
    bytes += ir::CollectiveBytes(program, op).count();
  }
  return bytes;
}

int64_t Parameters(int64_t layers) { return layers * kLayer + kTables + Norms(layers); }

TEST(Sharding, GathersEachLayerWhileTheOneBeforeComputes) {
  const ir::Program program = LowerOrDie(SmallLlama(), Sharded(3));
  EXPECT_EQ(Collectives(program, "data"), (std::vector<std::string>{"all_gather parameters.root",
                                                                    "all_gather parameters.root_no_decay",
                                                                    "all_gather parameters.layer0",
                                                                    "wait parameters.root",
                                                                    "wait parameters.root_no_decay",  // forward: embedding
                                                                    "wait parameters.layer0",
                                                                    "all_gather parameters.layer1",  // layer 0
                                                                    "wait parameters.layer1",        // layer 1, and head: both stay
                                                                    "all_gather parameters.layer0",
                                                                    "reduce_scatter gradients.layer1",  // backward: layer 1
                                                                    "wait parameters.layer0",
                                                                    "wait gradients.layer1",  // layer 0
                                                                    "reduce_scatter gradients.layer0",
                                                                    "reduce_scatter gradients.root_no_decay",
                                                                    "wait gradients.layer0",
                                                                    "wait gradients.root_no_decay",
                                                                    "reduce_scatter gradients.root",  // embedding
                                                                    "all_reduce loss",
                                                                    "wait gradients.root",
                                                                    "all_reduce gradient_norm",
                                                                    "wait gradient_norm",
                                                                    "wait loss"}));
}

// Rajbhandari et al. 2020 (ZeRO), section 7: stage 3 moves parameters twice and gradients once, 3 Psi; here the root is gathered once only.
TEST(Sharding, StageThreeMovesThreeTimesTheParameters) {
  Settings settings;
  settings.software.fsdp_last_kept = false;
  for (const int64_t micro_batches : {1, 3}) {
    settings.micro_batches = micro_batches;
    const ir::Program program = LowerOrDie(SmallLlama(), Sharded(3), settings);
    EXPECT_EQ(Bytes(program, "c10d.all_gather", "parameters."), micro_batches * 4 * (2 * Parameters(2) - kTables - Norms(2)));
    EXPECT_EQ(Bytes(program, "c10d.reduce_scatter", "gradients."), micro_batches * 4 * Parameters(2));
  }
  settings.software.fsdp_root_kept = false;
  const ir::Program program = LowerOrDie(SmallLlama(), Sharded(3), settings);
  EXPECT_EQ(Bytes(program, "c10d.all_gather", "parameters."), settings.micro_batches * 4 * 2 * Parameters(2));
}

// The last layer's backward follows its forward at once: one gather less.
TEST(Sharding, TheLastLayerIsGatheredOnce) {
  const ir::Program program = LowerOrDie(SmallLlama(4), Sharded(3));
  EXPECT_EQ(Bytes(program, "c10d.all_gather", "parameters."), 4 * (Parameters(4) + 3 * kLayer));
}

// Section 7: stage 2 moves 2 Psi: gradients are scattered, parameters gathered after the update. Gradients move with every micro-batch.
TEST(Sharding, StageTwoMovesTwiceTheParameters) {
  for (const int64_t micro_batches : {1, 3}) {
    const ir::Program program = LowerOrDie(SmallLlama(), Sharded(2), {.micro_batches = micro_batches});
    EXPECT_EQ(Bytes(program, "c10d.reduce_scatter", "gradients."), micro_batches * 4 * Parameters(2));
    EXPECT_EQ(Bytes(program, "c10d.all_gather", "adamw"), 4 * Parameters(2));
    EXPECT_EQ(Bytes(program, "c10d.all_gather", "parameters."), 0);
  }
}

// FSDP's SHARD_GRAD_OP: shards between steps, gathered once for forward and backward.
TEST(Sharding, FsdpStageTwoGathersOncePerMicroBatch) {
  const ir::Program program = LowerOrDie(SmallLlama(), Fsdp(2, 2), {.micro_batches = 2});
  EXPECT_EQ(Bytes(program, "c10d.all_gather", "parameters."), 2 * 4 * Parameters(2));
  EXPECT_EQ(Bytes(program, "c10d.all_gather", "adamw"), 0);
}

// Parameters are gathered in the type of compute; gradients are reduced in fp32, or in that type too.
TEST(Sharding, NarrowGathersWideReductions) {
  Settings settings{.dtype = DataType::kBFloat16};
  settings.software.fsdp_last_kept = false;
  ir::Program program = LowerOrDie(SmallLlama(), Sharded(3), settings);
  EXPECT_EQ(Bytes(program, "c10d.all_gather", "parameters."), 2 * (2 * Parameters(2) - kTables - Norms(2)));
  EXPECT_EQ(Bytes(program, "c10d.reduce_scatter", "gradients."), 4 * Parameters(2));
  settings.software.gradients_reduced = ir::Precision::kCompute;
  program = LowerOrDie(SmallLlama(), Sharded(3), settings);
  EXPECT_EQ(Bytes(program, "c10d.reduce_scatter", "gradients."), 2 * Parameters(2));
}

TEST(Sharding, NoSyncReducesOnce) {
  Settings settings{.micro_batches = 3};
  settings.software.fsdp_no_sync = true;
  const ir::Program program = LowerOrDie(SmallLlama(), Sharded(3), settings);
  EXPECT_EQ(Bytes(program, "c10d.reduce_scatter", "gradients."), 4 * Parameters(2));
}

// BACKWARD_POST: the next gather is started behind a layer's gradients and before their reduction.
TEST(Sharding, PostPrefetchIsBetweenGradientsAndReduction) {
  Settings settings;
  settings.software.fsdp_backward_prefetch = ir::BackwardPrefetch::kPost;
  const ir::Program program = LowerOrDie(SmallLlama(), Sharded(3), settings);
  const auto start = std::ranges::find_if(program.ops, [](const ir::Op& op) {
    return op.label == "parameters.layer0" && op.kind == ir::OpKind::kCollectiveStart && op.phase == ir::Phase::kInputGradient;
  });
  ASSERT_NE(start, program.ops.end());
  EXPECT_EQ((start - 1)->layer, 1);  // the residual's sum, the last op of layer 1
  EXPECT_EQ((start - 1)->label, "attention.residual");
  EXPECT_EQ((start + 1)->label, "gradients.layer1");
}

TEST(Sharding, PrefetchDepth) {
  Settings settings;
  settings.software.fsdp_last_kept = false;
  const auto gathered_at_most = [&](int64_t depth) {
    settings.software.fsdp_prefetch = depth;
    int64_t open = 0, most = 0;
    for (const std::string& line : Collectives(LowerOrDie(SmallLlama(5), Sharded(3), settings), "data")) {
      if (line.starts_with("all_gather parameters.layer")) most = std::max(most, ++open);
      if (line.starts_with("wait parameters.layer")) --open;
    }
    return most;
  };
  EXPECT_EQ(gathered_at_most(0), 1);
  EXPECT_EQ(gathered_at_most(1), 1);  // the next one starts when this one has arrived
  EXPECT_EQ(gathered_at_most(3), 3);
}

// Full recomputation and the backward behind it share a gather.
TEST(Sharding, RecomputationGathersNoMore) {
  ir::Strategy strategy = Sharded(3);
  const int64_t without = Bytes(LowerOrDie(SmallLlama(4), strategy), "c10d.all_gather", "parameters.");
  strategy.recompute = "full";
  EXPECT_EQ(Bytes(LowerOrDie(SmallLlama(4), strategy), "c10d.all_gather", "parameters."), without);
}

int64_t PersistentBytes(const ir::Program& program) {
  int64_t bytes = 0;
  for (const ir::Storage& storage : program.storages) {
    if (storage.persistent && storage.role != ir::StorageRole::kInput && storage.name != "optimizer.step") bytes += storage.bytes.count();
  }
  return bytes;
}

// Bytes a parameter between steps (techniques.md 4.4 without gradients, which live in the step only). Stage 2: all parameters, and shards
// of master copy and two moments. Stage 3: shards of fp32 parameter and moments, whatever the type of compute.
TEST(Sharding, BytesBetweenSteps) {
  const int64_t all = Parameters(2);
  EXPECT_EQ(PersistentBytes(LowerOrDie(SmallLlama(), Sharded(2))), 4 * all + 12 * all / 2);
  EXPECT_EQ(PersistentBytes(LowerOrDie(SmallLlama(), Sharded(2), {.dtype = DataType::kBFloat16})), 2 * all + 12 * all / 2);
  EXPECT_EQ(PersistentBytes(LowerOrDie(SmallLlama(), Sharded(3))), 12 * all / 2);
  EXPECT_EQ(PersistentBytes(LowerOrDie(SmallLlama(), Sharded(3), {.dtype = DataType::kBFloat16})), 12 * all / 2);
}

// The most bytes at any time of tensors that collectives of this kind and label made.
int64_t MostHeld(const ir::Program& program, std::string_view target, std::string_view label) {
  const ir::Lifetimes lifetimes = ComputeLifetimes(program);
  std::map<ir::StorageId, int64_t> counted;
  int64_t now = 0, most = 0;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    for (const ir::StorageId storage : lifetimes.allocated_by[i]) {
      if (program.ops[i].target != target || !program.ops[i].label.starts_with(label)) continue;
      now += counted[storage] = program.storage(storage).bytes.count();
    }
    most = std::max(most, now);
    for (const ir::StorageId storage : lifetimes.freed_after[i]) {
      if (counted.contains(storage)) now -= counted[storage];
    }
  }
  return most;
}

// Whole parameters: the root, a layer that computes and the next one; only one of five layers more than at depth 0.
TEST(Sharding, HoldsTheRootAndTwoLayers) {
  Settings settings;
  settings.software.fsdp_last_kept = false;
  const int64_t root = kTables + Norms(5);
  EXPECT_EQ(MostHeld(LowerOrDie(SmallLlama(5), Sharded(3), settings), "c10d.all_gather", "parameters."), 4 * (root + 2 * kLayer));
  settings.dtype = DataType::kBFloat16;
  EXPECT_EQ(MostHeld(LowerOrDie(SmallLlama(5), Sharded(3), settings), "c10d.all_gather", "parameters."), 2 * (root + 2 * kLayer));
  settings.software.fsdp_prefetch = 0;
  EXPECT_EQ(MostHeld(LowerOrDie(SmallLlama(5), Sharded(3), settings), "c10d.all_gather", "parameters."), 2 * (root + kLayer));
  // Between forward and backward all of them with zero 2.
  EXPECT_EQ(MostHeld(LowerOrDie(SmallLlama(5), Fsdp(2, 2), settings), "c10d.all_gather", "parameters."), 2 * (root + 5 * kLayer));
}

// Reduced gradients: a shard of each bucket, in the end of all.
TEST(Sharding, GradientsEndAsShards) {
  const ir::Program program = LowerOrDie(SmallLlama(), Sharded(3, 4), {.micro_batches = 1});
  EXPECT_EQ(MostHeld(program, "c10d.reduce_scatter", "gradients."), Parameters(2));  // fp32 quarters
  for (const ir::ParameterSegment& segment : program.segments) {
    EXPECT_TRUE(segment.gradient_sharded);
    EXPECT_FALSE(program.storage(segment.gradient).persistent);
    EXPECT_EQ(program.storage(segment.gradient).bytes.count(), segment.elements);  // 4 bytes, a quarter of them
  }
}

// 2400 and 120 elements are not 7 equal shards: padding is zero, and part of what is reduced.
TEST(Sharding, ShardsArePadded) {
  const ir::Program program = LowerOrDie(SmallLlama(), Sharded(3, 7));
  const auto zeros = std::ranges::count_if(program.ops, [](const ir::Op& op) { return op.target == "aten.new_zeros"; });
  EXPECT_EQ(zeros, 4);  // both layers, tables, norms
  EXPECT_EQ(Bytes(program, "c10d.reduce_scatter", "gradients."), 4 * (2 * 4613 + 2401 + 126));
}

TEST(Sharding, HybridSumsShardsOverTheCopies) {
  const ir::Program program = LowerOrDie(SmallLlama(), Fsdp(3, 2, 3), {.micro_batches = 2});
  ASSERT_EQ(program.mesh.size(), 5u);
  EXPECT_EQ(program.mesh[2], (ir::MeshDimension{"data", 2}));
  EXPECT_EQ(program.mesh[3], (ir::MeshDimension{"replicate", 3}));
  // A shard of everything with each micro-batch.
  EXPECT_EQ(Bytes(program, "c10d.all_reduce", "gradients.", "replicate"), 2 * 4 * Parameters(2) / 2);
  EXPECT_EQ(Bytes(program, "c10d.all_reduce", "loss", "batch"), 4);
  EXPECT_EQ(Bytes(program, "c10d.all_reduce", "gradient_norm", "data"), 4);  // copies have the same
}

// Chunks of a pipeline interleave their micro-batches: gradients are reduced once, and with zero 2 parameters gathered once.
TEST(Sharding, PipelinesReduceOnce) {
  ir::Strategy strategy = Fsdp(2, 2);
  strategy.pipeline = 2;
  strategy.schedule = "1f1b";
  ir::Workload workload;
  workload.global_batch = 2 * 4;
  workload.sequence_length = 6;
  const auto schedule = ir::ParseSchedule("1F0,1B0,1F1,1B1,1F2,1B2,1F3,1B3");
  ASSERT_TRUE(schedule.ok()) << schedule.status().message();
  for (const int64_t zero : {2, 3}) {
    strategy.zero = zero;
    const auto program = LowerStage(SmallLlama(), workload, {}, strategy, ir::DeviceKind::kCpu, *schedule, 1);
    ASSERT_TRUE(program.ok()) << program.status().message();
    EXPECT_EQ(Verify(*program).message(), "");
    // The second stage: one layer, head 50 x 24, three norms.
    EXPECT_EQ(Bytes(*program, "c10d.reduce_scatter", "gradients."), 4 * (kLayer + 1200 + 72));
    EXPECT_EQ(Bytes(*program, "c10d.all_gather", "parameters."), 4 * ((zero == 2 ? 1 : 2 * 4) * kLayer + 1200 + 72));
  }
}

TEST(Sharding, SurvivesTheTextForm) {
  const ir::Program program = LowerOrDie(SmallLlama(), Fsdp(3, 2, 2));
  const auto read = ir::ParseProgram(ToText(program), "program");
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(ToText(*read), ToText(program));
  EXPECT_EQ(Verify(*read).message(), "");
}

TEST(Sharding, SaysWhatDoesNotFit) {
  ir::Workload workload;
  workload.global_batch = 8;
  workload.sequence_length = 6;
  ir::Strategy strategy = Fsdp(1, 2);
  EXPECT_NE(CheckStrategy(SmallLlama(), workload, strategy).message().find("strategy.fsdp needs zero 2"), std::string::npos);
  strategy = Fsdp(3, 2, 2);
  strategy.data = 8;
  EXPECT_NE(CheckStrategy(SmallLlama(), workload, strategy).message().find("shard 2 x replicate 2 is not data x context = 8"),
            std::string::npos);
}

}  // namespace
}  // namespace helm::model
