#include "importer/nsight_work.h"

#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"

namespace helm::importer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Two steps, whose first work, a copy, starts at 30 and 730 us: 700 us; the second has none behind it and does not count. By launch: a
// range around the copy that is no operator, so the copy stands for itself; the all-reduce is launched outside of any operator.
TEST(NsightWork, MakesATimeline) {
  const auto measured = formats::ParseNsightExport(ReadFile("tests/samples/nsight/report.sqlite").value(), "r.sqlite").value();
  const ImportedTimeline imported = TimelineOf(WorkOf(measured, "r.sqlite").value(), "r.sqlite").value();
  const ir::Timeline& timeline = imported.timeline;
  EXPECT_THAT(timeline.steps, ElementsAre(Duration::Microseconds(700)));
  EXPECT_EQ(timeline.plan, "Nsight Systems");
  EXPECT_EQ(timeline.device, "NVIDIA H100 80GB HBM3");
  std::vector<std::string> ops;
  for (const ir::TimelineOp& op : timeline.ops) ops.push_back(fmt::format("{} {} {}", op.target, op.phase, op.label));
  EXPECT_THAT(ops, ElementsAre("kernel.Memcpy forward Memcpy", "aten.addmm forward Kernel2", "aten.mm backward ampere_sgemm_32x128_nn",
                               "c10d.all_reduce forward ncclDevKernel_AllReduce_Sum_f32_RING_LL",
                               "aten._foreach_add_ optimizer multi_tensor_apply_kernel"));
  std::vector<std::string> events;
  for (const ir::TimelineEvent& event : timeline.events) {
    events.push_back(fmt::format("{} {} {}", timeline.streams[static_cast<size_t>(event.stream)].name, event.start.microseconds(),
                                 event.duration.microseconds()));
  }
  EXPECT_THAT(events, ElementsAre("compute 0 3", "compute 30 22.5", "compute 100 18", "compute 340 6", "communication.stream20 185 150"));
  EXPECT_THAT(
      imported.omissions.Lines(),
      ElementsAre("left out: NVTX events that are no ranges of one thread: 1", "left out: NVTX ranges without an end: 1",
                  "left out: kernels of other processes, which have fewer: 1", "left out: rows of CUPTI_ACTIVITY_KIND_SYNCHRONIZATION: 2"));
}

TEST(NsightWork, NeedsKernels) {
  EXPECT_THAT(WorkOf(formats::NsightExport(), "r.sqlite").status().message(),
              HasSubstr("r.sqlite: error: there is no GPU kernel in this export"));
}

}  // namespace
}  // namespace helm::importer
