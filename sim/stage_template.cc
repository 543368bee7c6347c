#include "sim/stage_template.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/stream_layout.h"
#include "sim/class_builder.h"
#include "sim/contention.h"
#include "sim/op_places.h"

namespace helm::sim {
namespace {

// The task graph of one class whose messages and collectives with other classes have no predecessors and take no time.
struct ClassGraph {
  StepGraph graph;
  std::vector<bool> is_external;                     // by task
  std::map<ir::OpId, std::vector<uint32_t>> posted;  // by op: tasks after which it could begin
  bool contends = false;
};

// What runs at the same time takes as long as it does when no other stage is waited for (sim/contention.h).
Status Contend(const ir::StepPrograms& programs, const SimulationOptions& options, size_t as_class, ClassGraph& of_class) {
  if (!Contends(programs, options)) return OkStatus();
  StepGraph& graph = of_class.graph;
  std::vector<int64_t> finish(graph.graph.size());
  LongestPath(graph.graph, finish);
  if (options.engine == Engine::kAutomatic && !AnyOverlap(programs, graph, finish)) return OkStatus();
  of_class.contends = true;
  return ApplyContention(programs, options, graph, as_class);
}

Result<ClassGraph> GraphOf(const StepExcerpt& excerpt, size_t rank_class, const TaskCosts& costs, const SimulationOptions& options,
                           size_t as_class) {
  const ir::StreamLayout layout(excerpt.programs);
  if (layout.compute_count() > 1) return UnavailableError("several compute streams");
  ClassGraph result;
  result.graph.streams = layout.streams();
  result.graph.classes.resize(excerpt.programs.classes.size());
  ClassBuilder builder(excerpt.programs, rank_class, costs, layout, options.communication_shares_cores, result.graph);
  while (!builder.finished()) {
    bool moved = builder.Advance(options.cancellation);
    HELM_RETURN_IF_ERROR(options.cancellation.Check());
    for (std::vector<Posted> ready = builder.Ready(); !ready.empty(); ready = builder.Ready()) {
      if (ready.front().batch >= 0) return UnavailableError("messages that progress together");
      result.posted[ready.front().op] = ready.front().after;
      result.is_external.resize(result.graph.tasks.size(), false);
      builder.Begin(Posted(ready.front()), {}, Duration());
      result.is_external.push_back(true);
      moved = true;
    }
    if (!moved) return UnavailableError("a wait for what was never started: " + builder.WaitsFor());
  }
  result.is_external.resize(result.graph.tasks.size(), false);
  HELM_RETURN_IF_ERROR(Contend(excerpt.programs, options, as_class, result));
  return result;
}

class TemplateBuilder {
 public:
  TemplateBuilder(const StepExcerpt& excerpt, size_t rank_class, const TaskCosts& costs, bool shares_cores, const ClassGraph& graph)
      : excerpt_(excerpt),
        rank_class_(rank_class),
        program_(excerpt.programs.classes[rank_class]),
        costs_(costs),
        shares_cores_(shares_cores),
        graph_(graph),
        lifetimes_(LifetimesOf(program_, excerpt.left_out_storages[rank_class])),
        cutter_(program_, graph.graph, rank_class, graph.is_external, shares_cores),
        places_(PlacesOf(program_)) {
    work_of_.resize(program_.ops.size());
    for (size_t task = 0; task < graph.graph.tasks.size(); ++task) {
      const Task& of = graph.graph.tasks[task];
      if (of.kind == TaskKind::kCompute) work_of_[of.op.index()] = graph.graph.graph.durations[task];
    }
  }

  Result<StageTemplate> Build() {
    const std::vector<size_t>& begins = places_.first;
    const size_t actions = program_.schedule.size();
    std::vector<Draft> drafts(actions + 2);
    for (size_t i = 0; i < drafts.size(); ++i) {
      const bool is_action = i > 0 && i <= actions;
      HELM_RETURN_IF_ERROR(
          Cut(begins[i], begins[i + 1], is_action ? excerpt_.layers[rank_class_][i - 1] : std::vector<LayerTurn>(), drafts[i]));
    }
    // Only now is it known which collectives stay open, and to which ones pieces count back.
    cutter_.FinishPieces(result_.pieces);
    HELM_ASSIGN_OR_RETURN(result_.before, Finish(drafts.front(), /*runs_once=*/true));
    for (size_t i = 0; i < actions; ++i) {
      HELM_ASSIGN_OR_RETURN(result_.actions.emplace_back(), Finish(drafts[i + 1], RunsOnce(program_.schedule[i])));
    }
    HELM_ASSIGN_OR_RETURN(result_.after, Finish(drafts.back(), /*runs_once=*/true));
    result_.layout = cutter_.layout();
    result_.open_slots = cutter_.open_slots();
    result_.contends = graph_.contends;
    result_.resident = WithoutLeftOut(ResidentBytes(program_));
    result_.live_after = WithoutLeftOut(LiveAfterStep(program_));
    result_.input_bytes = InputBytes();
    return std::move(result_);
  }

 private:
  // Part of an action before it is known how it is run.
  struct Part {
    Element::Kind kind = Element::Kind::kPiece;
    size_t index = 0;      // into pieces, posts, waits
    int32_t told_by = -1;  // >= 0: in place of a layer that is left out, the piece of this one
  };
  struct Draft {
    std::vector<Part> parts;
    std::map<int32_t, std::vector<size_t>> pieces_of_layer;
  };
  // Where Cut is in an action.
  struct Cursor {
    size_t piece_first = 0;
    int32_t layer = -1;
    size_t turn = 0;
  };

  // What layers that are left out would have made is freed after its last use, as if it were there.
  static ir::Lifetimes LifetimesOf(const ir::Program& program, const std::vector<ir::StorageId>& left_out) {
    ir::Lifetimes lifetimes = ir::ComputeLifetimes(program);
    if (left_out.empty()) return lifetimes;
    std::vector<size_t> last(program.storages.size(), 0);
    for (size_t i = 0; i < program.ops.size(); ++i) {
      for (const ir::TensorId tensor : ir::TensorArguments(program.ops[i])) last[program.tensor(tensor).storage.index()] = i;
    }
    for (const ir::StorageId storage : left_out) lifetimes.freed_after[last[storage.index()]].push_back(storage);
    return lifetimes;
  }

  // Not resident: it was made in the step.
  BytesByRole WithoutLeftOut(BytesByRole bytes) const {
    for (const ir::StorageId storage : excerpt_.left_out_storages[rank_class_]) {
      bytes[static_cast<size_t>(program_.storage(storage).role)] -= AllocatedBytes(program_, storage);
    }
    return bytes;
  }

  bool RunsOnce(const ir::Action& action) const { return !excerpt_.IsInner(action.micro_batch); }

  Status Cut(size_t first, size_t end, const std::vector<LayerTurn>& turns, Draft& draft) {
    Cursor at{first, -1, 0};
    for (size_t i = first; i < end; ++i) {
      const ir::Op& op = program_.ops[i];
      if (places_.layer[i] != at.layer && !turns.empty()) {
        HELM_RETURN_IF_ERROR(EndPiece(i, at, draft));
        if (places_.layer[i] >= 0) HELM_RETURN_IF_ERROR(BeginLayer(places_.layer[i], turns, at, draft));
        at.layer = places_.layer[i];
      }
      const bool posts = graph_.posted.contains(ir::OpId(i));
      const bool waits = cutter_.EndsExternal(ir::OpId(i));
      if (shares_cores_ && open_collectives_ > 0 &&
          (op.kind == ir::OpKind::kCompute || (op.kind == ir::OpKind::kCollectiveStart && !posts)))
        return UnavailableError(fmt::format("{} runs beside a collective over several classes", Describe(program_, ir::OpId(i))));
      if (!posts && !waits) continue;
      HELM_RETURN_IF_ERROR(EndPiece(i + 1, at, draft));
      HELM_RETURN_IF_ERROR(posts ? AddPost(ir::OpId(i), draft) : AddWait(ir::OpId(i), draft));
      if (at.layer >= 0) draft.pieces_of_layer[at.layer].push_back(result_.pieces.size());  // not one piece any more
    }
    HELM_RETURN_IF_ERROR(EndPiece(end, at, draft));
    if (at.turn < turns.size()) return UnavailableError(fmt::format("layer {} is nowhere in its action", turns[at.turn].layer));
    return OkStatus();
  }

  Status EndPiece(size_t end, Cursor& at, Draft& draft) {
    if (end == at.piece_first) return OkStatus();
    HELM_ASSIGN_OR_RETURN(Piece piece, cutter_.Cut(at.piece_first, end, result_.pieces));
    if (at.layer >= 0) draft.pieces_of_layer[at.layer].push_back(result_.pieces.size());
    draft.parts.push_back({Element::Kind::kPiece, result_.pieces.size(), -1});
    result_.pieces.push_back(std::move(piece));
    at.piece_first = end;
    return OkStatus();
  }

  // The turns of layers that are left out before this one.
  Status BeginLayer(int32_t layer, const std::vector<LayerTurn>& turns, Cursor& at, Draft& draft) {
    const auto seen = std::ranges::find(turns.begin(), turns.begin() + static_cast<std::ptrdiff_t>(at.turn), layer, &LayerTurn::layer);
    if (seen != turns.begin() + static_cast<std::ptrdiff_t>(at.turn)) return OkStatus();  // its second run of ops
    for (; at.turn < turns.size() && turns[at.turn].layer != layer; ++at.turn) {
      if (turns[at.turn].told_by == turns[at.turn].layer) return UnavailableError(fmt::format("layer {} has no ops", turns[at.turn].layer));
      draft.parts.push_back({Element::Kind::kRepeated, 0, turns[at.turn].told_by});
    }
    if (at.turn == turns.size()) return UnavailableError(fmt::format("layer {} is not of its action", layer));
    ++at.turn;
    return OkStatus();
  }

  size_t ChannelOf(const ir::Op& start) {
    Channel channel{start.group, 0};
    if (ir::IsPointToPoint(start)) channel.peer = ir::PeerOffset(program_, start) * (start.target == "c10d.send" ? 1 : -1);
    for (size_t i = 0; i < result_.channels.size(); ++i) {
      if (result_.channels[i].group == channel.group && result_.channels[i].peer == channel.peer) return i;
    }
    result_.channels.push_back(channel);
    open_.emplace_back();
    return result_.channels.size() - 1;
  }

  Status AddPost(ir::OpId id, Draft& draft) {
    const ir::Op& op = program_.op(id);
    HELM_ASSIGN_OR_RETURN(std::vector<size_t> ports, cutter_.PortsBefore(graph_.posted.at(id)));
    const size_t channel = ChannelOf(op);
    open_[channel].push_back(id);
    if (result_.channels[channel].peer == 0) ++open_collectives_;
    draft.parts.push_back({Element::Kind::kPost, result_.posts.size(), -1});
    result_.posts.push_back({id, channel, std::move(ports)});
    return OkStatus();
  }

  Status AddWait(ir::OpId id, Draft& draft) {
    const ir::OpId start = ir::StartOf(program_.op(id));
    const size_t channel = ChannelOf(program_.op(start));
    std::vector<ir::OpId>& open = open_[channel];
    const auto named = std::ranges::find(open, start);
    if (named == open.end()) return UnavailableError(fmt::format("{} ends what was not open", Describe(program_, id)));
    const auto ended = static_cast<size_t>(named - open.begin()) + 1;
    draft.parts.push_back({Element::Kind::kWait, result_.waits.size(), -1});
    result_.waits.push_back({channel, open.size() - ended});
    if (result_.channels[channel].peer == 0) open_collectives_ -= static_cast<int64_t>(ended);
    open.erase(open.begin(), open.begin() + static_cast<std::ptrdiff_t>(ended));
    cutter_.PassWait(id);
    return OkStatus();
  }

  // --- what the parts come to ---

  // The one piece that a part stands for.
  Result<size_t> PieceOf(const Part& part, const Draft& draft) const {
    if (part.told_by < 0) return part.index;
    const auto pieces = draft.pieces_of_layer.find(part.told_by);
    if (pieces != draft.pieces_of_layer.end() && pieces->second.size() == 1) return pieces->second.front();
    return UnavailableError(fmt::format("layer {} is not one piece", part.told_by));
  }

  Result<ActionTemplate> Finish(const Draft& draft, bool runs_once) {
    ActionTemplate action;
    std::optional<RepeatedPiece> merged;
    const auto flush = [&] {
      if (!merged) return;
      action.elements.push_back({Element::Kind::kRepeated, result_.repeated.size()});
      result_.repeated.push_back(*std::move(merged));
      merged.reset();
    };
    for (const Part& part : draft.parts) {
      if (part.kind == Element::Kind::kPost || part.kind == Element::Kind::kWait) {
        flush();
        action.elements.push_back({part.kind, part.index});
        continue;
      }
      HELM_ASSIGN_OR_RETURN(const size_t piece, PieceOf(part, draft));
      Account(piece, action);
      if (runs_once && part.told_by < 0) {
        flush();
        action.elements.push_back({Element::Kind::kPiece, piece});
        continue;
      }
      HELM_ASSIGN_OR_RETURN(const size_t alone, Alone(piece));
      if (result_.repeated[alone].awaited.empty() && result_.repeated[alone].ended.empty()) {
        Merge(result_.repeated[alone], merged);
      } else {
        flush();
        action.elements.push_back({Element::Kind::kRepeated, alone});
      }
    }
    flush();
    return action;
  }

  void Account(size_t index, ActionTemplate& action) {
    if (accounts_.size() <= index) accounts_.resize(index + 1);
    std::optional<ActionTemplate>& account = accounts_[index];
    if (!account) {
      const Piece& piece = result_.pieces[index];
      account.emplace();
      account->memory = ChangeOver(program_, lifetimes_, costs_, piece.op_first, piece.op_end);
      account->totals = TotalsOf(piece);
    }
    action.memory.Append(account->memory);
    action.totals.Add(account->totals);
  }

  // As they are in the graph: what runs beside something else may take longer than its price.
  Totals TotalsOf(const Piece& piece) const {
    Totals totals;
    totals.ops = static_cast<int64_t>(piece.op_end - piece.op_first);
    for (size_t i = piece.op_first; i < piece.op_end; ++i) {
      const ir::Op& op = program_.ops[i];
      if (op.kind == ir::OpKind::kCompute) (op.phase == ir::Phase::kOptimizer ? totals.optimizer : totals.compute) += work_of_[i];
      if (op.kind != ir::OpKind::kCompute && op.kind != ir::OpKind::kCollectiveStart) continue;
      if (graph_.posted.contains(ir::OpId(i))) continue;  // each class has its own price of a message
      totals.by_source[static_cast<size_t>(costs_.ops[i].source)] += costs_.ops[i].duration.picoseconds();
    }
    for (size_t task = 0; task < piece.durations.size(); ++task) {
      if (piece.on_compute[task] && piece.kinds[task] == TaskKind::kLaunch) totals.host += piece.durations[task];
    }
    return totals;
  }

  // The place in result_.repeated of the piece alone.
  Result<size_t> Alone(size_t index) {
    if (alone_.size() <= index) alone_.resize(index + 1);
    if (alone_[index]) return *alone_[index];
    const Piece& piece = result_.pieces[index];
    Idle idle;
    auto matrix = PieceRunner(cutter_.layout()).MatrixOf(piece, idle);
    if (!matrix) {
      return UnavailableError(
          fmt::format("{} is repeated, and a collective is open at its end or begin", Describe(program_, ir::OpId(piece.op_first))));
    }
    int64_t busy = 0;
    for (size_t task = 0; task < piece.durations.size(); ++task) busy += piece.on_compute[task] ? piece.durations[task] : 0;
    alone_[index] = result_.repeated.size();
    RepeatedPiece& repeated = result_.repeated.emplace_back(RepeatedPiece{*std::move(matrix), piece.awaited, {}, busy, idle});
    for (const Piece::Leaving& ended : piece.ended) repeated.ended.push_back(ended.port);
    return *alone_[index];
  }

  void Merge(const RepeatedPiece& next, std::optional<RepeatedPiece>& merged) const {
    if (!merged) {
      merged = next;
      return;
    }
    merged->matrix = next.matrix.After(merged->matrix);
    merged->busy += next.busy;
    merged->idle.communication += next.idle.communication;
    merged->idle.host += next.idle.host;
  }

  // Of the inputs of the last micro-batch, which is like the others.
  int64_t InputBytes() const {
    const std::string suffix = fmt::format(".{}", excerpt_.micro_batches_written - 1);
    int64_t bytes = 0;
    for (const auto& [name, tensor] : program_.inputs) {
      if (name.ends_with(suffix)) bytes += AllocatedBytes(program_, program_.tensor(tensor).storage);
    }
    return bytes;
  }

  const StepExcerpt& excerpt_;
  const size_t rank_class_;
  const ir::Program& program_;
  const TaskCosts& costs_;
  const bool shares_cores_;
  const ClassGraph& graph_;
  const ir::Lifetimes lifetimes_;
  PieceCutter cutter_;
  StageTemplate result_;
  const OpPlaces places_;
  std::vector<int64_t> work_of_;             // by op: picoseconds of its kernel
  std::vector<std::vector<ir::OpId>> open_;  // by channel
  int64_t open_collectives_ = 0;
  std::vector<std::optional<ActionTemplate>> accounts_;  // by piece: memory and totals
  std::vector<std::optional<size_t>> alone_;             // by piece: its place among the repeated ones
};

}  // namespace

void Totals::Add(const Totals& other) {
  compute += other.compute;
  optimizer += other.optimizer;
  host += other.host;
  ops += other.ops;
  for (size_t source = 0; source < by_source.size(); ++source) by_source[source] += other.by_source[source];
}

Result<StageTemplate> MakeStageTemplate(const StepExcerpt& excerpt, size_t rank_class, const TaskCosts& costs,
                                        const SimulationOptions& options, std::optional<size_t> as_class) {
  HELM_ASSIGN_OR_RETURN(const ClassGraph graph, GraphOf(excerpt, rank_class, costs, options, as_class.value_or(rank_class)));
  return TemplateBuilder(excerpt, rank_class, costs, options.communication_shares_cores, graph).Build();
}

}  // namespace helm::sim
