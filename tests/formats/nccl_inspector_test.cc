#include "formats/nccl_inspector.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"

namespace helm::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(NcclInspector, ReadsCollectivesAndMessages) {
  const InspectorDump dump = ParseInspectorDump(ReadFile("tests/samples/nccl_inspector/rank0.log").value(), "rank0.log").value();
  ASSERT_EQ(dump.records.size(), 6U);
  const InspectorRecord first{"0x7f8c496ae9f660", "node-01",    0, 2, 1, "AllReduce", false, 1, Bytes(1048576), Duration::Microseconds(95),
                              "kernel_gpu",       "rank0.log:1"};
  EXPECT_EQ(dump.records[0], first);
  EXPECT_EQ(dump.records[2].operation, "ReduceScatter");
  EXPECT_EQ(dump.records[2].nodes, 2);
  EXPECT_TRUE(dump.records[4].message);
  EXPECT_EQ(dump.records[4].operation, "Send");
  EXPECT_THAT(dump.omissions.Lines(),
              ElementsAre("left out: lines that are no records of the NCCL Inspector: 1 (the first at rank0.log:7)"));
}

TEST(NcclInspector, NeedsRecordsThatCanBe) {
  EXPECT_THAT(ParseInspectorDump("", "r.log").status().message(),
              HasSubstr("r.log: error: no record of the NCCL Inspector is in this file"));
  // More nodes than ranks; no size.
  EXPECT_FALSE(ParseInspectorDump(R"({"header":{"id":"a","rank":0,"n_ranks":2,"nnodes":3},"coll_perf":{"coll":"AllReduce","coll_sn":1,
"coll_msg_size_bytes":8,"coll_exec_time_us":1}})",
                                  "r.log")
                   .ok());
  EXPECT_FALSE(
      ParseInspectorDump(R"({"header":{"id":"a","rank":0,"n_ranks":2,"nnodes":1},"coll_perf":{"coll":"AllReduce","coll_sn":1}})", "r.log")
          .ok());
}

}  // namespace
}  // namespace helm::formats
