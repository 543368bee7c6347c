// The HTML report as text, and as a real browser sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>
#include <tuple>
#include <vector>

#include "report/compare.h"
#include "support/browser.h"
#include "support/sample_timelines.h"

namespace helm::report {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Page(const test::SampleTimelines& sample, const HtmlOptions& options = {}) {
  const Result<Comparison> comparison = Compare(sample.predicted, sample.measured);
  EXPECT_TRUE(comparison.ok()) << comparison.status().message();
  return RenderHtml(*comparison, sample.predicted, sample.measured, options);
}

json DataOf(const std::string& page) {
  const std::string begin = "id=\"data\">";
  const size_t at = page.find(begin) + begin.size();
  return json::parse(page.substr(at, page.find("</script>", at) - at));
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(RenderHtml, NeedsNoOtherFileAndMakesNoRequest) {
  const std::string page = Page(test::MakeSampleTimelines());
  for (const char* outside : {"http://", "https://", " src=", " href=", "@import", "url(", "fetch(", "XMLHttpRequest", "@HELM_"}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST(RenderHtml, DataHoldsEveryEventOnceWithStartsAsDifferences) {
  const test::SampleTimelines sample = test::MakeSampleTimelines();
  const json data = DataOf(Page(sample, {.memory_capacity = Bytes(123456789)}));
  EXPECT_EQ(data["memory_capacity"], 123456789);
  ASSERT_EQ(data["sides"].size(), 2u);
  std::vector<ir::TimelineEvent> events;
  for (const json& lane : data["sides"][1]["lanes"]) {
    int64_t start = 0;
    for (size_t i = 0; i < lane["op"].size(); ++i) {
      start += lane["start"][i].get<int64_t>();
      events.push_back({lane["rank"], lane["stream"], ir::OpId(lane["op"][i].get<size_t>()), Duration::Nanoseconds(start),
                        Duration::Nanoseconds(lane["duration"][i])});
    }
  }
  std::vector<ir::TimelineEvent> expected;
  for (ir::TimelineEvent event : sample.measured.events) {
    const int64_t start = event.start.nanoseconds();
    const int64_t end = (event.start + event.duration).nanoseconds();
    expected.push_back({event.rank, event.stream, event.op, Duration::Nanoseconds(start), Duration::Nanoseconds(end - start)});
  }
  EXPECT_EQ(events, expected);
}

TEST(RenderHtml, EscapesWhatATimelineSays) {
  test::SampleTimelines sample = test::MakeSampleTimelines();
  const std::string evil = "</script><script>document.title='x'</script><!-- & \" ' \xE2\x80\xA8";
  sample.predicted.title = evil;
  sample.predicted.ops[3].label = sample.measured.ops[3].label = evil;
  const std::string page = Page(sample);
  // As many as in a harmless page: the error handler, the data, the program.
  EXPECT_EQ(Count(page, "<script"), Count(Page(test::MakeSampleTimelines()), "<script"));
  EXPECT_EQ(DataOf(page)["sides"][0]["title"], evil);
  const auto state = test::PageState(page);
  EXPECT_EQ(state.count("error"), 0u) << state.at("error");
  EXPECT_EQ(state.at("ready"), "true");
}

// The counters are what the page says that it drew (data-bars, data-rows, data-points, data-memory-points).
void ExpectDrawn(const std::map<std::string, std::string>& state, const test::SampleTimelines& sample) {
  ASSERT_EQ(state.count("error"), 0u) << state.at("error");
  ASSERT_EQ(state.count("ready"), 1u) << "the page's script did not run to its end";
  EXPECT_EQ(state.at("events"), std::to_string(sample.predicted.events.size() + sample.measured.events.size()));
  EXPECT_GT(std::stoi(state.at("bars")), 500);
  EXPECT_EQ(state.at("rows"), "40");
  EXPECT_GT(std::stoi(state.at("points")), 400);
  EXPECT_GT(std::stoi(state.at("memory-points")), 1000);
}

TEST(HtmlReport, DrawsInABrowserInLightAndDark) {
  const test::SampleTimelines sample = test::MakeSampleTimelines();
  const std::string page = Page(sample, {.memory_capacity = Bytes::Gibibytes(0.75)});
  ExpectDrawn(test::PageState(page), sample);
  ExpectDrawn(test::PageState(page, {.dark = true}), sample);
}

// Every control once. Pointer capture needs a real pointer, which a script does not have; and a browser that only dumps a page draws few
// frames.
constexpr const char* kUseEverything = R"js(
  HTMLElement.prototype.setPointerCapture = () => {};
  window.requestAnimationFrame = (draw) => setTimeout(draw, 0);
  window.cancelAnimationFrame = clearTimeout;
  const root = document.documentElement, $ = (id) => document.getElementById(id), seen = [];
  const wait = () => new Promise((done) => setTimeout(done, 40));
  const at = (id, type, x, y, more = {}) => {
    const box = $(id).getBoundingClientRect();
    const kind = type === "wheel" ? WheelEvent : PointerEvent;
    $(id).dispatchEvent(new kind(type, {clientX: box.left + x, clientY: box.top + y, bubbles: true, cancelable: true, ...more}));
  };
  const key = (name) => $("stage").dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true}));
  const choose = (id, value, type = "change") => { $(id).value = value; $(id).dispatchEvent(new Event(type)); };
  (async () => {
    await wait();
    const whole = Number(root.dataset.bars);
    for (let i = 0; i < 12; i++) at("timeline", "wheel", 600, 200, {deltaY: -120});
    await wait();
    root.dataset.wheel = Number(root.dataset.bars) < whole / 2;
    for (const name of ["+", "-", "ArrowLeft", "ArrowRight", "w", "s", "a", "d", "]", "]", "[", "0"]) key(name);
    await wait();
    root.dataset.keys = root.dataset.selected !== "";
    for (const mode of $("colour-mode").options) { choose("colour-mode", mode.value); await wait(); seen.push(mode.value); }
    root.dataset.modes = seen.join(" ");
    choose("colour-mode", "phase");
    $("legend").querySelector("button").click();
    $("legend").querySelector("button").click();
    $("critical-path").click();
    for (const id of ["zoom-in", "zoom-out", "zoom-fit"]) $(id).click();
    $("ranks").querySelector("button[aria-pressed=true]").click();
    await wait();
    root.dataset.ranks = Number(root.dataset.bars) < whole;
    for (let x = 0; x < 1300; x += 71) for (let y = 0; y < 420; y += 27) at("timeline", "pointermove", x, y);
    root.dataset.tooltip = !$("tooltip").hidden || $("tooltip").textContent !== "";
    at("memory", "pointermove", 700, 90);
    at("memory", "pointerleave", 0, 0);
    for (const [shift, y] of [[true, 100], [false, 100], [false, 5]]) {
      at("timeline", "pointerdown", 400, y, {shiftKey: shift}); at("timeline", "pointermove", 700, y); at("timeline", "pointerup", 700, y); await wait();
    }
    root.dataset.drag = Number(root.dataset.bars) < whole;
    at("overview", "pointerdown", 500, 10); at("overview", "pointermove", 600, 10); at("overview", "pointerup", 600, 10);
    key("0"); key("Escape");
    await wait();
    root.dataset.escape = root.dataset.selected === "";
    $("more").click();
    root.dataset.more = root.dataset.rows === "240";
    choose("filter", "layer:3 mlp", "input");
    root.dataset.filtered = [...$("ops").tBodies[0].rows].every((row) => row.cells[1].textContent.startsWith("mlp") && row.cells[4].textContent === "3");
    for (const button of $("ops").tHead.querySelectorAll("button")) { button.click(); }
    choose("filter", "", "input");
    for (const group of $("group").options) { choose("group", group.value); for (const button of [...$("ops").tHead.querySelectorAll("button")]) button.click(); }
    choose("group", "op");
    choose("phase-filter", "optimizer");
    root.dataset.phases = [...$("ops").tBodies[0].rows].every((row) => row.cells[3].textContent === "optimizer");
    $("ops").tBodies[0].rows[0].click();
    await wait();
    root.dataset.row = root.dataset.selected !== "";
    root.dataset.done = "true";
  })();
)js";

TEST(HtmlReport, EveryControlWorks) {
  const test::SampleTimelines sample = test::MakeSampleTimelines();
  auto state = test::PageState(Page(sample), {.script = kUseEverything});
  ASSERT_EQ(state.count("error"), 0u) << state.at("error");
  ASSERT_EQ(state["done"], "true") << "the script of the test stopped half-way";
  EXPECT_EQ(state["modes"], "phase operator error source layer microBatch");
  for (const char* part : {"wheel", "keys", "ranks", "tooltip", "drag", "escape", "more", "filtered", "phases", "row"})
    EXPECT_EQ(state[part], "true") << part;
}

// Two stages of two ranks, predicted with one rank each; a message after each micro-batch's first half.
test::SampleTimelines MakePipeline() {
  const auto make = [](const std::string& title, bool all, double slower) {
    test::TimelineBuilder builder(title, "pipeline");
    const int32_t compute = builder.Stream(ir::Stream::Kind::kCompute, "compute");
    const int32_t send = builder.Stream(ir::Stream::Kind::kCommunication, "communication.pipeline_forward.send+1");
    const int32_t receive = builder.Stream(ir::Stream::Kind::kCommunication, "communication.pipeline_forward.recv-1");
    std::vector<ir::OpId> first, second;
    for (int stage = 0; stage < 2; ++stage) {
      for (int i = 0; i < 8; ++i) {
        std::vector<ir::OpId>& ops = stage == 0 ? first : second;
        ops.push_back(builder.Op("compute", "aten.mm", "mlp.up"));
        ops.push_back(builder.Op("collective", stage == 0 ? "c10d.send" : "c10d.recv", "boundary"));
        ops.push_back(builder.Op("wait", "c10d.wait", "boundary"));
      }
    }
    for (size_t i = 0; i < 8; ++i) {
      const double start = 1000 * static_cast<double>(i), half = 900 * slower;
      for (int32_t rank = 0; rank < (all ? 2 : 1); ++rank) {
        builder.Event(rank, compute, first[3 * i], start, start + half);
        builder.Event(rank, send, first[3 * i + 1], start + half, start + half + 50);
        builder.Event(rank + 2, receive, second[3 * i + 1], start + half, start + half + 50);
        builder.Event(rank + 2, compute, second[3 * i + 2], start, start + half + 50);
        builder.Event(rank + 2, compute, second[3 * i], start + half + 50, start + 1000 + half);
      }
    }
    ir::Timeline timeline = builder.Build();
    std::ranges::stable_sort(timeline.events, {},
                             [](const ir::TimelineEvent& event) { return std::tuple(event.rank, event.stream, event.start); });
    for (int32_t rank = 0; rank < 4; ++rank) {
      if (!all && rank % 2 != 0) continue;
      timeline.ranks.push_back({rank, timeline.makespan, Bytes(int64_t{1000000} * (rank + 1))});
      for (int i = 0; i < 8; ++i) {
        timeline.memory.push_back(
            {rank, ir::OpId(size_t{0}), Duration::Microseconds(1000.0 * i), {500000 * (rank + 1), 0, 0, 100 * i, 0, 0}});
      }
    }
    return timeline;
  };
  return {make("predicted", false, 1), make("measured", true, 0.9)};
}

constexpr const char* kUseTables = R"js(
  window.requestAnimationFrame = (draw) => setTimeout(draw, 0);
  window.cancelAnimationFrame = clearTimeout;
  const root = document.documentElement, $ = (id) => document.getElementById(id);
  const wait = () => new Promise((done) => setTimeout(done, 40));
  const choose = (id, value) => { $(id).value = value; $(id).dispatchEvent(new Event("change")); };
  const rows = (id) => [...$(id).tBodies[0].rows];
  (async () => {
    await wait();
    root.dataset.fits = root.scrollWidth <= innerWidth;
    root.dataset.heading = $("attribution-heading").textContent;
    root.dataset.steps = rows("waterfall").map((row) => row.cells[0].textContent).join(",");
    root.dataset.total = rows("waterfall").at(-1).cells[4].textContent;
    rows("path-work")[0].click();
    await wait();
    root.dataset.pinned = root.dataset.selected !== "";
    root.dataset.stages = rows("uses").map((row) => row.cells[0].textContent).join(",");
    choose("uses-rows", "ranks");
    root.dataset.rankrows = rows("uses").map((row) => row.cells[0].textContent).join(",");
    root.dataset.pairing = $("uses-note").textContent;
    const chips = () => [...$("ranks").querySelectorAll("button")].filter((chip) => chip.getAttribute("aria-pressed") === "true").length;
    for (const chip of $("ranks").querySelectorAll(".measured button")) if (chip.getAttribute("aria-pressed") === "true") chip.click();
    const before = chips();
    rows("uses")[3].click();
    await wait();
    root.dataset.shown = chips() - before;
    const seen = [];
    for (const option of $("memory-of").options) { choose("memory-of", option.value); await wait(); seen.push(option.textContent + " " + root.dataset.memoryPoints); }
    root.dataset.memories = seen.join(",");
    root.dataset.done = "true";
  })();
)js";

// The last micro-batch starts at 7000 us; stage 1 ends its second half 1000 us after stage 0 ended the first: predicted 7000 + 900 + 1000,
// measured 7000 + 810 + 1000.
TEST(HtmlReport, TablesOfAttributionStagesAndRanks) {
  const test::SampleTimelines sample = MakePipeline();
  for (const bool dark : {false, true}) {
    auto state = test::PageState(Page(sample), {.dark = dark, .width = 1280, .height = 800, .script = kUseTables});
    ASSERT_EQ(state.count("error"), 0u) << state.at("error");
    ASSERT_EQ(state["done"], "true") << "the script of the test stopped half-way";
    EXPECT_EQ(state["fits"], "true") << "the page is wider than the window";
    EXPECT_EQ(state["heading"], "Why predicted is 90.0\u202f\u00b5s longer than measured");
    EXPECT_EQ(state["steps"], "compute,message,the step");
    EXPECT_EQ(state["total"], "+90.0\u202f\u00b5s");
    EXPECT_EQ(state["stages"], "stage 01 / 2 ranks,stage 11 / 2 ranks");
    EXPECT_EQ(state["rankrows"], "rank 0stage 0,rank 1stage 0, predicted: rank 0,rank 2stage 1,rank 3stage 1, predicted: rank 2");
    EXPECT_EQ(
        state["pairing"],
        "'predicted' has 2 of 4 ranks, the first of a stage stands for the others of it. Click a row to see the rank on the timeline.");
    EXPECT_EQ(state["pinned"], "true");
    EXPECT_EQ(state["shown"], "1");
    EXPECT_EQ(state["memories"], "the highest peak 14,stage 0 14,stage 1 14");
  }
}

TEST(HtmlReport, AddressOpensAnOpAndARange) {
  const test::SampleTimelines sample = test::MakeSampleTimelines();
  auto state = test::PageState(Page(sample), {.address = "op=100&colour=error&path&from=20&to=40"});
  EXPECT_EQ(state.count("error"), 0u);
  EXPECT_NE(state["selected"], "");
  EXPECT_LT(std::stoi(state["bars"]), 400);
}

// One op, no memory samples, one rank, two different programs: nothing to draw is no error.
TEST(HtmlReport, DrawsTheSmallestTimelines) {
  test::TimelineBuilder one("plan a", "h1");
  one.Event(0, one.Stream(ir::Stream::Kind::kCompute, "compute"), one.Op("compute", "aten.mm", "a"), 0, 1);
  test::TimelineBuilder other("plan b", "h2");
  other.Event(0, other.Stream(ir::Stream::Kind::kCompute, "compute"), other.Op("compute", "aten.add.Tensor", "b"), 0, 0);
  auto state = test::PageState(Page({one.Build(), other.Build()}));
  EXPECT_EQ(state.count("error"), 0u) << state["error"];
  EXPECT_EQ(state["ready"], "true");
  EXPECT_EQ(state["rows"], "2");
}

}  // namespace
}  // namespace helm::report
