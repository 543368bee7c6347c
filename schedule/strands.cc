#include "schedule/strands.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "ir/sharding.h"
#include "ir/step_programs.h"
#include "schedule/action_pairs.h"
#include "schedule/lattice_pass.h"
#include "schedule/streams.h"
#include "sim/contention.h"
#include "sim/task_costs.h"

namespace helm::schedule {
namespace {

// What the search takes of a pair: two that are equal here have the same order.
using PairKey = std::vector<int64_t>;

// Between stages, not the exchanges of context parallelism.
bool IsMessage(const ir::Program& program, const ir::Op& op) {
  return ir::IsPointToPoint(op) && std::ranges::count(program.group(op.group).dimensions, "pipeline") > 0;
}

bool Sends(const ir::Program& program, const ir::Op& op) { return IsMessage(program, op) && op.target == "c10d.send"; }

// The start that the op is, or that it waits for.
const ir::Op& StartBehind(const ir::Program& program, const ir::Op& op) {
  return op.kind == ir::OpKind::kWait ? program.op(ir::StartOf(op)) : op;
}

// Messages are priced at their sender. A receive takes what one of the own sends of as many bytes does: then it is worth computing beside.
std::vector<OpCosts> WithReceives(const ir::Program& program, std::vector<OpCosts> costs) {
  std::map<Bytes, int64_t> durations;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (Sends(program, program.ops[i])) durations[ir::CollectiveBytes(program, program.ops[i])] = costs[i].duration;
  }
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    if (!IsMessage(program, op) || Sends(program, op)) continue;
    const auto found = durations.find(ir::TensorBytes(program.tensor(op.results[0])));
    if (found != durations.end()) costs[i].duration = found->second;
  }
  return costs;
}

// A pair takes what it gets from other stages before it sends anything, so that no two stages, each in the order that is best for itself,
// wait for each other inside a pair. What stands before the last message of each strand goes first.
void ReceiveFirst(const ir::Program& program, Span& span) {
  std::array<size_t, 2> received = {0, 0};  // items of each strand up to its last message from another stage
  for (const size_t s : {0, 1}) {
    for (size_t i = 0; i < span.streams[s].size(); ++i) {
      const ir::Op& op = program.op(span.streams[s][i].ops.front());
      const bool communicates = op.kind == ir::OpKind::kWait || op.kind == ir::OpKind::kCollectiveStart;
      if (!communicates) continue;
      const ir::Op& start = StartBehind(program, op);
      if (IsMessage(program, start) && !Sends(program, start)) received[s] = i + 1;
    }
  }
  if (received[0] + received[1] == 0) return;
  for (const size_t s : {0, 1}) {
    for (size_t i = received[s]; i < span.streams[s].size(); ++i) {
      const ir::Op& op = program.op(span.streams[s][i].ops.front());
      const bool communicates = op.kind == ir::OpKind::kWait || op.kind == ir::OpKind::kCollectiveStart;
      if (!communicates || !Sends(program, StartBehind(program, op))) continue;
      size_t& after = span.streams[s][i].after[1 - s];
      after = std::max(after, received[1 - s]);
    }
  }
  std::vector<size_t> order;
  for (const size_t s : {0, 1}) order.insert(order.end(), received[s], s);
  std::array<size_t, 2> gone = {0, 0};
  for (const size_t s : span.program_order) {
    if (gone[s]++ >= received[s]) order.push_back(s);
  }
  span.program_order = std::move(order);
}

class StrandSearch {
 public:
  StrandSearch(const ir::Program& program, const sim::TaskCosts& costs, std::vector<OverlapEfficiency> efficiencies)
      : program_(program), costs_(WithReceives(program, CostsOf(program, costs))), efficiencies_(std::move(efficiencies)) {}

  Strands Run() {
    std::vector<Span> spans = SpansOf(program_);
    std::vector<std::vector<size_t>> choices;
    for (Span& span : spans) {
      if (IsPair(span)) ReceiveFirst(program_, span);
    }
    for (const Span& span : spans) choices.push_back(IsPair(span) ? ChoiceOf(span) : span.program_order);
    if (reasons_.empty()) {
      reasons_.emplace_back("no forward of a micro-batch is next to the backward of another, so the program stays as it was");
    }
    return {Interleaved(program_, spans, choices), std::move(reasons_)};
  }

 private:
  bool IsPair(const Span& span) const {
    const int32_t action = program_.op(span.streams.front().front().ops.front()).action;
    return span.streams.size() == 2 && action >= 0 && program_.schedule[static_cast<size_t>(action)].kind == ir::ActionKind::kOverlap;
  }

  std::vector<size_t> ChoiceOf(const Span& span) {
    // The forward's strand first, wherever it begins: so that the order found does not depend on the program's.
    const size_t forward = program_.op(span.streams[0].front().ops.front()).strand == 0 ? 0 : 1;
    const std::vector<StrandStep> a = StepsOf(span, forward), b = StepsOf(span, 1 - forward);
    const auto [known, added] = pairings_.try_emplace(KeyOf(a, b));
    if (added) {
      known->second = PairStrands(a, b, efficiencies_);
      Explain(span, known->second);
    }
    std::vector<size_t> choice;
    for (const bool from_b : known->second.from_b) choice.push_back(from_b ? 1 - forward : forward);
    return choice;
  }

  // One for each item.
  std::vector<StrandStep> StepsOf(const Span& span, size_t stream) const {
    std::vector<StrandStep> steps;
    std::map<ir::OpId, size_t> starts;
    for (const Item& item : span.streams[stream]) {
      StrandStep strand{StepOf(program_, item, costs_, starts)};
      strand.step.after = item.after[1 - stream];
      for (const ir::OpId id : item.ops) {
        const ir::Op& op = program_.op(id);
        strand.is_product = strand.is_product || cost::IsProduct(op.target);
        if (op.kind == ir::OpKind::kCollectiveStart) starts[id] = steps.size();
      }
      steps.push_back(strand);
    }
    return steps;
  }

  static PairKey KeyOf(const std::vector<StrandStep>& a, const std::vector<StrandStep>& b) {
    PairKey key;
    for (const std::vector<StrandStep>* strand : {&a, &b}) {
      key.push_back(static_cast<int64_t>(strand->size()));
      for (const auto& [step, is_product] : *strand) {
        for (const size_t number : {step.channel, step.start, step.after}) key.push_back(static_cast<int64_t>(number));
        key.push_back(step.duration);
        key.push_back(static_cast<int64_t>(step.kind) * 2 + (is_product ? 1 : 0));
      }
    }
    return key;
  }

  void Explain(const Span& span, const StrandPairing& pairing) {
    const int32_t action = program_.op(span.streams.front().front().ops.front()).action;
    reasons_.push_back(fmt::format("{}: {} instead of {} one after the other", ToText(program_.schedule[static_cast<size_t>(action)]),
                                   FormatDuration(Duration::Picoseconds(pairing.duration)),
                                   FormatDuration(Duration::Picoseconds(pairing.alone))));
  }

  const ir::Program& program_;
  const std::vector<OpCosts> costs_;
  const std::vector<OverlapEfficiency> efficiencies_;
  std::map<PairKey, StrandPairing> pairings_;
  std::vector<std::string> reasons_;
};

}  // namespace

std::vector<OverlapEfficiency> EfficienciesOf(const ir::Program& program, const cost::OverlapLosses& losses,
                                              const cluster::RankLayout& layout) {
  std::vector<OverlapEfficiency> efficiencies(program.groups.size());
  std::vector<bool> known(program.groups.size(), false);
  for (const ir::Op& op : program.ops) {
    if (op.kind != ir::OpKind::kCollectiveStart || known[op.group.index()]) continue;
    known[op.group.index()] = true;
    if (ir::IsPointToPoint(op)) continue;  // costs kernels next to nothing (cost/overlap_model.h)
    const auto placements = sim::PlacementsOf(program, op, /*rank=*/0, layout);
    const bool inside = std::ranges::all_of(placements, [](const cluster::GroupPlacement& placement) { return placement.nodes == 1; });
    const cost::OverlapLosses::Beside& beside = inside ? losses.inside : losses.network;
    const cost::OverlapLosses::Saved& saved = inside ? losses.saved_inside : losses.saved_network;
    efficiencies[op.group.index()] = {saved.product.value_or(1 - beside.product),
                                      saved.memory_bound.value_or(1 - std::max(beside.memory_bound, losses.communication))};
  }
  return efficiencies;
}

namespace {

// With fewer micro-batches neighbouring stages come to pairs of the same two, each of which would send first what the other waits for:
// 2p - 1 forwards of the first stage go ahead of its first pair (schedule/pipeline_schedule.cc), and groups of p micro-batches where there
// are several chunks.
int64_t MicroBatchesLeast(const ir::Strategy& strategy) {
  if (strategy.schedule == "1f1b") return 2 * strategy.pipeline - 1;
  return strategy.schedule == "interleaved-1f1b" ? 2 * strategy.pipeline : 0;
}

}  // namespace

Status CheckStrands(const ir::Workload& workload, const ir::Software& software, const ir::Strategy& strategy) {
  static const std::vector<std::string> kPaired = {"none", "1f1b", "interleaved-1f1b", "dualpipev"};
  const std::string what = "error: strategy.overlap strands ";
  if (std::ranges::find(kPaired, strategy.schedule) == kPaired.end()) {
    return InvalidError(
        fmt::format("{}pairs whole forwards and backwards, which schedule {} does not put beside each other\n  fix: one of {}", what,
                    strategy.schedule, Join(kPaired, ", ")));
  }
  if (const int64_t least = MicroBatchesLeast(strategy), all = MicroBatches(workload, strategy); all < least) {
    return InvalidError(
        fmt::format("{}needs at least {} micro-batches with schedule {} on {} stages, and there are {}\n  fix: a larger "
                    "global_batch, or a smaller micro_batch",
                    what, least, strategy.schedule, strategy.pipeline, all));
  }
  if (ir::ShardsParameters(strategy)) {
    return InvalidError(what +
                        "is not possible where parameters are sharded: forward and backward gather the same layers in opposite orders\n"
                        "  fix: zero: 1");
  }
  if ((software.hidden_dropout > 0 || software.attention_dropout > 0) && strategy.recompute != "none") {
    return InvalidError(what +
                        "is not possible with dropout and recomputation: what is recomputed would draw other random numbers\n"
                        "  fix: recompute: none, or dropout 0");
  }
  return OkStatus();
}

Result<Strands> InterleaveStrands(const ir::Program& program, sim::PriceBook& prices, const cost::OverlapLosses& losses) {
  const ir::Program paired = PairActions(program);
  HELM_ASSIGN_OR_RETURN(const std::vector<sim::TaskCosts> priced, sim::PriceStep(ir::StepPrograms{{paired}}, prices));
  return StrandSearch(paired, priced.front(), EfficienciesOf(paired, losses, prices.layout())).Run();
}

}  // namespace helm::schedule
