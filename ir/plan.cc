#include "ir/plan.h"

#include <optional>
#include <utility>

#include "core/check.h"
#include "core/file.h"
#include "core/file_kind.h"
#include "core/located_yaml.h"
#include "core/mapping_reader.h"
#include "core/text.h"
#include "ir/software_text.h"
#include "ir/strategy_text.h"

namespace helm::ir {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kPlanFormat = "helm-plan/1";

// ---- writing ----

Json OptimizerToJson(const Optimizer& optimizer) {
  return {{"kind", "adamw"},
          {"learning_rate", optimizer.learning_rate},
          {"beta1", optimizer.beta1},
          {"beta2", optimizer.beta2},
          {"epsilon", optimizer.epsilon},
          {"weight_decay", optimizer.weight_decay},
          {"clip_norm", optimizer.clip_norm}};
}

Json WorkloadToJson(const Workload& workload) {
  Json json = {{"kind", workload.kind},
               {"global_batch", workload.global_batch},
               {"sequence_length", workload.sequence_length},
               {"dtype", DataTypeWord(workload)},
               {"optimizer", OptimizerToJson(workload.optimizer)},
               {"seed", workload.seed}};
  if (workload.routing_imbalance != Workload().routing_imbalance) json["routing"] = {{"imbalance", workload.routing_imbalance}};
  return json;
}

Json PassesToJson(const std::vector<PassRecord>& passes) {
  Json list = Json::array();
  for (const PassRecord& pass : passes) list.push_back({{"pass", pass.pass}, {"value", pass.value}, {"reason", pass.reason}});
  return list;
}

Json PredictionToJson(const PlanPrediction& prediction) {
  return {{"step_time_s", prediction.step_time_s},
          {"peak_memory_bytes", prediction.peak_memory_bytes},
          {"share_measured", prediction.share_measured},
          {"share_interpolated", prediction.share_interpolated},
          {"share_analytic", prediction.share_analytic}};
}

// ---- reading ----

Optimizer ReadOptimizer(const YamlValue& value, Diagnostics& diagnostics) {
  Optimizer optimizer;
  MappingReader reader(value, "the optimizer", diagnostics);
  if (const auto kind = reader.Enum<OptimizerKind>("kind", {{"adamw", OptimizerKind::kAdamW}})) optimizer.kind = *kind;
  reader.Read("learning_rate", optimizer.learning_rate, kNotNegativeNumber);
  reader.Read("beta1", optimizer.beta1, kFraction);
  reader.Read("beta2", optimizer.beta2, kFraction);
  reader.Read("epsilon", optimizer.epsilon, kNotNegativeNumber);
  reader.Read("weight_decay", optimizer.weight_decay, kNotNegativeNumber);
  reader.Read("clip_norm", optimizer.clip_norm, kNotNegativeNumber);
  return optimizer;
}

void ReadSeed(MappingReader& reader, uint64_t& seed) {
  const YamlValue* value = reader.Value("seed");
  if (value == nullptr) return;
  const std::optional<uint64_t> number = value->is_scalar() && !value->quoted ? ParseUint64(value->text) : std::nullopt;
  if (number)
    seed = *number;
  else
    reader.Error("seed", "`seed` must be a whole number from 0 to 2^64 - 1");
}

Workload ReadWorkload(const YamlValue& value, Diagnostics& diagnostics) {
  Workload workload;
  MappingReader reader(value, "the workload", diagnostics);
  if (const auto kind = reader.Choice("kind", WorkloadKinds())) workload.kind = *kind;
  workload.global_batch = reader.RequireInt64("global_batch", kBatchSizes);
  workload.sequence_length = reader.RequireInt64("sequence_length", kSequenceLengths);
  if (const auto dtype = reader.Choice("dtype", DataTypeWords())) SetDataType(*dtype, workload);
  if (const YamlValue* optimizer = reader.Value("optimizer")) workload.optimizer = ReadOptimizer(*optimizer, diagnostics);
  ReadSeed(reader, workload.seed);
  if (const YamlValue* routing = reader.Value("routing")) {
    MappingReader inner(*routing, "'routing'", diagnostics);
    inner.Read("imbalance", workload.routing_imbalance, {1.0});
  }
  return workload;
}

Software ReadSoftware(const YamlValue& value, Diagnostics& diagnostics) {
  Software software;
  MappingReader reader(value, "the software", diagnostics);
  software.framework = reader.RequireString("framework");
  ReadSwitches(reader, software);
  return software;
}

Tolerance ReadTolerance(const YamlValue& value, Diagnostics& diagnostics) {
  Tolerance tolerance;
  MappingReader reader(value, "the tolerance", diagnostics);
  reader.Read("step_time", tolerance.step_time, kNotNegativeNumber);
  reader.Read("peak_memory", tolerance.peak_memory, kNotNegativeNumber);
  return tolerance;
}

std::vector<PassRecord> ReadPasses(const YamlValue& value, Diagnostics& diagnostics) {
  std::vector<PassRecord> passes;
  if (!value.is_sequence()) diagnostics.Error(value.where, "`passes` must be a list of mappings");
  for (const YamlValue& item : value.items) {
    MappingReader reader(item, "the pass", diagnostics);
    PassRecord& pass = passes.emplace_back();
    pass.pass = reader.RequireString("pass");
    reader.Read("value", pass.value);
    reader.Read("reason", pass.reason);
  }
  return passes;
}

PlanPrediction ReadPrediction(const YamlValue& value, Diagnostics& diagnostics) {
  PlanPrediction prediction;
  MappingReader reader(value, "the prediction", diagnostics);
  prediction.step_time_s = reader.RequireDouble("step_time_s", kNotNegativeNumber);
  prediction.peak_memory_bytes = reader.RequireInt64("peak_memory_bytes", kNotNegative);
  reader.Read("share_measured", prediction.share_measured, kFraction);
  reader.Read("share_interpolated", prediction.share_interpolated, kFraction);
  reader.Read("share_analytic", prediction.share_analytic, kFraction);
  return prediction;
}

// A document that other modules read; here it only has to be a mapping.
Json ReadInline(MappingReader& reader, const char* key) {
  const YamlValue* value = reader.RequireValue(key);
  if (value == nullptr) return Json();
  if (!value->is_mapping()) reader.Error(key, std::string("`") + key + "` must be a mapping, written out in the plan");
  return ToJson(*value);
}

// An unknown version is the only error that is shown: what else looks wrong may be right there.
bool CheckFormat(const YamlValue& document, Diagnostics& diagnostics) {
  if (!document.is_mapping()) {
    diagnostics.Error(document.where, "a plan is a mapping");
    return false;
  }
  const YamlValue* format = document.Find("format");
  if (format == nullptr && document.Find("workload") != nullptr && document.Find("cluster") != nullptr) {
    diagnostics.Error(document.where, "this is a run configuration, not a plan",
                      {"fix: helm-plan makes a plan of it, helm-sim prices it as it is"});
    return false;
  }
  if (format == nullptr) {
    diagnostics.Error(document.where, "the key `format` is missing",
                      {std::string("fix: a plan begins with `format: ") + kPlanFormat + "`"});
    return false;
  }
  if (format->is_scalar() && format->text == kPlanFormat) return true;
  if (format->is_scalar() && !format->text.starts_with("helm-plan/")) {
    const FileKind kind = KindOfFormat(format->text);
    std::vector<std::string> hints = {std::string("allowed: ") + kPlanFormat};
    if (!kind.taker.empty()) hints.push_back("fix: " + kind.taker);
    diagnostics.Error(format->where, "this is " + kind.name + ", not a plan", hints);
    return false;
  }
  diagnostics.Error(format->where, "the format is not known", {std::string("allowed: ") + kPlanFormat});
  return false;
}

Plan ReadDocument(const YamlValue& document, Diagnostics& diagnostics) {
  Plan plan;
  MappingReader reader(document, "the plan", diagnostics);
  reader.Ignore("format");
  plan.model = ReadInline(reader, "model");
  plan.cluster = ReadInline(reader, "cluster");
  if (const YamlValue* value = reader.RequireValue("workload")) plan.workload = ReadWorkload(*value, diagnostics);
  if (const YamlValue* value = reader.RequireValue("software")) plan.software = ReadSoftware(*value, diagnostics);
  if (const YamlValue* value = reader.RequireValue("strategy")) plan.strategy = ReadStrategy(*value, nullptr, diagnostics);
  if (const YamlValue* value = reader.Value("tolerance")) plan.tolerance = ReadTolerance(*value, diagnostics);
  reader.Read("memory_fraction", plan.memory_fraction, {0.0, 1.0, true});
  if (const YamlValue* value = reader.Value("passes")) plan.passes = ReadPasses(*value, diagnostics);
  if (auto hash = reader.String("program_hash")) plan.program_hash = *hash;
  if (const YamlValue* value = reader.Value("prediction")) plan.prediction = ReadPrediction(*value, diagnostics);
  if (auto tables = reader.StringList("cost_tables")) plan.cost_tables = std::move(*tables);
  if (const YamlValue* value = reader.Value("stamp")) plan.stamp = ToJson(*value);
  return plan;
}

}  // namespace

Json ToJson(const Plan& plan) {
  Json document = {{"format", kPlanFormat},
                   {"model", plan.model},
                   {"cluster", plan.cluster},
                   {"workload", WorkloadToJson(plan.workload)},
                   {"software", Differences(plan.software, Software())},
                   {"strategy", ToJson(plan.strategy)},
                   {"tolerance", {{"step_time", plan.tolerance.step_time}, {"peak_memory", plan.tolerance.peak_memory}}},
                   {"memory_fraction", plan.memory_fraction},
                   {"passes", PassesToJson(plan.passes)},
                   {"program_hash", plan.program_hash},
                   {"prediction", PredictionToJson(plan.prediction)},
                   {"cost_tables", plan.cost_tables}};
  if (!plan.stamp.is_null()) document["stamp"] = plan.stamp;
  return document;
}

std::string ToYaml(const Plan& plan) {
  return "# A plan of HELM: run it with helm-exec, price it with helm-sim (docs/formats/plan.md).\n# " + Describe(plan.strategy) + "\n" +
         EmitYaml(ToJson(plan));
}

Result<Plan> ParsePlan(std::string_view text, std::string_view file) {
  HELM_ASSIGN_OR_RETURN(const YamlValue document, ParseYaml(text, std::string(file)));
  return ParsePlanTree(document);
}

Result<Plan> ParsePlanTree(const YamlValue& document) {
  Diagnostics diagnostics;
  if (!CheckFormat(document, diagnostics)) return diagnostics.ToStatus();
  Plan plan = ReadDocument(document, diagnostics);
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  return plan;
}

Result<Plan> ReadPlan(const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParsePlan(text, path);
}

Status WritePlan(const Plan& plan, const std::string& path) { return WriteFileAtomically(path, ToYaml(plan)); }

}  // namespace helm::ir
