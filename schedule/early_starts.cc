#include "schedule/early_starts.h"

#include <cstddef>
#include <vector>

#include "ir/graph.h"
#include "schedule/edit.h"
#include "schedule/streams.h"

namespace helm::schedule {
namespace {

// What stays together (schedule/streams.h), in the program's order.
struct Unit {
  std::vector<ir::OpId> ops;
  size_t span = 0;
  bool waits = false;   // only when it is needed
  bool starts = false;  // as soon as it can
  std::vector<size_t> before, after;
};

class EarlyStarts {
 public:
  explicit EarlyStarts(const ir::Program& program) : program_(program) {
    std::vector<size_t> unit_of(program.ops.size());
    const std::vector<Span> spans = SpansOf(program);
    for (size_t s = 0; s < spans.size(); ++s) {
      std::vector<size_t> gone(spans[s].streams.size(), 0);
      for (const size_t stream : spans[s].program_order) {
        const Item& item = spans[s].streams[stream][gone[stream]++];
        const ir::Op& first = program.op(item.ops.front());
        const bool starts = first.kind == ir::OpKind::kCollectiveStart && !ir::IsPointToPoint(first);
        for (const ir::OpId op : item.ops) unit_of[op.index()] = units_.size();
        units_.push_back({item.ops, s, item.waits && item.ops.size() == 1, starts, {}, {}});
      }
    }
    for (const ir::Dependency& edge : ir::BuildDependencies(program).edges) {
      const size_t from = unit_of[edge.from.index()], to = unit_of[edge.to.index()];
      if (from == to || units_[from].span != units_[to].span) continue;
      units_[to].before.push_back(from);
      units_[from].after.push_back(to);
    }
    done_.resize(units_.size());
  }

  ir::Program Run() {
    for (size_t begin = 0, end = 0; begin < units_.size(); begin = end) {
      while (end < units_.size() && units_[end].span == units_[begin].span) ++end;
      for (size_t u = begin; u < end; ++u) {
        if (!units_[u].waits) Emit(u);
      }
      for (size_t u = begin; u < end; ++u) Emit(u);
    }
    return Reorder(program_, order_);
  }

 private:
  // With the waits that it needs before it, and the collectives that can start then behind it.
  void Emit(size_t unit) {
    if (done_[unit]) return;
    for (const size_t needed : units_[unit].before) Emit(needed);
    if (done_[unit]) return;  // what it needed let it start
    done_[unit] = true;
    order_.insert(order_.end(), units_[unit].ops.begin(), units_[unit].ops.end());
    for (const size_t next : units_[unit].after) {
      if (units_[next].starts && !done_[next] && IsReady(next)) Emit(next);
    }
  }

  bool IsReady(size_t unit) const {
    for (const size_t needed : units_[unit].before) {
      if (!done_[needed]) return false;
    }
    return true;
  }

  const ir::Program& program_;
  std::vector<Unit> units_;
  std::vector<bool> done_;
  std::vector<ir::OpId> order_;
};

}  // namespace

ir::Program StartEarly(const ir::Program& program) { return EarlyStarts(program).Run(); }

}  // namespace helm::schedule
