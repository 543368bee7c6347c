#include "schedule/streams.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/check.h"
#include "ir/graph.h"
#include "schedule/edit.h"

namespace helm::schedule {
namespace {

struct Place {
  size_t span = 0, stream = 0, item = 0;
};

bool StaysWith(const ir::Op& before, const ir::Op& op) {
  return before.tile == op.tile && before.strand == op.strand &&
         ((op.region >= 0 && op.region == before.region) || (op.batch >= 0 && op.batch == before.batch));
}

class SpanMaker {
 public:
  explicit SpanMaker(const ir::Program& program) : program_(program), places_(program.ops.size()) {}

  std::vector<Span> Run() {
    for (size_t i = 0; i < program_.ops.size(); ++i) PlaceOp(i);
    for (Span& span : spans_) {
      for (std::vector<Item>& stream : span.streams) {
        for (Item& item : stream) item.after.resize(span.streams.size(), 0);
      }
    }
    for (const ir::Dependency& edge : ir::BuildDependencies(program_).edges) {
      if (edge.kind != ir::DependencyKind::kGroup) Add(places_[edge.from.index()], places_[edge.to.index()]);
    }
    return std::move(spans_);
  }

 private:
  void PlaceOp(size_t i) {
    const ir::Op& op = program_.ops[i];
    if (i == 0 || op.action != program_.ops[i - 1].action) {
      spans_.emplace_back();
      stream_of_.clear();
    }
    Span& span = spans_.back();
    const size_t stream = stream_of_.try_emplace({op.tile, op.strand}, span.streams.size()).first->second;
    if (stream == span.streams.size()) span.streams.emplace_back();
    std::vector<Item>& items = span.streams[stream];
    const bool starts_span = span.program_order.empty();
    if (starts_span || !StaysWith(program_.ops[i - 1], op)) {
      items.push_back({{}, op.kind == ir::OpKind::kWait, {}});
      span.program_order.push_back(stream);
    }
    items.back().ops.emplace_back(i);
    places_[i] = {spans_.size() - 1, stream, items.size() - 1};
  }

  void Add(const Place& from, const Place& to) {
    if (from.span != to.span || from.stream == to.stream) return;
    size_t& after = spans_[to.span].streams[to.stream][to.item].after[from.stream];
    after = std::max(after, from.item + 1);
  }

  const ir::Program& program_;
  std::vector<Span> spans_;
  std::map<std::pair<int32_t, int32_t>, size_t> stream_of_;  // by tile and strand, of the span that is being made
  std::vector<Place> places_;                                // by op
};

}  // namespace

std::vector<Span> SpansOf(const ir::Program& program) { return SpanMaker(program).Run(); }

bool IsReady(const Item& item, const std::vector<size_t>& gone) {
  for (size_t stream = 0; stream < gone.size(); ++stream) {
    if (gone[stream] < item.after[stream]) return false;
  }
  return true;
}

ir::Program Interleaved(const ir::Program& program, const std::vector<Span>& spans, const std::vector<std::vector<size_t>>& choices) {
  HELM_CHECK(spans.size() == choices.size(), "a choice for each span");
  std::vector<ir::OpId> order;
  order.reserve(program.ops.size());
  for (size_t s = 0; s < spans.size(); ++s) {
    std::vector<size_t> gone(spans[s].streams.size(), 0);
    for (const size_t stream : choices[s]) {
      const Item& item = spans[s].streams[stream][gone[stream]];
      HELM_CHECK(IsReady(item, gone), "a choice respects what must come first");
      order.insert(order.end(), item.ops.begin(), item.ops.end());
      ++gone[stream];
    }
  }
  return Reorder(program, order);
}

}  // namespace helm::schedule
