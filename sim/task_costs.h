// TaskCosts: what each op of a program costs, asked once for every distinct signature.
//
// View ops have no cost of their own: they only take the host thread's time to launch. Waits take what the collective leaves.
#pragma once

#include <cstdint>
#include <vector>

#include "core/status.h"
#include "cost/estimator.h"
#include "ir/program.h"
#include "ir/signature.h"

namespace helm::sim {

struct TaskCosts {
  std::vector<cost::Estimate> ops;  // by op; for views and waits zero, with the source of the host's costs
  cost::HostCosts host;
};

// Fails with every op and collective that has no price, each with the reason.
Result<TaskCosts> PriceOps(const ir::Program& program, const cost::Estimator& estimator, int64_t ranks_per_node);

// The collective as the estimator knows it. Ranks per node are those of rank 0's group, when `ranks_per_node` consecutive ranks share a
// node. REQUIRES: op.kind is kCollectiveStart.
ir::CollectiveSignature CollectiveSignatureOf(const ir::Program& program, const ir::Op& op, int64_t ranks_per_node);

}  // namespace helm::sim
