#include "validation/row.h"

#include <gtest/gtest.h>

namespace helm::validation {
namespace {

TEST(Suite, ReadsTheSample) {
  const auto rows = ReadSuite("tests/validation/sample.yaml");
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  ASSERT_EQ(rows->size(), 4u);
  for (const Row& row : *rows) EXPECT_EQ(row.problem, "") << row.id;
  const Row& simumax = (*rows)[1];
  EXPECT_EQ(simumax.source, "sample");
  EXPECT_TRUE(simumax.complete);
  EXPECT_EQ(simumax.measured.step_time_s, 0.843);
  ASSERT_EQ(simumax.measured.memory.size(), 2u);  // the peak, and what is reserved beside it
  EXPECT_EQ(simumax.measured.memory[0].kind, MemoryKind::kAllocated);
  EXPECT_EQ(simumax.measured.memory[0].gib, 66.55);
  EXPECT_EQ(simumax.measured.memory[1].kind, MemoryKind::kReserved);
  EXPECT_EQ(simumax.measured.memory[1].gib, 70.88);
  EXPECT_EQ((*rows)[3].missing.size(), 4u);
}

constexpr char kRow[] =
    "- {id: a, complete: true, cluster: {}, model: {}, workload: {}, strategy: {}, software: {}, measured: {step_time_s: 1.5, peak_memory: "
    "null}";

TEST(Suite, AWrongRowIsKeptWithItsProblem) {
  const std::string head = "format: helm-validation/1\nruns:\n";
  const auto rows = ParseSuite(head + kRow + "}\n" + kRow + ", mesured: 1}\n- {id: b}\n", "suites/s.yaml");
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  ASSERT_EQ(rows->size(), 3u);
  EXPECT_EQ((*rows)[0].problem, "");
  EXPECT_NE((*rows)[1].problem.find("unknown key 'mesured' in the row"), std::string::npos);
  EXPECT_NE((*rows)[2].problem.find("the row needs the key 'complete'"), std::string::npos);
}

TEST(Suite, AnotherFormatIsAnError) {
  EXPECT_NE(ParseSuite("format: helm-validation/2\nruns: []\n", "s.yaml").status().message().find("allowed: helm-validation/1"),
            std::string::npos);
  EXPECT_FALSE(ParseSuite("format: helm-validation/1\n", "s.yaml").ok());
}

}  // namespace
}  // namespace helm::validation
