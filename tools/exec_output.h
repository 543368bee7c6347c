// What helm-exec prints of a run: losses, measured against predicted, the verdict of --verify.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "core/status.h"
#include "exec/run.h"
#include "planner/evaluate.h"

namespace helm::tools {

// `predicted` may be a failure (no cost table): the run is then shown alone, with the reason.
std::string ExecText(const exec::RunResult& result, const Result<planner::Evaluation>& predicted, bool colour);
nlohmann::ordered_json ExecJson(const exec::RunResult& result, const Result<planner::Evaluation>& predicted);

// One line of warning when the machine did not compute as it did for the cost table (report/pace.h); empty otherwise.
std::string PaceWarning(const exec::RunResult& result, const Result<planner::Evaluation>& predicted);

// kVerifyFailed, naming the worst tensor. REQUIRES: the check did not pass.
Status VerifyFailure(const exec::VerifyResult& verify);

// kToleranceExceeded when the plan asks for a tolerance and the prediction is outside it.
Status CheckTolerance(const ir::Tolerance& tolerance, const exec::RunResult& result, const planner::Evaluation& predicted);

}  // namespace helm::tools
