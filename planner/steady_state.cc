#include "planner/steady_state.h"

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

class Jumper {
 public:
  Jumper(const ir::Plan& plan, sim::PriceBook& prices, const sim::SimulationOptions& options)
      : plan_(plan), prices_(prices), options_(options), micro_batches_(MicroBatches(plan.workload, plan.strategy)) {
    plan_.program_hash.clear();
    options_.record_timeline = false;
    group_ = plan.strategy.virtual_pipeline > 1 ? plan.strategy.pipeline : 1;
  }

  Result<SteadyState> Run() {
    const bool grows = plan_.strategy.schedule == "gpipe";
    // 1F1B fills in p micro-batches and drains in as many.
    for (int64_t first = FirstCount(2 * plan_.strategy.pipeline + 1); !grows && first + 2 * group_ < micro_batches_;
         first = FirstCount(2 * first)) {
      HELM_ASSIGN_OR_RETURN(const std::vector<int64_t> a, Numbers(first));
      HELM_ASSIGN_OR_RETURN(const std::vector<int64_t> b, Numbers(first + group_));
      HELM_ASSIGN_OR_RETURN(const std::vector<int64_t> c, Numbers(first + 2 * group_));
      if (Steady(a, b, c)) return Jump(b, c, (micro_batches_ - first) / group_ - 2);
    }
    HELM_RETURN_IF_ERROR(Numbers(micro_batches_).status());
    return std::move(state_);
  }

 private:
  // At least `count`, and a whole number of groups away from all of them.
  int64_t FirstCount(int64_t count) const { return count + ((micro_batches_ - count) % group_ + group_) % group_; }

  Result<std::vector<int64_t>> Numbers(int64_t count) {
    plan_.workload.global_batch = count * plan_.strategy.micro_batch * plan_.strategy.data;
    HELM_ASSIGN_OR_RETURN(state_.step, schedule::Materialise(plan_, options_.cancellation));
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
    return std::move(state_);
  }

  ir::Plan plan_;
  sim::PriceBook& prices_;
  sim::SimulationOptions options_;
  int64_t micro_batches_;
  int64_t group_ = 1;
  SteadyState state_;
};

}  // namespace

Result<SteadyState> SimulateSteadyState(const ir::Plan& plan, sim::PriceBook& prices, const sim::SimulationOptions& options) {
  return Jumper(plan, prices, options).Run();
}

}  // namespace helm::planner
