#include "schedule/round_robin.h"

#include "core/check.h"

namespace helm::schedule {
namespace {

// Items of the stream from `gone` on up to the next wait, or to one that is not ready.
void RunSegment(const Span& span, size_t stream, std::vector<size_t>& gone, std::vector<size_t>& choice) {
  const std::vector<Item>& items = span.streams[stream];
  for (bool first = true; gone[stream] < items.size(); first = false) {
    const Item& item = items[gone[stream]];
    if ((item.waits && !first) || !IsReady(item, gone)) return;
    choice.push_back(stream);
    ++gone[stream];
  }
}

}  // namespace

std::vector<size_t> RoundRobinChoice(const Span& span) {
  std::vector<size_t> gone(span.streams.size(), 0), choice;
  while (choice.size() < span.program_order.size()) {
    const size_t before = choice.size();
    for (size_t stream = 0; stream < span.streams.size(); ++stream) RunSegment(span, stream, gone, choice);
    // The first op of the program that has not run needs nothing but ops that have.
    HELM_CHECK(choice.size() > before, "some stream is ready");
  }
  return choice;
}

ir::Program RoundRobin(const ir::Program& program) {
  const std::vector<Span> spans = SpansOf(program);
  std::vector<std::vector<size_t>> choices;
  choices.reserve(spans.size());
  for (const Span& span : spans) choices.push_back(RoundRobinChoice(span));
  return Interleaved(program, spans, choices);
}

}  // namespace helm::schedule
