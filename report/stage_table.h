// The tables of stages and ranks: what each pipeline stage and each rank of two timelines did, side by side.
//
// Stages are held together by their number, ranks by theirs; a measured rank without a prediction of its own is held against the first
// predicted rank of its stage, which stands for it.
#pragma once

#include <vector>

#include "report/comparison.h"

namespace helm::report {

std::vector<Sides<StageUse>> StageTable(const std::vector<RankUse>& predicted, const std::vector<RankUse>& measured);
std::vector<RankRow> RankTable(const std::vector<RankUse>& predicted, const std::vector<RankUse>& measured);

}  // namespace helm::report
