// What is allocated through a step, told by an excerpt, against the same of the step written out.
#include "planner/reserved_memory.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "ir/signature.h"
#include "planner/evaluate.h"
#include "random_config.h"
#include "schedule/materialise.h"
#include "schedule/materialise_excerpt.h"
#include "sim/allocation_trace.h"

namespace helm::planner {
namespace {

// Workspaces that differ from op to op, and between the links that a collective uses.
class WorkspaceEstimator : public BytesEstimator {
 public:
  Result<cost::Estimate> EstimateOp(const ir::OpSignature& op) const override {
    return cost::Estimate{Duration(), cost::Source::kAnalytic, Bytes(ir::BytesRead(op).count() % 5 * 1000)};
  }
  Result<cost::Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override {
    return cost::Estimate{Duration(), cost::Source::kAnalytic, Bytes(collective.ranks_per_node * 100)};
  }
};

// Calls by what they are of, whatever the number of their buffer: bytes, and for what is given back which call had taken it. What is given
// back behind one op has no order.
using Calls = std::vector<std::tuple<uint32_t, sim::AllocationTrace::Kind, int64_t, int64_t>>;
Calls CallsOf(const sim::AllocationTrace& trace) {
  Calls calls;
  std::vector<int64_t> taken_by(trace.buffers.size(), -1);
  for (const sim::AllocationTrace::Call& call : trace.calls) {
    if (call.kind == sim::AllocationTrace::Kind::kWorkspace) {
      calls.emplace_back(call.op, call.kind, call.what, -1);
      continue;
    }
    const auto buffer = static_cast<size_t>(call.what);
    if (call.kind == sim::AllocationTrace::Kind::kAllocate) taken_by[buffer] = static_cast<int64_t>(calls.size());
    calls.emplace_back(call.op, call.kind, trace.buffers[buffer].bytes,
                       call.kind == sim::AllocationTrace::Kind::kFree ? taken_by[buffer] : -1);
  }
  for (auto first = calls.begin(); first != calls.end();) {
    const auto end = std::find_if(first, calls.end(), [&](const auto& call) {
      return std::get<0>(call) != std::get<0>(*first) || std::get<1>(call) != std::get<1>(*first);
    });
    if (std::get<1>(*first) == sim::AllocationTrace::Kind::kFree) std::sort(first, end);
    first = end;
  }
  return calls;
}

std::vector<int64_t> PersistentBytes(const sim::AllocationTrace& trace) {
  std::vector<int64_t> bytes;
  for (const sim::AllocationTrace::Buffer& buffer : trace.buffers) {
    if (buffer.persistent) bytes.push_back(buffer.bytes);
  }
  return bytes;
}

RC_GTEST_PROP(ReservedMemory, AnExcerptMakesTheCallsOfTheStep, ()) {
  const config::RunConfig config = RandomConfig();
  const ir::Plan plan = MakePlan(config, config.strategy);
  const auto step = schedule::Materialise(plan);
  RC_PRE(step.ok());
  const auto excerpt = schedule::MaterialiseExcerpt(plan, config.model, step->classes[0].device, schedule::LayersLeftOut::kNone);
  RC_ASSERT(excerpt.status().message() == "");
  const WorkspaceEstimator estimator;
  sim::PriceBook prices(estimator, config.cluster.devices_per_node);
  const auto costs = sim::PriceStep(*step, prices);
  const auto told = sim::PriceStep(excerpt->programs, prices);
  RC_ASSERT(costs.ok() && told.ok());
  RC_LOG() << ir::Describe(config.strategy) << " layers " << config.model.layers << " batch " << config.workload.global_batch << "\n";
  for (size_t c = 0; c < step->classes.size(); ++c) {
    const size_t from = excerpt->told_by[c];
    sim::TaskCosts own = (*told)[from];
    if (from != c) RC_ASSERT(sim::PriceAsClass(excerpt->programs, from, c, prices, own).ok());
    const auto trace = sim::TraceOf(*excerpt, c, own);
    RC_ASSERT(trace.status().message() == "");
    const sim::AllocationTrace whole = sim::TraceOf(step->classes[c], (*costs)[c]);
    RC_ASSERT(PersistentBytes(*trace) == PersistentBytes(whole));
    RC_ASSERT(CallsOf(*trace) == CallsOf(whole));
  }
}

}  // namespace
}  // namespace helm::planner
