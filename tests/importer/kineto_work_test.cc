#include "importer/kineto_work.h"

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

ImportedTimeline Timeline(const std::string& text) {
  const auto trace = formats::ParseKinetoTrace(text, "t.json").value();
  return TimelineOf(WorkOf(trace, "t.json").value(), "t.json").value();
}

ImportedTimeline Sample() { return Timeline(ReadFile("tests/samples/kineto/rank0_trace.json").value()); }

std::vector<std::string> Ops(const ir::Timeline& timeline) {
  std::vector<std::string> ops;
  for (const ir::TimelineOp& op : timeline.ops) ops.push_back(op.target + " " + op.phase + " " + op.kind + " " + op.label);
  return ops;
}

// Events as "stream start duration", in microseconds.
std::vector<std::string> Events(const ir::Timeline& timeline) {
  std::vector<std::string> events;
  for (const ir::TimelineEvent& event : timeline.events) {
    events.push_back(fmt::format("{} {} {}", timeline.streams[static_cast<size_t>(event.stream)].name, event.start.microseconds(),
                                 event.duration.microseconds()));
  }
  return events;
}

// The three steps' first work, a copy, starts at 30, 730 and 1450 us: steps of 700 and 720 us; the last one does not count. The shorter is
// the median of two.
TEST(KinetoWork, TakesTheMedianStep) {
  const ir::Timeline timeline = Sample().timeline;
  EXPECT_THAT(timeline.steps, ElementsAre(Duration::Microseconds(700), Duration::Microseconds(720)));
  EXPECT_EQ(timeline.makespan, Duration::Microseconds(700));
  EXPECT_EQ(timeline.title, "measured");
  EXPECT_EQ(timeline.plan, "torch.profiler, rank 0 of 2");
  EXPECT_EQ(timeline.device, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(timeline.program_hash, "");
  // The largest "Total Allocated" is the third step's: 40960 + 2 * 512.
  EXPECT_THAT(timeline.ranks, ElementsAre(ir::RankSummary{0, Duration::Microseconds(700), Bytes(41984)}));
}

// By launch. The all-reduce is launched by autograd's thread, the optimizer's kernels inside Optimizer.step; the kernel of a graph stands
// for itself.
TEST(KinetoWork, JoinsKernelsToOperators) {
  EXPECT_THAT(Ops(Sample().timeline),
              ElementsAre("aten.copy_ forward compute Memcpy HtoD", "aten.addmm forward compute Kernel2",
                          "aten.relu forward compute vectorized_elementwise_kernel", "aten.mm backward compute ampere_sgemm_32x128_nn",
                          "aten.mm backward compute ampere_sgemm_32x128_nt",
                          "c10d.all_reduce backward collective ncclDevKernel_AllReduce_Sum_f32_RING_LL",
                          "aten._foreach_add_ optimizer compute multi_tensor_apply_kernel",
                          "kernel.triton_poi_fused_add_0 optimizer compute triton_poi_fused_add_0"));
}

// From the copy's start at 30 us. The second mm began at 147.5, half a microsecond before the first one's end at 148: it counts from there.
TEST(KinetoWork, LaysKernelsOnTheirStreams) {
  const ImportedTimeline imported = Sample();
  EXPECT_THAT(Events(imported.timeline), ElementsAre("compute 0 3", "compute 30 22.5", "compute 53 4", "compute 100 18", "compute 118 19.5",
                                                     "compute 340 6", "compute 350 5", "communication.default_pg 185 150"));
  EXPECT_THAT(imported.remarks, ElementsAre("3 kernels have no operator: each stands for itself",
                                            "1 kernels began before the one before them had ended: they count from there"));
  EXPECT_THAT(imported.omissions.Lines(),
              ElementsAre("left out: copies and fills on streams without kernels: 3", "left out: events of the category 'cuda_sync': 3",
                          "left out: kernels and copies outside the profiler's steps: 1"));
}

// No step is marked: the whole trace is one. The kernel's launch carries no id, but lies in an operator: mm inside the recomputation of a
// checkpoint; a node of autograd inside that again is backward.
TEST(KinetoWork, FindsTheOperatorAroundALaunch) {
  const ImportedTimeline imported = Timeline(R"({"traceEvents": [
    {"ph": "X", "cat": "cpu_op", "name": "autograd::engine::evaluate_function: CheckpointFunctionBackward", "tid": 2, "ts": 0, "dur": 100},
    {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "tid": 2, "ts": 10, "dur": 10},
    {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "tid": 2, "ts": 12, "dur": 2, "args": {"correlation": 1}},
    {"ph": "X", "cat": "cpu_op", "name": "autograd::engine::evaluate_function: MmBackward0", "tid": 2, "ts": 30, "dur": 20},
    {"ph": "X", "cat": "cuda_driver", "name": "cuLaunchKernel", "tid": 2, "ts": 32, "dur": 2, "args": {"correlation": 2}},
    {"ph": "X", "cat": "kernel", "name": "k1", "ts": 20, "dur": 5, "args": {"device": 3, "stream": 7, "correlation": 1}},
    {"ph": "X", "cat": "kernel", "name": "k2", "ts": 40, "dur": 5, "args": {"device": 3, "stream": 9, "correlation": 2}},
    {"ph": "X", "cat": "kernel", "name": "k3", "ts": 50, "dur": 5, "args": {"device": 4, "stream": 7}}]})");
  EXPECT_THAT(Ops(imported.timeline),
              ElementsAre("aten.mm recompute compute k1", "autograd.engine::evaluate_function: MmBackward0 backward compute k2"));
  EXPECT_THAT(Events(imported.timeline), ElementsAre("compute 0 5", "compute.1 20 5"));
  EXPECT_EQ(imported.timeline.makespan, Duration::Microseconds(25));
  EXPECT_THAT(imported.omissions.Lines(), ElementsAre("left out: kernels of GPU 4 (GPU 3 has more): 1"));
}

TEST(KinetoWork, NeedsKernels) {
  const auto trace = formats::ParseKinetoTrace(R"({"traceEvents": []})", "t.json").value();
  EXPECT_THAT(WorkOf(trace, "t.json").status().message(), HasSubstr("t.json: error: there is no GPU kernel in this trace"));
}

TEST(DeviceWork, NamesCollectivesAsHelmDoes) {
  EXPECT_EQ(CollectiveTarget("_allgather_base"), "c10d.all_gather");
  EXPECT_EQ(CollectiveTarget("reduce_scatter_tensor_coalesced"), "c10d.reduce_scatter");
  EXPECT_EQ(CollectiveTarget("AllReduce"), "c10d.all_reduce");
  EXPECT_EQ(CollectiveTarget("all_to_allv"), "c10d.all_to_all");
  EXPECT_EQ(CollectiveTarget("barrier"), "c10d.barrier");
}

TEST(DeviceWork, ShortensKernelNames) {
  EXPECT_EQ(ShortKernelName("void at::native::(anonymous namespace)::f<int, at::g<2> >(at::h)"), "f");
  EXPECT_EQ(ShortKernelName("Memcpy HtoD (Pinned -> Device)"), "Memcpy HtoD");
  EXPECT_EQ(ShortKernelName("triton_poi_fused_add_0"), "triton_poi_fused_add_0");
}

}  // namespace
}  // namespace helm::importer
