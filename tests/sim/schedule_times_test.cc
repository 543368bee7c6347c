#include "sim/schedule_times.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/program_from_text.h"

namespace helm::sim {
namespace {

constexpr std::string_view kProgram = R"(helm-program/1
program checked device=cuda
storage x: 40 bytes input persistent
tensor %x: f32[10] @x
input x = %x
#0 %a: f32[10] = aten.relu(%x) {phase=forward label="first"}
#1 %b: f32[10] = aten.neg(%a) {phase=forward label="second"}
output b = %b
)";

// The self-checks can fail: each test breaks a good schedule (launches 0 and 1 take 1 ps, ops 100 and 10) in one way.
class CheckSchedule : public testing::Test {
 protected:
  CheckSchedule() : step_{{test::ProgramFromText(kProgram)}} {
    TaskCosts costs;
    costs.host.per_op = Duration::Picoseconds(1);
    costs.ops.resize(2);
    costs.ops[0].duration = Duration::Picoseconds(100);
    costs.ops[1].duration = Duration::Picoseconds(10);
    times_ = Schedule(BuildStepGraph(step_, {costs}, false).value());
    path_ = CriticalPath(times_.step_graph.graph, times_.finish);
    breakdown_ = BreakdownOf(step_, times_, 0);
  }

  std::string Message() const { return sim::CheckSchedule(step_, times_, path_, {breakdown_}).message(); }

  ir::StepPrograms step_;
  ScheduleTimes times_;
  std::vector<uint32_t> path_;
  Breakdown breakdown_;
};

TEST_F(CheckSchedule, GoodScheduleIsOk) { EXPECT_EQ(Message(), ""); }

TEST_F(CheckSchedule, TimeThatGoesBack) {
  times_.finish[3] -= 5;  // op 1 would start before op 0 has ended
  EXPECT_THAT(Message(), testing::HasSubstr("time goes back at op 1 (aten.neg 'second')"));
}

TEST_F(CheckSchedule, TwoTasksAtOnce) {
  times_.step_graph.classes[0].tasks_by_resource[1] = {3, 1};
  EXPECT_THAT(Message(), testing::HasSubstr("two tasks at once on one stream at op 0"));
}

TEST_F(CheckSchedule, OpThatDidNotRun) {
  times_.step_graph.tasks[3].op = ir::OpId(0);
  EXPECT_THAT(Message(), testing::HasSubstr("op 0 (aten.relu) was launched 1 times and ran 2 times"));
}

TEST_F(CheckSchedule, PathShorterThanTheStep) {
  path_.pop_back();
  EXPECT_THAT(Message(), testing::HasSubstr("the critical path takes 101 ps, the step 111 ps"));
}

TEST_F(CheckSchedule, PartsThatDoNotSum) {
  breakdown_.bubble += Duration::Picoseconds(1);
  EXPECT_THAT(Message(), testing::HasSubstr("the breakdown sums to 112 ps, the step takes 111 ps"));
}

TEST_F(CheckSchedule, TimeOutsideTheStep) {
  times_.makespan -= 1;
  EXPECT_THAT(Message(), testing::HasSubstr("a time outside the step at op 1"));
}

}  // namespace
}  // namespace helm::sim
