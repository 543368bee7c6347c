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

// The ranks of a CPU do the same op in times that differ by chance, and who is slow is another one each time: a collective that begins
// after some ops waits for the slowest rank of its group. What each op adds was measured (cost::Estimate::ranks_wait). Differences of one
// op are independent of those of the next, so their squares add up: with ops of waits w1, w2 ... since the collective before, a collective
// takes sqrt(w1^2 + w2^2 + ...) longer than by itself. (For normal differences the mean of the greater of two exceeds the mean by sigma /
// sqrt(pi), and sigma^2 is what adds.) Messages and collectives over stages are left out: what comes before them is not the same on both
// sides. In the timelines of a tensor-parallel model on two CPU ranks the ranks waited 23 to 41 ms a step; the sum over the ops'
// differences there: 24 to 36.
void AddWaitsForRanks(const ir::Program& program, TaskCosts& costs);
// Whether that changes anything. Then no layer or micro-batch takes what another takes: what a collective waits for may lie far before it.
bool HaveWaits(const TaskCosts& costs);

// The costs of the program of class `from` as `rank_class` finds them, whose collectives may lie on the nodes otherwise, and whose ranks
// may lie in another group of the cluster. `costs`: those of `from`.
Status PriceAsClass(const ir::StepPrograms& step, size_t from, size_t rank_class, PriceBook& prices, TaskCosts& costs);

// The groups of a cluster of several kinds of nodes that the ranks of a class lie in; 0: the cluster has one kind.
cluster::GroupSet GroupsOfClass(const ir::StepPrograms& step, size_t rank_class, const cluster::RankLayout& layout);

// Where the group of a collective lies for `rank`; of a message its two ends. Groups
// of one stage of a pipeline run at the same time, those of other stages do not. REQUIRES: op.kind is kCollectiveStart.
cluster::GroupPlacement PlacementOf(const ir::Program& program, const ir::Op& op, int64_t rank, const cluster::RankLayout& layout);

// The same of all ranks that run in step with `rank`, those of its stage: each placement once, that of `rank` first.
std::vector<cluster::GroupPlacement> PlacementsOf(const ir::Program& program, const ir::Op& op, int64_t rank,
                                                  const cluster::RankLayout& layout);

// The collective as the estimator knows it. REQUIRES: op.kind is kCollectiveStart, and not c10d.recv.
ir::CollectiveSignature CollectiveSignatureOf(const ir::Program& program, const ir::Op& op, const cluster::GroupPlacement& placement);
ir::CollectiveSignature CollectiveSignatureOf(const ir::Program& program, const ir::Op& op, int64_t rank,
                                              const cluster::RankLayout& layout);

}  // namespace helm::sim
