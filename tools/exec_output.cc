#include "tools/exec_output.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/counted.h"
#include "core/text.h"
#include "report/compare.h"
#include "report/pace.h"

namespace helm::tools {
namespace {

std::string Losses(const std::vector<double>& losses) {
  if (losses.empty()) return "no steps";
  if (losses.size() == 1) return fmt::format("{:.4f}", losses.front());
  return fmt::format("{:.4f} at the first step, {:.4f} at the last", losses.front(), losses.back());
}

std::string VerifyText(const exec::VerifyResult& verify) {
  std::string text =
      fmt::format("verify         {}: {} tensors and {} losses against the unsplit model (AdamW epsilon {:g} on both sides)\n",
                  verify.passed() ? "passed" : "FAILED", verify.tensors, verify.steps, verify.adamw_epsilon);
  for (const exec::VerifyError& error : verify.by_kind) {
    text += fmt::format("  worst {:<9} {:.2e} (bound {:.0e})  {}\n", exec::Name(error.kind), error.error, verify.bounds.Of(error.kind),
                        error.tensor);
  }
  return text;
}

std::optional<report::Comparison> CompareWith(const exec::RunResult& result, const Result<planner::Evaluation>& predicted) {
  if (!predicted.ok()) return std::nullopt;
  auto comparison = report::Compare(predicted->simulation.timeline, result.timeline);
  return comparison.ok() ? std::optional(*comparison) : std::nullopt;
}

std::optional<double> StepTimeError(const exec::RunResult& result, const planner::Evaluation& predicted) {
  return report::RelativeError(predicted.prediction.step_time, result.step_time);
}

std::optional<double> PeakMemoryError(const exec::RunResult& result, const planner::Evaluation& predicted) {
  return report::RelativeError(predicted.prediction.memory_bytes_peak, result.memory_bytes_peak);
}

nlohmann::ordered_json OrNull(const std::optional<double>& number) {
  return number ? nlohmann::ordered_json(*number) : nlohmann::ordered_json();
}

// Null where it was not counted.
nlohmann::ordered_json CountOrNull(Bytes bytes) {
  return bytes.count() > 0 ? nlohmann::ordered_json(bytes.count()) : nlohmann::ordered_json();
}

nlohmann::ordered_json VerifyJson(const exec::VerifyResult& verify) {
  return {{"steps", verify.steps},
          {"passed", verify.passed()},
          {"adamw_epsilon", verify.adamw_epsilon},
          {"worst",
           {{"kind", exec::Name(verify.worst.kind)},
            {"tensor", verify.worst.tensor},
            {"error", verify.worst.error},
            {"bound", verify.bounds.Of(verify.worst.kind)}}}};
}

std::optional<report::Pace> PaceOfRun(const exec::RunResult& result, const Result<planner::Evaluation>& predicted) {
  const auto comparison = CompareWith(result, predicted);
  return comparison ? report::PaceOf(*comparison) : std::nullopt;
}

nlohmann::ordered_json PaceJson(const std::optional<report::Pace>& pace) {
  if (!pace) return nullptr;
  return {{"compute_slowdown", pace->slowdown}, {"ops", pace->ops}, {"disturbed", pace->disturbed()}};
}

}  // namespace

std::string ExecText(const exec::RunResult& result, const Result<planner::Evaluation>& predicted, bool colour) {
  std::string text = fmt::format("ran            {}, {} ({} of them warm-up) on {}\n", result.timeline.plan,
                                 Counted(static_cast<int64_t>(result.losses.size()), "step"), result.warm_up_steps, result.data);
  if (!result.resumed_from.empty())
    text += fmt::format("resumed        {} behind it, from {}\n", Counted(result.first_step, "step"), result.resumed_from);
  if (!result.checkpoint.empty()) text += fmt::format("checkpoint     {}\n", result.checkpoint);
  text += fmt::format("loss           {}\n", Losses(result.losses));
  const bool counted = result.memory_bytes_peak.count() > 0;
  text += fmt::format("measured       step {} (median), {}\n", FormatDuration(result.step_time),
                      counted ? "peak memory " + FormatBytes(result.memory_bytes_peak) : "memory not counted by rank");
  if (predicted.ok()) {
    const planner::Prediction& prediction = predicted->prediction;
    text += fmt::format("predicted      {} of {} per rank{}\n", FormatBytes(prediction.memory_bytes_peak),
                        FormatBytes(prediction.memory_bytes_capacity), prediction.fits ? "" : "  DOES NOT FIT");
  }
  if (result.verify) text += VerifyText(*result.verify);
  if (!predicted.ok()) return text + fmt::format("no prediction  {}\n", predicted.status().message());
  if (const auto comparison = CompareWith(result, predicted)) text += "\n" + report::RenderText(*comparison, {.colour = colour});
  return text;
}

nlohmann::ordered_json ExecJson(const exec::RunResult& result, const Result<planner::Evaluation>& predicted) {
  nlohmann::ordered_json json;
  if (const auto comparison = CompareWith(result, predicted)) {
    json = report::RenderJson(*comparison);
  } else {
    json["schema_version"] = 1;
    json["predicted"] = nullptr;
    json["measured"] = {{"step_time_s", result.step_time.seconds()},
                        {"peak_memory", {{"allocated_bytes", CountOrNull(result.memory_bytes_peak)}}}};
    json["error"] = {{"step_time", nullptr}, {"peak_memory", nullptr}};
  }
  if (predicted.ok()) {
    json["fits"] = predicted->prediction.fits;
    json["capacity_bytes"] = predicted->prediction.memory_bytes_capacity.count();
    json["error"]["step_time"] = OrNull(StepTimeError(result, *predicted));
    json["error"]["peak_memory"] = OrNull(PeakMemoryError(result, *predicted));
  }
  json["pace"] = PaceJson(PaceOfRun(result, predicted));
  json["steps"] = result.losses.size();
  json["first_step"] = result.first_step;
  if (!result.resumed_from.empty()) json["resumed_from"] = result.resumed_from;
  if (!result.checkpoint.empty()) json["checkpoint"] = result.checkpoint;
  json["warm_up_steps"] = result.warm_up_steps;
  json["data"] = result.data;
  json["losses"] = result.losses;
  if (result.verify) json["verify"] = VerifyJson(*result.verify);
  return json;
}

std::string PaceWarning(const exec::RunResult& result, const Result<planner::Evaluation>& predicted) {
  const std::optional<report::Pace> pace = PaceOfRun(result, predicted);
  if (!pace || !pace->disturbed()) return "";
  const bool slow = pace->slowdown > 1;
  return fmt::format(
      "warning: compute ops ran {:.2f} x as {} as their measured rows (median of {} ops, by time): the machine was busy {}; fix: {}",
      slow ? pace->slowdown : 1 / pace->slowdown, slow ? "slow" : "fast", pace->ops,
      slow ? "with something else now" : "with something else when the cost table was measured",
      slow ? "run again on an idle machine; if that changes nothing, measure a new table with helm-profile"
           : "measure a new table with helm-profile on an idle machine");
}

Status VerifyFailure(const exec::VerifyResult& verify) {
  const exec::VerifyError& worst = verify.worst;
  return {StatusCode::kVerifyFailed,
          fmt::format("error: the split model differs from the unsplit one: {} {} on rank {} is off by {:.2e}, allowed is {:.0e}",
                      exec::Name(worst.kind), worst.tensor, worst.rank, worst.error, verify.bounds.Of(worst.kind))};
}

Status CheckTolerance(const ir::Tolerance& tolerance, const exec::RunResult& result, const planner::Evaluation& predicted) {
  const auto exceeded = [](const char* what, const std::optional<double>& error, double allowed) {
    if (allowed <= 0 || !error || std::abs(*error) <= allowed) return OkStatus();
    return Status(
        StatusCode::kToleranceExceeded,
        fmt::format("error: the predicted {} is off by {:+.1f} %, the plan's tolerance is {:.1f} %", what, 100 * *error, 100 * allowed));
  };
  HELM_RETURN_IF_ERROR(exceeded("step time", StepTimeError(result, predicted), tolerance.step_time));
  return exceeded("peak memory", PeakMemoryError(result, predicted), tolerance.peak_memory);
}

}  // namespace helm::tools
