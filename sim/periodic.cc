#include "sim/periodic.h"

#include <algorithm>
#include <unordered_map>

#include "core/check.h"

namespace helm::sim {
namespace {

uint32_t LargestBack(const PeriodicTasks& tasks) {
  uint32_t largest = 0;
  for (const PeriodicPredecessor& before : tasks.predecessors) {
    if (before.back != kOfPrologue) largest = std::max(largest, before.back);
  }
  return largest;
}

void CheckForm(const PeriodicGraph& graph) {
  const size_t back = std::max(LargestBack(graph.period), LargestBack(graph.epilogue));
  HELM_CHECK(graph.repeats >= 0, "a period is repeated a number of times");
  HELM_CHECK(graph.stand_ins.size() >= back, "stand-ins for all repeats before the first that tasks look back to");
  for (const std::vector<uint32_t>& stand_ins : graph.stand_ins) {
    HELM_CHECK(stand_ins.size() == graph.period.size(), "a stand-in, or none, for each task of the period");
    for (const uint32_t task : stand_ins)
      HELM_CHECK(task == kNoStandIn || task < graph.prologue.size(), "a stand-in is a task of the prologue");
  }
  for (const PeriodicPredecessor& before : graph.period.predecessors) {
    HELM_CHECK(before.back != kOfPrologue && before.task < graph.period.size(), "a predecessor in the period is a task of the period");
  }
  for (size_t task = 0; task < graph.epilogue.size(); ++task) {
    for (const PeriodicPredecessor& before : graph.epilogue.PredecessorsOf(task)) {
      const size_t count = before.back == 0 ? task : before.back == kOfPrologue ? graph.prologue.size() : graph.period.size();
      HELM_CHECK(before.task < count, "a predecessor in the epilogue must exist");
    }
  }
}

// A time as a function of the number of cycles that have passed: value + n growth.
struct Line {
  int64_t value = 0;
  int64_t growth = 0;
};

class PeriodicRun {
 public:
  explicit PeriodicRun(const PeriodicGraph& graph)
      : graph_(graph), size_(graph.period.size()), back_(std::max<size_t>(1, LargestBack(graph.period))) {
    times_.period_size = size_;
    times_.prologue.resize(graph.prologue.size());
    times_.makespan = LongestPath(graph.prologue, times_.prologue);
  }

  PeriodicTimes Run() {
    for (int64_t repeat = 0; repeat < graph_.repeats; ++repeat) {
      Simulate(repeat);
      if (TryToJump(repeat)) break;
    }
    RunEpilogue();
    return std::move(times_);
  }

 private:
  // In a simulated repeat, or before the first one: the stand-in's time, 0 if there is none.
  int64_t Known(int64_t repeat, uint32_t task) const {
    if (repeat >= 0) return times_.finish[static_cast<size_t>(repeat) * size_ + task];
    const uint32_t stand_in = graph_.stand_ins[static_cast<size_t>(-repeat) - 1][task];
    return stand_in == kNoStandIn ? 0 : times_.prologue[stand_in];
  }

  void Simulate(int64_t repeat) {
    times_.finish.resize(static_cast<size_t>(repeat + 1) * size_);
    int64_t* const now = times_.finish.data() + static_cast<size_t>(repeat) * size_;
    for (uint32_t task = 0; task < size_; ++task) {
      int64_t start = 0;
      for (const PeriodicPredecessor& before : graph_.period.PredecessorsOf(task)) {
        start = std::max(start, before.back == 0 ? now[before.task] : Known(repeat - before.back, before.task));
      }
      now[task] = start + graph_.period.durations[task];
      times_.makespan = std::max(times_.makespan, now[task]);
    }
    times_.simulated_repeats = repeat + 1;
  }

  // A hash of what the last repeat added to the one before (FNV-1a over the increments). A collision costs a vain attempt, no more.
  uint64_t HashOfIncrements(int64_t repeat) const {
    uint64_t hash = 0xcbf29ce484222325;
    for (uint32_t task = 0; task < size_; ++task) {
      hash = (hash ^ static_cast<uint64_t>(Known(repeat, task) - Known(repeat - 1, task))) * 0x100000001b3;
    }
    return hash;
  }

  // A vain attempt costs as much as simulating its cycle, so the next one waits until as much has been simulated again.
  bool TryToJump(int64_t repeat) {
    if (repeat < static_cast<int64_t>(back_)) return false;
    const auto [seen, is_new] = repeat_by_increments_.try_emplace(HashOfIncrements(repeat), repeat);
    const int64_t earlier = seen->second;
    seen->second = repeat;
    if (is_new || repeat < next_attempt_) return false;
    const int64_t cycle = repeat - earlier;
    const int64_t left = graph_.repeats - 1 - repeat;
    if (left <= cycle || earlier < static_cast<int64_t>(back_) - 1) return false;
    next_attempt_ = repeat + cycle;
    return Jump(repeat, cycle, (left - 1) / cycle);
  }

  // The last repeats up to `repeat` as lines; growth: over the last `cycle` repeats.
  std::vector<Line> LastRepeats(int64_t repeat, int64_t cycle) const {
    std::vector<Line> lines(back_ * size_);
    for (size_t i = 0; i < back_; ++i) {
      const int64_t from = repeat - static_cast<int64_t>(back_ - 1 - i);
      for (uint32_t task = 0; task < size_; ++task)
        lines[i * size_ + task] = {Known(from, task), Known(from, task) - Known(from - cycle, task)};
    }
    return lines;
  }

  // Appends a repeat to `lines`, valid for cycles 0 ... last; false if some maximum changes hands in between.
  bool AppendRepeat(std::vector<Line>& lines, int64_t last) const {
    const size_t repeat = lines.size() / size_;
    for (uint32_t task = 0; task < size_; ++task) {
      Line start;  // nothing starts before 0
      int64_t end_most = 0;
      for (const PeriodicPredecessor& before : graph_.period.PredecessorsOf(task)) {
        const Line line = lines[(repeat - before.back) * size_ + before.task];
        if (line.value > start.value || (line.value == start.value && line.growth > start.growth)) start = line;
        end_most = std::max(end_most, line.value + last * line.growth);
      }
      // The maximum of lines is convex: if one of them is the largest at both ends, it is in between.
      if (start.value + last * start.growth != end_most) return false;
      lines.push_back({start.value + graph_.period.durations[task], start.growth});
    }
    return true;
  }

  bool Jump(int64_t repeat, int64_t cycle, int64_t last) {
    std::vector<Line> lines = LastRepeats(repeat, cycle);
    for (int64_t i = 0; i < cycle; ++i) {
      if (!AppendRepeat(lines, last)) return false;
    }
    const Line* const before = lines.data();
    const Line* const after = lines.data() + static_cast<size_t>(cycle) * size_;
    for (size_t i = 0; i < back_ * size_; ++i) {
      if (after[i].growth != before[i].growth || after[i].value != before[i].value + before[i].growth) return false;
    }
    for (size_t i = back_ * size_; i < lines.size(); ++i) {
      times_.finish.push_back(lines[i].value);
      times_.growth.push_back(lines[i].growth);
    }
    times_.simulated_repeats += cycle;
    times_.cycle_repeats = cycle;
    RaiseMakespan(repeat + 1, cycle);
    return true;
  }

  // Of each place in the cycle, the first and the last repeat; those between lie between.
  void RaiseMakespan(int64_t first, int64_t cycle) {
    for (int64_t repeat = first; repeat < first + cycle; ++repeat) {
      const int64_t last = repeat + (graph_.repeats - 1 - repeat) / cycle * cycle;
      for (size_t task = 0; task < size_; ++task) {
        times_.makespan = std::max({times_.makespan, times_.FinishAt(repeat, task), times_.FinishAt(last, task)});
      }
    }
  }

  void RunEpilogue() {
    times_.epilogue.resize(graph_.epilogue.size());
    for (size_t task = 0; task < graph_.epilogue.size(); ++task) {
      int64_t start = 0;
      for (const PeriodicPredecessor& before : graph_.epilogue.PredecessorsOf(task)) start = std::max(start, FinishOf(before));
      times_.epilogue[task] = start + graph_.epilogue.durations[task];
      times_.makespan = std::max(times_.makespan, times_.epilogue[task]);
    }
  }

  int64_t FinishOf(const PeriodicPredecessor& before) const {
    if (before.back == 0) return times_.epilogue[before.task];
    if (before.back == kOfPrologue) return times_.prologue[before.task];
    const int64_t repeat = graph_.repeats - before.back;
    return repeat < 0 ? Known(repeat, before.task) : times_.FinishAt(repeat, before.task);
  }

  const PeriodicGraph& graph_;
  const size_t size_;
  const size_t back_;  // how many repeats the next one may look back to
  std::unordered_map<uint64_t, int64_t> repeat_by_increments_;
  int64_t next_attempt_ = 0;
  PeriodicTimes times_;
};

}  // namespace

std::span<const PeriodicPredecessor> PeriodicTasks::PredecessorsOf(size_t task) const {
  const uint32_t begin = task == 0 ? 0 : predecessor_ends[task - 1];
  return {predecessors.data() + begin, predecessor_ends[task] - begin};
}

uint32_t AddTask(PeriodicTasks& tasks, int64_t duration, std::span<const PeriodicPredecessor> predecessors) {
  const size_t task = tasks.size();
  HELM_CHECK(duration >= 0, "a task cannot take negative time");
  for (const PeriodicPredecessor& before : predecessors) {
    HELM_CHECK(before.back > 0 || before.task < task, "a predecessor of the same repeat must come before the task");
  }
  tasks.durations.push_back(duration);
  tasks.predecessors.insert(tasks.predecessors.end(), predecessors.begin(), predecessors.end());
  HELM_CHECK(tasks.predecessors.size() <= std::numeric_limits<uint32_t>::max(), "offsets of predecessors have 32 bits");
  tasks.predecessor_ends.push_back(static_cast<uint32_t>(tasks.predecessors.size()));
  return static_cast<uint32_t>(task);
}

int64_t PeriodicTimes::FinishAt(int64_t repeat, size_t task) const {
  if (repeat < simulated_repeats) return finish[static_cast<size_t>(repeat) * period_size + task];
  const int64_t first = simulated_repeats - cycle_repeats;
  const int64_t cycles = (repeat - first) / cycle_repeats;
  const auto place = static_cast<size_t>((repeat - first) % cycle_repeats);
  return finish[(static_cast<size_t>(first) + place) * period_size + task] + cycles * growth[place * period_size + task];
}

PeriodicTimes SimulatePeriodic(const PeriodicGraph& graph) {
  CheckForm(graph);
  return PeriodicRun(graph).Run();
}

TaskGraph Unroll(const PeriodicGraph& graph) {
  CheckForm(graph);
  TaskGraph unrolled = graph.prologue;
  const auto first_of = [&](int64_t repeat) { return graph.prologue.size() + static_cast<size_t>(repeat) * graph.period.size(); };
  std::vector<uint32_t> before;
  const auto add_of_period = [&](int64_t repeat, uint32_t task) {
    const uint32_t number =
        repeat >= 0 ? static_cast<uint32_t>(first_of(repeat)) + task : graph.stand_ins[static_cast<size_t>(-repeat) - 1][task];
    if (number != kNoStandIn) before.push_back(number);
  };
  for (int64_t repeat = 0; repeat < graph.repeats; ++repeat) {
    for (size_t task = 0; task < graph.period.size(); ++task) {
      before.clear();
      for (const PeriodicPredecessor& edge : graph.period.PredecessorsOf(task)) add_of_period(repeat - edge.back, edge.task);
      AddTask(unrolled, graph.period.durations[task], before);
    }
  }
  for (size_t task = 0; task < graph.epilogue.size(); ++task) {
    before.clear();
    for (const PeriodicPredecessor& edge : graph.epilogue.PredecessorsOf(task)) {
      if (edge.back == kOfPrologue) {
        before.push_back(edge.task);
      } else if (edge.back == 0) {
        before.push_back(static_cast<uint32_t>(first_of(graph.repeats)) + edge.task);
      } else {
        add_of_period(graph.repeats - edge.back, edge.task);
      }
    }
    AddTask(unrolled, graph.epilogue.durations[task], before);
  }
  return unrolled;
}

}  // namespace helm::sim
