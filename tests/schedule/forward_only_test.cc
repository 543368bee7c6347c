#include "schedule/forward_only.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "ir/step_programs.h"
#include "ir/verify.h"
#include "schedule/pass.h"
#include "support/small_step.h"

namespace helm::schedule {
namespace {

// One sequence of 16 tokens in each of two micro-batches, over two tensor ranks and `pipeline` stages of a layer.
ir::StepPrograms Step(int64_t pipeline) {
  ir::Strategy strategy;
  strategy.tensor = 2;
  strategy.sequence_parallel = true;
  strategy.pipeline = pipeline;
  if (pipeline > 1) strategy.schedule = "1f1b";
  return test::StepOf(test::SmallModel(2), strategy, 2, ir::DeviceKind::kCuda);
}

int64_t Count(const ir::Program& program, const std::string& target) { return std::ranges::count(program.ops, target, &ir::Op::target); }

// Two micro-batches through two layers: four attentions, and nothing of backward; parameters stay in memory, gradients and the optimizer's
// state do not; what comes out are the hidden states of each micro-batch, [16 / 2 tokens, 32].
TEST(ForwardOnly, KeepsTheLayersOfAPrefill) {
  const ir::StepPrograms step = Step(1);
  const auto program = RunPass("forward_only", step.classes[0]);
  ASSERT_TRUE(program.ok()) << program.status().message();
  EXPECT_EQ(Count(*program, "aten._scaled_dot_product_flash_attention"), 4);
  for (const ir::Op& op : program->ops) EXPECT_EQ(op.phase, ir::Phase::kForward) << op.label;
  for (const ir::Storage& storage : program->storages) {
    EXPECT_NE(storage.role, ir::StorageRole::kGradient) << storage.name;
    EXPECT_NE(storage.role, ir::StorageRole::kOptimizerState) << storage.name;
  }
  ASSERT_EQ(program->outputs.size(), 2U);
  EXPECT_EQ(program->tensor(program->outputs.at("hidden.1")).shape, (ir::Shape{8, 32}));
  EXPECT_EQ(program->inputs.size(), 2U);  // tokens, and no labels
  EXPECT_EQ(program->schedule.size(), 2U);
}

// Stages send what the next one receives, once for each micro-batch; tiles of it are a valid program.
TEST(ForwardOnly, KeepsMessagesBetweenStages) {
  ir::StepPrograms step = Step(2);
  for (ir::Program& program : step.classes) {
    for (const char* pass : {"forward_only", "tile=2", "round_robin"}) {
      auto changed = RunPass(pass, program);
      ASSERT_TRUE(changed.ok()) << changed.status().message();
      program = std::move(changed).value();
    }
  }
  EXPECT_EQ(Count(step.classes[0], "c10d.send"), 2);
  EXPECT_EQ(Count(step.classes[1], "c10d.recv"), 2);
  EXPECT_EQ(ir::VerifyStep(step).message(), "");
}

TEST(ForwardOnly, SaysWhatIsMissing) {
  const ir::StepPrograms step = Step(1);
  ir::Program program = step.classes[0];
  for (ir::Op& op : program.ops) op.layer = -1;
  EXPECT_NE(ForwardOnly(program).status().message().find("has no forward action of a layer"), std::string::npos);
}

}  // namespace
}  // namespace helm::schedule
