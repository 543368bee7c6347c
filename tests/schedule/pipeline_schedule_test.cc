#include "schedule/pipeline_schedule.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

namespace helm::schedule {
namespace {

std::vector<std::string> Rows(const std::string& name, int64_t stages, int64_t micro_batches, int64_t virtual_stages = 1) {
  const ir::Strategy strategy{.pipeline = stages, .virtual_pipeline = virtual_stages, .schedule = name};
  const auto schedules = PipelineSchedules(strategy, micro_batches);
  if (!schedules.ok()) return {schedules.status().message()};
  std::vector<std::string> rows;
  for (const ir::Schedule& schedule : *schedules) rows.push_back(ir::ToText(schedule));
  return rows;
}

using Expected = std::vector<std::string>;

TEST(PipelineSchedules, GPipeRunsAllForwardsFirst) { EXPECT_EQ(Rows("gpipe", 2, 2), (Expected{"0F0,0F1,0B0,0B1", "1F0,1F1,1B0,1B1"})); }

// Stage r runs p - r - 1 forwards ahead: 2, 1, 0.
TEST(PipelineSchedules, OneForwardOneBackward) {
  EXPECT_EQ(Rows("1f1b", 3, 4),
            (Expected{"0F0,0F1,0F2,0B0,0F3,0B1,0B2,0B3", "1F0,1F1,1B0,1F2,1B1,1F3,1B2,1B3", "2F0,2B0,2F1,2B1,2F2,2B2,2F3,2B3"}));
}

// Two stages of two chunks (stage 0: chunks 0 and 2): stage 0 runs 2(p-1) + (v-1)p = 4 forwards ahead, stage 1 runs 2.
TEST(PipelineSchedules, InterleavedRunsChunkAfterChunkInGroupsOfStages) {
  EXPECT_EQ(Rows("interleaved-1f1b", 2, 2, 2), (Expected{"0F0,0F1,2F0,2F1,2B0,2B1,0B0,0B1", "1F0,1F1,3F0,3B0,3F1,3B1,1B0,1B1"}));
}

// The weight gradients of stage r come r micro-batches later.
TEST(PipelineSchedules, ZeroBubbleH1PutsWeightGradientsApart) {
  EXPECT_EQ(Rows("zb-h1", 2, 3), (Expected{"0F0,0F1,0I0,0W0,0F2,0I1,0W1,0I2,0W2", "1F0,1I0,1F1,1I1,1W0,1F2,1I2,1W1,1W2"}));
}

TEST(PipelineSchedules, RefusesWhatTheScheduleCannotDo) {
  EXPECT_EQ(Rows("1f1b", 2, 4, 2)[0], "error: strategy.virtual_pipeline 2 needs schedule: interleaved-1f1b, not 1f1b");
  EXPECT_NE(Rows("interleaved-1f1b", 4, 6, 2)[0].find("in groups of strategy.pipeline 4, there are 6"), std::string::npos);
  EXPECT_NE(Rows("1f2b", 2, 4)[0].find("allowed: none, gpipe, 1f1b, interleaved-1f1b, zb-h1"), std::string::npos);
}

RC_GTEST_PROP(PipelineSchedules, EveryScheduleIsCompleteAndRuns, ()) {
  const std::string name = *rc::gen::element<std::string>("gpipe", "1f1b", "interleaved-1f1b", "zb-h1");
  const int64_t stages = *rc::gen::inRange<int64_t>(2, 7);
  const bool interleaved = name == "interleaved-1f1b";
  const int64_t virtual_stages = interleaved ? *rc::gen::inRange<int64_t>(1, 4) : 1;
  const int64_t micro_batches = *rc::gen::inRange<int64_t>(1, 9) * (interleaved ? stages : 1);
  const auto schedules = PipelineSchedules({.pipeline = stages, .virtual_pipeline = virtual_stages, .schedule = name}, micro_batches);
  RC_ASSERT(schedules.ok());
  RC_ASSERT(CheckSchedules(*schedules, stages * virtual_stages, micro_batches).message() == "");
}

std::string Problem(const std::vector<std::string>& rows, int64_t micro_batches) {
  std::vector<ir::Schedule> schedules;
  for (const std::string& row : rows) schedules.push_back(ir::ParseSchedule(row).value());
  return CheckSchedules(schedules, static_cast<int64_t>(rows.size()), micro_batches).message();
}

TEST(CheckSchedules, SaysWhatIsWrong) {
  EXPECT_EQ(Problem({"0F0,0B0", "1F0,1B0"}, 1), "");
  EXPECT_NE(Problem({"0F0,0B0", "1F0"}, 1).find("chunk 1 runs F 1, B 0, I 0 and W 0 times for micro-batch 0"), std::string::npos);
  EXPECT_NE(Problem({"0F0,0I0", "1F0,1B0"}, 1).find("chunk 0 runs F 1, B 0, I 1 and W 0"), std::string::npos);
  EXPECT_NE(Problem({"0F0,1B0", "1F0,0B0"}, 1).find("stage 0 of 2 cannot run 1B0"), std::string::npos);
  EXPECT_NE(Problem({"0B0,0F0", "1F0,1B0"}, 1).find("stage 0 waits for ever before its action 0, 0B0"), std::string::npos);
}

}  // namespace
}  // namespace helm::schedule
