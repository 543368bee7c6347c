// FillBuckets: puts the parameters of a plan into gradient buckets and lays those out in flat segments (model/parameter_plan.h). Internal
// to model/.
#pragma once

#include <cstdint>

#include "ir/strategy.h"
#include "model/parameter_plan.h"

namespace helm::model {

// REQUIRES: the parameters and layers of the plan are there; buckets and segments are not.
void FillBuckets(const ir::Strategy& strategy, int64_t bucket_bytes, ParameterPlan& plan);

}  // namespace helm::model
