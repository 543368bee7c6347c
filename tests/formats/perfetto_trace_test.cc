// Reads what was written back with protozero: field numbers are those of perfetto.protos (docs/formats/perfetto.md).
#include "formats/perfetto_trace.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <protozero/pbf_reader.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include "core/file.h"
#include "support/sample_timelines.h"

namespace helm::formats {
namespace {

using Kind = ir::Stream::Kind;
using ir::OpId;
using protozero::pbf_reader;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A message as text: "field=value", nested messages in braces; `path` says which fields are messages, texts or numbers.
std::string Text(pbf_reader message, const std::string& path = "") {
  std::string text;
  while (message.next()) {
    const std::string field = path + "/" + std::to_string(message.tag());
    text += text.empty() ? "" : " ";
    text += std::to_string(message.tag()) + "=";
    const bool nested =
        field == "/1" || field == "/1/11" || field == "/1/11/4" || field == "/1/60" || field == "/1/60/3" || field == "/1/60/8";
    if (message.wire_type() == protozero::pbf_wire_type::fixed64) {
      text += std::to_string(message.get_fixed64());
    } else if (message.wire_type() == protozero::pbf_wire_type::varint) {
      text += std::to_string(message.get_int64());
    } else {
      text += nested ? "{" + Text(message.get_message(), field) + "}" : "'" + message.get_string() + "'";
    }
  }
  return text;
}

std::vector<std::string> Packets(const std::string& trace) {
  std::vector<std::string> packets;
  for (pbf_reader message(trace); message.next();) packets.push_back(Text(message.get_message(), "/1"));
  return packets;
}

std::string Slice(const std::string& track, int start, int end, const std::string& kind, const std::string& target, int id,
                  const std::string& label, const std::string& flows) {
  const auto text = [](const char* name, const std::string& value) { return fmt::format(" 4={{6='{}' 10='{}'}}", value, name); };
  const auto number = [](const char* name, int value) { return fmt::format(" 4={{4={} 10='{}'}}", value, name); };
  return fmt::format("8={} 10=1 11={{9=1 11={} 22='{}' 23='{}'{}{}{}{}{}{}{}{}}}|8={} 10=1 11={{9=2 11={}}}", start, track, kind, target,
                     number("op id", id), text("label", label), text("kind", kind), text("phase", "forward"), number("layer", 0),
                     number("micro_batch", 0), text("source", "measured"), flows, end, track);
}

// Rank 0 sends to rank 2: launched 1-2 us, under way 2-5; the recv was posted at 3. Tracks: rank 0 has 1 << 24 = 16777216, its streams from
// 16777217 on, its counters from + 65536 = 16842752 on; rank 2 has 3 << 24 = 50331648.
ir::Timeline Message() {
  test::TimelineBuilder builder("predicted", "h");
  const int32_t host = builder.Stream(Kind::kHost, "host");
  const int32_t send = builder.Stream(Kind::kCommunication, "communication.pipeline.send+1");
  const int32_t receive = builder.Stream(Kind::kCommunication, "communication.pipeline.recv+1");
  const OpId sent = builder.Op("collective", "c10d.send", "out");
  const OpId received = builder.Op("collective", "c10d.recv", "in");
  builder.Event(0, host, sent, 1, 2);
  builder.Event(0, send, sent, 2, 5);
  builder.Event(2, receive, received, 3, 5);
  ir::Timeline timeline = builder.Build();
  timeline.memory.push_back({0, sent, Duration::Microseconds(2), {10, 20, 30, 40, 50, 60}});
  return timeline;
}

TEST(PerfettoTrace, HoldsTracksSlicesFlowsAndCounters) {
  const Result<std::string> trace = ToPerfettoTrace(Message());
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  std::vector<std::string> expected = {
      "10=1 60={1=16777216 3={1=1 6='rank 0 predicted'} 11=3}",
      "10=1 60={1=16777217 2='host' 5=16777216 12=0}",
      "10=1 60={1=16777218 2='communication.pipeline.send+1' 5=16777216 12=1}",
  };
  const char* roles[] = {"parameter", "gradient", "optimizer_state", "activation", "input", "communication_buffer", "all"};
  for (int i = 0; i < 7; ++i) {
    expected.push_back(fmt::format("10=1 60={{1={} 2='memory {}' 5=16777216 8={{3=3 7='memory'}} 12={}}}", 16842752 + i, roles[i], 3 + i));
  }
  expected.push_back("10=1 60={1=50331648 3={1=3 6='rank 2 predicted'} 11=3}");
  expected.push_back("10=1 60={1=50331651 2='communication.pipeline.recv+1' 5=50331648 12=2}");
  // Flow 1 from the launch to the transfer, flow 2 from send to recv.
  for (const std::string& slice : {Slice("16777217", 1000, 2000, "collective", "c10d.send", 0, "out", " 47=1"),
                                   Slice("16777218", 2000, 5000, "collective", "c10d.send", 0, "out", " 47=2 48=1"),
                                   Slice("50331651", 3000, 5000, "collective", "c10d.recv", 1, "in", " 48=2")}) {
    const size_t bar = slice.find('|');
    expected.push_back(slice.substr(0, bar));
    expected.push_back(slice.substr(bar + 1));
  }
  const int values[] = {10, 20, 30, 40, 50, 60, 210};
  for (int i = 0; i < 7; ++i) expected.push_back(fmt::format("8=2000 10=1 11={{9=4 11={} 30={}}}", 16842752 + i, values[i]));
  EXPECT_EQ(Packets(*trace), expected);
}

// A recv posted at 1, before its send begins at 2: the flow starts at the recv.
TEST(PerfettoTrace, AFlowStartsAtTheSliceThatBeginsFirst) {
  ir::Timeline timeline = Message();
  timeline.events[2].start = Duration::Microseconds(1);
  const Result<std::string> trace = ToPerfettoTrace(timeline);
  ASSERT_TRUE(trace.ok());
  EXPECT_THAT(Packets(*trace), ::testing::Contains(::testing::AllOf(HasSubstr("11=50331651"), HasSubstr(" 47=2}"))));
  EXPECT_THAT(Packets(*trace), ::testing::Contains(::testing::AllOf(HasSubstr("11=16777218"), HasSubstr(" 48=1 48=2}"))));
}

// Two stages of two ranks (tensor 2 x pipeline 2); both ends of a message begin together, as simulated ones do, and go against the order
// of the ranks in the file; both ranks of a stage reduce, and all four the norm.
ir::Timeline FourRanks(const std::string& title) {
  test::TimelineBuilder builder(title, "h");
  builder.Mesh({{"tensor", 2}, {"pipeline", 2}});
  const int32_t compute = builder.Stream(Kind::kCompute, "compute");
  const int32_t tensor = builder.GroupStream("tensor", {"tensor"});
  const int32_t world = builder.GroupStream("world", {"tensor", "pipeline"});
  builder.GroupStream("pipeline.send-1", {"pipeline"});
  builder.GroupStream("pipeline.recv+1", {"pipeline"});
  const int32_t send = world + 1, receive = world + 2;
  for (int32_t stage = 0; stage < 2; ++stage) {
    const OpId a = builder.Op("compute", "aten.mm", "a");
    const OpId reduce = builder.Op("collective", "c10d.all_reduce", "r");
    const OpId message = builder.Op("collective", stage == 0 ? "c10d.recv" : "c10d.send", "boundary");
    const OpId norm = builder.Op("collective", "c10d.all_reduce", "norm");
    for (int32_t rank = 2 * stage; rank < 2 * stage + 2; ++rank) {
      builder.Event(rank, compute, a, 0, 10 + rank);
      builder.Event(rank, tensor, reduce, 10 + rank, 20);
      builder.Event(rank, stage == 0 ? receive : send, message, 20, 24);
      builder.Event(rank, world, norm, 24, 30);
      builder.Rank(rank, 30, 1000);
    }
  }
  ir::Timeline timeline = builder.Build();
  std::ranges::stable_sort(timeline.events, {}, [](const ir::TimelineEvent& event) { return std::pair(event.rank, event.stream); });
  timeline.memory.push_back({1, OpId(size_t{1}), Duration::Microseconds(2), {10, 20, 30, 40, 50, 60}});
  timeline.memory.push_back({3, OpId(size_t{5}), Duration::Microseconds(3), {1, 2, 3, 4, 5, 6}});
  return timeline;
}

TEST(PerfettoTrace, AFlowBeginsWherePerfettoReadsFirst) {
  const Result<std::string> trace = ToPerfettoTrace(FourRanks("predicted"));
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  // Rank 0 receives: its slice stands before that of rank 2 in the file and begins at the same time, so the flow starts there.
  EXPECT_THAT(Packets(*trace), ::testing::Contains(::testing::AllOf(HasSubstr("23='c10d.recv'"), HasSubstr(" 47=1}"))));
  EXPECT_THAT(Packets(*trace), ::testing::Contains(::testing::AllOf(HasSubstr("23='c10d.send'"), HasSubstr(" 48=1}"))));
}

// Everything in an archive against the timelines, read by a program that shares no code with the writer.
TEST(PerfettoArchive, AnotherReaderFindsTheTimelinesInIt) {
  const std::string folder = ::testing::TempDir() + "/helm_perfetto." + std::to_string(getpid());
  std::filesystem::create_directories(folder);
  const test::SampleTimelines sample = test::MakeSampleTimelines({.layers = 2});
  const std::pair<ir::Timeline, ir::Timeline> pairs[] = {
      {sample.predicted, sample.measured}, {FourRanks("measured"), FourRanks("measured")}, {Message(), FourRanks("../a title")}};
  for (const auto& [first, second] : pairs) {
    const Result<std::string> archive = ToPerfettoArchive(first, second);
    ASSERT_TRUE(archive.ok()) << archive.status().message();
    ASSERT_TRUE(WriteFileAtomically(folder + "/archive.tar", *archive).ok());
    ASSERT_TRUE(ir::WriteTimeline(first, folder + "/first.json").ok());
    ASSERT_TRUE(ir::WriteTimeline(second, folder + "/second.json").ok());
    const std::string command =
        "python3 tests/formats/check_perfetto.py " + folder + "/archive.tar " + folder + "/first.json " + folder + "/second.json";
    EXPECT_EQ(std::system(command.c_str()), 0);
  }
  std::filesystem::remove_all(folder);
}

TEST(PerfettoTrace, RefusesWhatNoTrackCanShow) {
  ir::Timeline timeline = Message();
  timeline.events.push_back(timeline.events[0]);
  EXPECT_THAT(ToPerfettoTrace(timeline).status().message(), HasSubstr("ops 0 and 0 overlap on rank 0, stream 'host'"));
  timeline.events.clear();
  EXPECT_THAT(ToPerfettoTrace(timeline).status().message(), HasSubstr("has no events"));
}

// Members of a tar archive: a block of 512 bytes with name (offset 0), size (124, octal) and checksum (148: the sum of the header's bytes
// with blanks in its place), then the content, filled up to a whole block; two empty blocks at the end.
TEST(PerfettoArchive, HoldsAManifestAndBothTraces) {
  ir::Timeline run = Message();
  run.title = "measured";
  const Result<std::string> archive = ToPerfettoArchive(Message(), run);
  ASSERT_TRUE(archive.ok());
  std::vector<std::string> names, contents;
  size_t at = 0;
  for (; at < archive->size() && (*archive)[at] != '\0';) {
    std::string header = archive->substr(at, 512);
    names.emplace_back(header.c_str());
    const size_t size = std::strtoul(header.substr(124, 11).c_str(), nullptr, 8);
    const unsigned long checksum = std::strtoul(header.substr(148, 6).c_str(), nullptr, 8);
    header.replace(148, 8, "        ");
    unsigned long sum = 0;
    for (char c : header) sum += static_cast<unsigned char>(c);
    EXPECT_EQ(checksum, sum);
    EXPECT_EQ(header.substr(257, 8), std::string("ustar\00000", 8));
    contents.push_back(archive->substr(at + 512, size));
    at += 512 + (size + 511) / 512 * 512;
  }
  EXPECT_EQ(archive->substr(at), std::string(1024, '\0'));
  EXPECT_THAT(names, ElementsAre("perfetto_manifest.json", "predicted.pftrace", "measured.pftrace"));
  EXPECT_EQ(contents[1], *ToPerfettoTrace(Message()));
  const nlohmann::json manifest = nlohmann::json::parse(contents[0])["perfetto_manifest"];
  EXPECT_EQ(manifest["version"], 1);
  EXPECT_EQ(manifest["files"][1], nlohmann::json::parse(R"({"path": "measured.pftrace", "machine": {"name": "measured"},
                                                            "clocks": {"offset_ns": 0}})"));
}

// Two of one title are numbered; of another title only letters that every system's files have go into the name.
TEST(PerfettoArchive, NamesItsFilesByTheTitles) {
  const auto names = [](const ir::Timeline& first, const ir::Timeline& second) {
    const std::string manifest = ToPerfettoArchive(first, second)->substr(512);
    const nlohmann::json files = nlohmann::json::parse(manifest.substr(0, manifest.find('\0')))["perfetto_manifest"]["files"];
    std::vector<std::string> texts;
    for (const auto& file : files) texts.push_back(file["path"].get<std::string>() + " " + file["machine"]["name"].get<std::string>());
    return texts;
  };
  EXPECT_THAT(names(Message(), Message()), ElementsAre("predicted_1.pftrace predicted 1", "predicted_2.pftrace predicted 2"));
  EXPECT_THAT(names(FourRanks("a/b"), FourRanks("a b")), ElementsAre("a_b_1.pftrace a/b", "a_b_2.pftrace a b"));
}

}  // namespace
}  // namespace helm::formats
