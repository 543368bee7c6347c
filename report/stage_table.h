// The tables of stages and ranks: what each pipeline stage and each rank of two timelines did, side by side.
//
// Stages are held together by their number, ranks by theirs. A timeline may hold only one rank of each class (a prediction): there the
// first rank of a stage stands for the ranks of that stage which the other side has. Of a step without stages the first rank stands for
// all ranks; of two steps with different numbers of stages nobody knows whose the others are, and they have no counterpart.
#pragma once

#include <string>
#include <vector>

#include "report/comparison.h"

namespace helm::report {

std::vector<Sides<StageUse>> StageTable(const std::vector<RankUse>& predicted, const std::vector<RankUse>& measured);
std::vector<RankRow> RankTable(const std::vector<RankUse>& predicted, const std::vector<RankUse>& measured);

// How the ranks of the table were paired, for a reader: "'predicted' has 2 of 4 ranks, the first of a stage stands for the others of it".
// Nothing when both sides have the same ranks.
std::string DescribeRankPairing(const Comparison& comparison);

}  // namespace helm::report
