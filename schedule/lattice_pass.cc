#include "schedule/lattice_pass.h"

#include <algorithm>
#include <map>
#include <utility>

#include "ir/lifetime.h"
#include "ir/step_programs.h"
#include "schedule/repeated_layers.h"
#include "schedule/round_robin.h"

namespace helm::schedule {
namespace {

struct StreamItem {
  size_t stream = 0, item = 0;
};
using Order = std::vector<StreamItem>;

Order OrderOf(const std::vector<size_t>& choice, size_t streams) {
  std::vector<size_t> gone(streams, 0);
  Order order;
  for (const size_t stream : choice) order.push_back({stream, gone[stream]++});
  return order;
}

// The steps of one of the two sides: units in their order, those that take no time joined with the next.
struct StreamSide {
  std::vector<LatticeStep> steps;
  std::vector<size_t> units;                            // by step: how many units it joins
  std::vector<int32_t> layers;                          // by step
  std::map<std::pair<size_t, size_t>, size_t> step_of;  // stream, item -> step
  std::map<ir::OpId, size_t> start_step;                // start op -> step
};

class SpanLattice {
 public:
  SpanLattice(const ir::Program& program, const Span& span, const std::vector<OpCosts>& costs, const LatticeOptions& options)
      : program_(program), span_(span), costs_(costs), options_(options) {}

  std::vector<size_t> Run() {
    std::vector<size_t> best = span_.program_order;
    if (span_.streams.size() < 2) return best;
    int64_t fastest = MakespanOf(best);
    const auto consider = [&](std::vector<size_t> choice) {
      const int64_t makespan = MakespanOf(choice);
      if (makespan < fastest) {
        fastest = makespan;
        best = std::move(choice);
      }
    };
    consider(RoundRobinChoice(span_));
    if (auto choice = Folded()) consider(*std::move(choice));
    return best;
  }

 private:
  // None where some order in between cannot be completed: streams that need each other beyond the two that are being folded.
  std::optional<std::vector<size_t>> Folded() const {
    Order order = StreamOrder(0);
    for (size_t stream = 1; stream < span_.streams.size(); ++stream) {
      StreamSide a = SideOf(order), b = SideOf(StreamOrder(stream));
      SetAfter(a, b);
      SetAfter(b, a);
      const std::optional<std::vector<bool>> from_b =
          InterleaveLayers({&a.steps, &a.layers}, {&b.steps, &b.layers}, program_.groups.size(), options_);
      if (!from_b) return std::nullopt;
      order = Merge(order, a, StreamOrder(stream), b, *from_b);
    }
    std::vector<size_t> choice, gone(span_.streams.size(), 0);
    for (const StreamItem& unit : order) {
      if (!IsReady(span_.streams[unit.stream][unit.item], gone)) return std::nullopt;
      ++gone[unit.stream];
      choice.push_back(unit.stream);
    }
    return choice;
  }

  Order StreamOrder(size_t stream) const {
    Order order;
    for (size_t item = 0; item < span_.streams[stream].size(); ++item) order.push_back({stream, item});
    return order;
  }

  bool NeedsOthers(const Item& item) const {
    return std::ranges::any_of(item.after, [](size_t count) { return count > 0; });
  }

  StreamSide SideOf(const Order& order) const {
    StreamSide side;
    bool joins = false;  // the step before takes no time, so that this unit may be part of it
    for (const StreamItem& unit : order) {
      const Item& item = span_.streams[unit.stream][unit.item];
      const LatticeStep step = StepOf(program_, item, costs_, side.start_step);
      if (joins && !NeedsOthers(item)) {
        Join(step, side.steps.back());
        ++side.units.back();
      } else {
        side.steps.push_back(step);
        side.units.push_back(1);
        side.layers.push_back(program_.op(item.ops.front()).layer);
      }
      side.step_of[{unit.stream, unit.item}] = side.steps.size() - 1;
      for (const ir::OpId op : item.ops) {
        if (program_.op(op).kind == ir::OpKind::kCollectiveStart) side.start_step[op] = side.steps.size() - 1;
      }
      joins = side.steps.back().kind == StepKind::kCompute && side.steps.back().duration == 0;
    }
    return side;
  }

  static void Join(const LatticeStep& step, LatticeStep& into) {
    into.kind = step.kind;
    into.duration = step.duration;
    into.channel = step.channel;
    into.start = step.start;
    into.allocates += step.allocates;
    into.frees += step.frees;
  }

  // What each step of `side` needs of `other`.
  void SetAfter(StreamSide& side, const StreamSide& other) const {
    for (const auto& [unit, step] : side.step_of) {
      const Item& item = span_.streams[unit.first][unit.second];
      for (size_t stream = 0; stream < item.after.size(); ++stream) {
        if (item.after[stream] == 0) continue;
        const auto found = other.step_of.find({stream, item.after[stream] - 1});
        if (found != other.step_of.end()) side.steps[step].after = std::max(side.steps[step].after, found->second + 1);
      }
    }
  }

  static Order Merge(const Order& first, const StreamSide& a, const Order& second, const StreamSide& b, const std::vector<bool>& from_b) {
    Order merged;
    size_t steps[2] = {0, 0}, units[2] = {0, 0};
    for (const bool other : from_b) {
      const StreamSide& side = other ? b : a;
      const Order& order = other ? second : first;
      for (size_t n = side.units[steps[other ? 1 : 0]++]; n > 0; --n) merged.push_back(order[units[other ? 1 : 0]++]);
    }
    return merged;
  }

  int64_t MakespanOf(const std::vector<size_t>& choice) const {
    const StreamSide side = SideOf(OrderOf(choice, span_.streams.size()));
    return Play(side.steps, {}, program_.groups.size(), std::vector<bool>(side.steps.size(), false)).makespan;
  }

  const ir::Program& program_;
  const Span& span_;
  const std::vector<OpCosts>& costs_;
  const LatticeOptions& options_;
};

}  // namespace

LatticeStep StepOf(const ir::Program& program, const Item& item, const std::vector<OpCosts>& costs,
                   const std::map<ir::OpId, size_t>& start_steps) {
  LatticeStep step;
  for (const ir::OpId id : item.ops) {
    const ir::Op& op = program.op(id);
    const OpCosts& of = costs[id.index()];
    step.duration += of.duration;
    step.allocates += of.allocates;
    step.frees += of.frees;
    if (op.kind == ir::OpKind::kCollectiveStart) {
      step.kind = StepKind::kStart;
      step.channel = op.group.index();
    }
    if (op.kind == ir::OpKind::kWait) {
      step.kind = StepKind::kWait;
      const auto start = start_steps.find(ir::StartOf(op));
      step.start = start == start_steps.end() ? kNoStep : start->second;
    }
  }
  return step;
}

std::vector<OpCosts> CostsOf(const ir::Program& program, const sim::TaskCosts& costs) {
  const ir::Lifetimes lifetimes = ir::ComputeLifetimes(program);
  const auto bytes = [&](const std::vector<ir::StorageId>& storages) {
    int64_t sum = 0;
    for (const ir::StorageId storage : storages) sum += program.storage(storage).bytes.count();
    return sum;
  };
  std::vector<OpCosts> result;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::OpKind kind = program.ops[i].kind;
    const bool works = kind == ir::OpKind::kCompute || kind == ir::OpKind::kCollectiveStart;
    const bool follows = !costs.follows.empty() && costs.follows[i];
    result.push_back(
        {works && !follows ? costs.ops[i].duration.picoseconds() : 0, bytes(lifetimes.allocated_by[i]), bytes(lifetimes.freed_after[i])});
  }
  return result;
}

std::vector<size_t> LatticeChoice(const ir::Program& program, const Span& span, const std::vector<OpCosts>& costs,
                                  const LatticeOptions& options) {
  return SpanLattice(program, span, costs, options).Run();
}

Result<ir::Program> Lattice(const ir::Program& program, sim::PriceBook& prices, const LatticeOptions& options) {
  HELM_ASSIGN_OR_RETURN(const std::vector<sim::TaskCosts> priced, sim::PriceStep(ir::StepPrograms{{program}}, prices));
  const std::vector<OpCosts> costs = CostsOf(program, priced.front());
  const std::vector<Span> spans = SpansOf(program);
  std::vector<std::vector<size_t>> choices;
  choices.reserve(spans.size());
  for (const Span& span : spans) choices.push_back(LatticeChoice(program, span, costs, options));
  return Interleaved(program, spans, choices);
}

}  // namespace helm::schedule
