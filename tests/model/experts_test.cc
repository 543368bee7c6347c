// Layers with experts in lowered programs: slots, groups, what travels and what each rank holds. That they compute the right thing is
// tests/oracle/check_lowering.py.
#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "ir/verify.h"
#include "model/lower.h"
#include "model/parameter_plan.h"

namespace helm::model {
namespace {

ModelSpec Moe(int64_t layers = 2) {
  ModelSpec model;
  model.family = Family::kMoe;
  model.layers = layers;
  model.hidden = 8;
  model.ffn = 12;
  model.heads = 4;
  model.kv_heads = 4;
  model.head_dim = 2;
  model.vocab = 20;
  model.moe = {.experts = 8, .top_k = 2, .ffn = 6, .shared_ffn = 4, .dense_layers = 1, .capacity_factor = 1.0};
  return model;
}

struct Split {
  int64_t data = 1, tensor = 1, expert = 1, expert_tensor = 1, zero = 0;
};

ir::Strategy StrategyOf(const Split& split) {
  ir::Strategy strategy;
  strategy.data = split.data;
  strategy.tensor = split.tensor;
  strategy.sequence_parallel = split.tensor > 1;
  strategy.expert = split.expert;
  strategy.expert_tensor = split.expert_tensor;
  strategy.zero = split.zero;
  return strategy;
}

// Sequences of 16 tokens, one a micro-batch.
ir::Workload Batch(const ir::Strategy& strategy) {
  ir::Workload workload;
  workload.global_batch = strategy.data;
  workload.sequence_length = 16;
  return workload;
}

ir::Program LowerOrDie(const ModelSpec& model, const ir::Strategy& strategy, const ir::Software& software = {}) {
  const auto program = Lower(model, Batch(strategy), software, strategy, ir::DeviceKind::kCpu);
  EXPECT_TRUE(program.ok()) << program.status().message();
  if (!program.ok()) return {};
  EXPECT_EQ(Verify(*program).message(), "");
  return *program;
}

// 64 tokens, two experts of eight each: 16 on the mean. Half as much again are 24; the fullest of an unlimited model has 16 x 1.3 = 20.8,
// rounded up. Never more than there are tokens, never none.
TEST(ExpertCapacity, IsTheMeanTimesAFactor) {
  MixtureOfExperts moe{.experts = 8, .top_k = 2, .ffn = 4};
  EXPECT_EQ(ExpertCapacity(moe, 64, 1.0), 16);
  EXPECT_EQ(ExpertCapacity(moe, 64, 1.3), 21);
  EXPECT_EQ(ExpertCapacity(moe, 64, 1e300), 64);
  EXPECT_EQ(ExpertCapacity(moe, 1, 1.0), 1);
  moe.capacity_factor = 1.5;
  EXPECT_EQ(ExpertCapacity(moe, 64, 1.3), 24);
  EXPECT_EQ(ExpertCapacity(moe, 10, 1.0), 4);  // 2.5 x 1.5 = 3.75
}

// Eight ranks, tensor 2. With expert_tensor 2 an expert is on two tensor ranks, and two data-parallel neighbours hold the eight; with
// expert_tensor 1 each of four ranks, tensor ranks first, has two whole experts.
TEST(ExpertGroups, AreNeighbours) {
  const ir::Program together = LowerOrDie(Moe(), StrategyOf({.data = 4, .tensor = 2, .expert = 2, .expert_tensor = 2}));
  const ir::Program apart = LowerOrDie(Moe(), StrategyOf({.data = 4, .tensor = 2, .expert = 4, .expert_tensor = 1}));
  const auto members = [](const ir::Program& program, const char* name) {
    for (size_t g = 0; g < program.groups.size(); ++g) {
      if (program.groups[g].name == name) return GroupMembers(program, ir::GroupId(g), 0);
    }
    return std::vector<int64_t>{};
  };
  EXPECT_EQ(members(together, "expert"), (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(members(together, "expert_data"), (std::vector<int64_t>{0, 4}));
  EXPECT_EQ(members(together, "data"), (std::vector<int64_t>{0, 2, 4, 6}));
  EXPECT_EQ(members(apart, "expert"), (std::vector<int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(members(apart, "expert_data"), (std::vector<int64_t>{0, 4}));
  EXPECT_EQ(members(LowerOrDie(Moe(), StrategyOf({.data = 2})), "expert"), std::vector<int64_t>{});
}

// Elements of each of the file's parameters that all ranks hold, counted as often as they are held.
std::map<std::string, std::map<int64_t, int>> Coverage(const ModelSpec& model, const ir::Strategy& strategy) {
  const ParameterPlan plan = PlanParameters(model, strategy, 64, 0);
  const auto mesh = MeshOf(strategy);
  std::map<std::string, std::map<int64_t, int>> covered;
  for (int64_t rank = 0; rank < strategy.world_size(); ++rank) {
    const auto coordinates = ir::Coordinates(mesh, rank);
    for (const ir::ParameterSegment& segment : plan.segments) {
      for (const ir::ParameterPiece& piece : segment.pieces) {
        const ir::Shape strides = ir::ContiguousStrides(piece.global_shape);
        for (int64_t i = 0; i < ir::ElementCount(piece.box_shape); ++i) {
          int64_t rest = i, element = 0;
          for (size_t d = piece.box_shape.size(); d-- > 0; rest /= piece.box_shape[d]) {
            element += (rest % piece.box_shape[d] + ir::Evaluate(piece.box_offset[d], mesh, coordinates)) * strides[d];
          }
          ++covered[piece.name][element];
        }
      }
    }
  }
  return covered;
}

// Eight ranks: an expert's elements are on as many as hold the same experts (and, of these, the same features), shared experts and the
// attention on the four data-parallel ranks, the router and the norms on all.
TEST(ExpertParameters, EveryElementIsHeldByTheRightRanks) {
  for (const Split& split : {Split{4, 2, 1, 2}, Split{4, 2, 2, 2}, Split{4, 2, 4, 1}, Split{4, 2, 8, 1}}) {
    const auto covered = Coverage(Moe(), StrategyOf(split));
    int64_t parameters = 0;
    for (const auto& [name, elements] : covered) {
      parameters += static_cast<int64_t>(elements.size());
      int64_t expected = 4;
      if (name.find(".mlp.experts.") != std::string::npos) {
        expected = 8 / (split.expert * split.expert_tensor);
      }
      if (name.find("mlp.gate.weight") != std::string::npos || name.find("norm") != std::string::npos) expected = 8;
      for (const auto& [element, count] : elements) ASSERT_EQ(count, expected) << name << " " << element << " expert " << split.expert;
    }
    EXPECT_EQ(parameters, ParameterCount(Moe()));
  }
}

std::map<std::string, int64_t> BytesByLabel(const ir::Program& program, const std::string& target, const std::string& group) {
  std::map<std::string, int64_t> bytes;
  for (const ir::Op& op : program.ops) {
    if (op.target == target && program.group(op.group).name == group) bytes[op.label] += CollectiveBytes(program, op).count();
  }
  return bytes;
}

// 16 tokens to 2 of 8 experts: 4 slots at each, 32 rows of 8 fp32 = 1024 bytes; they go and return, in forward and in backward. Half as
// many where each of two tensor ranks has half of the tokens; these are gathered behind the all-to-all where the experts are split: 2 x
// 512.
TEST(ExpertDispatch, SendsTheSlotsThereAndBack) {
  const ir::Program plain = LowerOrDie(Moe(), StrategyOf({.data = 2, .expert = 2}));
  EXPECT_EQ(BytesByLabel(plain, "c10d.all_to_all", "expert"),
            (std::map<std::string, int64_t>{{"moe.dispatch", 2048}, {"moe.return", 2048}}));
  const ir::Program split = LowerOrDie(Moe(), StrategyOf({.data = 2, .tensor = 2, .expert = 2, .expert_tensor = 2}));
  EXPECT_EQ(BytesByLabel(split, "c10d.all_to_all", "expert"),
            (std::map<std::string, int64_t>{{"moe.dispatch", 1024}, {"moe.return", 1024}}));
  EXPECT_EQ((BytesByLabel(split, "c10d.all_gather", "tensor")["moe.dispatch"]), 2048);
  EXPECT_EQ((BytesByLabel(split, "c10d.reduce_scatter", "tensor")["moe.return"]), 2048);
}

// Experts: 2 x (12 x 8 + 8 x 6) = 288 elements on each of four ranks that hold two experts, reduced over the two ranks with the same ones;
// with ZeRO-1 a rank keeps half of their optimizer state. Where all ranks hold different ones there is nothing to reduce or to share.
TEST(ExpertGradients, AreReducedOverTheRanksWithTheSameExperts) {
  const auto reduced = [](const Split& split, const char* target) {
    int64_t bytes = 0;
    for (const auto& [label, of_label] : BytesByLabel(LowerOrDie(Moe(), StrategyOf(split)), target, "expert_data")) {
      if (label.starts_with("gradients.experts")) bytes += of_label;
    }
    return bytes;
  };
  EXPECT_EQ(reduced({.data = 8, .expert = 4}, "c10d.all_reduce"), 288 * 4);
  EXPECT_EQ(reduced({.data = 8, .expert = 4, .zero = 1}, "c10d.reduce_scatter"), 288 * 4);
  EXPECT_EQ(reduced({.data = 8, .expert = 8, .zero = 1}, "c10d.reduce_scatter"), 0);
  for (const ir::ParameterSegment& segment : LowerOrDie(Moe(), StrategyOf({.data = 8, .expert = 4, .zero = 1})).segments) {
    const bool experts = segment.name.starts_with("experts");
    EXPECT_EQ(segment.sharded_over, experts ? std::vector<std::string>{"data"} : (std::vector<std::string>{"expert", "data"}))
        << segment.name;
  }
}

// A framework without grouped products launches one an expert and direction: up, down, and two gradients of each.
TEST(ExpertProducts, OneByOneWhereTheyAreNotGrouped) {
  const auto products = [](bool grouped) {
    ir::Software software;
    software.expert_grouped_gemm = grouped;
    int64_t count = 0;
    for (const ir::Op& op : LowerOrDie(Moe(), StrategyOf({.data = 2, .expert = 2}), software).ops) {
      if (op.target.starts_with("aten.bmm")) ++count;
    }
    return count;
  };
  EXPECT_EQ(products(true), 6);
  EXPECT_EQ(products(false), 6 * 4);
}

TEST(ExpertStrategies, RefusedWithAReason) {
  const auto message = [](const Split& split, bool sequence_parallel = true, const ModelSpec& model = Moe()) {
    ir::Strategy strategy = StrategyOf(split);
    strategy.sequence_parallel = sequence_parallel && split.tensor > 1;
    return CheckStrategy(model, Batch(strategy), strategy).message();
  };
  EXPECT_EQ(message({.data = 3, .expert = 3}),
            "error: model moe.experts 8 is not divisible by strategy.expert 3; choose a strategy.expert that divides 8");
  EXPECT_EQ(
      message({.data = 3, .expert = 2}),
      "error: strategy.expert 2 x expert_tensor 1 does not divide data x tensor x context = 3; choose degrees whose product divides 3");
  EXPECT_EQ(message({.tensor = 2}),
            "error: strategy.expert 1 x expert_tensor 1 is no multiple of tensor x context = 2; use expert_tensor: 2");
  EXPECT_EQ(
      message({.tensor = 2, .expert = 2}, false),
      "error: strategy.expert_tensor 1 with tensor 2 needs sequence_parallel: true, so that the tensor ranks have different tokens; or "
      "use expert_tensor: 2");
  EXPECT_EQ(message({.data = 2, .expert = 2, .zero = 3}),
            "error: strategy.zero 3 with expert 2 is not supported by this version; allowed: 0, 1");
  ModelSpec dense = Moe();
  dense.moe = {};
  dense.family = Family::kLlama;
  EXPECT_EQ(message({.data = 2, .expert = 2}, true, dense), "error: strategy.expert 2 needs a model with experts; allowed: 1");
}

// Three small kernels forward and three backward, of the one layer of two that has experts.
TEST(Experts, FrameworksMayLaunchMore) {
  ir::Software software;
  const auto small = [&software] {
    const ir::Program program = LowerOrDie(Moe(), StrategyOf({}), software);
    return std::ranges::count_if(program.ops, [](const ir::Op& op) { return op.label == "layer.small_kernels"; });
  };
  EXPECT_EQ(small(), 0);
  software.expert_layer_kernels = 3;
  EXPECT_EQ(small(), 2 * 3);
}

}  // namespace
}  // namespace helm::model
