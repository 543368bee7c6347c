#include "formats/nsight_export.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"
#include "core/text.h"

namespace helm::formats {
namespace {

using ::testing::HasSubstr;

std::string Bytes() { return ReadFile("tests/samples/nsight/report.sqlite").value(); }

TEST(NsightExport, ReadsWorkLaunchesAndRanges) {
  const NsightExport measured = ParseNsightExport(Bytes(), "r.sqlite").value();
  ASSERT_EQ(measured.work.size(), 11U);  // two steps of four kernels and a copy, a kernel of another process
  ASSERT_EQ(measured.launches.size(), 10U);
  EXPECT_EQ(measured.gpus.at(0), "NVIDIA H100 80GB HBM3");
  const NsightWork& kernel = measured.work[1];
  EXPECT_EQ(measured.names[static_cast<size_t>(kernel.name)], "ampere_sgemm_32x128_nn");
  EXPECT_EQ(kernel.start_ns, 130'000);  // from the first step's start
  EXPECT_EQ(kernel.duration_ns, 18'000);
  EXPECT_EQ(kernel.stream, 7);
  EXPECT_FALSE(kernel.copies);
  EXPECT_TRUE(measured.work.back().copies);
  const NsightHostSpan& step = measured.ranges.front();  // its text stands in the row, the others' in StringIds
  EXPECT_EQ(measured.names[static_cast<size_t>(step.name)], "step 0");
  EXPECT_EQ(step.duration_ns, 690'000);
  EXPECT_EQ(ProcessOf(step.thread), ProcessOf(kernel.process));
}

TEST(NsightExport, SaysWhatItCannotRead) {
  EXPECT_TRUE(IsSqlite(Bytes()));
  const auto error = [](const std::string& content) { return ParseNsightExport(content, "r.sqlite").status().message(); };
  EXPECT_THAT(error(Bytes().substr(0, 3000)), HasSubstr("r.sqlite: error:"));
  // A table by another name is none of Nsight's; a column by another name is missing.
  EXPECT_THAT(error(ReplaceAll(Bytes(), "StringIds", "StringId_")),
              HasSubstr("r.sqlite: error: this database is no export of Nsight Systems"));
  EXPECT_THAT(error(ReplaceAll(Bytes(), "demangledName", "demangledNam_")), HasSubstr("r.sqlite: error: no such column: demangledName"));
}

}  // namespace
}  // namespace helm::formats
