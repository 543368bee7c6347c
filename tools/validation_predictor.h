// How helm-validate predicts a run configuration: planner and simulator, with estimators shared by the rows of one cluster.
#pragma once

#include <string>
#include <vector>

#include "cost/fitted_constants.h"
#include "validation/validate.h"

namespace helm::tools {

// `cost_tables`: files, read once; a row of another device than a table's is priced without it.
Result<validation::PredictorFactory> MakeValidationPredictorFactory(const std::vector<std::string>& cost_tables,
                                                                    const cost::FittedConstants& constants = {});

}  // namespace helm::tools
