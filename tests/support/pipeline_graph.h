// OneForwardOneBackward: the 1F1B schedule of a pipeline as a PeriodicGraph.
//
// Stage s of p runs w = p - 1 - s forwards, then one forward and one backward in turn, then the backwards that are left. In repeat k of the
// period, stage s runs the forward of micro-batch k + w and the backward of micro-batch k. What comes out of a forward (backward) goes to
// the next (previous) stage over a link of its own, in order.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/check.h"
#include "sim/periodic.h"

namespace helm::sim {

struct PipelineTimes {
  std::vector<int64_t> forward;   // picoseconds, by stage
  std::vector<int64_t> backward;  // by stage
  int64_t transfer = 0;           // of an activation or a gradient, from a stage to its neighbour
};

class OneForwardOneBackwardBuilder {
 public:
  OneForwardOneBackwardBuilder(const PipelineTimes& times, int64_t micro_batches)
      : times_(times), stages_(static_cast<int64_t>(times.forward.size())) {
    HELM_CHECK(stages_ >= 1 && micro_batches >= stages_, "1F1B has a steady state when there are as many micro-batches as stages");
    graph_.repeats = micro_batches - stages_ + 1;
    AddPrologue();
    AddPeriod();
    AddEpilogue();
  }
  PeriodicGraph Take() { return std::move(graph_); }

 private:
  enum Kind : uint8_t { kForward, kSendForward, kBackward, kSendBackward };
  using Before = std::vector<PeriodicPredecessor>;

  int64_t WarmUp(int64_t stage) const { return stages_ - 1 - stage; }
  int64_t Duration(Kind kind, int64_t stage) const {
    return kind == kForward ? times_.forward[stage] : kind == kBackward ? times_.backward[stage] : times_.transfer;
  }
  // A stage and its send are neighbours; first the forwards from the first stage on, then the backwards from the last.
  uint32_t InPeriod(Kind kind, int64_t stage) const {
    const int64_t place = kind < kBackward ? stage : 2 * stages_ - 1 - stage;
    return static_cast<uint32_t>(2 * place + kind % 2);
  }

  void AddPrologue() {
    graph_.stand_ins.assign(1, std::vector<uint32_t>(4 * stages_, kNoStandIn));
    const auto last = [&](Kind kind, int64_t stage) -> uint32_t& { return graph_.stand_ins[0][InPeriod(kind, stage)]; };
    for (int64_t micro_batch = 0; micro_batch < stages_ - 1; ++micro_batch) {
      for (int64_t stage = 0; stage < stages_ && micro_batch < WarmUp(stage); ++stage) {
        std::vector<uint32_t> before;
        if (micro_batch > 0) before.push_back(last(kForward, stage));
        if (stage > 0) before.push_back(last(kSendForward, stage - 1));
        last(kForward, stage) = AddTask(graph_.prologue, times_.forward[stage], before);
        before = {last(kForward, stage)};
        if (micro_batch > 0) before.push_back(last(kSendForward, stage));
        last(kSendForward, stage) = AddTask(graph_.prologue, times_.transfer, before);
        last(kBackward, stage) = last(kForward, stage);  // as what the stage did last before its first forward of the period
      }
    }
  }

  void AddPeriod() {
    const auto add = [&](Kind kind, int64_t stage, const Before& before) {
      const uint32_t task = AddTask(graph_.period, Duration(kind, stage), before);
      HELM_CHECK(task == InPeriod(kind, stage), "tasks are added in the order of their numbers");
    };
    for (int64_t stage = 0; stage < stages_; ++stage) {
      Before before = {{InPeriod(kBackward, stage), 1}};
      if (stage > 0) before.push_back({InPeriod(kSendForward, stage - 1), 1});
      add(kForward, stage, before);
      add(kSendForward, stage, {{InPeriod(kForward, stage), 0}, {InPeriod(kSendForward, stage), 1}});
    }
    for (int64_t stage = stages_ - 1; stage >= 0; --stage) {
      Before before = {{InPeriod(kForward, stage), 0}};
      if (stage + 1 < stages_) before.push_back({InPeriod(kSendBackward, stage + 1), 0});
      add(kBackward, stage, before);
      add(kSendBackward, stage, {{InPeriod(kBackward, stage), 0}, {InPeriod(kSendBackward, stage), 1}});
    }
  }

  // Of the repeat in which the period runs it, counted on into the epilogue.
  int64_t RepeatOf(Kind kind, int64_t stage, int64_t micro_batch) const { return micro_batch - (kind < kBackward ? WarmUp(stage) : 0); }
  bool Exists(Kind kind, int64_t stage, int64_t micro_batch) const {
    return RepeatOf(kind, stage, micro_batch) < graph_.repeats + static_cast<int64_t>(epilogue_[kind][stage].size());
  }
  PeriodicPredecessor Find(Kind kind, int64_t stage, int64_t micro_batch) const {
    const int64_t repeat = RepeatOf(kind, stage, micro_batch);
    if (repeat < graph_.repeats) return {InPeriod(kind, stage), static_cast<uint32_t>(graph_.repeats - repeat)};
    return {epilogue_[kind][stage][repeat - graph_.repeats], 0};
  }

  // On stage s are left s forwards and backwards in turn, then p - 1 - s backwards. They are added as soon as what they wait for is there.
  void AddEpilogue() {
    epilogue_.assign(4, std::vector<std::vector<uint32_t>>(stages_));
    std::vector<int64_t> added(stages_, 0);
    std::vector<PeriodicPredecessor> last;
    for (int64_t stage = 0; stage < stages_; ++stage) last.push_back({InPeriod(kBackward, stage), 1});
    for (bool progress = true; progress;) {
      progress = false;
      for (int64_t stage = 0; stage < stages_; ++stage) {
        while (added[stage] < stage + stages_ - 1 && AddAction(stage, added[stage], last[stage])) {
          ++added[stage];
          progress = true;
        }
      }
    }
  }

  bool AddAction(int64_t stage, int64_t action, PeriodicPredecessor& last) {
    const Kind kind = action < 2 * stage && action % 2 == 0 ? kForward : kBackward;
    const Kind send = kind == kForward ? kSendForward : kSendBackward;
    const int64_t place = static_cast<int64_t>(epilogue_[kind][stage].size());
    const int64_t micro_batch = graph_.repeats + place + (kind == kForward ? WarmUp(stage) : 0);
    Before before = {last};
    const int64_t neighbour = kind == kForward ? stage - 1 : stage + 1;
    if (neighbour >= 0 && neighbour < stages_) {
      if (!Exists(send, neighbour, micro_batch)) return false;
      before.push_back(Find(send, neighbour, micro_batch));
    }
    last = {AddTask(graph_.epilogue, Duration(kind, stage), before), 0};
    epilogue_[kind][stage].push_back(last.task);
    before = {last, Find(send, stage, micro_batch - 1)};
    epilogue_[send][stage].push_back(AddTask(graph_.epilogue, times_.transfer, before));
    return true;
  }

  const PipelineTimes& times_;
  const int64_t stages_;
  PeriodicGraph graph_;
  std::vector<std::vector<std::vector<uint32_t>>> epilogue_;  // task numbers by kind and stage
};

// REQUIRES: at least as many micro-batches as stages.
inline PeriodicGraph OneForwardOneBackward(const PipelineTimes& times, int64_t micro_batches) {
  return OneForwardOneBackwardBuilder(times, micro_batches).Take();
}

}  // namespace helm::sim
