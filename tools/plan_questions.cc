#include "tools/plan_questions.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cluster/cluster_reader.h"
#include "cluster/device_groups.h"
#include "config/plan_overrides.h"
#include "core/counted.h"
#include "core/text.h"
#include "exporter/exporter.h"
#include "ir/strategy_text.h"
#include "model/lower.h"
#include "planner/evaluate.h"
#include "planner/plan_difference.h"
#include "schedule/materialise.h"
#include "schedule/pipeline_schedule.h"
#include "tools/command_line.h"
#include "tools/pricing.h"
#include "tools/terminal.h"

namespace helm::tools {
namespace {

constexpr std::string_view kStrategy = "strategy.";

struct Arguments {
  std::string plan;
  std::string other;                     // diff: the second plan; why-not: the other strategy
  std::vector<std::string> overrides;    // what-if
  std::vector<std::string> cost_tables;  // beside the plan's
  bool json = false;
};

Result<ir::Plan> ReadPlan(const std::string& path, const Arguments& arguments) {
  HELM_ASSIGN_OR_RETURN(ir::Plan plan, ir::ReadPlan(path));
  plan.cost_tables.insert(plan.cost_tables.end(), arguments.cost_tables.begin(), arguments.cost_tables.end());
  return plan;
}

// `quiet`: its cluster and tables are those of a plan that was predicted before.
Result<planner::Prediction> Predict(ir::Plan plan, bool quiet) {
  plan.program_hash.clear();
  HELM_ASSIGN_OR_RETURN(const cluster::Cluster cluster, cluster::ClusterFromJson(plan.cluster));
  HELM_ASSIGN_OR_RETURN(const auto make_estimator, MakeEstimatorFactory(cluster, {plan.cost_tables, false, plan.software, quiet}));
  HELM_ASSIGN_OR_RETURN(const auto estimator, make_estimator());
  HELM_ASSIGN_OR_RETURN(const planner::Evaluation evaluation,
                        planner::EvaluatePlan(plan, *estimator, {.record_timeline = false, .form = planner::StepForm::kBySize}));
  return evaluation.prediction;
}

std::string DecisionsText(const ir::Plan& first, const ir::Plan& second) {
  constexpr size_t kWidthMost = 40;  // of a value: rows of a schedule are longer than a line
  const auto cut = [](const std::string& text) { return text.size() <= kWidthMost ? text : text.substr(0, kWidthMost - 3) + "..."; };
  std::string text;
  for (const planner::Decision& decision : planner::DifferentDecisions(first, second)) {
    text += fmt::format("{:<36} {} -> {}\n", decision.key, cut(decision.first), cut(decision.second));
  }
  return text.empty() ? "the same decisions\n" : text;
}

Status Compare(const Arguments& arguments, const ir::Plan& first, const ir::Plan& second, const std::string& first_name,
               const std::string& second_name) {
  const bool alike = first.cluster == second.cluster && first.cost_tables == second.cost_tables;
  HELM_ASSIGN_OR_RETURN(const planner::Prediction a, Predict(first, /*quiet=*/false));
  HELM_ASSIGN_OR_RETURN(const planner::Prediction b, Predict(second, alike));
  const bool same_work = first.model == second.model && first.workload == second.workload;
  const planner::Compared compared = !same_work                                   ? planner::Compared::kOtherWork
                                     : alike && first.software == second.software ? planner::Compared::kSameMachine
                                                                                  : planner::Compared::kDifferent;
  if (arguments.json) {
    PrintJson(planner::DifferenceJson({first, a}, {second, b}, compared));
  } else {
    PrintResult(DecisionsText(first, second) + "\n" + planner::SideBySide({first_name, a}, {second_name, b}, compared));
  }
  return OkStatus();
}

Status Diff(const Arguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const ir::Plan first, ReadPlan(arguments.plan, arguments));
  HELM_ASSIGN_OR_RETURN(const ir::Plan second, ReadPlan(arguments.other, arguments));
  return Compare(arguments, first, second, "first", "second");
}

// The plan with keys of it replaced, read again so that every value is checked.
Result<ir::Plan> WithOverrides(const ir::Plan& plan, const std::string& path, const std::vector<std::string>& overrides) {
  HELM_ASSIGN_OR_RETURN(YamlValue document, ParseYaml(ir::ToYaml(plan), path));
  HELM_ASSIGN_OR_RETURN(const config::ConfigContext context, Context());
  HELM_RETURN_IF_ERROR(config::OverridePlan(overrides, context, document));
  return ir::ParsePlanTree(document);
}

// What follows from the keys that were asked for: the schedule from the pipeline, data from what is left of the devices.
void FollowUp(const std::vector<std::string>& keys, int64_t devices, const ir::Strategy& before, ir::Strategy& strategy) {
  const auto asked = [&](std::string_view key) { return std::ranges::find(keys, key) != keys.end(); };
  if (strategy.tensor == 1 && !asked("sequence_parallel")) strategy.sequence_parallel = false;
  if (strategy.pipeline != before.pipeline || strategy.virtual_pipeline != before.virtual_pipeline) {
    if (!asked("stages")) strategy.stages.clear();
    if (strategy.pipeline == 1 && !asked("virtual_pipeline")) strategy.virtual_pipeline = 1;
    if (!asked("schedule")) {
      strategy.schedule_rows.clear();
      strategy.schedule = strategy.pipeline == 1 ? "none" : strategy.virtual_pipeline > 1 ? "interleaved-1f1b" : "1f1b";
    }
  }
  const int64_t split = strategy.tensor * strategy.context * strategy.pipeline;
  if (!asked("data") && devices % split == 0) strategy.data = devices / split;
  if (strategy.data == 1 && !asked("zero")) strategy.zero = 0;
}

Status WhatIf(const Arguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const ir::Plan plan, ReadPlan(arguments.plan, arguments));
  HELM_ASSIGN_OR_RETURN(ir::Plan other, WithOverrides(plan, arguments.plan, arguments.overrides));
  HELM_ASSIGN_OR_RETURN(const schedule::PlanParts parts, schedule::ReadParts(other));
  std::vector<std::string> keys;
  for (const std::string& override : arguments.overrides) {
    if (override.starts_with(kStrategy)) keys.push_back(override.substr(kStrategy.size(), override.find('=') - kStrategy.size()));
  }
  const bool other_layers = !other.strategy.stages.empty() && other.strategy.stages.back().layer_end != parts.model.layers;
  const bool other_devices =
      other.cluster != plan.cluster && parts.model.layers % (other.strategy.pipeline * other.strategy.virtual_pipeline) == 0;
  // A split that was made for others would say little of these.
  if ((other_layers || other_devices) && std::ranges::find(keys, "stages") == keys.end()) other.strategy.stages.clear();
  if (!cluster::HasGroups(parts.cluster) && std::ranges::find(keys, "groups") == keys.end()) other.strategy.groups.clear();
  const int64_t devices = parts.cluster.devices_used;
  if (other.strategy.world_size() != devices) FollowUp(keys, devices, plan.strategy, other.strategy);
  if (other.strategy.world_size() != devices) {
    return InvalidError(fmt::format("error: the strategy uses {}, the cluster has {}\n  fix: set degrees of strategy too",
                                    Counted(other.strategy.world_size(), "device"), devices));
  }
  return Compare(arguments, plan, other, "plan", "what if");
}

// The parts between commas that are in no brackets.
std::vector<std::string> KeysAndValues(const std::string& text) {
  std::vector<std::string> parts(1);
  int64_t depth = 0;
  for (const char letter : text) {
    depth += letter == '[' || letter == '{' ? 1 : letter == ']' || letter == '}' ? -1 : 0;
    if (letter == ',' && depth == 0) {
      parts.emplace_back();
    } else {
      parts.back() += letter;
    }
  }
  return parts;
}

// "tensor=8,pipeline=1" over the plan's strategy.
Result<ir::Plan> WithStrategy(const ir::Plan& plan, const Arguments& arguments, int64_t devices) {
  std::vector<std::string> overrides, keys;
  for (const std::string& item : KeysAndValues(arguments.other)) {
    overrides.push_back(std::string(kStrategy) + std::string(Trim(item)));
    keys.emplace_back(Trim(item.substr(0, item.find('='))));
  }
  HELM_ASSIGN_OR_RETURN(ir::Plan other, WithOverrides(plan, arguments.plan, overrides));
  FollowUp(keys, devices, plan.strategy, other.strategy);
  return other;
}

// Why the strategy is not possible on the plan's devices.
Status CheckPossible(const ir::Plan& other, const schedule::PlanParts& parts) {
  const int64_t world = other.strategy.world_size(), devices = parts.cluster.devices_used;
  if (world != devices) return InvalidError(fmt::format("it uses {}, the cluster has {}", Counted(world, "device"), devices));
  HELM_RETURN_IF_ERROR(model::CheckStrategy(parts.model, other.workload, other.strategy));
  return schedule::PipelineSchedules(other.strategy, MicroBatches(other.workload, other.strategy)).status();
}

std::string WhyNotChosen(const ir::Plan& plan, const ir::Plan& asked, const planner::Prediction& best, const planner::Prediction& other) {
  if (asked.strategy == plan.strategy) return "it is the plan";
  if (!other.fits) {
    return fmt::format("it does not fit: it needs {} of {} per rank", FormatBytes(other.memory_bytes_peak),
                       FormatBytes(other.memory_bytes_capacity));
  }
  if (other.step_time > best.step_time) return planner::WhyLost(best, other);
  return fmt::format("nothing speaks against it: it is {:.1f} % faster{}", 100 * (1 - other.step_time.seconds() / best.step_time.seconds()),
                     planner::IsTie(best, other) ? " (a tie)" : "");
}

// A plan can be priced that its framework cannot be told.
std::string WhatTheTrainerLacks(const ir::Plan& asked) {
  const auto trainer = exporter::TrainerOfFramework(asked.software.framework);
  if (!trainer) return "";
  const auto exported = exporter::Export(*trainer, asked);
  return exported.ok() ? "" : fmt::format("; but {}", ReplaceAll(exported.status().message(), "error: ", ""));
}

Status WhyNot(const Arguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const ir::Plan plan, ReadPlan(arguments.plan, arguments));
  HELM_ASSIGN_OR_RETURN(const schedule::PlanParts parts, schedule::ReadParts(plan));
  HELM_ASSIGN_OR_RETURN(const ir::Plan other, WithStrategy(plan, arguments, parts.cluster.devices_used));
  const Status possible = CheckPossible(other, parts);
  std::string why = fmt::format("it is not possible: {}", ReplaceAll(possible.message(), "error: ", "")), table;
  nlohmann::ordered_json json = {{"schema_version", 1}, {"possible", possible.ok()}};
  if (possible.ok()) {
    HELM_ASSIGN_OR_RETURN(const planner::Prediction best, Predict(plan, /*quiet=*/false));
    HELM_ASSIGN_OR_RETURN(const planner::Prediction found, Predict(other, /*quiet=*/true));
    why = WhyNotChosen(plan, other, best, found) + WhatTheTrainerLacks(other);
    table = "\n" + planner::SideBySide({"plan", best}, {"asked", found}, planner::Compared::kSameMachine);
    json.update(planner::DifferenceJson({plan, best}, {other, found}, planner::Compared::kSameMachine));
  } else {
    json.update({{"first", {{"strategy", ToJson(plan.strategy)}}}, {"second", {{"strategy", ToJson(other.strategy)}}}});
  }
  json["why_not"] = why;
  if (arguments.json) {
    PrintJson(json);
  } else {
    PrintResult(fmt::format("plan           {}\nasked          {}\nwhy not        {}\n", ir::Describe(plan.strategy),
                            ir::Describe(other.strategy), why) +
                table);
  }
  return OkStatus();
}

struct Question {
  const char* word;
  const char* help;
  Status (*answer)(const Arguments&);
};
constexpr Question kQuestions[] = {{"why-not", "Says why another strategy was not chosen.", WhyNot},
                                   {"diff", "Says how two plans differ, in decisions and predictions.", Diff},
                                   {"what-if", "Prices a plan again with values of it changed.", WhatIf}};

}  // namespace

std::optional<int> AnswerPlanQuestion(int argc, char** argv) {
  const std::string_view word = argc > 1 ? argv[1] : "";
  const auto* const question = std::ranges::find(kQuestions, word, &Question::word);
  if (question == std::end(kQuestions)) return std::nullopt;
  CLI::App app(question->help, fmt::format("helm-plan {}", word));
  Arguments arguments;
  app.add_option("plan", arguments.plan, "plan (helm-plan)")->required();
  if (word == "diff") app.add_option("other", arguments.other, "the other plan")->required();
  if (word == "why-not")
    app.add_option("strategy", arguments.other, "keys of strategy, e.g. tensor=8,pipeline=1; data follows")->required();
  if (word == "what-if") {
    app.add_option("--set", arguments.overrides, "key=value over the plan, e.g. cluster.inter_node.gbits_per_s=800; may be repeated")
        ->required();
  }
  app.add_option("--cost-table", arguments.cost_tables, "measured costs beside the plan's own; may be repeated, later rows win");
  app.add_flag("--json", arguments.json, "print one JSON document");
  if (const auto code = Parse(app, argc - 1, argv + 1)) return code;
  return ExitCodeOf([&] { return question->answer(arguments); });
}

}  // namespace helm::tools
