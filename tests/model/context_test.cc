// Context parallelism in lowered programs: which positions a rank has, what it computes, sends and keeps. That the numbers are right is
// tests/oracle/check_lowering.py.
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/signature.h"
#include "ir/verify.h"
#include "model/lower.h"
#include "support/bytes_kept.h"

namespace helm::model {
namespace {

using ir::ContextCommunication;

// Two layers of hidden 8: 4 heads of 2, 2 key-value heads. A sequence of 48 tokens, one a micro-batch.
constexpr int64_t kPositions = 48, kHeads = 4, kKeyHeads = 2, kHeadSize = 2, kLayers = 2;

ModelSpec Model(int64_t layers = kLayers) {
  ModelSpec model;
  model.family = Family::kLlama;
  model.layers = layers;
  model.hidden = 8;
  model.ffn = 12;
  model.heads = kHeads;
  model.kv_heads = kKeyHeads;
  model.head_dim = kHeadSize;
  model.vocab = 20;
  return model;
}

ir::Strategy Split(int64_t context, int64_t data = 1) {
  ir::Strategy strategy;
  strategy.context = context;
  strategy.data = data;
  return strategy;
}

Result<ir::Program> LowerSplit(const ir::Strategy& strategy, ContextCommunication how, const ModelSpec& model, bool flash = true) {
  ir::Workload workload;
  workload.global_batch = strategy.data;
  workload.sequence_length = kPositions;
  ir::Software software;
  software.context_communication = how;
  software.flash_attention = flash;
  return Lower(model, workload, software, strategy, ir::DeviceKind::kCpu);
}

ir::Program LowerOrDie(const ir::Strategy& strategy, ContextCommunication how, const ModelSpec& model = Model()) {
  const auto program = LowerSplit(strategy, how, model);
  EXPECT_TRUE(program.ok()) << program.status().message();
  if (!program.ok()) return {};
  EXPECT_EQ(Verify(*program).message(), "");
  return *program;
}

constexpr ContextCommunication kWays[] = {ContextCommunication::kRing, ContextCommunication::kAllGather, ContextCommunication::kAllToAll};

// Four ranks have eight parts of six positions: rank 1 the parts 1 and 6, which begin at 6 and 36.
TEST(ContextParallel, ARankHasAnEarlyAndALatePart) {
  const ir::Program program = LowerOrDie(Split(4), ContextCommunication::kRing);
  std::vector<std::pair<int64_t, int64_t>> begins(4);
  for (int64_t rank = 0; rank < 4; ++rank) {
    std::vector<int64_t> found;
    for (const ir::Op& op : program.ops) {
      if (op.target != "aten.add.Scalar" || op.label != "context.tables") continue;
      // Behind a count from 1.
      found.push_back(1 + ir::Evaluate(std::get<ir::RankExpression>(op.arguments[1]), program.mesh, ir::Coordinates(program.mesh, rank)));
    }
    ASSERT_EQ(found.size(), 2U);
    begins[static_cast<size_t>(rank)] = {found[0], found[1]};
  }
  using Begins = std::pair<int64_t, int64_t>;
  EXPECT_THAT(begins, testing::ElementsAre(Begins{0, 42}, Begins{6, 36}, Begins{12, 30}, Begins{18, 24}));
}

double FlopsOfAttention(const ir::Program& program) {
  double flops = 0;
  for (const ir::Op& op : program.ops) {
    if (op.target.find("attention") != std::string::npos) flops += FlopsOf(SignatureOf(program, op)).count();
  }
  return flops;
}

// Nothing that the causal mask hides is computed: each rank has its share of the whole, whatever the way.
TEST(ContextParallel, SharesTheWorkOfAttentionEvenly) {
  const double whole = FlopsOfAttention(LowerOrDie(Split(1), ContextCommunication::kRing));
  EXPECT_GT(whole, 0);
  for (const ContextCommunication how : kWays) EXPECT_EQ(FlopsOfAttention(LowerOrDie(Split(2), how)), whole / 2);
  EXPECT_EQ(FlopsOfAttention(LowerOrDie(Split(4), ContextCommunication::kRing)), whole / 4);
  EXPECT_EQ(FlopsOfAttention(LowerOrDie(Split(3), ContextCommunication::kAllGather)), whole / 3);
}

std::map<std::string, int64_t> BytesByKind(const ir::Program& program) {
  std::map<std::string, int64_t> bytes;
  for (const ir::Op& op : program.ops) {
    if (op.kind == ir::OpKind::kCollectiveStart && program.group(op.group).name == "context" && op.target != "c10d.recv") {
      bytes[op.target] += CollectiveBytes(program, op).count();
    }
  }
  return bytes;
}

// techniques.md 4.1, with T = 48 / c tokens of a rank, k d = 4 numbers of fp32 a token in keys, as many in values, a d = 8 in queries and
// outputs; two layers. Ring: (c - 1) times the keys and values in forward, again in backward, and their gradients as often. All-gather: all
// keys and values in forward and again in backward, gradients scattered. All-to-all: queries, keys, values and output, and their gradients.
TEST(ContextParallel, SendsWhatTheWayNeeds) {
  const int64_t keys = 2 * kKeyHeads * kHeadSize * 4, queries = kHeads * kHeadSize * 4;  // bytes a token, values with the keys
  for (const int64_t c : {2, 4}) {
    const int64_t tokens = kPositions / c;
    EXPECT_EQ(BytesByKind(LowerOrDie(Split(c), ContextCommunication::kRing)),
              (std::map<std::string, int64_t>{{"c10d.send", kLayers * 3 * (c - 1) * tokens * keys}}));
    EXPECT_EQ(BytesByKind(LowerOrDie(Split(c), ContextCommunication::kAllGather)),
              (std::map<std::string, int64_t>{{"c10d.all_gather", kLayers * 2 * kPositions * keys},
                                              {"c10d.reduce_scatter", kLayers * kPositions * keys}}));
  }
  EXPECT_EQ(BytesByKind(LowerOrDie(Split(2), ContextCommunication::kAllToAll)),
            (std::map<std::string, int64_t>{{"c10d.all_to_all", kLayers * 2 * (kPositions / 2) * (keys + 2 * queries)}}));
}

int64_t BytesOfLayer(const ir::Strategy& strategy, ContextCommunication how) {
  return test::BytesKept(LowerOrDie(strategy, how, Model(2))) - test::BytesKept(LowerOrDie(strategy, how, Model(1)));
}

// Of a layer stays what a shorter sequence would leave. With an all-to-all the kernel's output stays beside its copy by positions, a d = 8
// numbers of fp32 for each of the 24 tokens, as Transformer Engine keeps both.
TEST(ContextParallel, KeepsAShareOfTheActivations) {
  const int64_t whole = BytesOfLayer(Split(1), ContextCommunication::kRing);
  EXPECT_EQ(BytesOfLayer(Split(2), ContextCommunication::kRing), whole / 2);
  EXPECT_EQ(BytesOfLayer(Split(4), ContextCommunication::kAllGather), whole / 4);
  EXPECT_EQ(BytesOfLayer(Split(2), ContextCommunication::kAllToAll), whole / 2 + kPositions / 2 * kHeads * kHeadSize * 4);
}

// Gradients and the loss are summed over data x context; ZeRO shares over both.
TEST(ContextParallel, SumsGradientsOverContextAndData) {
  const ir::Program program = LowerOrDie(Split(2, 3), ContextCommunication::kRing);
  std::set<int64_t> sizes;
  for (const ir::Op& op : program.ops) {
    const bool reduces = op.target == "c10d.all_reduce" && (op.label.starts_with("gradients.") || op.label == "loss");
    if (reduces) sizes.insert(GroupSize(program, op.group));
  }
  EXPECT_THAT(sizes, testing::ElementsAre(6));
  ir::Strategy sharded = Split(2, 2);
  sharded.zero = 1;
  EXPECT_THAT(LowerOrDie(sharded, ContextCommunication::kRing).segments.front().sharded_over, testing::ElementsAre("context", "data"));
}

// A stage between the others has no use for positions that are learned, one that has only the head none for what attention chooses.
TEST(ContextParallel, StagesMakeTheTablesThatTheyRead) {
  ModelSpec model = Model(4);
  model.position = Position::kLearned;
  model.max_positions = kPositions;
  ir::Workload workload;
  workload.sequence_length = kPositions;
  ir::Strategy even = Split(2), alone = Split(2);
  even.pipeline = alone.pipeline = 4;
  even.schedule = alone.schedule = "1f1b";
  alone.stages = {{0, 2}, {2, 3}, {3, 4}, {4, 4}};
  for (const ContextCommunication how : kWays) {
    ir::Software software;
    software.context_communication = how;
    for (const ir::Strategy& strategy : {even, alone}) {
      for (int32_t stage = 0; stage < 4; ++stage) {
        const ir::Schedule schedule = {{stage, ir::ActionKind::kForward, 0, {}}, {stage, ir::ActionKind::kFullBackward, 0, {}}};
        const auto program = LowerStage(model, workload, software, strategy, ir::DeviceKind::kCpu, schedule, stage);
        ASSERT_TRUE(program.ok()) << program.status().message();
        EXPECT_EQ(Verify(*program).message(), "") << stage;
      }
    }
  }
}

TEST(ContextParallel, RefusesWhatDoesNotDivide) {
  const auto message = [](const auto& program) { return program.ok() ? std::string("fine") : program.status().message(); };
  EXPECT_THAT(message(LowerSplit(Split(5), ContextCommunication::kRing, Model())),
              testing::HasSubstr("sequence_length 48 is not divisible by 2 x strategy.context 5"));
  EXPECT_THAT(message(LowerSplit(Split(4), ContextCommunication::kAllToAll, Model())),
              testing::HasSubstr("use context_communication: ring"));
  EXPECT_THAT(message(LowerSplit(Split(2), ContextCommunication::kRing, Model(), /*flash=*/false)),
              testing::HasSubstr("needs software.flash_attention: true"));
}

}  // namespace
}  // namespace helm::model
