// Reads what was written back with protozero: field numbers are those of perfetto.protos (docs/formats/perfetto.md).
#include "formats/perfetto_trace.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <protozero/pbf_reader.hpp>

#include <cstdlib>
#include <string>
#include <vector>

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
    expected.push_back(fmt::format("10=1 60={{1={} 2='memory {}' 5=16777216 8={{3=3}} 12={}}}", 16842752 + i, roles[i], 3 + i));
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
  const Result<std::string> archive = ToPerfettoArchive(Message(), Message());
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

}  // namespace
}  // namespace helm::formats
