// A head that is not on the last stage (nanotron): final norm and head there, the loss on the last one, logits between them.
#include <algorithm>

#include <gtest/gtest.h>

#include "ir/step_programs.h"
#include "ir/verify.h"
#include "model/lower.h"
#include "support/small_llama.h"

namespace helm::model {
namespace {

ModelSpec Llama(bool tied) {
  ModelSpec model = test::SmallLlama();
  model.tied_embeddings = tied;
  return model;
}

ir::Strategy ThreeStages() {
  ir::Strategy strategy;
  strategy.pipeline = 3;
  strategy.schedule = "1f1b";
  strategy.stages = {{0, 1}, {1, 2}, {2, 2}};
  strategy.head_stage = 1;
  return strategy;
}

ir::StepPrograms LowerAll(const ModelSpec& model, const ir::Strategy& strategy) {
  ir::Workload workload;
  workload.global_batch = strategy.data;
  workload.sequence_length = 6;
  ir::StepPrograms step;
  for (int32_t stage = 0; stage < strategy.pipeline; ++stage) {
    const ir::Schedule turn = {{stage, ir::ActionKind::kForward, 0, {}}, {stage, ir::ActionKind::kFullBackward, 0, {}}};
    const auto program = LowerStage(model, workload, {}, strategy, ir::DeviceKind::kCpu, turn, stage);
    EXPECT_TRUE(program.ok()) << program.status().message();
    if (program.ok()) step.classes.push_back(*program);
  }
  return step;
}

// Between head and loss travel 6 tokens x 50 logits forth and their gradient back; the messages before them are 6 x 24.
TEST(HeadStage, LogitsTravelToTheLoss) {
  const ir::StepPrograms step = LowerAll(Llama(false), ThreeStages());
  ASSERT_EQ(step.classes.size(), 3u);
  EXPECT_EQ(VerifyStep(step).message(), "");
  const ir::Program& loss = step.classes[2];
  EXPECT_TRUE(loss.segments.empty());
  EXPECT_TRUE(loss.outputs.contains("loss"));
  EXPECT_FALSE(step.classes[1].outputs.contains("loss"));
  for (const ir::Op& op : loss.ops) {
    if (!ir::IsPointToPoint(op)) continue;
    const ir::TensorId message = op.target == "c10d.recv" ? op.results[0] : ir::TensorArguments(op)[0];
    EXPECT_EQ(loss.tensor(message).shape, (ir::Shape{6, 50}));
  }
  const auto has = [&](const ir::Program& program, const std::string& label) {
    return std::ranges::any_of(program.ops, [&](const ir::Op& op) { return op.label == label; });
  };
  EXPECT_TRUE(has(step.classes[1], "head"));
  EXPECT_FALSE(has(loss, "head"));
}

// Embedding and head share their table: their gradients are summed between the stages that hold it.
TEST(HeadStage, TiedEmbeddingsMeetAtTheHead) {
  const ir::StepPrograms step = LowerAll(Llama(true), ThreeStages());
  EXPECT_EQ(VerifyStep(step).message(), "");
  const auto& groups = step.classes[0].groups;
  const auto embedding = std::ranges::find(groups, "embedding", &ir::Group::name);
  ASSERT_NE(embedding, groups.end());
  EXPECT_EQ(embedding->coordinates, (std::vector<int64_t>{0, 1}));
}

TEST(HeadStage, StandsBehindAllLayers) {
  ir::Strategy strategy = ThreeStages();
  strategy.stages = {{0, 1}, {1, 1}, {1, 2}};
  ir::Workload workload;
  workload.global_batch = 1;
  workload.sequence_length = 6;
  EXPECT_EQ(CheckStrategy(Llama(false), workload, strategy).message(),
            "error: strategy.stages: stage 2 has layers, behind the head on stage 1");
  strategy.stages.clear();
  EXPECT_NE(CheckStrategy(Llama(false), workload, strategy).message().find("head_stage before the last stage needs strategy.stages"),
            std::string::npos);
}

}  // namespace
}  // namespace helm::model
