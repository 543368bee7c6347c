#include "planner/cost_queries.h"

#include <array>
#include <map>
#include <memory>
#include <string>

#include "cluster/placement.h"
#include "cost/chain.h"
#include "schedule/materialise.h"
#include "sim/task_costs.h"

namespace helm::planner {
namespace {

// Of a step. The optimizer moves memory only, so it runs at another clock than forward and backward.
enum StepPart : size_t { kForwardAndBackward, kOptimizer };
constexpr size_t kStepParts = 2;

struct Occurrences {
  ir::OpSignature signature;
  std::array<int64_t, kStepParts> count = {};
};

// Adds up what the ops of a part take.
class PartTime {
 public:
  void Add(const ir::OpSignature& op, double seconds) {
    total_ += seconds;
    if (ir::IsFusedAttention(op)) {
      attention_ += seconds;
    } else if (ir::FlopsOf(op).count() > 0) {
      products_ += seconds;
    }
  }
  ir::DeviceLoad Load() const { return total_ > 0 ? ir::DeviceLoad{products_ / total_, attention_ / total_} : ir::DeviceLoad(); }

 private:
  double total_ = 0, products_ = 0, attention_ = 0;
};

// The parts' loads, each weighted by how often the op occurs in it.
ir::DeviceLoad Mean(const std::array<ir::DeviceLoad, kStepParts>& loads, const std::array<int64_t, kStepParts>& count) {
  const auto all = static_cast<double>(count[kForwardAndBackward] + count[kOptimizer]);
  const double optimizer = static_cast<double>(count[kOptimizer]) / all;
  const auto mean = [&](double rest, double of_optimizer) { return rest + optimizer * (of_optimizer - rest); };
  return {mean(loads[kForwardAndBackward].products, loads[kOptimizer].products),
          mean(loads[kForwardAndBackward].attention, loads[kOptimizer].attention)};
}

using OpsByText = std::map<std::string, Occurrences>;  // distinct, and in an order that does not depend on the plans' order

Result<std::array<ir::DeviceLoad, kStepParts>> LoadsOf(const OpsByText& ops, const cluster::Cluster& cluster) {
  HELM_ASSIGN_OR_RETURN(const auto estimator, cost::MakeEstimator(cluster, {}));
  std::array<PartTime, kStepParts> times;
  for (const auto& [key, op] : ops) {
    const auto estimate = estimator->EstimateOp(op.signature);
    if (!estimate.ok()) continue;  // what nobody can price before it is measured says nothing about the load
    for (size_t part = 0; part < kStepParts; ++part) {
      times[part].Add(op.signature, static_cast<double>(op.count[part]) * estimate->duration.seconds());
    }
  }
  return std::array<ir::DeviceLoad, kStepParts>{times[kForwardAndBackward].Load(), times[kOptimizer].Load()};
}

}  // namespace

Result<CostQueries> CostQueriesOf(const std::vector<ir::Plan>& plans, const cluster::Cluster& cluster) {
  OpsByText ops;
  std::map<std::string, ir::CollectiveSignature> collectives;
  for (const ir::Plan& plan : plans) {
    HELM_ASSIGN_OR_RETURN(const ir::StepPrograms step, schedule::Materialise(plan));
    for (size_t c = 0; c < step.classes.size(); ++c) {
      const ir::Program& program = step.classes[c];
      for (const ir::Op& op : program.ops) {
        if (op.kind == ir::OpKind::kCollectiveStart && op.target != "c10d.recv") {  // a message is priced at its sender
          for (const auto& placement : sim::PlacementsOf(program, op, RepresentativeRank(step, c), cluster::DevicesPerDomain(cluster))) {
            const auto signature = sim::CollectiveSignatureOf(program, op, placement);
            collectives.emplace(ir::ToText(signature), signature);
          }
        } else if (op.kind == ir::OpKind::kCompute) {  // views and waits have no price of their own
          auto signature = ir::SignatureOf(program, op);
          Occurrences& occurrences = ops[ir::ToText(signature)];
          occurrences.signature = std::move(signature);
          ++occurrences.count[op.phase == ir::Phase::kOptimizer ? kOptimizer : kForwardAndBackward];
        }
      }
    }
  }
  CostQueries queries;
  std::array<ir::DeviceLoad, kStepParts> loads;
  if (!cluster.device.is_cpu) {
    HELM_ASSIGN_OR_RETURN(loads, LoadsOf(ops, cluster));
  }
  for (auto& [key, op] : ops) queries.ops.push_back({std::move(op.signature), Mean(loads, op.count)});
  for (auto& [key, collective] : collectives) queries.collectives.push_back(collective);
  return queries;
}

}  // namespace helm::planner
