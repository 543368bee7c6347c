#include "formats/nccl_tests.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"

namespace helm::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

NcclTestsFile Sample(const std::string& name) {
  const std::string path = "tests/samples/nccl_tests/" + name;
  const std::string content = ReadFile(path).value();
  return (name.ends_with(".json") ? ParseNcclTestsJson(content, name) : ParseNcclTestsText(content, name)).value();
}

TEST(NcclTests, ReadsTheTableAndTheRanks) {
  const NcclTestsFile file = Sample("all_reduce_8.txt");
  ASSERT_EQ(file.runs.size(), 1U);
  const NcclTestsRun& run = file.runs[0];
  EXPECT_EQ(run.program, "all_reduce_perf");
  EXPECT_EQ(run.nccl_version, "22809");
  EXPECT_EQ(run.iterations, 20);  // iters: 20, agg iters: 1; not the warm-up
  ASSERT_EQ(run.ranks.size(), 8U);
  EXPECT_EQ(run.ranks[7], (NcclTestsRanks{0, "node-01", "NVIDIA H100 80GB HBM3", 1}));
  ASSERT_EQ(run.rows.size(), 3U);
  EXPECT_EQ(run.rows[2].bytes, Bytes(1073741824));
  EXPECT_EQ(run.rows[2].type, "float");
  EXPECT_EQ(run.rows[2].reduction, "sum");
  EXPECT_EQ(run.rows[2].out_of_place, (NcclTestsTime{Duration::Microseconds(4096.25), {}, 0}));
  EXPECT_EQ(run.rows[2].in_place, (NcclTestsTime{Duration::Microseconds(4100.5), {}, 0}));
  EXPECT_TRUE(file.omissions.empty());
}

TEST(NcclTests, ReadsSeveralRunsAmongOtherLines) {
  const NcclTestsFile file = Sample("two_nodes.log");
  ASSERT_EQ(file.runs.size(), 2U);
  EXPECT_EQ(file.runs[0].program, "reduce_scatter_perf");
  EXPECT_EQ(file.runs[0].ranks.size(), 16U);
  EXPECT_EQ(file.runs[0].rows[1].out_of_place->wrong_elements, 3);
  EXPECT_EQ(file.runs[1].program, "all_gather_perf");
  EXPECT_EQ(file.runs[1].rows[0].out_of_place->wrong_elements, -1);  // N/A
  EXPECT_THAT(file.omissions.Lines(), ElementsAre("left out: lines that are not of nccl-tests: 1 (the first at two_nodes.log:1)"));
}

// `redop` is blank, the table has the column `error`, the ranks have no group, and nobody says which test it was.
TEST(NcclTests, ReadsOutputOfBefore2025) {
  const NcclTestsFile file = Sample("before_2025.txt");
  ASSERT_EQ(file.runs.size(), 1U);
  EXPECT_EQ(file.runs[0].program, "");
  EXPECT_EQ(file.runs[0].ranks.size(), 4U);
  EXPECT_EQ(file.runs[0].ranks[3].device, "NVIDIA A100-SXM4-80GB");
  ASSERT_EQ(file.runs[0].rows.size(), 1U);
  EXPECT_EQ(file.runs[0].rows[0].reduction, "");
  EXPECT_EQ(file.runs[0].rows[0].out_of_place, (NcclTestsTime{Duration::Microseconds(45.5), {}, -1}));
  EXPECT_EQ(file.runs[0].rows[0].in_place, (NcclTestsTime{Duration::Microseconds(44.1), {}, -1}));
}

// The JSON lists the first rank of each process: here one process of eight GPUs. Its first iteration is left out (-K 1).
TEST(NcclTests, ReadsJson) {
  const NcclTestsFile file = Sample("all_gather_8.json");
  ASSERT_EQ(file.runs.size(), 1U);
  const NcclTestsRun& run = file.runs[0];
  EXPECT_EQ(run.program, "all_gather_perf");
  EXPECT_THAT(run.ranks, ElementsAre(NcclTestsRanks{0, "node-01", "NVIDIA H100 80GB HBM3", 8}));
  ASSERT_EQ(run.rows.size(), 2U);
  EXPECT_EQ(run.rows[0].out_of_place->time, Duration::Microseconds(42));
  EXPECT_THAT(run.rows[0].out_of_place->iterations,
              ElementsAre(Duration::Microseconds(40), Duration::Microseconds(41), Duration::Microseconds(42), Duration::Microseconds(44),
                          Duration::Microseconds(43)));
  EXPECT_TRUE(run.rows[1].out_of_place->iterations.empty());
}

// -I 1 puts four columns between the two halves, -S two words (a date and a time) behind them; a time may be written 1.2e+06.
TEST(NcclTests, FindsColumnsByTheirNames) {
  const std::string text =
      "# nThread 1 nGpus 2 minBytes 8 maxBytes 8 step: 2(factor) warmup iters: 1 iters: 5 agg iters: 3 validation: 1 graph: 0\n"
      "# Using devices\n"
      "#  Rank  0 Group  0 Pid  1 on  n device  0 [0000:07:00] GPU\n"
      "#  Rank  1 Group  0 Pid  1 on  n device  1 [0000:08:00] GPU\n"
      "#  size count type redop root cputime algbw busbw #wrong i_min i_max i_p99 i_cv% cputime algbw busbw #wrong i_min i_max i_p99 i_cv% "
      "timestamp\n"
      "  8 2 float sum -1 1.2e+06 0.1 0.1 0 1 2 3 4 7.5 0.1 0.1 2 1 2 3 4 2026-01-01 10:00:00\n"
      "  8 2 float sum -1 1.2e+06 0.1\n";
  const NcclTestsFile file = ParseNcclTestsText(text, "log").value();
  ASSERT_EQ(file.runs.size(), 1U);
  EXPECT_TRUE(file.runs[0].host_time);
  EXPECT_EQ(file.runs[0].iterations, 15);
  ASSERT_EQ(file.runs[0].rows.size(), 1U);
  EXPECT_EQ(file.runs[0].rows[0].out_of_place, (NcclTestsTime{Duration::Microseconds(1.2e6), {}, 0}));
  EXPECT_EQ(file.runs[0].rows[0].in_place, (NcclTestsTime{Duration::Microseconds(7.5), {}, 2}));
  EXPECT_THAT(file.omissions.Lines(), ElementsAre("left out: rows that cannot be read: 1 (the first at log:7)"));
}

TEST(NcclTests, SaysWhatItCannotRead) {
  EXPECT_THAT(ParseNcclTestsText("hello\n", "log").status().message(), HasSubstr("log: error: no result of nccl-tests is in this file"));
  EXPECT_THAT(ParseNcclTestsJson("[]", "out.json").status().message(), HasSubstr("this is not the JSON of nccl-tests"));
  EXPECT_THAT(ParseNcclTestsJson(R"({"version": 4})", "out.json").status().message(),
              HasSubstr("out.json: error: version 4 of the JSON of nccl-tests is not known; this HELM reads 1 to 3"));
  EXPECT_THAT(ParseNcclTestsJson(R"({"version": 3, "args": [], "config": {"nthreads": 1}})", "out.json").status().message(),
              HasSubstr("out.json: config: error: the key 'ngpus' is missing"));
}

}  // namespace
}  // namespace helm::formats
