// helm-exec: runs a plan on real processes, then holds what was measured against what was predicted.
#include <cmath>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cluster/cluster_reader.h"
#include "core/text.h"
#include "exec/checkpoint_folder.h"
#include "exec/run.h"
#include "planner/evaluate.h"
#include "report/compare.h"
#include "tools/command_line.h"
#include "tools/exec_output.h"
#include "tools/outputs.h"
#include "tools/pricing.h"
#include "tools/terminal.h"

namespace helm {
namespace {

struct Arguments {
  std::string plan;
  std::vector<std::string> cost_tables;
  tools::TimelineOutputs outputs;
  std::string predicted_trace;
  exec::RunOptions run;
  double timeout_s = 60;
  std::string op_times = "events";
  bool json = false;
};

// The prediction for the plan as it stands; analytic where its tables do not reach.
Result<planner::Evaluation> Predict(const ir::Plan& plan, const Arguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const auto cluster, cluster::ClusterFromJson(plan.cluster));
  tools::PricingOptions pricing{plan.cost_tables, false, plan.software};
  pricing.cost_tables.insert(pricing.cost_tables.end(), arguments.cost_tables.begin(), arguments.cost_tables.end());
  HELM_ASSIGN_OR_RETURN(const auto make_estimator, tools::MakeEstimatorFactory(cluster, pricing));
  HELM_ASSIGN_OR_RETURN(const auto estimator, make_estimator());
  return planner::EvaluatePlan(plan, *estimator, {.replay_allocator = true});
}

// Beside a device that is full: what the simulator says the plan needs. Empty where it cannot say.
std::string SimulatedPeak(const ir::Plan& plan, const Arguments& arguments) {
  const auto predicted = Predict(plan, arguments);
  if (!predicted.ok()) return "";
  const planner::Prediction& prediction = predicted->prediction;
  const std::string reserved =
      prediction.memory_bytes_reserved ? fmt::format(", {} reserved", FormatBytes(*prediction.memory_bytes_reserved)) : "";
  return fmt::format("note: the simulated peak of this plan is {} allocated{}, of {} that a rank may use",
                     FormatBytes(prediction.memory_bytes_peak), reserved, FormatBytes(prediction.memory_bytes_capacity));
}

exec::RunOptions WithReporting(const Arguments& arguments, tools::Progress& progress) {
  exec::RunOptions options = arguments.run;
  options.plan_path = arguments.plan;
  options.op_times = arguments.op_times == "events" ? runtime::OpTimes::kEvents : runtime::OpTimes::kActivities;
  options.timeout = std::chrono::milliseconds(std::llround(1000 * arguments.timeout_s));
  options.interrupted = tools::WatchInterrupt();
  options.observer = [&progress](const exec::RunEvent& event) {
    if (event.kind != exec::RunEvent::Kind::kStep) return;
    progress.Update(event.step + 1, event.steps, fmt::format("{} loss {:.4f}", event.unsplit ? "unsplit" : "training", event.loss));
  };
  options.log = [&progress](std::string_view line) {
    progress.Clear();
    tools::PrintNote(line);
  };
  return options;
}

Status Report(const ir::Plan& plan, const Arguments& arguments, const exec::RunResult& result,
              const Result<planner::Evaluation>& predicted) {
  HELM_RETURN_IF_ERROR(tools::WriteTimelines(arguments.outputs, result.timeline));
  if (predicted.ok()) HELM_RETURN_IF_ERROR(tools::WriteTimelines({arguments.predicted_trace, "", ""}, predicted->simulation.timeline));
  if (arguments.json) {
    tools::PrintJson(tools::ExecJson(result, predicted));
  } else {
    tools::PrintResult(tools::ExecText(result, predicted, tools::ColourWanted()));
  }
  if (const std::string warning = tools::PaceWarning(result, predicted); !warning.empty()) tools::PrintNote(warning);
  if (result.verify && !result.verify->passed()) return tools::VerifyFailure(*result.verify);
  return predicted.ok() ? tools::CheckTolerance(plan.tolerance, result, *predicted) : OkStatus();
}

// How a training that ended early goes on; empty: nothing was saved.
std::string HowToResume(const exec::CheckpointOptions& checkpoint) {
  if (checkpoint.folder.empty()) return "";
  const std::vector<int64_t> steps = exec::CompleteCheckpoints(checkpoint.folder);
  return steps.empty() ? ""
                       : fmt::format("the newest complete checkpoint is that of step {}: go on from it with --checkpoint {} --resume {}",
                                     steps.back(), checkpoint.folder, checkpoint.folder);
}

Status Run(const Arguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const ir::Plan plan, ir::ReadPlan(arguments.plan));
  std::vector<std::string> outputs = tools::PathsOf(arguments.outputs);
  outputs.push_back(arguments.predicted_trace);
  outputs.push_back(arguments.run.memory_snapshot);
  HELM_RETURN_IF_ERROR(tools::CheckOutputs(outputs, {arguments.plan}));
  tools::Progress progress("running");
  auto run = exec::Run(plan, WithReporting(arguments, progress));
  progress.Clear();
  if (!run.ok()) {
    const Status failure = run.status();
    const bool full = failure.code() == StatusCode::kUnavailable && failure.message().find("out of memory") != std::string::npos;
    if (full) tools::PrintNote(SimulatedPeak(plan, arguments));
    if (const std::string how = HowToResume(arguments.run.checkpoint); failure.code() != StatusCode::kInvalid && !how.empty())
      tools::PrintNote(how);
    return failure;
  }
  exec::RunResult& result = *run;
  if (!result.is_reporter) return OkStatus();
  if (!arguments.run.in_process) return Report(plan, arguments, result, Predict(plan, arguments));
  return Report(
      plan, arguments, result,
      UnavailableError(
          "the ranks shared one process and one device: times are not those of the plan's cluster, memory was not counted by rank"));
}

}  // namespace
}  // namespace helm

namespace {

// An unset variable of a script must not mean a run without checkpoints.
std::string RefuseEmpty(const std::string& text) { return text.empty() ? "it is empty: give a folder, or leave the option out" : ""; }

}  // namespace

int main(int argc, char** argv) {
  if (helm::exec::IsSpawnedRank()) return helm::exec::RunSpawnedRank();
  CLI::App app("Runs a plan and compares it with its prediction.", "helm-exec");
  helm::Arguments arguments;
  app.add_option("plan", arguments.plan, "plan that helm-plan wrote")->required();
  app.add_option("--steps", arguments.run.steps, "training steps; of a resumed training, with those behind it")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  app.add_flag("--verify", arguments.run.verify, "also run the unsplit model and compare losses, gradients and parameters (exit 7)");
  app.add_option("--dump-state", arguments.run.dump_state,
                 "write initial state, tokens, gradients and updated parameters into this folder");
  app.add_option("--data", arguments.run.data, "token shard or a folder of them (docs/formats/token_shard.md)");
  auto* checkpoint = app.add_option("--checkpoint", arguments.run.checkpoint.folder,
                                    "write checkpoints into this folder (docs/formats/checkpoint.md), the last one after the last step")
                         ->check(RefuseEmpty);
  app.add_option("--checkpoint-every", arguments.run.checkpoint.every, "also after each so many steps")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->needs(checkpoint);
  app.add_option("--checkpoint-keep", arguments.run.checkpoint.keep, "complete checkpoints to keep; older ones are removed")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->needs(checkpoint);
  app.add_option("--resume", arguments.run.checkpoint.resume,
                 "go on from this checkpoint, or from the newest complete one in this folder; the strategy may be another")
      ->check(RefuseEmpty);
  app.add_option("--timeout", arguments.timeout_s, "seconds without progress of a rank after which the run ends")
      ->check(CLI::Range(1.0, 1e6));
  app.add_flag("--in-process", arguments.run.in_process,
               "run all ranks of a local plan as threads of this process on one device, so on one GPU; times are not those of its cluster");
  app.add_option("--op-times", arguments.op_times,
                 "GPU: take the times of ops by CUDA events on the streams or by CUPTI's activity records beside them")
      ->check(CLI::IsMember({"events", "activities"}));
  app.add_flag("--cuda-graph", arguments.run.cuda_graph, "GPU, one rank: launch the steps as one CUDA graph each");
  app.add_option("--memory-snapshot", arguments.run.memory_snapshot, "GPU: write what the allocator gave out, for torch.cuda._memory_viz");
  app.add_option("--cost-table", arguments.cost_tables, "measured costs for the prediction, beside the plan's own");
  helm::tools::AddTimelineOptions(app, arguments.outputs);
  app.add_option("--predicted-trace", arguments.predicted_trace, "write the predicted timeline of this plan");
  app.add_flag("--json", arguments.json, "print one JSON document");
  if (const auto code = helm::tools::Parse(app, argc, argv)) return *code;
  return helm::tools::ExitCodeOf([&] { return helm::Run(arguments); });
}
