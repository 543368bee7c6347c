#include "ir/schedule_csv.h"

#include <gtest/gtest.h>

#include "ir/schedule_check.h"

namespace helm::ir {
namespace {

std::string ErrorOf(std::string_view text) { return ParseScheduleCsv(text, "s.csv").status().message(); }

TEST(ScheduleCsv, ReadsWhatPyTorchWrites) {
  // Pauses, blanks, Windows line ends (Python's csv writer), a pair run as one.
  const auto rows = ParseScheduleCsv("0F0, 0F1,,,0B0,0B1\r\n,1F0,1B0,(1F1;1B1)OVERLAP_F_B\r\n\n", "s.csv");
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  EXPECT_EQ(ToCsv(*rows), "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n");
  EXPECT_EQ(StagesOf(*rows), 2);
  EXPECT_EQ(MicroBatchesOf(*rows), 2);
}

// Two stages a row: in a loop, and in a V.
TEST(ScheduleCsv, TakesLoopsAndVs) {
  EXPECT_EQ(ErrorOf("0F0,2F0,2B0,0B0\n1F0,3F0,3B0,1B0\n"), "");
  EXPECT_EQ(ErrorOf("0F0,3F0,3I0,0I0,3W0,0W0\n1F0,2F0,2I0,1I0,1W0,2W0\n"), "");
}

TEST(ScheduleCsv, ErrorsNameThePlace) {
  EXPECT_EQ(ErrorOf("\n"), "s.csv: error: the schedule has no row\n  fix: write one row of actions for each rank of the pipeline");
  EXPECT_EQ(ErrorOf("0F0,0B0\n1F0, 1X0\n").substr(0, 51), "s.csv:2:6: error: '1X0' is no action of a schedule:");
  EXPECT_NE(ErrorOf("0F0,0B0\n\n1F0,1B0").find("s.csv:2:1: error: the row has no action"), std::string::npos);
  EXPECT_NE(ErrorOf("0F0,0SEND_F0,0B0\n1F0,1B0").find("s.csv:1:5: error: 0SEND_F0 is no computation"), std::string::npos);
  EXPECT_NE(ErrorOf("0F0,0B0,0F0\n1F0,1B0").find("s.csv:1:9: error: 0F0 runs a second time; the first is number 1 of row 1"),
            std::string::npos);
  EXPECT_NE(ErrorOf("0F0,1B0\n1F0,0B0").find("s.csv:2:5: error: stage 0 runs on row 1 and on row 2"), std::string::npos);
  EXPECT_NE(ErrorOf("0F0,0B0\n1F0").find("s.csv:2:1: error: stage 1 runs F 1, B 0, I 0 and W 0 times for micro-batch 0"),
            std::string::npos);
  EXPECT_NE(ErrorOf("1F0,1B0\n0F0,0B0").find("s.csv:2:1: error: stage 0 runs on row 1; HELM places stage i on row i mod 2"),
            std::string::npos);
  EXPECT_NE(ErrorOf("0F0,0B0,2F0,2B0\n1F0,1B0").find("there are 3 stages on 2 rows"), std::string::npos);
}

// Row 1 wants to come back before it has sent the second micro-batch, row 2 wants the second before the first goes back.
TEST(ScheduleCsv, NamesWhoWaitsForWhom) {
  const std::string error = ErrorOf("0F0,0B0,0F1,0B1\n1F0,1F1,1B0,1B1");
  EXPECT_NE(error.find("s.csv:1:5: error: the ranks wait for each other for ever; 0B0 (row 1) waits for 1B0, which row 2 runs behind 1F1; "
                       "1F1 (row 2) waits for 0F1, which row 1 runs behind 0B0"),
            std::string::npos)
      << error;
}

// Numbers that nobody means cost nothing.
TEST(ScheduleCsv, LargeNumbersAreCheap) { EXPECT_NE(ErrorOf("999999F999999").find("runs nowhere"), std::string::npos); }

}  // namespace
}  // namespace helm::ir
