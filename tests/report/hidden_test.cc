#include "report/hidden.h"

#include <gtest/gtest.h>

namespace helm::report {
namespace {

// Computation "up" from 0 to 4 and "down" from 6 to 10 us, communication "gather" from 2 to 8 and from 9 to 12: nine in all, of which two
// lie under "up" and two and one under "down".
ir::Timeline Sample() {
  ir::Timeline timeline;
  timeline.streams = {{ir::Stream::Kind::kCompute, 0, "compute"},
                      {ir::Stream::Kind::kCommunication, 0, "communication.tensor"},
                      {ir::Stream::Kind::kHost, 0, "host"}};
  timeline.ops = {{"aten.mm", "up", "compute", "forward", "", 0, 0},
                  {"aten.mm", "down", "compute", "forward", "", 0, 0},
                  {"c10d.all_gather", "gather", "collective", "forward", "", 0, 0}};
  const auto event = [&](int32_t rank, int32_t stream, size_t op, int64_t begin, int64_t end) {
    timeline.events.push_back({rank, stream, ir::OpId(op), Duration::Microseconds(begin), Duration::Microseconds(end - begin)});
  };
  event(0, 0, 0, 0, 4);
  event(0, 0, 1, 6, 10);
  event(0, 1, 2, 2, 8);
  event(0, 1, 2, 9, 12);
  event(0, 2, 0, 2, 3);    // its launch
  event(1, 1, 2, 0, 100);  // of another rank
  return timeline;
}

TEST(HiddenCommunication, SaysUnderWhat) {
  const std::vector<HiddenRow> rows = HiddenCommunication(Sample());
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].communication, "gather c10d.all_gather forward");
  EXPECT_EQ(rows[0].total, Duration::Microseconds(9));
  EXPECT_EQ(rows[0].hidden, Duration::Microseconds(5));
  ASSERT_EQ(rows[0].under.size(), 2U);
  EXPECT_EQ(rows[0].under[0].first, "down forward");
  EXPECT_EQ(rows[0].under[0].second, Duration::Microseconds(3));
  EXPECT_EQ(RenderHidden(rows), "  gather c10d.all_gather forward: 9.0 us, 56 % hidden under down forward 33 %, up forward 22 %\n");
}

TEST(HiddenCommunication, NothingWithoutCommunication) {
  EXPECT_TRUE(HiddenCommunication({}).empty());
  ir::Timeline timeline = Sample();
  timeline.events.resize(2);
  EXPECT_EQ(RenderHidden(HiddenCommunication(timeline)), "");
}

}  // namespace
}  // namespace helm::report
