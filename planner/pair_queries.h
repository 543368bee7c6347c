// PairQueries: which ops and collectives run at once in the programs of some plans: what helm-profile --pairs measures for a configuration.
//
// An op may run beside a collective that its rank has started before it and waits for behind it; not beside messages between two ranks,
// which take next to nothing from kernels (cost/overlap_model.h). Two ops never run at once: a program has one compute stream. Equal pairs
// count once.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/cluster.h"
#include "core/status.h"
#include "cost/pair.h"
#include "ir/plan.h"

namespace helm::planner {

struct PairQueries {
  std::vector<cost::PairSignature> pairs;  // up to the limit
  int64_t distinct = 0;                    // that there are
};

// Of each kind (cost/pair_losses.h, and the kind of collective) in turn the pair that has most to save over all the plans, by what HELM
// expects of ops before any is measured: so that a few pairs say something of every kind.
Result<PairQueries> PairQueriesOf(const std::vector<ir::Plan>& plans, const cluster::Cluster& cluster, int64_t limit);

}  // namespace helm::planner
