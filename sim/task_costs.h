// TaskCosts: what each op of a program costs, asked once for every distinct signature.
//
// View ops have no cost of their own: they only take the host thread's time to launch. Waits take what the collective leaves. A region is
// priced and launched once, at the op that leads it.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/placement.h"
#include "core/cancellation.h"
#include "core/status.h"
#include "cost/estimator.h"
#include "ir/program.h"
#include "ir/signature.h"
#include "ir/step_programs.h"
#include "sim/price_book.h"

namespace helm::sim {

struct TaskCosts {
  std::vector<cost::Estimate> ops;  // by op; for views and waits zero, with the source of the host's costs
  // By op, or empty for none: in a fused kernel that an earlier op stands for (ir/region.h): neither launched nor priced by itself.
  std::vector<bool> follows;
  cost::HostCosts host;
};

// By class. Fails with every op and collective that has no price, each with the reason. A message is priced at its sender; its receiver's
// op costs nothing of its own. Where the groups of a class lie differently on the nodes, a collective costs what the slowest of them takes:
// ranks that finish theirs sooner wait for the others at the next group that they have in common.
Result<std::vector<TaskCosts>> PriceStep(const ir::StepPrograms& step, PriceBook& prices, const Cancellation& cancellation = {});

// The prices of the program's collectives as the class of `rank` finds them (whose groups may lie on the nodes otherwise than those of the
// rank that `costs` were made for), in place of those there.
Status PriceCollectives(const ir::Program& program, int64_t rank, PriceBook& prices, TaskCosts& costs);

// Where the group of a collective lies for `rank`, when `ranks_per_node` consecutive ranks share a node; of a message its two ends. Groups
// of one stage of a pipeline run at the same time, those of other stages do not. REQUIRES: op.kind is kCollectiveStart.
cluster::GroupPlacement PlacementOf(const ir::Program& program, const ir::Op& op, int64_t rank, int64_t ranks_per_node);

// The same of all ranks that run in step with `rank`, those of its stage: each placement once, that of `rank` first.
std::vector<cluster::GroupPlacement> PlacementsOf(const ir::Program& program, const ir::Op& op, int64_t rank, int64_t ranks_per_node);

// The collective as the estimator knows it. REQUIRES: op.kind is kCollectiveStart, and not c10d.recv.
ir::CollectiveSignature CollectiveSignatureOf(const ir::Program& program, const ir::Op& op, const cluster::GroupPlacement& placement);
ir::CollectiveSignature CollectiveSignatureOf(const ir::Program& program, const ir::Op& op, int64_t rank, int64_t ranks_per_node);

}  // namespace helm::sim
