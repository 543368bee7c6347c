// Any bytes are a timeline or an error; a timeline that is written out reads back to the same, and can be made a trace.
#include "core/json.h"
#include "formats/chrome_trace.h"
#include "formats/perfetto_trace.h"
#include "fuzz_support.h"
#include "ir/timeline.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto document = helm::ParseJson(helm::fuzz::Text(data, size), "fuzz");
  if (!document.ok()) return 0;
  const auto timeline = helm::ir::TimelineFromJson(*document, "fuzz");
  if (!timeline.ok()) return 0;
  const auto again = helm::ir::TimelineFromJson(helm::ir::ToJson(*timeline), "again");
  HELM_CHECK(again.ok() && *again == *timeline, "the timeline reads back");
  const bool traced = helm::formats::ToChromeTrace(*timeline).ok();
  HELM_CHECK(helm::formats::ToPerfettoTrace(*timeline).ok() == traced, "what one viewer can show, the other can");
  return 0;
}
