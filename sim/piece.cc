#include "sim/piece.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/check.h"

namespace helm::sim {
namespace {

// Another predecessor of the same task is never earlier.
constexpr int32_t kCovered = std::numeric_limits<int32_t>::max();

bool HasRoot(const Piece& piece) {
  for (size_t task = 0; task < piece.durations.size(); ++task) {
    if (piece.predecessor_ends[task] == (task == 0 ? 0 : piece.predecessor_ends[task - 1])) return true;
  }
  return false;
}

}  // namespace

int64_t PieceRunner::FinishOf(int32_t predecessor, std::span<const int64_t> ports) const {
  if (predecessor >= 0) return finish_[static_cast<size_t>(predecessor)];
  const auto port = static_cast<size_t>(-1 - predecessor);
  return port < ports.size() ? ports[port] : awaited_[port - ports.size()];
}

PortKind PieceRunner::KindOf(const Piece& piece, int32_t predecessor) const {
  if (predecessor >= 0) {
    const TaskKind kind = piece.kinds[static_cast<size_t>(predecessor)];
    if (kind == TaskKind::kLaunch) return PortKind::kHost;
    return kind == TaskKind::kCollective ? PortKind::kCommunication : PortKind::kCompute;
  }
  const auto port = static_cast<size_t>(-1 - predecessor);
  return port < layout_.kinds.size() ? layout_.kinds[port] : PortKind::kCommunication;
}

void PieceRunner::Run(const Piece& piece, std::span<int64_t> ports, Past& past, Idle& idle) {
  awaited_.clear();
  for (const Piece::Awaited& awaited : piece.awaited) awaited_.push_back(past.EndOf(awaited));
  RunTasks(piece, 0, ports, idle);
  for (const Piece::Opened& opened : piece.opened) past.open[opened.slot] = finish_[opened.task];
  for (const Piece::Leaving& ended : piece.ended) past.ended[ended.port].push_back(finish_[ended.task]);
}

void PieceRunner::RunTasks(const Piece& piece, int64_t origin, std::span<int64_t> ports, Idle& idle) {
  finish_.resize(piece.durations.size());
  int64_t idle_from = ports[layout_.compute];
  uint32_t next = 0;
  for (size_t task = 0; task < piece.durations.size(); ++task) {
    int64_t start = origin;
    int64_t launched = idle_from;
    int64_t communicated = idle_from;
    for (; next < piece.predecessor_ends[task]; ++next) {
      const int32_t before = piece.predecessors[next];
      const int64_t finish = FinishOf(before, ports);
      start = std::max(start, finish);
      if (!piece.on_compute[task]) continue;
      const PortKind kind = KindOf(piece, before);
      if (kind == PortKind::kHost) launched = std::max(launched, finish);
      if (kind == PortKind::kCommunication) communicated = std::max(communicated, finish);
    }
    finish_[task] = start + piece.durations[task];
    if (!piece.on_compute[task]) continue;
    // First the launch, then collectives, as in the breakdown of a step that is written out (sim/schedule_times.h).
    idle.communication += std::max(communicated, launched) - launched;
    idle.host += start - idle_from - (std::max(communicated, launched) - launched);
    idle_from = finish_[task];
  }
  for (const Piece::Leaving& leaving : piece.leaving) ports[leaving.port] = finish_[leaving.task];
}

std::optional<MaxPlusMatrix> PieceRunner::MatrixOf(const Piece& piece, Idle& idle) {
  const size_t count = layout_.kinds.size(), size = count + std::max(piece.awaited.size(), piece.ended.size());
  const bool slots = !piece.opened.empty() || std::ranges::any_of(piece.awaited, [](const auto& awaited) { return awaited.slot >= 0; });
  if (slots || HasRoot(piece) || size > MaxPlusMatrix::kSizeMax) return std::nullopt;
  MaxPlusMatrix matrix(size);
  const auto set = [&matrix](size_t out, size_t in, int64_t time) { matrix.At(out, in) = time < kNever / 2 ? kNever : time; };
  for (size_t in = 0; in < count + piece.awaited.size(); ++in) {
    std::vector<int64_t> ports(count, kNever);
    awaited_.assign(piece.awaited.size(), kNever);
    (in < count ? ports[in] : awaited_[in - count]) = 0;
    Idle alone;
    RunTasks(piece, kNever, ports, alone);
    for (size_t out = 0; out < count; ++out) set(out, in, ports[out]);
    for (size_t i = 0; i < piece.ended.size(); ++i) set(count + i, in, finish_[piece.ended[i].task]);
    if (in == layout_.compute) idle = alone;
  }
  return matrix;
}

PieceCutter::PieceCutter(const ir::Program& program, const StepGraph& graph, size_t rank_class, const std::vector<bool>& is_external,
                         bool shares_cores)
    : program_(program), graph_(graph), is_external_(is_external), in_turn_(graph.classes.size() == 1) {
  MakeLayout(graph.classes[rank_class], shares_cores);
  IndexTasks(graph.classes[rank_class]);
}

void PieceCutter::MakeLayout(const ClassTasks& tasks, bool shares_cores) {
  const bool one_thread = program_.device == ir::DeviceKind::kCpu;
  layout_.port_of_resource.assign(tasks.tasks_by_resource.size(), -1);
  const auto add = [this](PortKind kind) {
    layout_.kinds.push_back(kind);
    return static_cast<int32_t>(layout_.kinds.size()) - 1;
  };
  layout_.port_of_resource[0] = add(one_thread ? PortKind::kCompute : PortKind::kHost);
  for (size_t resource = 1; resource < tasks.tasks_by_resource.size(); ++resource) {
    const bool compute = !one_thread && std::ranges::find(tasks.compute_resources, resource) != tasks.compute_resources.end();
    const std::vector<uint32_t>& on_it = tasks.tasks_by_resource[resource];
    const bool local = !on_it.empty() && !is_external_[on_it.front()];
    if (compute || local) layout_.port_of_resource[resource] = add(compute ? PortKind::kCompute : PortKind::kCommunication);
    if (compute) layout_.compute = layout_.kinds.size() - 1;
  }
  if (shares_cores) layout_.cores = add(PortKind::kCommunication);
  last_on_.assign(tasks.tasks_by_resource.size(), kNone);
  passed_.assign(layout_.kinds.size(), 0);
  counted_back_.assign(layout_.kinds.size(), false);
}

void PieceCutter::IndexTasks(const ClassTasks& tasks) {
  resource_of_.assign(graph_.tasks.size(), -1);
  position_of_.assign(graph_.tasks.size(), 0);
  waited_by_.assign(graph_.tasks.size(), kNone);
  local_.assign(graph_.tasks.size(), -1);
  home_.resize(graph_.tasks.size());
  launch_of_.assign(program_.ops.size(), kNone);
  work_of_.assign(program_.ops.size(), kNone);
  for (size_t resource = 0; resource < tasks.tasks_by_resource.size(); ++resource) {
    for (size_t i = 0; i < tasks.tasks_by_resource[resource].size(); ++i) {
      resource_of_[tasks.tasks_by_resource[resource][i]] = static_cast<int32_t>(resource);
      position_of_[tasks.tasks_by_resource[resource][i]] = static_cast<uint32_t>(i);
    }
  }
  for (const uint32_t id : tasks.tasks) {
    const Task& task = graph_.tasks[id];
    (task.kind == TaskKind::kLaunch ? launch_of_ : work_of_)[task.op.index()] = id;
    if (task.kind != TaskKind::kWait) continue;
    for (const uint32_t before : graph_.graph.PredecessorsOf(id)) {
      if (graph_.tasks[before].kind == TaskKind::kCollective && waited_by_[before] == kNone) waited_by_[before] = id;
    }
  }
}

bool PieceCutter::EndsExternal(ir::OpId op) const {
  const uint32_t work = work_of_[op.index()];
  if (work == kNone || graph_.tasks[work].kind != TaskKind::kWait) return false;
  return std::ranges::any_of(graph_.graph.PredecessorsOf(work), [this](uint32_t before) { return is_external_[before]; });
}

void PieceCutter::PassWait(ir::OpId op) {
  const uint32_t work = work_of_[op.index()];
  last_on_[static_cast<size_t>(resource_of_[work])] = work;
}

Result<Piece> PieceCutter::Cut(size_t first, size_t end, std::vector<Piece>& pieces) {
  Piece piece;
  piece.op_first = first;
  piece.op_end = end;
  std::vector<uint32_t> tasks;
  for (size_t op = first; op < end; ++op) {
    for (const uint32_t task : {launch_of_[op], work_of_[op]}) {
      const bool work = task != kNone && task == work_of_[op];
      if (task == kNone || is_external_[task] || (work && EndsExternal(ir::OpId(op)))) continue;
      HELM_RETURN_IF_ERROR(AddTask(task, piece, pieces));
      local_[task] = static_cast<int32_t>(tasks.size());
      home_[task] = {pieces.size(), static_cast<uint32_t>(tasks.size()), -1, 0};
      tasks.push_back(task);
    }
  }
  std::vector<int64_t> last(layout_.kinds.size(), -1);  // by port
  for (size_t i = 0; i < tasks.size(); ++i) {
    const auto resource = static_cast<size_t>(resource_of_[tasks[i]]);
    const auto port = static_cast<size_t>(layout_.port_of_resource[resource]);
    last_on_[resource] = tasks[i];
    last[port] = static_cast<int64_t>(i);
    if (piece.kinds[i] == TaskKind::kCollective) {
      home_[tasks[i]].number = passed_[port]++;
      piece.ended.push_back({port, static_cast<uint32_t>(i)});
    }
    if (layout_.cores >= 0 && piece.kinds[i] == TaskKind::kCollective) last[static_cast<size_t>(layout_.cores)] = static_cast<int64_t>(i);
    local_[tasks[i]] = -1;
  }
  for (size_t port = 0; port < last.size(); ++port) {
    if (last[port] >= 0) piece.leaving.push_back({port, static_cast<uint32_t>(last[port])});
  }
  return piece;
}

Status PieceCutter::AddTask(uint32_t task, Piece& piece, std::vector<Piece>& pieces) {
  const TaskKind kind = graph_.tasks[task].kind;
  for (const uint32_t before : graph_.graph.PredecessorsOf(task)) {
    int32_t code = local_[before];
    if (code < 0) {
      HELM_ASSIGN_OR_RETURN(code, PortCode(task, before, piece, pieces));
    }
    if (code != kCovered) piece.predecessors.push_back(code);
  }
  piece.predecessor_ends.push_back(static_cast<uint32_t>(piece.predecessors.size()));
  piece.durations.push_back(graph_.graph.durations[task]);
  piece.kinds.push_back(kind);
  const int32_t port = layout_.port_of_resource[static_cast<size_t>(resource_of_[task])];
  HELM_CHECK(port >= 0, "what runs in a piece occupies a resource of its rank");
  piece.on_compute.push_back(static_cast<size_t>(port) == layout_.compute);
  return OkStatus();
}

Result<int32_t> PieceCutter::PortCode(uint32_t task, uint32_t before, Piece& piece, std::vector<Piece>& pieces) {
  const auto code_of = [](int32_t port) { return -1 - port; };
  const TaskKind kind = graph_.tasks[task].kind;
  const bool on_cores = kind == TaskKind::kCompute || kind == TaskKind::kCollective;
  // Of all collectives the last keeps the cores, and those before it have ended by then.
  if (layout_.cores >= 0 && on_cores && graph_.tasks[before].kind == TaskKind::kCollective) return code_of(layout_.cores);
  const bool collective = !is_external_[before] && graph_.tasks[before].kind == TaskKind::kCollective;
  // Other actions may run in between when the whole step is composed: then this collective, not the last of its stream.
  const bool by_slot = !in_turn_ && !InOneAction(task, before);
  if (collective && kind == TaskKind::kWait && by_slot) return code_of(Await(task, before, piece, pieces));
  const auto resource = static_cast<size_t>(resource_of_[before]);
  if (!is_external_[before] && last_on_[resource] == before) return code_of(layout_.port_of_resource[resource]);
  if (IsCovered(graph_.graph.PredecessorsOf(task), before)) return kCovered;
  if (collective) return code_of(Await(task, before, piece, pieces));
  return UnavailableError(fmt::format("{} waits for {}, which neither a stream's order nor a wait says",
                                      Describe(program_, graph_.tasks[task].op), Describe(program_, graph_.tasks[before].op)));
}

bool PieceCutter::InOneAction(uint32_t a, uint32_t b) const {
  const int32_t action = program_.op(graph_.tasks[a].op).action;
  return action >= 0 && program_.op(graph_.tasks[b].op).action == action;
}

int32_t PieceCutter::Await(uint32_t task, uint32_t collective, Piece& piece, std::vector<Piece>& pieces) {
  Piece::Awaited awaited;
  if (in_turn_ || InOneAction(task, collective)) {
    awaited.port = static_cast<size_t>(layout_.port_of_resource[static_cast<size_t>(resource_of_[collective])]);
    awaited.back = passed_[awaited.port] - 1 - home_[collective].number;
    counted_back_[awaited.port] = true;
  } else {
    awaited.slot = SlotOf(collective, pieces);
  }
  auto known = std::ranges::find(piece.awaited, awaited);
  if (known == piece.awaited.end()) known = piece.awaited.insert(known, awaited);
  return static_cast<int32_t>(layout_.kinds.size()) + static_cast<int32_t>(known - piece.awaited.begin());
}

int32_t PieceCutter::SlotOf(uint32_t collective, std::vector<Piece>& pieces) {
  Home& home = home_[collective];
  if (home.slot < 0) {
    home.slot = static_cast<int32_t>(slots_++);
    pieces[home.piece].opened.push_back({home.task, static_cast<size_t>(home.slot)});
  }
  return home.slot;
}

void PieceCutter::FinishPieces(std::vector<Piece>& pieces) const {
  for (Piece& piece : pieces) {
    std::erase_if(piece.ended, [this](const Piece::Leaving& ended) { return !counted_back_[ended.port]; });
  }
}

bool PieceCutter::LiesBehind(std::span<const uint32_t> all, uint32_t before) const {
  return std::ranges::any_of(all, [&](uint32_t other) {
    return other != before && resource_of_[other] == resource_of_[before] && position_of_[other] > position_of_[before];
  });
}

// A later task of the same resource, or one after the wait that ended it.
bool PieceCutter::IsCovered(std::span<const uint32_t> all, uint32_t before) const {
  if (!is_external_[before] && LiesBehind(all, before)) return true;
  const uint32_t wait = waited_by_[before];
  if (wait == kNone) return false;
  return std::ranges::find(all, wait) != all.end() || LiesBehind(all, wait);
}

Result<std::vector<size_t>> PieceCutter::PortsBefore(const std::vector<uint32_t>& tasks) const {
  std::vector<size_t> ports;
  for (const uint32_t task : tasks) {
    const auto resource = static_cast<size_t>(resource_of_[task]);
    if (layout_.cores >= 0 && !is_external_[task] && graph_.tasks[task].kind == TaskKind::kCollective) {
      ports.push_back(static_cast<size_t>(layout_.cores));
    } else if (!is_external_[task] && last_on_[resource] == task) {
      ports.push_back(static_cast<size_t>(layout_.port_of_resource[resource]));
    } else if (!IsCovered(tasks, task)) {
      return UnavailableError(
          fmt::format("a message waits for {}, which no stream's order says", Describe(program_, graph_.tasks[task].op)));
    }
  }
  return ports;
}

}  // namespace helm::sim
