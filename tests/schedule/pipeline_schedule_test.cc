#include "schedule/pipeline_schedule.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>

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

// Up to 2p - 1 = 3 in flight; input gradients before forwards, weight gradients where there is nothing else. No round without work:
//   round    0   1   2   3   4   5   6   7   8   9
//   stage 0  F0  F1  F2  I0  W0  I1  W1  I2  W2
//   stage 1      F0  I0  F1  I1  F2  I2  W0  W1  W2
TEST(PipelineSchedules, ZeroBubbleH2RunsFurtherAhead) {
  EXPECT_EQ(Rows("zb-h2", 2, 3), (Expected{"0F0,0F1,0F2,0I0,0W0,0I1,0W1,0I2,0W2", "1F0,1I0,1F1,1I1,1F2,1I2,1W0,1W1,1W2"}));
}

// Stage 0 has chunks 0 and 3, stage 1 chunks 1 and 2. Micro-batch 0 passes 0, 1, 2, 3 in rounds 0 to 3 and comes back in 4 to 7; the second
// follows where there is room.
TEST(PipelineSchedules, ZeroBubbleVGoesUpAndDown) {
  EXPECT_EQ(Rows("zb-v", 2, 1, 2), (Expected{"0F0,3F0,3I0,3W0,0I0,0W0", "1F0,2F0,2I0,1I0,2W0,1W0"}));
}

TEST(PipelineSchedules, RefusesWhatTheScheduleCannotDo) {
  EXPECT_EQ(Rows("1f1b", 2, 4, 2)[0], "error: strategy.virtual_pipeline 2 needs schedule: interleaved-1f1b, not 1f1b");
  EXPECT_NE(Rows("interleaved-1f1b", 4, 6, 2)[0].find("in groups of strategy.pipeline 4, there are 6"), std::string::npos);
  EXPECT_NE(Rows("none", 1, int64_t{1} << 40)[0].find("1099511627776 micro-batches is too long; allowed: up to 65536"), std::string::npos);
  EXPECT_NE(Rows("1f2b", 2, 4)[0].find("allowed: none, gpipe, 1f1b, interleaved-1f1b, zb-h1, zb-h2, zb-v, dualpipev"), std::string::npos);
  EXPECT_EQ(Rows("zb-v", 2, 4)[0], "error: schedule zb-v has two chunks on each stage; give strategy.virtual_pipeline 2, not 1");
  EXPECT_NE(Rows("dualpipev", 4, 7, 2)[0].find("needs at least 2 x strategy.pipeline = 8 micro-batches, there are 7"), std::string::npos);
}

// Plays schedules in which each F, I and W takes one round and B two, messages nothing. Independent of the code that made them.
struct Played {
  std::vector<int64_t> bubbles;  // rounds without work between a stage's first action and its last
  int64_t rounds = 0;
  int64_t in_flight_most = 0;  // chunk-forwards of one stage whose weight gradient has not run
};

Played Play(const std::vector<ir::Schedule>& schedules, int64_t chunks) {
  std::map<std::tuple<char, int64_t, int64_t>, int64_t> done;  // F or backward, chunk, micro-batch -> round of its end
  std::vector<size_t> next(schedules.size(), 0);
  std::vector<int64_t> clock(schedules.size(), 0), first(schedules.size(), -1), work(schedules.size(), 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (size_t stage = 0; stage < schedules.size(); ++stage) {
      for (; next[stage] < schedules[stage].size(); ++next[stage], moved = true) {
        const ir::Action& action = schedules[stage][next[stage]];
        const bool forward = action.kind == ir::ActionKind::kForward, weight = action.kind == ir::ActionKind::kWeightGradient;
        const int64_t before = forward ? action.stage - 1 : action.stage + 1;
        const bool needs = !weight && before >= 0 && before < chunks;
        const auto found = done.find({forward ? 'F' : 'I', before, action.micro_batch});
        if (needs && found == done.end()) break;
        const int64_t start = std::max(clock[stage], needs ? found->second : 0);
        const int64_t rounds = action.kind == ir::ActionKind::kFullBackward ? 2 : 1;
        if (first[stage] < 0) first[stage] = start;
        clock[stage] = start + rounds;
        work[stage] += rounds;
        if (!weight) done[{forward ? 'F' : 'I', action.stage, action.micro_batch}] = clock[stage];
      }
    }
  }
  Played played;
  for (size_t stage = 0; stage < schedules.size(); ++stage) {
    played.bubbles.push_back(clock[stage] - first[stage] - work[stage]);
    played.rounds = std::max(played.rounds, clock[stage]);
    int64_t in_flight = 0;
    for (const ir::Action& action : schedules[stage]) {
      if (action.kind == ir::ActionKind::kForward) played.in_flight_most = std::max(played.in_flight_most, ++in_flight);
      if (action.kind == ir::ActionKind::kWeightGradient || action.kind == ir::ActionKind::kFullBackward) --in_flight;
    }
  }
  return played;
}

Played PlayNamed(const std::string& name, int64_t stages, int64_t micro_batches, int64_t virtual_stages = 1) {
  const ir::Strategy strategy{.pipeline = stages, .virtual_pipeline = virtual_stages, .schedule = name};
  return Play(PipelineSchedules(strategy, micro_batches).value(), stages * virtual_stages);
}

// Closed forms with F = I = W = 1, B = 2 (Qi et al. 2023, Table 1); each stage works 3m rounds.
//   1f1b: stage 0 has a bubble of (p - 1)(F + B) = 3(p - 1), starts first and ends last: 3m + 3(p - 1).
//   zb-h2: (p - 1)(F + I - 2W) = 0 on any stage, so stage p - 1, which starts in round p - 1, ends last; 2p - 1 micro-batches in flight.
TEST(PipelineSchedules, ZeroBubbleH2HasNoBubble) {
  for (const int64_t stages : {2, 4, 8}) {
    for (const int64_t micro_batches : {2 * stages, 3 * stages + 1}) {
      EXPECT_EQ(PlayNamed("1f1b", stages, micro_batches).rounds, 3 * micro_batches + 3 * (stages - 1));
      const Played played = PlayNamed("zb-h2", stages, micro_batches);
      EXPECT_EQ(played.bubbles, std::vector<int64_t>(static_cast<size_t>(stages), 0));
      EXPECT_EQ(played.rounds, 3 * micro_batches + stages - 1);
      EXPECT_EQ(played.in_flight_most, 2 * stages - 1);
    }
  }
}

// Two chunks a stage: 6m rounds of work on each. Stage p - 1 cannot start before round p - 1, so 6m + p - 1 is the least there can be; 2p
// chunks, half a stage each, are in flight: as much as 1f1b's p stages.
TEST(PipelineSchedules, ZeroBubbleVIsAsShortAsCanBe) {
  for (const int64_t stages : {2, 3, 4, 5, 8}) {
    for (const int64_t micro_batches : {stages, 2 * stages, 3 * stages + 1}) {
      const Played played = PlayNamed("zb-v", stages, micro_batches, 2);
      EXPECT_EQ(played.rounds, 6 * micro_batches + stages - 1);
      EXPECT_EQ(played.in_flight_most, 2 * stages);
    }
  }
}

// DualPipeV where the two of a pair follow each other: the same least time; at most 2p + 1 chunks in flight.
TEST(PipelineSchedules, DualPipeVIsAsShortAsCanBe) {
  for (const int64_t stages : {2, 4, 8}) {
    for (const int64_t micro_batches : {2 * stages, 2 * stages + 2, 4 * stages}) {
      const Played played = PlayNamed("dualpipev", stages, micro_batches, 2);
      EXPECT_EQ(played.rounds, 6 * micro_batches + stages - 1);
      EXPECT_LE(played.in_flight_most, 2 * stages + 1);
    }
  }
}

RC_GTEST_PROP(PipelineSchedules, EveryScheduleIsCompleteAndRuns, ()) {
  const std::string name = *rc::gen::element<std::string>("gpipe", "1f1b", "interleaved-1f1b", "zb-h1", "zb-h2", "zb-v", "dualpipev");
  const int64_t stages = *rc::gen::inRange<int64_t>(2, 7);
  const bool interleaved = name == "interleaved-1f1b";
  const bool folded = name == "zb-v" || name == "dualpipev";
  const int64_t virtual_stages = folded ? 2 : interleaved ? *rc::gen::inRange<int64_t>(2, 4) : 1;
  const int64_t least = name == "dualpipev" ? 2 * stages : 1;
  const int64_t micro_batches = *rc::gen::inRange<int64_t>(least, least + 8) * (interleaved ? stages : 1);
  const ir::Strategy strategy{.pipeline = stages, .virtual_pipeline = virtual_stages, .schedule = name};
  const auto schedules = PipelineSchedules(strategy, micro_batches);
  RC_ASSERT(schedules.ok());
  RC_ASSERT(CheckSchedules(*schedules, StagesOfChunks(strategy), micro_batches).message() == "");
}

std::string Problem(const std::vector<std::string>& rows, int64_t micro_batches) {
  std::vector<ir::Schedule> schedules;
  for (const std::string& row : rows) schedules.push_back(ir::ParseSchedule(row).value());
  const ir::Strategy strategy{.pipeline = static_cast<int64_t>(rows.size()), .schedule = "1f1b"};
  return CheckSchedules(schedules, StagesOfChunks(strategy), micro_batches).message();
}

TEST(CheckSchedules, SaysWhatIsWrong) {
  EXPECT_EQ(Problem({"0F0,0B0", "1F0,1B0"}, 1), "");
  EXPECT_NE(Problem({"0F0,0B0", "1F0"}, 1).find("stage 1 runs F 1, B 0, I 0 and W 0 times for micro-batch 0"), std::string::npos);
  EXPECT_NE(Problem({"0F0,0I0", "1F0,1B0"}, 1).find("stage 0 runs F 1, B 0, I 1 and W 0"), std::string::npos);
  EXPECT_NE(Problem({"0F0,1B0", "1F0,0B0"}, 1).find("stage 0 cannot run 1B0; its actions are F, B, I and W of chunk 0"), std::string::npos);
  EXPECT_NE(Problem({"0B0,0F0", "1F0,1B0"}, 1).find("0B0 (row 1) waits for 0F0, which row 1 runs behind 0B0"), std::string::npos);
}

}  // namespace
}  // namespace helm::schedule
