#include "importer/nccl_tests_rows.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"

namespace helm::importer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Result<ImportedRows> RowsOfSample(const std::string& name, const ImportHints& hints = {}) {
  const std::string content = ReadFile("tests/samples/nccl_tests/" + name).value();
  const auto measured = name.ends_with(".json") ? formats::ParseNcclTestsJson(content, name) : formats::ParseNcclTestsText(content, name);
  return RowsOf(measured.value(), hints, name);
}

std::vector<std::string> Keys(const std::map<std::string, RowSamples>& rows) {
  std::vector<std::string> keys;
  for (const auto& [key, samples] : rows) keys.push_back(key);
  return keys;
}

// all_reduce in place, as c10d runs it: 20.25, 45.5 and 4100.5 us; each the mean of 20 iterations.
TEST(NcclTestsRows, AllReduceInPlace) {
  const ImportedRows rows = RowsOfSample("all_reduce_8.txt").value();
  EXPECT_EQ(rows.device, "NVIDIA H100 80GB HBM3");
  const auto measurements = MeasurementsOf(rows.collectives);
  ASSERT_EQ(measurements.size(), 3U);
  const cost::Measurement& row = measurements.at("all_reduce f32 ranks=8 per_node=8 bytes=1048576");
  EXPECT_EQ(row.median, Duration::Microseconds(45.5));
  EXPECT_EQ(row.mean, Duration::Microseconds(45.5));
  EXPECT_EQ(row.samples, 20);
  EXPECT_EQ(measurements.at("all_reduce f32 ranks=8 per_node=8 bytes=1024").mean, Duration::Microseconds(20.25));
}

// Out of place, 40 41 42 43 44 us: quartiles 41 42 43; the mean leaves the slowest out: 41.5.
TEST(NcclTestsRows, EveryIterationIsASample) {
  const auto measurements = MeasurementsOf(RowsOfSample("all_gather_8.json").value().collectives);
  const cost::Measurement& row = measurements.at("all_gather bf16 ranks=8 per_node=8 bytes=1048576");
  EXPECT_EQ(row.quartile_lower, Duration::Microseconds(41));
  EXPECT_EQ(row.median, Duration::Microseconds(42));
  EXPECT_EQ(row.quartile_upper, Duration::Microseconds(43));
  EXPECT_EQ(row.mean, Duration::Microseconds(41.5));
  EXPECT_EQ(row.samples, 5);
}

TEST(NcclTestsRows, LeavesOutWrongResultsAndTypesThatNoProgramHas) {
  const ImportedRows rows = RowsOfSample("two_nodes.log").value();
  EXPECT_THAT(Keys(rows.collectives), ElementsAre("reduce_scatter bf16 ranks=16 per_node=8 bytes=1048576"));
  EXPECT_THAT(rows.omissions.Lines(),
              ElementsAre("left out: lines that are not of nccl-tests: 1 (the first at two_nodes.log:1)",
                          "left out: results of element type 'double', which no tensor of a program has: 1 (the first at two_nodes.log:60)",
                          "left out: results that nccl-tests found to be wrong: 1 (the first at two_nodes.log:28)"));
}

TEST(NcclTestsRows, AsksForTheNameOfATestThatSaysNone) {
  EXPECT_THAT(RowsOfSample("before_2025.txt").status().message(), HasSubstr("say which it was with --collective"));
  const ImportedRows rows = RowsOfSample("before_2025.txt", {.collective = "all_to_all"}).value();
  EXPECT_THAT(Keys(rows.collectives), ElementsAre("all_to_all f32 ranks=4 per_node=4 bytes=1048576"));
}

formats::NcclTestsRun MakeRun(const std::string& program, std::vector<formats::NcclTestsRanks> ranks) {
  formats::NcclTestsRun run;
  run.program = program;
  run.ranks = std::move(ranks);
  run.rows.push_back({Bytes(4096), "bfloat16", "sum", formats::NcclTestsTime{Duration::Microseconds(9), {}, 0}, std::nullopt, "log:9"});
  return run;
}

ImportedRows RowsOfRun(const formats::NcclTestsRun& run) {
  formats::NcclTestsFile file;
  file.runs.push_back(run);
  return RowsOf(file, {}, "log").value();
}

// NCCL_TESTS_SPLIT: two groups of four ranks, two of each on both nodes; the two share the network cards. Only out of place was run.
TEST(NcclTestsRows, GroupsThatShareANode) {
  const ImportedRows rows =
      RowsOfRun(MakeRun("all_reduce_perf_mpi", {{0, "a", "G", 2}, {1, "a", "G", 2}, {0, "b", "G", 2}, {1, "b", "G", 2}}));
  EXPECT_THAT(Keys(rows.collectives), ElementsAre("all_reduce bf16 ranks=4 per_node=2 groups=2 bytes=4096"));
}

TEST(NcclTestsRows, GroupsOfDifferentShapeAreLeftOut) {
  const ImportedRows rows = RowsOfRun(MakeRun("all_reduce_perf", {{0, "a", "G", 4}, {1, "a", "G", 2}, {1, "b", "G", 2}}));
  EXPECT_THAT(Keys(rows.collectives), IsEmpty());
  EXPECT_EQ(rows.omissions.by_reason().size(), 1U);
}

// Each rank of the ring sends to the next: between two nodes one message leaves each; within a node all stay inside.
TEST(NcclTestsRows, SendRecvIsAMessageToTheFarthestNeighbour) {
  EXPECT_THAT(Keys(RowsOfRun(MakeRun("sendrecv_perf", {{0, "a", "G", 8}, {0, "b", "G", 8}})).collectives),
              ElementsAre("send bf16 ranks=2 per_node=1 bytes=4096"));
  EXPECT_THAT(Keys(RowsOfRun(MakeRun("sendrecv_perf", {{0, "a", "G", 8}})).collectives),
              ElementsAre("send bf16 ranks=2 per_node=2 bytes=4096"));
}

TEST(NcclTestsRows, RefusesTwoDevicesInOneTable) {
  formats::NcclTestsFile file;
  file.runs.push_back(MakeRun("all_reduce_perf", {{0, "a", "H100", 1}, {0, "a", "A100", 1}}));
  EXPECT_THAT(RowsOf(file, {}, "log").status().message(),
              HasSubstr("log: error: the ranks of this run are on two devices, 'H100' and 'A100'"));
  ImportedRows one{.device = "H100"};
  EXPECT_FALSE(Add(one, ImportedRows{.device = "A100"}).ok());
}

}  // namespace
}  // namespace helm::importer
