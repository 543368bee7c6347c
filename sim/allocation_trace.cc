#include "sim/allocation_trace.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "ir/lifetime.h"
#include "sim/op_places.h"

namespace helm::sim {
namespace {

using Buffer = AllocationTrace::Buffer;
using CallKind = AllocationTrace::Kind;

constexpr int64_t kNoBuffer = -1;

Buffer BufferOf(const ir::Storage& storage) {
  return {storage.name, storage.bytes.count(), storage.persistent, storage.role == ir::StorageRole::kOptimizerState};
}

template <typename F>
void ForEachStorage(const ir::Program& program, const ir::Op& op, F use) {
  const auto one = [&](ir::TensorId tensor) {
    if (tensor.valid()) use(program.tensor(tensor).storage.index());
  };
  for (const ir::Argument& argument : op.arguments) {
    if (const auto* tensor = std::get_if<ir::TensorId>(&argument)) one(*tensor);
    if (const auto* list = std::get_if<std::vector<ir::TensorId>>(&argument)) std::ranges::for_each(*list, one);
  }
  std::ranges::for_each(op.results, one);
}

// The walk of one class through the schedule of the whole step.
class Expansion {
 public:
  Expansion(const StepExcerpt& excerpt, size_t rank_class, const TaskCosts& costs)
      : excerpt_(excerpt),
        rank_class_(rank_class),
        program_(excerpt.programs.classes[excerpt.told_by[rank_class]]),
        costs_(costs),
        places_(PlacesOf(program_)),
        lifetimes_(ir::ComputeLifetimes(program_)),
        ended_by_(ir::EndedBy(program_)),
        whole_(excerpt.micro_batches == excerpt.micro_batches_written) {
    FindCrossing();
  }

  Result<AllocationTrace> Run() {
    AddPersistent();
    AddOthers();
    HELM_RETURN_IF_ERROR(WalkSchedule());
    const bool all_ended = std::ranges::all_of(sends_, [](const auto& of_channel) { return of_channel.second.empty(); });
    if (!all_ended) return UnavailableError("messages are not waited for one by one");
    Write();
    return std::move(trace_);
  }

 private:
  // A run of an action, or of what lies before or behind all of them: micro-batches of the excerpt and of the step, -1 for none.
  struct Visit {
    int32_t written = -1;
    int32_t micro_batch = -1;
  };

  bool IsInner(int32_t written) const { return !whole_ && written > 0 && written + 1 < excerpt_.micro_batches_written; }
  int64_t InnerCount() const { return excerpt_.micro_batches - 2; }
  // Of a micro-batch of the excerpt that is not an inner one.
  int32_t InStep(int32_t written) const {
    return static_cast<int32_t>(whole_ || written <= 0 ? written : static_cast<int32_t>(excerpt_.micro_batches) - 1);
  }

  // Messages between stages are waited for before the next one of their kind, in whichever action that is; those between ranks of one
  // stage at once.
  void FindCrossing() {
    crosses_.assign(program_.ops.size(), false);
    for (size_t wait = 0; wait < ended_by_.size(); ++wait) {
      for (const ir::OpId start : ended_by_[wait]) {
        crosses_[start.index()] = program_.op(start).target == "c10d.send" && PartOf(start.index()) != PartOf(wait);
      }
    }
  }

  // --- buffers ---

  // Inputs of the inner micro-batch stand for those of the others.
  void AddPersistent() {
    std::vector<bool> of_inner(program_.storages.size(), false);
    for (const auto& [name, tensor] : program_.inputs) {
      if (!whole_ && name.ends_with(".1")) of_inner[program_.tensor(tensor).storage.index()] = true;
    }
    base_.assign(program_.storages.size(), kNoBuffer);
    std::vector<size_t> inner;
    for (size_t s = 0; s < program_.storages.size(); ++s) {
      if (of_inner[s]) inner.push_back(s);
    }
    for (size_t s = 0; s < program_.storages.size(); ++s) {
      if (!program_.storages[s].persistent || program_.storages[s].bytes.count() == 0) continue;
      if (!of_inner[s]) AddBuffer(s);
      if (!inner.empty() && s == inner.front()) {
        for (int64_t i = 0; i < InnerCount(); ++i) std::ranges::for_each(inner, [this](size_t each) { AddBuffer(each); });
      }
    }
  }

  // As often as the action that allocates it is run.
  void AddOthers() {
    home_.assign(program_.storages.size(), -1);
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      for (const ir::StorageId storage : lifetimes_.allocated_by[i]) {
        if (program_.storage(storage).bytes.count() == 0) continue;
        home_[storage.index()] = MicroBatchOfVisitOf(i);
        const int64_t first = AddBuffer(storage.index());
        for (int64_t more = 1; IsInner(home_[storage.index()]) && more < InnerCount(); ++more) AddBuffer(storage.index());
        base_[storage.index()] = first;
      }
    }
    last_use_.assign(trace_.buffers.size(), kNoBuffer);
  }

  int64_t AddBuffer(size_t storage) {
    trace_.buffers.push_back(BufferOf(program_.storages[storage]));
    return base_[storage] = static_cast<int64_t>(trace_.buffers.size()) - 1;
  }

  // What lies before the actions (0), an action, or what lies behind them.
  size_t PartOf(size_t op) const { return static_cast<size_t>(std::ranges::upper_bound(places_.first, op) - places_.first.begin()) - 1; }
  int32_t MicroBatchOfVisitOf(size_t op) const {
    const size_t part = PartOf(op);
    return part == 0 || part > program_.schedule.size() ? -1 : program_.schedule[part - 1].micro_batch;
  }

  // The buffer of a storage in this visit; kNoBuffer for what is not traced.
  Result<int64_t> Resolve(size_t storage, const Visit& visit) const {
    const int64_t base = base_[storage];
    if (base == kNoBuffer || program_.storages[storage].persistent || !IsInner(home_[storage])) return base;
    if (home_[storage] != visit.written) {
      return UnavailableError(fmt::format("storage '{}' of an inner micro-batch outlives it", program_.storages[storage].name));
    }
    return base + visit.micro_batch - 1;
  }

  // --- the walk ---

  Status WalkSchedule() {
    HELM_RETURN_IF_ERROR(Visits(0, {}));
    const auto classes = static_cast<int32_t>(excerpt_.told_by.size());
    std::map<std::tuple<int32_t, ir::ActionKind, int32_t>, size_t> known;
    for (size_t i = 0; i < program_.schedule.size(); ++i) {
      const ir::Action& action = program_.schedule[i];
      known[{action.stage / classes, action.kind, action.micro_batch}] = i;
    }
    for (const ir::Action& action : excerpt_.schedules[rank_class_]) {
      const int32_t written = excerpt_.StandIn(action.micro_batch);
      const auto found = known.find({action.stage / classes, action.kind, written});
      if (found == known.end()) return UnavailableError("no template for action " + ToText(action));
      HELM_RETURN_IF_ERROR(Visits(found->second + 1, {written, action.micro_batch}));
    }
    return Visits(program_.schedule.size() + 1, {});
  }

  Status Visits(size_t part, const Visit& visit) {
    for (size_t i = places_.first[part]; i < places_.first[part + 1]; ++i) {
      HELM_RETURN_IF_ERROR(Launch(i, visit));
      ++launched_;
    }
    return OkStatus();
  }

  Status Launch(size_t index, const Visit& visit) {
    const ir::Op& op = program_.ops[index];
    if (op.kind == ir::OpKind::kWait) return Wait(index, visit);
    std::vector<int64_t> used;
    HELM_RETURN_IF_ERROR(Use(op, visit, &used));
    for (const int64_t buffer : used) {
      const Buffer& of = trace_.buffers[static_cast<size_t>(buffer)];
      int64_t& last = last_use_[static_cast<size_t>(buffer)];
      if (of.persistent && of.optimizer_state && last == kNoBuffer) Note(CallKind::kAllocate, buffer);
      last = launched_;
    }
    for (const ir::StorageId storage : lifetimes_.allocated_by[index]) {
      HELM_ASSIGN_OR_RETURN(const int64_t buffer, Resolve(storage.index(), visit));
      if (buffer != kNoBuffer) Note(CallKind::kAllocate, buffer);
    }
    if (const int64_t workspace = costs_.ops[index].workspace.count(); workspace > 0) Note(CallKind::kWorkspace, workspace);
    if (crosses_[index]) sends_[ChannelOf(op)].push_back(std::move(used));
    return OkStatus();
  }

  // Collectives that are no messages end in their own micro-batch or run once.
  Status Wait(size_t index, const Visit& visit) {
    for (const ir::OpId start : ended_by_[index]) {
      const ir::Op& ended = program_.op(start);
      if (crosses_[start.index()]) {
        std::vector<std::vector<int64_t>>& open = sends_[ChannelOf(ended)];
        if (ended_by_[index].size() != 1 || open.size() != 1) return UnavailableError("messages are not waited for one by one");
        for (const int64_t buffer : open.front()) last_use_[static_cast<size_t>(buffer)] = launched_;
        open.clear();
        continue;
      }
      const int32_t written = MicroBatchOfVisitOf(start.index());
      if (IsInner(written) && written != visit.written) return UnavailableError("a collective of an inner micro-batch outlives it");
      std::vector<int64_t> used;
      HELM_RETURN_IF_ERROR(Use(ended, written == visit.written ? visit : Visit{written, InStep(written)}, &used));
      for (const int64_t buffer : used) last_use_[static_cast<size_t>(buffer)] = launched_;
    }
    return OkStatus();
  }

  Status Use(const ir::Op& op, const Visit& visit, std::vector<int64_t>* used) const {
    Status status;
    ForEachStorage(program_, op, [&](size_t storage) {
      const Result<int64_t> buffer = Resolve(storage, visit);
      if (!buffer.ok()) status = buffer.status();
      if (buffer.ok() && *buffer != kNoBuffer) used->push_back(*buffer);
    });
    return status;
  }

  // The group, and how far along it the peer is.
  std::pair<size_t, int64_t> ChannelOf(const ir::Op& op) const { return {op.group.index(), ir::PeerOffset(program_, op)}; }

  void Note(CallKind kind, int64_t what) { noted_.push_back({kind, static_cast<uint32_t>(launched_), what}); }

  // The calls that were noted, and behind each op what it was the last to use.
  void Write() {
    std::vector<bool> kept(program_.storages.size(), false);
    for (const auto& [name, tensor] : program_.outputs) kept[program_.tensor(tensor).storage.index()] = true;
    std::vector<std::vector<int64_t>> freed(static_cast<size_t>(launched_));
    for (size_t s = 0; s < program_.storages.size(); ++s) {
      if (base_[s] == kNoBuffer || program_.storages[s].persistent || kept[s]) continue;
      const int64_t count = IsInner(home_[s]) ? InnerCount() : 1;
      for (int64_t buffer = base_[s]; buffer < base_[s] + count; ++buffer) {
        freed[static_cast<size_t>(last_use_[static_cast<size_t>(buffer)])].push_back(buffer);
      }
    }
    size_t next = 0;
    for (size_t op = 0; op < freed.size(); ++op) {
      for (; next < noted_.size() && noted_[next].op == op; ++next) trace_.calls.push_back(noted_[next]);
      for (const int64_t buffer : freed[op]) trace_.calls.push_back({CallKind::kFree, static_cast<uint32_t>(op), buffer});
    }
  }

  const StepExcerpt& excerpt_;
  const size_t rank_class_;
  const ir::Program& program_;
  const TaskCosts& costs_;
  const OpPlaces places_;
  const ir::Lifetimes lifetimes_;
  const std::vector<std::vector<ir::OpId>> ended_by_;
  const bool whole_;  // nothing is left out

  std::vector<bool> crosses_;      // by op: a send that is waited for in another action
  std::vector<int64_t> base_;      // by storage: its buffer, of an inner micro-batch the first one's; kNoBuffer: none
  std::vector<int32_t> home_;      // by storage: the micro-batch of the excerpt whose action allocates it, -1: none
  std::vector<int64_t> last_use_;  // by buffer: op in launch order
  std::map<std::pair<size_t, int64_t>, std::vector<std::vector<int64_t>>> sends_;  // by channel: what those read that are not waited for
  std::vector<AllocationTrace::Call> noted_;
  int64_t launched_ = 0;
  AllocationTrace trace_;
};

}  // namespace

AllocationTrace TraceOf(const ir::Program& program, const TaskCosts& costs) {
  AllocationTrace trace;
  std::vector<int64_t> buffer_of(program.storages.size(), kNoBuffer);
  const auto add = [&](size_t storage) {
    if (program.storages[storage].bytes.count() == 0) return;
    buffer_of[storage] = static_cast<int64_t>(trace.buffers.size());
    trace.buffers.push_back(BufferOf(program.storages[storage]));
  };
  for (size_t s = 0; s < program.storages.size(); ++s) {
    if (program.storages[s].persistent) add(s);
  }
  const ir::Lifetimes lifetimes = ir::ComputeLifetimes(program);
  std::vector<bool> known(program.storages.size(), false);  // of optimizer state
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const auto note = [&](CallKind kind, int64_t what) {
      if (what != kNoBuffer) trace.calls.push_back({kind, static_cast<uint32_t>(i), what});
    };
    ForEachStorage(program, program.ops[i], [&](size_t s) {
      const ir::Storage& storage = program.storages[s];
      if (!storage.persistent || storage.role != ir::StorageRole::kOptimizerState || known[s]) return;
      known[s] = true;
      note(CallKind::kAllocate, buffer_of[s]);
    });
    for (const ir::StorageId storage : lifetimes.allocated_by[i]) {
      add(storage.index());
      note(CallKind::kAllocate, buffer_of[storage.index()]);
    }
    if (const int64_t workspace = costs.ops[i].workspace.count(); workspace > 0) note(CallKind::kWorkspace, workspace);
    for (const ir::StorageId storage : lifetimes.freed_after[i]) note(CallKind::kFree, buffer_of[storage.index()]);
  }
  return trace;
}

Result<AllocationTrace> TraceOf(const StepExcerpt& excerpt, size_t rank_class, const TaskCosts& costs) {
  return Expansion(excerpt, rank_class, costs).Run();
}

}  // namespace helm::sim
