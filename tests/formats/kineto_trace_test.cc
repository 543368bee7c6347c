#include "formats/kineto_trace.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"
#include "formats/gzip.h"

namespace helm::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = KinetoEvent::Kind;

KinetoTrace Sample() {
  const std::string path = "tests/samples/kineto/rank0_trace.json";
  return ParseKinetoTrace(ReadFile(path).value(), path).value();
}

const KinetoEvent& First(const KinetoTrace& trace, Kind kind, const std::string& name) {
  for (const KinetoEvent& event : trace.events) {
    if (event.kind == kind && trace.NameOf(event) == name) return event;
  }
  ADD_FAILURE() << name;
  return trace.events.front();
}

TEST(KinetoTrace, ReadsDevicesAndRank) {
  const KinetoTrace trace = Sample();
  EXPECT_THAT(trace.devices, ElementsAre(KinetoDevice{0, "NVIDIA H100 80GB HBM3"}));
  EXPECT_EQ(trace.rank, 0);
  EXPECT_EQ(trace.world_size, 2);
}

// The first event of the file starts at 0; times have three decimals. A kernel is joined by its numbers.
TEST(KinetoTrace, ReadsKernelsAndTheirLaunches) {
  const KinetoTrace trace = Sample();
  const KinetoEvent& kernel = First(trace, Kind::kKernel, "ampere_sgemm_32x128_nn");
  EXPECT_EQ(kernel.start_ns, 130'000);
  EXPECT_EQ(kernel.duration_ns, 18'000);
  EXPECT_EQ(kernel.stream, 7);
  EXPECT_EQ(kernel.device, 0);
  const KinetoEvent& op = First(trace, Kind::kOperator, "aten::mm");
  EXPECT_EQ(kernel.external_id, op.external_id);
  const KinetoEvent& graph = First(trace, Kind::kKernel, "triton_poi_fused_add_0");
  EXPECT_EQ(graph.external_id, 0);
  EXPECT_EQ(First(trace, Kind::kLaunch, "cudaGraphLaunch").correlation, graph.correlation);
}

TEST(KinetoTrace, ReadsShapesAndCollectives) {
  const KinetoTrace trace = Sample();
  const auto& operands = trace.operands[static_cast<size_t>(First(trace, Kind::kOperator, "aten::addmm").operands)];
  ASSERT_EQ(operands.size(), 5U);
  EXPECT_EQ(operands[2], (KinetoOperand{"float", {64, 128}, {1, 64}, ""}));
  EXPECT_EQ(operands[3], (KinetoOperand{"Scalar", {}, {}, "1"}));
  const auto& operator_collective = First(trace, Kind::kOperator, "record_param_comms").collective;
  const KinetoCollective& collective = trace.collectives[static_cast<size_t>(operator_collective)];
  EXPECT_EQ(collective, (KinetoCollective{"allreduce", "Float", 8192, 8192, 2, 1, "0", "default_pg", {0, 1}}));
  EXPECT_EQ(First(trace, Kind::kMemory, "[memory]").bytes_allocated, 40960);
}

TEST(KinetoTrace, CountsWhatItLeavesOut) {
  EXPECT_THAT(Sample().omissions.Lines(), ElementsAre("left out: events of the category 'cuda_sync': 3"));
}

// Absolute microseconds of today have 16 digits before the point: a double would round them to 250 ns.
TEST(KinetoTrace, KeepsNanosecondsOfAbsoluteTimes) {
  const KinetoTrace trace = ParseKinetoTrace(R"({"traceEvents": [
      {"ph": "X", "cat": "kernel", "name": "a", "ts": 1790857026000000.001, "dur": 1.5, "args": {"device": 0, "stream": 7}},
      {"ph": "X", "cat": "kernel", "name": "a", "ts": 1790857026000000.123, "dur": 1, "args": {"device": 0, "stream": 7}},
      {"ph": "X", "cat": "kernel", "name": "a", "ts": "soon", "dur": 1}]})",
                                             "t.json")
                                .value();
  ASSERT_EQ(trace.events.size(), 2U);
  EXPECT_EQ(trace.events[1].start_ns, 122);
  EXPECT_EQ(trace.events[0].duration_ns, 1500);
  EXPECT_THAT(trace.omissions.Lines(), ElementsAre("left out: events of the category 'kernel' without a time: 1"));
}

TEST(KinetoTrace, SaysWhereItCannotRead) {
  EXPECT_THAT(ParseKinetoTrace("{}", "t.json").status().message(), HasSubstr("t.json: error: this is no trace of torch.profiler"));
  EXPECT_THAT(ParseKinetoTrace("{\"traceEvents\":\n [{\"ph\": \"X\"}, 3]}", "t.json").status().message(),
              HasSubstr("t.json:2:16: error: this is not the JSON of a trace"));
  EXPECT_THAT(ParseKinetoTrace("", "t.json").status().message(), HasSubstr("t.json: error: this is not the JSON of a trace"));
}

// "hello" packed by gzip -n, by hand: header, the stored block "hello", CRC-32 0x3610a686, length 5.
const std::string kHello("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x01\x05\x00\xfa\xffhello\x86\xa6\x10\x36\x05\x00\x00\x00", 28);

TEST(Gzip, UnpacksMembersOneAfterTheOther) {
  EXPECT_TRUE(IsGzip(kHello));
  EXPECT_FALSE(IsGzip("hello"));
  EXPECT_EQ(Gunzip(kHello, "a.gz").value(), "hello");
  EXPECT_EQ(Gunzip(kHello + kHello, "a.gz").value(), "hellohello");
}

TEST(Gzip, SaysWhatIsDamaged) {
  EXPECT_THAT(Gunzip(kHello.substr(0, 24), "a.gz").status().message(), HasSubstr("a.gz: error: the gzip data is cut off"));
  EXPECT_THAT(Gunzip(kHello.substr(0, 10) + "xxxxxxxxxxxxxxxxxxxx", "a.gz").status().message(), HasSubstr("is damaged"));
  EXPECT_THAT(Gunzip(kHello, "a.gz", 3).status().message(), HasSubstr("longer than 3 bytes"));
}

}  // namespace
}  // namespace helm::formats
