// CheckpointTest: jobs on processes that stay alive between them, which write checkpoints and go on from them.
#pragma once

#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "exec/checkpoint_folder.h"
#include "exec/private_folder.h"
#include "exec/rank_pool.h"
#include "exec/runs.h"
#include "training_plan.h"

namespace helm::exec {

constexpr int64_t kCheckpointRanks = 4;

struct CheckpointRun {
  Job job;
  JobRecord record;
};

class CheckpointTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto pool = RankPool::Start({.ranks = kCheckpointRanks, .log = [](std::string_view line) { std::cerr << line << "\n"; }});
    ASSERT_TRUE(pool.ok()) << pool.status().message();
    pool_ = std::move(*pool);
  }
  static void TearDownTestSuite() { pool_.reset(); }
  void SetUp() override {
    auto folder = PrivateFolder::Make();
    ASSERT_TRUE(folder.ok()) << folder.status().message();
    folder_ = std::move(*folder);
  }

  // As --verify runs it: with AdamW's epsilon of comparisons.
  static ir::Plan PlanOf(const model::ModelSpec& model, const PlanSettings& settings) {
    ir::Plan plan = MakePlan(model, settings);
    plan.workload.optimizer.epsilon = kVerifyEpsilon;
    return plan;
  }

  // Steps `first` to `last`; from `resume`, where it is given.
  Result<CheckpointRun> Run(const ir::Plan& plan, int64_t first, int64_t last, const CheckpointOptions& checkpoint = {}) {
    CheckpointRun run{.job = {.plan = plan,
                              .plan_path = "plan.yaml",
                              .first_step = first,
                              .steps = last - first,
                              .checkpoint = checkpoint,
                              .keep_state = true,
                              .folder = folder_->path(),
                              .tag = "job" + std::to_string(jobs_++),
                              .threads_per_rank = 1},
                      .record = {}};
    HELM_ASSIGN_OR_RETURN(run.record, pool_->Run(run.job, {}));
    return run;
  }

  std::string folder() const { return folder_->path() + "/checkpoints"; }

  static std::unique_ptr<RankPool> pool_;
  std::unique_ptr<PrivateFolder> folder_;
  int64_t jobs_ = 0;
};
inline std::unique_ptr<RankPool> CheckpointTest::pool_;

}  // namespace helm::exec
