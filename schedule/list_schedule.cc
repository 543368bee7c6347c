#include "schedule/list_schedule.h"

#include <optional>

namespace helm::schedule {
namespace {

using ir::Action;
using ir::ActionKind;

// How many micro-batches of a chunk have run; they run in order.
struct Progress {
  int64_t forward = 0, input = 0, weight = 0;
};

class Player {
 public:
  explicit Player(const ListScheduleOptions& options)
      : options_(options), progress_(options.stage_of_chunk.size()), own_(static_cast<size_t>(options.stages)), in_flight_(own_.size(), 0) {
    for (size_t chunk = 0; chunk < options.stage_of_chunk.size(); ++chunk) {
      own_[static_cast<size_t>(options.stage_of_chunk[chunk])].push_back(chunk);
    }
  }

  std::vector<ir::Schedule> Run() {
    std::vector<ir::Schedule> schedules(own_.size());
    const auto total = 3 * options_.micro_batches * static_cast<int64_t>(progress_.size());
    for (int64_t run = 0; run < total;) {
      const std::vector<Progress> before = progress_;  // what one stage does in a round is there for others in the next
      for (size_t stage = 0; stage < own_.size(); ++stage) {
        const std::optional<Action> action = Choose(before, stage);
        if (!action) continue;
        Do(*action, stage);
        schedules[stage].push_back(*action);
        ++run;
      }
    }
    return schedules;
  }

 private:
  std::optional<Action> Choose(const std::vector<Progress>& before, size_t stage) const {
    std::optional<Action> action = options_.forward_first ? Forward(before, stage) : InputGradient(before, stage);
    if (!action) action = options_.forward_first ? InputGradient(before, stage) : Forward(before, stage);
    return action ? action : WeightGradient(before, stage);
  }

  std::optional<Action> Forward(const std::vector<Progress>& before, size_t stage) const {
    if (in_flight_[stage] >= options_.in_flight_most) return std::nullopt;
    for (auto chunk = own_[stage].rbegin(); chunk != own_[stage].rend(); ++chunk) {
      const int64_t i = before[*chunk].forward;
      if (i < options_.micro_batches && (*chunk == 0 || i < before[*chunk - 1].forward)) return At(*chunk, ActionKind::kForward, i);
    }
    return std::nullopt;
  }

  std::optional<Action> InputGradient(const std::vector<Progress>& before, size_t stage) const {
    for (const size_t chunk : own_[stage]) {
      const int64_t i = before[chunk].input;
      const bool arrived = chunk + 1 == before.size() || i < before[chunk + 1].input;
      if (i < before[chunk].forward && arrived) return At(chunk, ActionKind::kInputGradient, i);
    }
    return std::nullopt;
  }

  std::optional<Action> WeightGradient(const std::vector<Progress>& before, size_t stage) const {
    for (auto chunk = own_[stage].rbegin(); chunk != own_[stage].rend(); ++chunk) {
      if (before[*chunk].weight < before[*chunk].input) return At(*chunk, ActionKind::kWeightGradient, before[*chunk].weight);
    }
    return std::nullopt;
  }

  void Do(const Action& action, size_t stage) {
    Progress& of = progress_[static_cast<size_t>(action.stage)];
    switch (action.kind) {
      case ActionKind::kForward:
        ++of.forward;
        ++in_flight_[stage];
        break;
      case ActionKind::kInputGradient:
        ++of.input;
        break;
      default:
        ++of.weight;
        --in_flight_[stage];
    }
  }

  static Action At(size_t chunk, ActionKind kind, int64_t micro_batch) {
    return {static_cast<int32_t>(chunk), kind, static_cast<int32_t>(micro_batch), {}};
  }

  const ListScheduleOptions& options_;
  std::vector<Progress> progress_;
  std::vector<std::vector<size_t>> own_;  // chunks by stage
  std::vector<int64_t> in_flight_;
};

}  // namespace

std::vector<ir::Schedule> ListSchedules(const ListScheduleOptions& options) { return Player(options).Run(); }

}  // namespace helm::schedule
