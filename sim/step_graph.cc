#include "sim/step_graph.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/lifetime.h"
#include "sim/class_builder.h"

namespace helm::sim {
namespace {

class StepBuilder {
 public:
  StepBuilder(const ir::StepPrograms& step, const std::vector<TaskCosts>& costs, bool shares_cores) : layout_(step) {
    result_.streams = layout_.streams();
    result_.classes.resize(step.classes.size());
    for (size_t c = 0; c < step.classes.size(); ++c) {
      builders_.push_back(std::make_unique<ClassBuilder>(step, c, costs[c], layout_, shares_cores, result_));
    }
  }

  Result<StepGraph> Build(const Cancellation& cancellation) {
    while (true) {
      bool moved = false;
      bool finished = true;
      for (const auto& builder : builders_) {
        moved = builder->Advance(cancellation) || moved;
        finished = finished && builder->finished();
      }
      HELM_RETURN_IF_ERROR(cancellation.Check());
      moved = Match() || moved;
      if (finished) return std::move(result_);
      if (!moved) return Stalled();
    }
  }

 private:
  // Creates the tasks of everything that all its ranks have reached.
  bool Match() {
    bool moved = false;
    for (const auto& builder : builders_) {
      while (const std::optional<Posted> posted = FirstComplete(*builder)) {
        Meet(*posted);
        moved = true;
      }
    }
    return moved;
  }

  // Something posted by this class that its partners have posted too, all with nothing before it that has not begun.
  std::optional<Posted> FirstComplete(const ClassBuilder& builder) const {
    for (const Posted& posted : builder.Ready()) {
      if (std::ranges::all_of(posted.members, [&](size_t member) { return builders_[member]->ReadyFor(posted) != nullptr; })) return posted;
    }
    return std::nullopt;
  }

  // One task in each member, after everything that any of them needs.
  void Meet(const Posted& posted) {
    std::vector<uint32_t> after;
    Duration duration;
    for (const size_t member : posted.members) builders_[member]->CollectBefore(*builders_[member]->ReadyFor(posted), after, duration);
    for (const size_t member : posted.members) builders_[member]->Begin(Posted(*builders_[member]->ReadyFor(posted)), after, duration);
  }

  Status Stalled() const {
    std::string text = "simulation: the ranks wait for each other for ever:";
    for (const auto& builder : builders_) {
      if (!builder->finished()) text += "\n  " + builder->WaitsFor();
    }
    return InvalidError(text);
  }

  const ir::StreamLayout layout_;
  StepGraph result_;
  std::vector<std::unique_ptr<ClassBuilder>> builders_;
};

}  // namespace

Result<StepGraph> BuildStepGraph(const ir::StepPrograms& step, const std::vector<TaskCosts>& costs, bool communication_shares_cores,
                                 const Cancellation& cancellation) {
  HELM_CHECK(costs.size() == step.classes.size(), "costs for each class");
  for (size_t c = 0; c < costs.size(); ++c) HELM_CHECK(costs[c].ops.size() == step.classes[c].ops.size(), "one cost for each op");
  return StepBuilder(step, costs, communication_shares_cores).Build(cancellation);
}

}  // namespace helm::sim
