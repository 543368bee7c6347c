#include "planner/render.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/counted.h"
#include "core/text.h"
#include "ir/strategy_text.h"
#include "model/lora.h"
#include "model/supported.h"
#include "planner/device_places.h"
#include "planner/training_run.h"
#include "schedule/executable.h"

namespace helm::planner {
namespace {

constexpr int kSchemaVersion = 1;
constexpr size_t kRunnersUpShown = 3;
constexpr size_t kParetoShown = 4;
constexpr size_t kNotModelledShown = 2;
constexpr size_t kNotesShown = 2;

std::string Row(const Candidate& candidate, const std::string& reason = "") {
  const std::string time = (candidate.alone ? ">= " : "") + FormatDuration(candidate.prediction.step_time);
  return fmt::format("  {:>10}  {:>10}  {}{}\n", time, FormatBytes(candidate.prediction.memory_bytes_peak),
                     ir::Describe(candidate.strategy), reason.empty() ? "" : ": " + reason);
}

// Of the simulated candidates, how many were not, or not only, composed of templates.
int64_t WrittenOut(const SearchResult& result) {
  const auto written_out = [](const Candidate& candidate) { return !candidate.written_out_because.empty(); };
  return std::ranges::count_if(result.ranked, written_out) + std::ranges::count_if(result.unfit, written_out);
}

std::string RunnersUp(const SearchResult& result, size_t count) {
  if (result.ranked.size() < 2) return "";
  std::string text = "runners-up\n";
  for (size_t i = 1; i < std::min(result.ranked.size(), count + 1); ++i) {
    text += Row(result.ranked[i], result.ranked[i].reason);
  }
  return text;
}

// How many of the others HELM cannot tell from the best: measuring them is what decides, or the memory that they leave.
std::string Ties(const SearchResult& result) {
  constexpr double kSmallerTold = 0.9;  // of the best one's memory, and less
  const Prediction& best = result.ranked.front().prediction;
  int64_t ties = 0;
  const Candidate* smallest = &result.ranked.front();
  for (const Candidate& candidate : result.ranked) {
    if (&candidate == &result.ranked.front() || !IsTie(best, candidate.prediction)) continue;
    ++ties;
    if (candidate.prediction.memory_bytes_peak < smallest->prediction.memory_bytes_peak) smallest = &candidate;
  }
  if (ties == 0) return "";
  std::string text =
      fmt::format("ties           {} of the others that were priced are within the error of predicted ratios: a tie with the best\n", ties);
  const Bytes least = smallest->prediction.memory_bytes_peak;
  if (static_cast<double>(least.count()) < kSmallerTold * static_cast<double>(best.memory_bytes_peak.count())) {
    text += fmt::format("               one takes {} less memory: {}\n", FormatBytes(best.memory_bytes_peak - least),
                        ir::Describe(smallest->strategy));
  }
  return text;
}

std::string Pareto(const SearchResult& result) {
  std::string text = "time against memory (no other plan that was simulated is both faster and smaller)\n";
  for (size_t i = 0; i < std::min(result.pareto.size(), kParetoShown); ++i) text += Row(result.ranked[result.pareto[i]]);
  return text;
}

std::string Unsimulated(const std::string& title, const std::vector<Rejection>& rejections) {
  std::string text = rejections.empty() ? "" : title + "\n";
  for (const Rejection& rejection : rejections) {
    std::string reason = rejection.reason;
    std::replace(reason.begin(), reason.end(), '\n', ' ');
    text += fmt::format("  {}: {}\n", ir::Describe(rejection.strategy), reason);
  }
  return text;
}

std::string Everything(const SearchResult& result) {
  std::string text = RunnersUp(result, result.ranked.size());
  if (!result.unfit.empty()) text += "do not fit\n";
  for (const Candidate& candidate : result.unfit) text += Row(candidate, candidate.reason);
  return text + Unsimulated("slower by their lower bound", result.bounded) + Unsimulated("dropped without simulation", result.pruned);
}

std::string HowFarSearched(const SearchResult& result) {
  if (IsProven(result)) return "; all of the space, so no strategy in it is faster";
  if (!result.complete) return "; STOPPED EARLY: the best so far";
  std::string text = "; all of the space";
  if (!result.passes_complete) text += ", passes on the most promising strategies only";
  if (result.set_aside > 0) text += fmt::format("; {} faster set aside for what their allocators keep (--explain)", result.set_aside);
  return text;
}

// What the framework does and the prediction leaves out, each with what stands in its place.
std::string NotModelled(const std::vector<std::string>& switches) {
  std::string text;
  for (const std::string& words : switches) text += fmt::format("not modelled   {}\n", words);
  return text;
}

// Where the model as HELM runs it differs from the published one.
std::string ModelDiffers(const std::vector<std::string>& notes, bool briefly) {
  std::string text;
  const size_t shown = briefly && notes.size() > kNotesShown + 1 ? kNotesShown : notes.size();
  for (size_t i = 0; i < shown; ++i) text += fmt::format("model differs  {}\n", notes[i]);
  if (shown < notes.size()) text += fmt::format("model differs  in {} ways more: --explain names them\n", notes.size() - shown);
  return text;
}

// The same in a search's report, which has to fit a screen.
std::string NotModelledBriefly(const std::vector<std::string>& switches, const RenderOptions& options) {
  if (options.explain || switches.size() <= kNotModelledShown + 1) return NotModelled(switches);
  const std::vector<std::string> shown(switches.begin(), switches.begin() + kNotModelledShown);
  return NotModelled(shown) +
         fmt::format("not modelled   {} switches more of the framework: --explain names them\n", switches.size() - shown.size());
}

// The commands to type next, of those that take the plan.
std::string Next(const config::RunConfig& config, const ir::Plan& plan, const RenderOptions& options) {
  const std::string& path = options.plan_path;
  const bool runs = schedule::CheckExecutable(plan, config.model, path).ok();
  const bool verifies = runs && schedule::CheckVerifiable(plan, config.model, path).ok();
  std::vector<std::string> commands;
  if (!options.trainer.empty()) commands.push_back(fmt::format("helm-plan {} --export {} (docs/export.md)", path, options.trainer));
  if (runs && config.cluster.local) commands.push_back(fmt::format("helm-exec {}{}", path, verifies ? " --verify" : ""));
  if (runs && !config.cluster.local)
    commands.push_back(fmt::format("on the cluster: torchrun, mpirun or srun with helm-exec {} (docs/execution.md)", path));
  if (commands.empty()) commands.push_back(fmt::format("helm-sim {} --chrome-trace step.json (helm-exec cannot run this plan)", path));
  return fmt::format("next           {}\n", Join(commands, ", or "));
}

// Where the stages lie in a cluster of several kinds of nodes.
std::string GroupsLine(const std::string& places) { return places.empty() ? "" : fmt::format("groups         {}\n", places); }

// How the numbers were found, where that is not the usual way.
std::string Form(const std::string& not_written_out_because) {
  return not_written_out_because.empty() ? "" : fmt::format("step           not written out: {}\n", not_written_out_because);
}

// With how many of them are trained, where some are frozen.
std::string Parameters(const model::ModelSpec& model) {
  const auto all = static_cast<double>(model::ParameterCount(model)), trained = static_cast<double>(model::TrainedParameterCount(model));
  const std::string text = fmt::format("{:.1f} M parameters", all * 1e-6);
  return model.lora.rank == 0 ? text
                              : fmt::format("{}, of which {:.3f} M are trained ({:.2f} %)", text, trained * 1e-6, trained / all * 100);
}

nlohmann::ordered_json CandidateJson(const Candidate& candidate) {
  nlohmann::ordered_json json{{"strategy", ToJson(candidate.strategy)}, {"prediction", ToJson(candidate.prediction)}};
  if (!candidate.reason.empty()) json["reason"] = candidate.reason;
  return json;
}

}  // namespace

std::string RenderText(const config::RunConfig& config, const SearchResult& result, const RenderOptions& options) {
  std::string text = fmt::format("plan           {}\n", ir::Describe(result.best.plan.strategy));
  text += fmt::format("model          {}, {}, {}; {} of {} tokens a step, {}\n", config.model.name, Counted(config.model.layers, "layer"),
                      Parameters(config.model), Counted(config.workload.global_batch, "sequence"), config.workload.sequence_length,
                      ir::Name(config.workload.dtype));
  text += ModelDiffers(config.model.notes, !options.explain);
  const std::string part = options.parts == nullptr ? "" : fmt::format(", {} of its GPUs", config.cluster.devices_used);
  text += fmt::format("cluster        {}{}; software {}\n", config.cluster.name, part, config.software.framework);
  text += GroupsLine(DescribePlaces(config.cluster, result.best.plan.strategy));
  text +=
      NotModelledBriefly(model::UnmodelledSwitches(config.model, config.workload, config.software, result.best.plan.strategy), options) +
      Form(result.best_not_written_out_because);
  text += ToText(result.best.prediction);
  text += ToText(config, TrainingRunOf(config, result.best.prediction));
  text += fmt::format("searched       {} simulated ({} written out), {} slower by their bound, {} dropped, {:.2f} s{}\n",
                      result.ranked.size() + result.unfit.size(), WrittenOut(result), result.bounded.size(), result.pruned.size(),
                      result.search_time_s, HowFarSearched(result));
  if (const std::string why = WhyNotOverlapped(result); !why.empty()) text += fmt::format("overlap        {}\n", why);
  if (options.explain) {
    text += Everything(result);
  } else {
    text += RunnersUp(result, kRunnersUpShown);
  }
  text += Ties(result);
  if (options.parts != nullptr) text += ToText(config, *options.parts);
  if (options.parts == nullptr || options.explain) text += Pareto(result);
  if (!options.plan_path.empty()) text += Next(config, result.best.plan, options);
  return text;
}

nlohmann::ordered_json RenderJson(const config::RunConfig& config, const SearchResult& result, const std::vector<ClusterPart>* parts) {
  nlohmann::ordered_json json;
  json["schema_version"] = kSchemaVersion;
  json["best"] = CandidateJson(result.ranked.front());
  json["run"] = ToJson(config, TrainingRunOf(config, result.best.prediction));
  if (parts != nullptr) json["parts"] = ToJson(config, *parts);
  json["runners_up"] = nlohmann::ordered_json::array();
  for (size_t i = 1; i < result.ranked.size(); ++i) {
    json["runners_up"].push_back(CandidateJson(result.ranked[i]));
    json["runners_up"].back()["tie"] = IsTie(result.ranked.front().prediction, result.ranked[i].prediction);
  }
  json["pareto"] = nlohmann::ordered_json::array();
  for (size_t index : result.pareto) json["pareto"].push_back(CandidateJson(result.ranked[index]));
  // All that was not dropped or left out by an admissible bound was simulated, so the best found is the bound; unknown when the search was
  // cut short, or plans were left out for one that was set aside.
  json["lower_bound_s"] = IsProven(result) ? nlohmann::ordered_json(result.best.prediction.step_time.seconds()) : nlohmann::ordered_json();
  const size_t simulated = result.ranked.size() + result.unfit.size();
  json["candidates"] = {{"space", simulated + result.bounded.size() + result.pruned.size()},
                        {"pruned", result.pruned.size()},
                        {"bounded", result.bounded.size()},
                        {"simulated", simulated},
                        {"written_out", WrittenOut(result)}};
  if (const auto notes = result.best.plan.model.find("notes"); notes != result.best.plan.model.end()) json["model_differs"] = *notes;
  if (!result.best_not_written_out_because.empty()) json["not_written_out_because"] = result.best_not_written_out_because;
  json["search_time_s"] = result.search_time_s;
  json["complete"] = result.complete;
  return json;
}

std::string RenderText(const Evaluation& evaluation) {
  const std::vector<std::string> notes = evaluation.plan.model.value("notes", std::vector<std::string>());
  return fmt::format("strategy       {}\nsoftware       {}\n", ir::Describe(evaluation.plan.strategy), evaluation.plan.software.framework) +
         GroupsLine(evaluation.places) + ModelDiffers(notes, /*briefly=*/false) + NotModelled(evaluation.not_modelled) +
         Form(evaluation.not_written_out_because) + ToText(evaluation.prediction);
}

nlohmann::ordered_json RenderJson(const Evaluation& evaluation) {
  nlohmann::ordered_json json = {
      {"schema_version", kSchemaVersion}, {"strategy", ToJson(evaluation.plan.strategy)}, {"prediction", ToJson(evaluation.prediction)}};
  if (const auto notes = evaluation.plan.model.find("notes"); notes != evaluation.plan.model.end()) json["model_differs"] = *notes;
  if (!evaluation.not_written_out_because.empty()) json["not_written_out_because"] = evaluation.not_written_out_because;
  return json;
}

}  // namespace helm::planner
