// Buffers as CUPTI fills them, packed from its own structs and read back by its own reader: no GPU is needed.
#include "runtime/activity_records.h"

#include <cstring>

#include <cupti.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace helm::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Records one behind the other, each at a multiple of eight bytes.
class Buffer {
 public:
  template <typename Record>
  void Add(const Record& record) {
    const size_t at = bytes_.size();
    bytes_.resize(at + (sizeof record + 7) / 8 * 8);
    std::memcpy(bytes_.data() + at, &record, sizeof record);
  }

  void AddKernel(uint32_t correlation, const char* name, uint64_t start, uint64_t end, int blocks = 1) {
    CUpti_ActivityKernel10 kernel{};
    kernel.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
    kernel.correlationId = correlation;
    kernel.name = name;
    kernel.start = start;
    kernel.end = end;
    kernel.gridX = blocks;
    kernel.gridY = 2;
    kernel.gridZ = 1;
    kernel.streamId = 7;
    Add(kernel);
  }

  void AddCopy(uint32_t correlation, uint64_t start, uint64_t end) {
    AddTransfer<CUpti_ActivityMemcpy6>(CUPTI_ACTIVITY_KIND_MEMCPY, correlation, start, end);
  }

  void AddFill(uint32_t correlation, uint64_t start, uint64_t end) {
    AddTransfer<CUpti_ActivityMemset4>(CUPTI_ACTIVITY_KIND_MEMSET, correlation, start, end);
  }

  void AddExternal(uint32_t correlation, uint64_t external, CUpti_ExternalCorrelationKind kind = CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0) {
    CUpti_ActivityExternalCorrelation join{};
    join.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
    join.externalKind = kind;
    join.externalId = external;
    join.correlationId = correlation;
    Add(join);
  }

  void AddCall(uint32_t correlation) {
    CUpti_ActivityAPI call{};
    call.kind = CUPTI_ACTIVITY_KIND_RUNTIME;
    call.correlationId = correlation;
    Add(call);
  }

  std::span<const uint8_t> bytes() const { return bytes_; }

 private:
  template <typename Record>
  void AddTransfer(CUpti_ActivityKind kind, uint32_t correlation, uint64_t start, uint64_t end) {
    Record record{};
    record.kind = kind;
    record.correlationId = correlation;
    record.start = start;
    record.end = end;
    Add(record);
  }

  std::vector<uint8_t> bytes_;
};

std::vector<std::string> NamesOf(const std::vector<DeviceActivity>& activities) {
  std::vector<std::string> names;
  for (const DeviceActivity& activity : activities) names.push_back(activity.name);
  return names;
}

// Op 0 (external id 1) launches a fill and two kernels, op 4 one copy. The kernels' records come in another buffer and before their
// correlation, and not in order of time.
TEST(ActivityRecords, JoinKernelsToOpsOverBuffers) {
  Buffer first;
  first.AddCall(11);
  first.AddExternal(11, 1);
  first.AddKernel(13, "second", 300, 420, 66);
  first.AddFill(11, 100, 110);
  Buffer second;
  second.AddKernel(12, "first", 150, 290);
  second.AddExternal(12, 1);
  second.AddExternal(13, 1);
  second.AddExternal(20, 5);
  second.AddCopy(20, 500, 600);
  ActivityRecords records;
  records.Read(first.bytes());
  records.Read(second.bytes());
  const auto by_op = records.TakeByOp();
  ASSERT_EQ(by_op.size(), 2u);
  EXPECT_THAT(NamesOf(by_op.at(0)), ElementsAre("memset", "first", "second"));
  EXPECT_EQ(by_op.at(0)[2].start_ns, 300);
  EXPECT_EQ(by_op.at(0)[2].end_ns, 420);
  EXPECT_EQ(by_op.at(0)[2].blocks, 132);
  EXPECT_EQ(by_op.at(0)[2].stream, 7u);
  EXPECT_THAT(NamesOf(by_op.at(4)), ElementsAre("memcpy"));
  EXPECT_EQ(records.counts().records, 9);
  EXPECT_EQ(records.counts().activities, 4);
  EXPECT_EQ(records.counts().unjoined, 0);
  EXPECT_EQ(records.counts().unreadable, 0);
}

// A kernel without a correlation (launched between ops) and one that another tool's ids cover belong to no op, and are counted.
TEST(ActivityRecords, CountWhatBelongsToNoOp) {
  Buffer buffer;
  buffer.AddKernel(1, "alone", 1, 2);
  buffer.AddExternal(2, 3, CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM1);
  buffer.AddKernel(2, "of another tool", 3, 4);
  ActivityRecords records;
  records.Read(buffer.bytes());
  records.AddDropped(5);
  EXPECT_THAT(records.TakeByOp(), IsEmpty());
  EXPECT_EQ(records.counts().unjoined, 2);
  EXPECT_EQ(records.counts().dropped, 5);
}

TEST(ActivityRecords, AreGoneOnceTaken) {
  Buffer buffer;
  buffer.AddExternal(1, 1);
  buffer.AddKernel(1, "k", 1, 2);
  ActivityRecords records;
  records.Read(buffer.bytes());
  EXPECT_EQ(records.TakeByOp().size(), 1u);
  EXPECT_THAT(records.TakeByOp(), IsEmpty());
  records.Read(Buffer().bytes());
  EXPECT_THAT(records.TakeByOp(), IsEmpty());
}

}  // namespace
}  // namespace helm::runtime
