// Strands: the pass that runs the forward of one micro-batch beside the backward of another, op by op, so that the collectives of each
// (of tensor, sequence, context and expert parallelism alike) run under the computation of the other (DHeLlam, techniques.md 2.1).
//
// Pairs the actions (schedule/action_pairs.h), and puts the ops of each pair into the order that strand pairing finds
// (schedule/strand_pairing.h); launches and other ranks are for sim/ to judge. Nothing is computed otherwise than before: only the order
// changes, so that results are the same. Equal pairs are searched once.
//
// In a pipeline a pair receives what it needs from other stages before it sends anything: so no two stages, each in the order that is best
// for itself, wait for each other inside a pair.
#pragma once

#include <string>
#include <vector>

#include "cluster/rank_layout.h"
#include "core/status.h"
#include "cost/overlap_model.h"
#include "ir/program.h"
#include "ir/strategy.h"
#include "schedule/strand_pairing.h"
#include "sim/price_book.h"

namespace helm::schedule {

struct Strands {
  ir::Program program;
  std::vector<std::string> reasons;  // each distinct pair once: what it takes instead of what; or why there is none
};

// By group of the program, as the ranks of the first pipeline stage find them (sim/contention.h): a collective inside a node or between
// nodes, computation slower by `losses`; what pairs were measured to save where they were.
std::vector<OverlapEfficiency> EfficienciesOf(const ir::Program& program, const cost::OverlapLosses& losses,
                                              const cluster::RankLayout& layout);

// Whether strands can be interleaved under such a strategy: kInvalid, with the reason, where not.
Status CheckStrands(const ir::Workload& workload, const ir::Software& software, const ir::Strategy& strategy);

// Fails where an op has no price.
Result<Strands> InterleaveStrands(const ir::Program& program, sim::PriceBook& prices, const cost::OverlapLosses& losses);

}  // namespace helm::schedule
