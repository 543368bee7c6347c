#include "sim/event_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace helm::sim {
namespace {

using testing::HasSubstr;

uint32_t Add(EventGraph& graph, int64_t work, std::vector<uint32_t> predecessors, uint32_t stream = kNone) {
  return AddTask(graph, {.work = work, .stream = stream, .predecessors = predecessors});
}

// A transfer of `work` ps at full rate with the same flow on each of `links`.
uint32_t AddTransfer(EventGraph& graph, int64_t work, int64_t flow, const std::vector<uint32_t>& links,
                     const std::vector<uint32_t>& predecessors = {}) {
  std::vector<ResourceUse> uses;
  for (const uint32_t link : links) uses.push_back({link, 1});
  return AddTask(graph, {.work = work, .predecessors = predecessors, .flow = flow, .uses = uses});
}

EventTimes TimesOf(const EventGraph& graph) {
  Result<EventTimes> times = SimulateEvents(graph, EventOptions{});
  HELM_CHECK(times.ok(), times.status().message().c_str());
  return *std::move(times);
}

std::string Stall(const EventGraph& graph, const EventOptions& options = {}) {
  const Result<EventTimes> times = SimulateEvents(graph, options);
  EXPECT_EQ(times.status().code(), StatusCode::kInvalid);
  return times.status().message();
}

TEST(EventEngine, CancelledItFails) {
  EventGraph graph;
  Add(graph, 5, {});
  const std::atomic<bool> interrupted = true;
  const EventOptions options{.cancellation = Cancellation(&interrupted)};
  EXPECT_EQ(SimulateEvents(graph, options).status().code(), StatusCode::kInterrupted);
}

TEST(EventEngine, EmptyGraphTakesNoTime) { EXPECT_EQ(TimesOf(EventGraph{}).makespan, 0); }

// As in static_engine_test.cc, numbered backwards: 4 (1) before 3 (10) and 2 (100), both before 1 (1000); 0 (5) alone.
TEST(EventEngine, NumbersNeedNotBeATopologicalOrder) {
  EventGraph graph;
  Add(graph, 5, {});
  Add(graph, 1000, {2, 3});
  Add(graph, 100, {4});
  Add(graph, 10, {4});
  Add(graph, 1, {});
  const EventTimes times = TimesOf(graph);
  EXPECT_EQ(times.finish, (std::vector<int64_t>{5, 1101, 101, 11, 1}));
  EXPECT_EQ(times.start, (std::vector<int64_t>{0, 101, 1, 1, 0}));
  EXPECT_EQ(times.makespan, 1101);
}

// One stream; task 1 waits for task 0 until 100, task 2 is ready at once. In order, 2 runs after 1: 100 + 10 + 20. Earliest ready first, 2
// runs at 0 ... 20 and 1 at 100 ... 110.
TEST(EventEngine, DynamicStreamsDoNotWaitForTheirHead) {
  for (const StreamOrder order : {StreamOrder::kInOrder, StreamOrder::kEarliestReady}) {
    EventGraph graph;
    const uint32_t stream = AddStream(graph, order);
    Add(graph, 100, {});
    Add(graph, 10, {0}, stream);
    Add(graph, 20, {}, stream);
    EXPECT_EQ(TimesOf(graph).finish,
              order == StreamOrder::kInOrder ? (std::vector<int64_t>{100, 110, 130}) : (std::vector<int64_t>{100, 110, 20}));
  }
}

// Tasks 1, 2 and 3 become ready at 7, 5 and 7 while task 0 occupies the stream until 10: 2 first, then by number 1 and 3.
TEST(EventEngine, DynamicStreamsTakeTheEarliestReadyThenTheLowestNumber) {
  EventGraph graph;
  const uint32_t stream = AddStream(graph, StreamOrder::kEarliestReady);
  Add(graph, 10, {}, stream);
  Add(graph, 1, {5}, stream);
  Add(graph, 1, {4}, stream);
  Add(graph, 1, {5}, stream);
  Add(graph, 5, {});
  Add(graph, 7, {});
  EXPECT_EQ(TimesOf(graph).finish, (std::vector<int64_t>{10, 12, 11, 13, 5, 7}));
}

// A chain of tasks without work passes through a busy dynamic stream in no time.
TEST(EventEngine, TasksWithoutWorkEndAtOnce) {
  EventGraph graph;
  const uint32_t stream = AddStream(graph, StreamOrder::kEarliestReady);
  Add(graph, 0, {1}, stream);
  Add(graph, 0, {2}, stream);
  Add(graph, 9, {}, stream);
  Add(graph, 0, {0});
  EXPECT_EQ(TimesOf(graph).finish, (std::vector<int64_t>{9, 9, 9, 9}));
}

TEST(EventEngine, EqualTransfersOnALinkTakeTwiceAsLong) {
  EventGraph graph;
  const uint32_t link = AddResource(graph, 50);
  AddTransfer(graph, 1001, 50, {link});
  EXPECT_EQ(TimesOf(graph).makespan, 1001);
  AddTransfer(graph, 1001, 50, {link});
  EXPECT_EQ(TimesOf(graph).finish, (std::vector<int64_t>{2002, 2002}));
}

// Links a and b of 60. Transfers 0 (a), 1 (a, b) and 2 (b), each wanting 60, with work 100, 100, 40.
//   0 ... 80     every transfer runs at 1/2; 2 ends with its work of 40 done at 80
//   80 ... 200   0 and 1 still share a: 1/2 each; 1 cannot use what b has free. Both end when 100 / (1/2) = 200 has passed.
TEST(EventEngine, MaxMinOverTwoLinks) {
  EventGraph graph;
  const uint32_t a = AddResource(graph, 60);
  const uint32_t b = AddResource(graph, 60);
  AddTransfer(graph, 100, 60, {a});
  AddTransfer(graph, 100, 60, {a, b});
  AddTransfer(graph, 40, 60, {b});
  EXPECT_EQ(TimesOf(graph).finish, (std::vector<int64_t>{200, 200, 80}));
}

// A link of 100; transfer 0 moves at most 10 and keeps its 10; 1 and 2 have 45 each of the 100 that they want, so 900 ps of work take
// 900 x 100 / 45 = 2000. When they have ended nothing changes for transfer 0.
TEST(EventEngine, SlowTransferDoesNotSlowDown) {
  EventGraph graph;
  const uint32_t link = AddResource(graph, 100);
  AddTransfer(graph, 3000, 10, {link});
  AddTransfer(graph, 900, 100, {link});
  AddTransfer(graph, 900, 100, {link});
  EXPECT_EQ(TimesOf(graph).finish, (std::vector<int64_t>{3000, 2000, 2000}));
}

// A late comer: transfer 0 (100 ps of work) is alone until 40, then shares with transfer 2 (100): 60 left at 1/2 end at 40 + 120 = 160; of
// transfer 2 then 100 - 60 = 40 are left, alone: 200.
TEST(EventEngine, RatesChangeWhenATransferStarts) {
  EventGraph graph;
  const uint32_t link = AddResource(graph, 50);
  AddTransfer(graph, 100, 50, {link});
  Add(graph, 40, {});
  AddTransfer(graph, 100, 50, {link}, {1});
  EXPECT_EQ(TimesOf(graph).finish, (std::vector<int64_t>{160, 40, 200}));
}

// Three transfers of 100 ps and one of 10 that starts when they have run for 100: not a whole number of ps at any time, but the ends are
// rounded up once only. 0-2 at 1/3 until 100: 66 2/3 left each. Then 1/4 each; transfer 4 ends at 100 + 40 = 140, the others have 56 2/3
// left and end at 140 + 170 = 310.
TEST(EventEngine, FractionsOfPicosecondsAreKept) {
  EventGraph graph;
  const uint32_t link = AddResource(graph, 50);
  for (int i = 0; i < 3; ++i) AddTransfer(graph, 100, 50, {link});
  Add(graph, 100, {});
  AddTransfer(graph, 10, 50, {link}, {3});
  EXPECT_EQ(TimesOf(graph).finish, (std::vector<int64_t>{310, 310, 310, 100, 140}));
}

// Kinds on a device: 0 computes, 1 communicates. Beside communication, computation runs at 4/5; beside computation, communication at 1/2.
//   0 ... 100    compute (200) beside communication (50): 80 and 50 done, the communication ends
//   100 ... 220  the remaining 120 at full rate
// The same tasks on another device: no contention.
TEST(EventEngine, ContentionOnADevice) {
  EventGraph graph;
  Contention contention = NoContention(2);
  contention.rates[0 << 2 | 0b10] = kFullRate * 4 / 5;
  contention.rates[1 << 2 | 0b01] = kFullRate / 2;
  const uint32_t table = AddContention(graph, contention);
  const uint32_t first = AddDevice(graph, table);
  const uint32_t second = AddDevice(graph, table);
  AddTask(graph, {.work = 200, .device = first, .kind = 0});
  AddTask(graph, {.work = 50, .device = first, .kind = 1});
  AddTask(graph, {.work = 200, .device = second, .kind = 0});
  EXPECT_EQ(TimesOf(graph).finish, (std::vector<int64_t>{220, 100, 200}));
}

// Contention and links together: computation holds transfer 1 at 1/4, so transfer 2 gets the other 3/4 of the link.
// 0 ... 40: rates 1/4 and 3/4, work 10 and 30; then 1/2 each: transfer 2 ends at 40 + 70 x 2 = 180, transfer 1 has 90 - 70 = 20 left: 200.
TEST(EventEngine, CeilingOfContentionLeavesTheLinkToOthers) {
  EventGraph graph;
  const uint32_t link = AddResource(graph, 50);
  Contention contention = NoContention(2);
  contention.rates[1 << 2 | 0b01] = kFullRate / 4;
  const uint32_t device = AddDevice(graph, AddContention(graph, contention));
  AddTask(graph, {.work = 40, .device = device, .kind = 0});
  const std::vector<ResourceUse> uses = {{link, 1}};
  AddTask(graph, {.work = 100, .flow = 50, .uses = uses, .device = device, .kind = 1});
  AddTransfer(graph, 100, 50, {link});
  EXPECT_EQ(TimesOf(graph).finish, (std::vector<int64_t>{40, 200, 180}));
}

TEST(EventEngineStall, NamesTheCycle) {
  EventGraph graph;
  const uint32_t stream = AddStream(graph, StreamOrder::kInOrder);
  Add(graph, 1, {});
  Add(graph, 1, {2}, stream);  // before 2 on the stream, and depends on it
  Add(graph, 1, {0}, stream);
  Add(graph, 1, {1});
  EventOptions options;
  options.name_of = [](uint32_t task) { return std::string("op ") + static_cast<char>('a' + task); };
  EXPECT_EQ(Stall(graph, options),
            "error: the simulation stalls at 1 ps: 3 of 4 tasks are left and none can run; a cycle of waiting:\n"
            "  op b waits for op c, which it depends on\n"
            "  op c waits for op b, which is before it on stream 0\n"
            "  to fix it, order the tasks of the streams as their dependencies go");
}

TEST(EventEngineStall, NamesTheMissingPartner) {
  EventGraph graph;
  Add(graph, 1, {1});
  Add(graph, 1, {kMissingPartner});
  EXPECT_THAT(Stall(graph), HasSubstr("task 0 waits for task 1, which it depends on\n  task 1 waits for a partner that no task plays\n"));
}

TEST(EventEngineStall, NamesWhoHoldsADynamicStreamAtRateZero) {
  EventGraph graph;
  const uint32_t stream = AddStream(graph, StreamOrder::kEarliestReady);
  const uint32_t link = AddResource(graph, 0);
  const std::vector<ResourceUse> uses = {{link, 1}};
  Add(graph, 1, {2}, stream);
  AddTask(graph, {.work = 1, .stream = stream, .flow = 1, .uses = uses});
  Add(graph, 1, {});
  const std::string message = Stall(graph);
  EXPECT_THAT(message, HasSubstr("task 0 waits for task 1, which occupies stream 0\n"));
  EXPECT_THAT(message, HasSubstr("task 1 is held at rate 0 by"));
}

TEST(EventEngineStall, LongChainsAreCut) {
  EventGraph graph;
  for (uint32_t task = 0; task < 100; ++task) Add(graph, 1, {task == 99 ? kMissingPartner : task + 1});
  EXPECT_THAT(Stall(graph), HasSubstr("task 19 waits for task 20, which it depends on\n  ... and 80 more"));
}

}  // namespace
}  // namespace helm::sim
