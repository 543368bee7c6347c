#include "ir/schedule.h"

#include <gtest/gtest.h>

#include "ir/schedule_check.h"

namespace helm::ir {
namespace {

TEST(Schedule, InTurn) { EXPECT_EQ(ToText(ScheduleInTurn(3)), "0F0,0B0,0F1,0B1,0F2,0B2"); }

// Every form that PyTorch writes; an empty cell, where a rank does nothing, is left out.
TEST(Schedule, ReadsTheRowsOfPyTorch) {
  constexpr std::string_view kRow =
      "0UNSHARD,0F3,1RECV_F3,1I3,1W3,1SEND_B3,(0F3;1B0)OVERLAP_F_B,2B17,2SEND_F17,2RECV_B17,0RESHARD,0REDUCE_GRAD";
  const Result<Schedule> schedule = ParseSchedule(kRow);
  ASSERT_TRUE(schedule.ok()) << schedule.status().message();
  EXPECT_EQ(ToText(*schedule), kRow);
  EXPECT_EQ((*schedule)[4], (Action{1, ActionKind::kWeightGradient, 3, {}}));
  EXPECT_EQ((*schedule)[6],
            (Action{0, ActionKind::kOverlap, -1, {{0, ActionKind::kForward, 3, {}}, {1, ActionKind::kFullBackward, 0, {}}}}));
  EXPECT_EQ(ParseSchedule(",0F0, ,0B0,").value(), ScheduleInTurn(1));
}

TEST(Schedule, ErrorsSayWhatIsWrong) {
  const auto error = [](std::string_view text) {
    const std::string message = ParseAction(text).status().message();
    return message.substr(0, message.find("; such as"));
  };
  EXPECT_EQ(error("F0"), "'F0' is no action of a schedule: it begins with the number of a stage");
  EXPECT_EQ(error("0X1"), "'0X1' is no action of a schedule: 'X' is not known");
  EXPECT_EQ(error("0F"), "'0F' is no action of a schedule: 'F' needs the number of a micro-batch");
  EXPECT_EQ(error("0F1x"), "'0F1x' is no action of a schedule: it ends with the number of a micro-batch");
  EXPECT_EQ(error("0F99999999999999999999"), "'0F99999999999999999999' is no action of a schedule: 'F' needs the number of a micro-batch");
  EXPECT_EQ(error("(0F1;1B0)"), "'(0F1;1B0)' is no action of a schedule: parentheses end with )OVERLAP_F_B");
  EXPECT_EQ(error("(0F1)OVERLAP_F_B"), "'(0F1)OVERLAP_F_B' is no action of a schedule: two actions overlap");
}

// Forward, backward and for weight gradients, whichever of them have the latter two apart.
TEST(Schedule, AscendsByWhatIsDone) {
  const auto ascends = [](std::string_view row) { return Ascends(ParseSchedule(row).value()); };
  EXPECT_TRUE(ascends("0F0,0F1,0B0,0B1"));
  EXPECT_TRUE(ascends("0F0,0F1,0I0,0W0,0B1"));
  EXPECT_TRUE(ascends("0F0,0F1,0B0,0I1,0W1"));
  EXPECT_TRUE(ascends("0F0,3F0,3B0,0B0"));
  EXPECT_FALSE(ascends("0F1,0F0,0B0,0B1"));
  EXPECT_FALSE(ascends("0F0,0F1,0B1,0B0"));
  EXPECT_FALSE(ascends("0F0,0F1,0I0,0B1,0W0"));
}

}  // namespace
}  // namespace helm::ir
