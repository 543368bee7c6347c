#include "planner/steady_state.h"

#include <cmath>
#include <utility>
#include <vector>

#include "schedule/materialise.h"
#include "sim/schedule_times.h"

namespace helm::planner {
namespace {

// Every number of a simulation that grows with the micro-batches, as one row.
std::vector<int64_t> NumbersOf(const sim::Simulation& simulation) {
  std::vector<int64_t> numbers = {simulation.makespan.picoseconds()};
  for (const sim::Breakdown& b : simulation.breakdown_of_class) {
    for (const Duration part : {b.compute, b.exposed_communication, b.bubble, b.optimizer, b.host}) numbers.push_back(part.picoseconds());
  }
  for (const Bytes peak : simulation.peak_of_class) numbers.push_back(peak.count());
  numbers.push_back(simulation.peak.bytes.count());
  for (const int64_t bytes : simulation.peak.by_role) numbers.push_back(bytes);
  return numbers;
}

void SetNumbers(const std::vector<int64_t>& numbers, sim::Simulation& simulation) {
  size_t next = 0;
  const auto take = [&] { return numbers[next++]; };
  simulation.makespan = Duration::Picoseconds(take());
  for (sim::Breakdown& b : simulation.breakdown_of_class) {
    for (Duration* part : {&b.compute, &b.exposed_communication, &b.bubble, &b.optimizer, &b.host}) *part = Duration::Picoseconds(take());
  }
  simulation.breakdown = sim::MeanOf(simulation.breakdown_of_class, simulation.makespan);
  for (Bytes& peak : simulation.peak_of_class) peak = Bytes(take());
  simulation.peak.bytes = Bytes(take());
  for (int64_t& bytes : simulation.peak.by_role) bytes = take();
}

// Micro-batches that a schedule treats alike: one; with interleaving as many as there are stages.
int64_t GroupOf(const ir::Strategy& strategy) { return strategy.virtual_pipeline > 1 ? strategy.pipeline : 1; }

// At least `count`, and a whole number of groups away from `all`.
int64_t CountFrom(int64_t count, int64_t all, int64_t group) { return count + ((all - count) % group + group) % group; }

// 1F1B fills in p micro-batches and drains in as many.
int64_t FirstCount(const ir::Plan& plan) {
  return CountFrom(2 * plan.strategy.pipeline + 1, MicroBatches(plan.workload, plan.strategy), GroupOf(plan.strategy));
}

// The same with fewer micro-batches; where the data-parallel ranks have different numbers (MayJump is false) it is the plan's own.
ir::Plan WithMicroBatches(ir::Plan plan, int64_t count) {
  plan.program_hash.clear();
  if (plan.strategy.micro_batches.empty()) plan.workload.global_batch = count * plan.strategy.micro_batch * plan.strategy.data;
  return plan;
}

class Jumper {
 public:
  Jumper(const ir::Plan& plan, sim::PriceBook& prices, const sim::SimulationOptions& options)
      : plan_(plan),
        prices_(prices),
        options_(options),
        micro_batches_(MicroBatches(plan.workload, plan.strategy)),
        group_(GroupOf(plan.strategy)) {
    options_.record_timeline = false;
  }

  Result<SteadyState> Run() {
    for (int64_t first = FirstCount(plan_); MayJump(plan_) && first + 2 * group_ < micro_batches_;
         first = CountFrom(2 * first, micro_batches_, group_)) {
      HELM_ASSIGN_OR_RETURN(const std::vector<int64_t> a, Numbers(first));
      HELM_ASSIGN_OR_RETURN(const std::vector<int64_t> b, Numbers(first + group_));
      HELM_ASSIGN_OR_RETURN(const std::vector<int64_t> c, Numbers(first + 2 * group_));
      if (Steady(a, b, c)) return Jump(b, c, (micro_batches_ - first) / group_ - 2);
    }
    HELM_RETURN_IF_ERROR(Numbers(micro_batches_).status());
    return std::move(state_);
  }

 private:
  Result<std::vector<int64_t>> Numbers(int64_t count) {
    HELM_ASSIGN_OR_RETURN(state_.step, schedule::Materialise(WithMicroBatches(plan_, count), options_.cancellation));
    HELM_ASSIGN_OR_RETURN(state_.simulation, sim::Simulate(state_.step, prices_, options_));
    state_.simulation.critical_path.clear();
    return NumbersOf(state_.simulation);
  }

  static bool Steady(const std::vector<int64_t>& a, const std::vector<int64_t>& b, const std::vector<int64_t>& c) {
    for (size_t i = 0; i < c.size(); ++i) {
      if (b[i] - a[i] != c[i] - b[i]) return false;
    }
    return true;
  }

  SteadyState Jump(const std::vector<int64_t>& before, const std::vector<int64_t>& last, int64_t groups) {
    std::vector<int64_t> numbers = last;
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] += groups * (last[i] - before[i]);
    SetNumbers(numbers, state_.simulation);
    state_.jumped = true;
    return std::move(state_);
  }

  const ir::Plan& plan_;
  sim::PriceBook& prices_;
  sim::SimulationOptions options_;
  const int64_t micro_batches_;
  const int64_t group_;
  SteadyState state_;
};

}  // namespace

bool MayJump(const ir::Plan& plan) {
  const std::string& schedule = plan.strategy.schedule;  // csv: of exactly these micro-batches
  return schedule != "gpipe" && schedule != "csv" && plan.strategy.micro_batches.empty() &&
         FirstCount(plan) + 2 * GroupOf(plan.strategy) < MicroBatches(plan.workload, plan.strategy);
}

Result<int64_t> EstimateOps(const ir::Plan& plan, const Cancellation& cancellation) {
  const int64_t few = FirstCount(plan);
  HELM_ASSIGN_OR_RETURN(const ir::StepPrograms step, schedule::Materialise(WithMicroBatches(plan, few), cancellation));
  const auto ops = static_cast<double>(FirstOpOfClass(step, step.classes.size()));
  return std::llround(ops / static_cast<double>(few) * static_cast<double>(MicroBatches(plan.workload, plan.strategy)));
}

Result<SteadyState> SimulateSteadyState(const ir::Plan& plan, sim::PriceBook& prices, const sim::SimulationOptions& options) {
  return Jumper(plan, prices, options).Run();
}

}  // namespace helm::planner
