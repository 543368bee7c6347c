#include "ir/schedule_check.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace helm::ir {
namespace {

struct PlaceOfAction {
  size_t row = 0;
  size_t action = 0;
  bool operator==(const PlaceOfAction&) const = default;
};

constexpr std::array<ActionKind, 4> kComputing = {ActionKind::kForward, ActionKind::kFullBackward, ActionKind::kInputGradient,
                                                  ActionKind::kWeightGradient};

// Where each action runs, by stage and micro-batch.
class Places {
 public:
  std::optional<PlaceOfAction>& At(const Action& action) { return At(action.kind, action.stage, action.micro_batch); }
  std::optional<PlaceOfAction>& At(ActionKind kind, int64_t stage, int64_t micro_batch) {
    const auto index = static_cast<size_t>(std::ranges::find(kComputing, kind) - kComputing.begin());
    return places_[{stage, micro_batch}][index];
  }
  // Of B, or where it is split of I.
  std::optional<PlaceOfAction> Backward(int64_t stage, int64_t micro_batch) {
    const auto full = At(ActionKind::kFullBackward, stage, micro_batch);
    return full ? full : At(ActionKind::kInputGradient, stage, micro_batch);
  }

 private:
  std::map<std::pair<int64_t, int64_t>, std::array<std::optional<PlaceOfAction>, kComputing.size()>> places_;
};

class Checker {
 public:
  Checker(const std::vector<Schedule>& rows, int64_t stages, int64_t micro_batches)
      : rows_(rows), stages_(stages), micro_batches_(micro_batches) {}

  std::vector<ScheduleProblem> Run() {
    for (size_t row = 0; row < rows_.size(); ++row) {
      for (size_t action = 0; action < rows_[row].size(); ++action) Visit({row, action});
    }
    CheckPlacement();
    if (problems_.empty()) CheckComplete();
    if (problems_.empty()) Play();
    return std::move(problems_);
  }

 private:
  const Action& ActionAt(PlaceOfAction place) const { return rows_[place.row][place.action]; }
  void Add(PlaceOfAction place, std::string message) { problems_.push_back({place.row, place.action, std::move(message)}); }

  void Visit(PlaceOfAction place) {
    const Action& action = ActionAt(place);
    const std::string text = ToText(action);
    if (std::ranges::find(kComputing, action.kind) == kComputing.end()) {
      return Add(place, fmt::format("{} is no computation; HELM places communication and overlap itself", text));
    }
    if (action.stage >= stages_ || action.micro_batch >= micro_batches_) {
      return Add(place, fmt::format("{} is not of the step's {} stages and {} micro-batches", text, stages_, micro_batches_));
    }
    std::optional<PlaceOfAction>& before = places_.At(action);
    if (before)
      return Add(place, fmt::format("{} runs a second time; the first is number {} of row {}", text, before->action + 1, before->row + 1));
    before = place;
    const auto [home, first] = homes_.emplace(action.stage, place);
    if (!first && home->second.row != place.row) {
      Add(place, fmt::format("stage {} runs on row {} and on row {}; a stage belongs to one rank", action.stage, home->second.row + 1,
                             place.row + 1));
    }
  }

  // Stage i on row i mod p, or on the rows up and down again.
  void CheckPlacement() {
    const auto count = static_cast<int64_t>(rows_.size());
    if (stages_ % count != 0) {
      return Add({0, 0}, fmt::format("there are {} stages on {} rows; every rank needs as many as the others", stages_, count));
    }
    bool loop = true, folded = stages_ == 2 * count;
    for (const auto& [stage, place] : homes_) {
      const auto row = static_cast<int64_t>(place.row);
      loop = loop && row == stage % count;
      folded = folded && row == (stage < count ? stage : 2 * count - 1 - stage);
    }
    if (loop || folded || !problems_.empty()) return;
    const auto wrong =
        std::ranges::find_if(homes_, [&](const auto& home) { return static_cast<int64_t>(home.second.row) != home.first % count; });
    Add(wrong->second, fmt::format("stage {} runs on row {}; HELM places stage i on row i mod {}, or two stages a row up the rows and down "
                                   "again, counted from row 0",
                                   wrong->first, wrong->second.row, count));
  }

  // The first of what is missing or in excess. There are at most as many pairs before it as actions.
  void CheckComplete() {
    for (int64_t stage = 0; stage < stages_; ++stage) {
      if (!homes_.contains(stage)) return Add({0, 0}, fmt::format("stage {} of {} runs nowhere", stage, stages_));
      for (int64_t i = 0; i < micro_batches_; ++i) {
        std::array<bool, kComputing.size()> runs{};
        for (size_t kind = 0; kind < kComputing.size(); ++kind) runs[kind] = places_.At(kComputing[kind], stage, i).has_value();
        const auto [forward, full, input, weight] = runs;
        if (forward && (full ? !input && !weight : input && weight)) continue;
        const size_t row = homes_.at(stage).row;
        return Add(
            {row, rows_[row].size()},
            fmt::format("stage {} runs F {}, B {}, I {} and W {} times for micro-batch {}; it needs F once and B once, or F, I and W "
                        "once each",
                        stage, int{forward}, int{full}, int{input}, int{weight}, i));
      }
    }
  }

  // What an action cannot start before.
  std::vector<PlaceOfAction> NeedsOf(const Action& action) {
    const int64_t stage = action.stage, i = action.micro_batch;
    std::vector<PlaceOfAction> needs;
    if (action.kind == ActionKind::kForward) {
      if (stage > 0) needs.push_back(*places_.At(ActionKind::kForward, stage - 1, i));
    } else if (action.kind == ActionKind::kWeightGradient) {
      needs.push_back(*places_.At(ActionKind::kInputGradient, stage, i));
    } else {
      needs.push_back(*places_.At(ActionKind::kForward, stage, i));
      if (stage + 1 < stages_) needs.push_back(*places_.Backward(stage + 1, i));
    }
    return needs;
  }

  // What the row's next action waits for.
  std::optional<PlaceOfAction> Missing(size_t row) {
    for (const PlaceOfAction need : NeedsOf(rows_[row][next_[row]])) {
      if (next_[need.row] <= need.action) return need;
    }
    return std::nullopt;
  }

  // Runs the rows without durations: an action is done when what it needs is.
  void Play() {
    next_.assign(rows_.size(), 0);
    for (bool moved = true; moved;) {
      moved = false;
      for (size_t row = 0; row < rows_.size(); ++row) {
        for (; next_[row] < rows_[row].size() && !Missing(row); ++next_[row]) moved = true;
      }
    }
    for (size_t row = 0; row < rows_.size(); ++row) {
      if (next_[row] < rows_[row].size()) return NameCycle(row);
    }
  }

  // From a row that cannot go on to the row that it waits for, until one comes again.
  void NameCycle(size_t row) {
    std::vector<size_t> path;
    while (std::ranges::find(path, row) == path.end()) {
      path.push_back(row);
      row = Missing(row)->row;
    }
    const PlaceOfAction start{row, next_[row]};
    std::string text = "the ranks wait for each other for ever";
    do {
      const PlaceOfAction missing = *Missing(row);
      const PlaceOfAction next{missing.row, next_[missing.row]};
      text += fmt::format("; {} (row {}) waits for {}", ToText(rows_[row][next_[row]]), row + 1, ToText(ActionAt(missing)));
      if (next != missing) text += fmt::format(", which row {} runs behind {}", missing.row + 1, ToText(ActionAt(next)));
      row = missing.row;
    } while (row != start.row);
    Add(start, text);
  }

  const std::vector<Schedule>& rows_;
  const int64_t stages_;
  const int64_t micro_batches_;
  Places places_;
  std::map<int64_t, PlaceOfAction> homes_;  // by stage: where it runs first
  std::vector<size_t> next_;
  std::vector<ScheduleProblem> problems_;
};

// The largest number, over all actions; -1: none.
template <typename Member>
int64_t LargestOf(const std::vector<Schedule>& rows, Member member) {
  int64_t largest = -1;
  for (const Schedule& row : rows) {
    for (const Action& action : row) largest = std::max<int64_t>(largest, action.*member);
  }
  return largest;
}

}  // namespace

std::vector<ScheduleProblem> ScheduleProblems(const std::vector<Schedule>& rows, int64_t stages, int64_t micro_batches) {
  return Checker(rows, stages, micro_batches).Run();
}

// Rows begin with what is needed first, so the first forward of any stage stands near the beginning of its row.
int64_t RowOfStage(const std::vector<Schedule>& rows, int64_t stage) {
  size_t longest = 0;
  for (const Schedule& row : rows) longest = std::max(longest, row.size());
  for (size_t action = 0; action < longest; ++action) {
    for (size_t row = 0; row < rows.size(); ++row) {
      if (action < rows[row].size() && rows[row][action].stage == stage) return static_cast<int64_t>(row);
    }
  }
  return -1;
}

int64_t StagesOf(const std::vector<Schedule>& rows) { return LargestOf(rows, &Action::stage) + 1; }
int64_t MicroBatchesOf(const std::vector<Schedule>& rows) { return LargestOf(rows, &Action::micro_batch) + 1; }

bool Ascends(const Schedule& schedule) {
  struct Next {
    int32_t forward = 0, input = 0, weight = 0;
  };
  std::map<int32_t, Next> next;
  return std::ranges::all_of(schedule, [&](const Action& action) {
    Next& of_stage = next[action.stage];
    if (action.kind == ActionKind::kForward) return action.micro_batch == of_stage.forward++;
    if (action.kind != ActionKind::kWeightGradient && action.micro_batch != of_stage.input++) return false;
    return action.kind == ActionKind::kInputGradient || action.micro_batch == of_stage.weight++;
  });
}

}  // namespace helm::ir
