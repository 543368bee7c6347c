// Losses from measured pairs: what the pairs of a cost table put in the place of the formulas of cost/overlap_model.h.
//
// Pairs are sorted as the losses are: a product or another kernel, beside a collective inside a node or between nodes. Of each kind with
// pairs the median over them counts, also for pairs that were not measured; of each kind without, the formula stays. Of what a collective
// loses beside products no formula says anything.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cost/overlap_model.h"
#include "cost/pair.h"

namespace helm::cost {

using PairTable = std::map<std::string, PairMeasurement>;  // by ToText(PairSignature)

// `pairs`: REQUIRES keys that ParsePairSignature takes.
OverlapLosses WithMeasured(OverlapLosses modelled, const PairTable& pairs);

// One line for each kind of pair that was measured, and one that says which were not; none without pairs.
std::vector<std::string> DescribeMeasured(const PairTable& pairs);

}  // namespace helm::cost
