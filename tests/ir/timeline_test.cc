#include "ir/timeline.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "core/file.h"
#include "support/sample_programs.h"

namespace helm::ir {
namespace {

Timeline Sample() {
  Timeline timeline;
  timeline.title = "measured";
  timeline.plan = "data 1, tensor 2, micro_batch 1";
  timeline.program_hash = "0123456789abcdef";
  timeline.device = "Test CPU";
  timeline.makespan = Duration::Nanoseconds(1500);
  timeline.steps = {Duration::Nanoseconds(1500), Duration::Picoseconds(1499999)};
  timeline.mesh = {{"tensor", 2}, {"data", 3}};
  timeline.groups = {{"tensor", {"tensor"}, {}}, {"ends", {"data"}, {0, 2}}};
  timeline.streams = {
      {Stream::Kind::kHost, 0, "host"}, {Stream::Kind::kCompute, 0, "compute"}, {Stream::Kind::kCommunication, 0, "communication.tensor"}};
  timeline.ops = TimelineOps(test::ParseSample(test::kLinearProgram), {});
  timeline.events = {{0, 1, OpId(1), Duration::Nanoseconds(0), Duration::Nanoseconds(1000)},
                     {0, 2, OpId(2), Duration::Nanoseconds(500), Duration::Nanoseconds(700)},
                     {0, 1, OpId(4), Duration::Nanoseconds(1000), Duration::Nanoseconds(500)},
                     {1, 1, OpId(1), Duration::Nanoseconds(10), Duration::Picoseconds(1)}};
  timeline.memory = {{0, OpId(), Duration(), {96, 96, 192, 0, 80, 0}}, {0, OpId(1), Duration::Nanoseconds(0), {96, 96, 192, 120, 80, 0}}};
  timeline.ranks = {{0, Duration::Nanoseconds(1500), Bytes(584)}, {1, Duration::Nanoseconds(1400), Bytes(600), Bytes(700), Bytes(90)}};
  timeline.stamp = {{"helm", "0.1.0"}};
  return timeline;
}

std::string ErrorAfter(const std::function<void(nlohmann::ordered_json&)>& change) {
  nlohmann::ordered_json document = ToJson(Sample());
  change(document);
  return TimelineFromJson(document, "t.json").status().message();
}

TEST(Timeline, ReadsBackFromJsonAndFile) {
  const Timeline timeline = Sample();
  const Result<Timeline> read = TimelineFromJson(ToJson(timeline), "t.json");
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, timeline);

  const std::string path = (std::filesystem::temp_directory_path() / "helm_timeline_test.json").string();
  ASSERT_TRUE(WriteTimeline(timeline, path).ok());
  const Result<Timeline> from_file = ReadTimeline(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(from_file.ok()) << from_file.status().message();
  EXPECT_EQ(*from_file, timeline);
}

TEST(Timeline, OpsSayWhatAReaderNeeds) {
  const std::vector<TimelineOp> ops = TimelineOps(test::ParseSample(test::kLinearProgram), std::vector<std::string>(11, "analytic"));
  EXPECT_EQ(ops[1], (TimelineOp{"aten.mm", "linear", "compute", "forward", "analytic", 0, 0}));
  EXPECT_EQ(ops[8], (TimelineOp{"c10d.all_reduce", "gradients.bucket0", "collective", "weight_gradient", "analytic", -1, -1}));
}

TEST(Timeline, GroupsLieOnTheMesh) {
  EXPECT_EQ(ErrorAfter([](auto& document) { document["groups"][1]["dimensions"] = {"expert"}; }),
            "t.json: groups[1].dimensions: error: 'expert' is no dimension of the mesh");
  EXPECT_EQ(ErrorAfter([](auto& document) { document["streams"][2]["index"] = 2; }),
            "t.json: streams[2].index: error: there is no group 2 of 2");
  EXPECT_EQ(ErrorAfter([](auto& document) { document["events"]["rank"][3] = 6; }),
            "t.json: events.rank[3]: error: 6 is not on the mesh of 6 ranks");
  EXPECT_EQ(ErrorAfter([](auto& document) { document["mesh"][1]["size"] = 0; }), "t.json: mesh[1].size: error: 0 is not in [1, 8388608]");
  // A file of before has neither, and is read.
  nlohmann::ordered_json document = ToJson(Sample());
  document.erase("mesh");
  document.erase("groups");
  const Result<Timeline> read = TimelineFromJson(document, "t.json");
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_TRUE(read->mesh.empty());
}

TEST(Timeline, TitlesOfTwoAreNotAlike) {
  const auto titles = [](const std::string& first, const std::string& second) {
    Timeline a, b;
    a.title = first;
    b.title = second;
    return TitlesApart(a, b);
  };
  EXPECT_EQ(titles("predicted", "measured"), std::pair(std::string("predicted"), std::string("measured")));
  EXPECT_EQ(titles("predicted", "predicted"), std::pair(std::string("predicted 1"), std::string("predicted 2")));
  EXPECT_EQ(titles("", ""), std::pair(std::string("timeline 1"), std::string("timeline 2")));
}

TEST(Timeline, PeakIsTheLargestOfAllRanks) { EXPECT_EQ(PeakBytes(Sample()), Bytes(600)); }

TEST(Timeline, StaysSmall) {
  Timeline timeline = Sample();
  for (int64_t i = 0; i < 50000; ++i) {
    timeline.events.push_back({2, 1, OpId(static_cast<size_t>(i % 11)), Duration::Nanoseconds(i * 1000), Duration::Nanoseconds(900)});
  }
  EXPECT_LT(ToJson(timeline).dump().size(), 2'000'000u);
}

TEST(Timeline, EventsHoldTheInvariant) {
  EXPECT_EQ(ErrorAfter([](auto& document) { document["events"]["start_ps"][2] = 999999; }),
            "t.json: events[2]: error: starts at 999999 ps, before the event before it on rank 0, stream 1 ends (1000000 ps)");
  EXPECT_EQ(ErrorAfter([](auto& document) { document["events"]["op"][1] = 11; }), "t.json: events.op[1]: error: 11 is not in [0, 10]");
  EXPECT_EQ(ErrorAfter([](auto& document) { document["events"]["rank"].push_back(0); }),
            "t.json: events.stream: error: has 4 entries, the first column has 5");
}

TEST(Timeline, ReadingIsStrict) {
  EXPECT_EQ(ErrorAfter([](auto& document) { document["format"] = "helm-timeline/9"; }),
            "t.json: error: format 'helm-timeline/9' is not known; this HELM reads helm-timeline/1");
  EXPECT_EQ(ErrorAfter([](auto& document) { document["memory"]["time_ps"][0] = 1.5; }),
            "t.json: memory.time_ps[0]: error: expected a whole number, found 1.5");
  EXPECT_EQ(ErrorAfter([](auto& document) { document["streams"][1]["kind"] = "gpu"; }),
            "t.json: streams[1].kind: error: 'gpu' is no kind of stream; allowed: host, compute, communication");
  EXPECT_EQ(ErrorAfter([](auto& document) { document.erase("device"); }), "t.json: error: the key 'device' is missing");
  EXPECT_NE(ErrorAfter([](auto& document) { document["evnts"] = 1; }).find("evnts"), std::string::npos);
  EXPECT_NE(ErrorAfter([](auto& document) { document["ops"]["kind"]["values"][0] = 17; }).find("ops.kind.values[0]: error: 17 is not in"),
            std::string::npos);
}

}  // namespace
}  // namespace helm::ir
