#include "config/sections.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "ir/software_text.h"
#include "ir/strategy_text.h"

namespace helm::config {
namespace {

using Words = std::vector<std::string>;

constexpr IntRange kDegree{1, 1 << 22};

// A word of `allowed`, or nothing: words of `later` are refused as not supported yet, all others as unknown.
std::optional<std::string> ReadWord(MappingReader& reader, const char* key, const Words& allowed, const Words& later) {
  const YamlValue* value = reader.Value(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_scalar() && std::find(later.begin(), later.end(), value->text) != later.end()) {
    Unsupported(value->where, fmt::format("'{}: {}'", key, value->text), fmt::format("allowed: {}", Join(allowed, ", ")),
                reader.diagnostics());
    return std::nullopt;
  }
  return ReadChoice(*value, fmt::format("'{}'", key), reader.diagnostics(), allowed);
}

std::optional<ir::OptimizerKind> ReadOptimizerKind(const YamlValue& value, Diagnostics& diagnostics) {
  for (const char* later : {"sgd", "adagrad", "adafactor", "lion", "muon", "shampoo"}) {
    if (!value.is_scalar() || value.text != later) continue;
    Unsupported(value.where, fmt::format("'optimizer: {}'", later), "allowed: adamw, adam", diagnostics);
    return std::nullopt;
  }
  // What frameworks call adam is AdamW: decoupled weight decay (Megatron-LM's FusedAdam runs with adam_w_mode).
  if (!ReadChoice(value, "the optimizer", diagnostics, {"adamw", "adam"})) return std::nullopt;
  return ir::OptimizerKind::kAdamW;
}

ir::Optimizer ReadOptimizer(const YamlValue& value, Diagnostics& diagnostics) {
  ir::Optimizer optimizer;
  if (!value.is_mapping()) {
    optimizer.kind = ReadOptimizerKind(value, diagnostics).value_or(optimizer.kind);
    return optimizer;
  }
  MappingReader reader(value, "the optimizer", diagnostics);
  if (const YamlValue* kind = reader.Value("kind")) optimizer.kind = ReadOptimizerKind(*kind, diagnostics).value_or(optimizer.kind);
  constexpr DoubleRange kDecay{0.0, 0.9999999};  // 1 would never forget, and divide by zero in the bias correction
  reader.Read("learning_rate", optimizer.learning_rate, kNotNegativeNumber);
  reader.Read("beta1", optimizer.beta1, kDecay);
  reader.Read("beta2", optimizer.beta2, kDecay);
  reader.Read("epsilon", optimizer.epsilon, kPositiveNumber);
  reader.Read("weight_decay", optimizer.weight_decay, kNotNegativeNumber);
  reader.Read("clip_norm", optimizer.clip_norm, kNotNegativeNumber);
  return optimizer;
}

void ReadSeed(MappingReader& reader, uint64_t& seed) {
  const YamlValue* value = reader.Value("seed");
  if (value == nullptr) return;
  const auto number = value->is_scalar() && !value->quoted ? ParseUint64(value->text) : std::nullopt;
  if (number) {
    seed = *number;
  } else {
    reader.Error("seed", fmt::format("'seed' must be a whole number, found '{}'", value->text),
                 {"allowed: whole numbers from 0 to 2^64 - 1"});
  }
}

ForbiddenStrategy ReadForbidden(const YamlValue& value, Diagnostics& diagnostics) {
  ForbiddenStrategy forbidden;
  MappingReader reader(value, "an item of 'forbid'", diagnostics);
  for (const char* key : {"data", "tensor", "context", "pipeline", "expert", "expert_tensor", "zero", "micro_batch"}) {
    if (const auto number = reader.Int64(key, kDegree)) forbidden.values.emplace_back(key, fmt::format("{}", *number));
  }
  if (const auto flag = reader.Bool("sequence_parallel")) forbidden.values.emplace_back("sequence_parallel", *flag ? "true" : "false");
  if (const auto word = reader.Choice("recompute", {"none", "selective", "full"})) forbidden.values.emplace_back("recompute", *word);
  if (const auto word = reader.Choice("overlap", ir::OverlapWords())) forbidden.values.emplace_back("overlap", *word);
  if (value.is_mapping() && value.entries.empty()) diagnostics.Error(value.where, "an empty item of 'forbid' would forbid everything");
  return forbidden;
}

std::string ValueOf(const ir::Strategy& strategy, const std::string& key) {
  if (key == "data") return fmt::format("{}", strategy.data);
  if (key == "tensor") return fmt::format("{}", strategy.tensor);
  if (key == "context") return fmt::format("{}", strategy.context);
  if (key == "pipeline") return fmt::format("{}", strategy.pipeline);
  if (key == "expert") return fmt::format("{}", strategy.expert);
  if (key == "expert_tensor") return fmt::format("{}", strategy.expert_tensor);
  if (key == "zero") return fmt::format("{}", strategy.zero);
  if (key == "recompute") return strategy.recompute;
  if (key == "micro_batch") return fmt::format("{}", strategy.micro_batch);
  if (key == "sequence_parallel") return strategy.sequence_parallel ? "true" : "false";
  HELM_CHECK(key == "overlap", "ReadForbidden reads no other key");
  return strategy.overlap;
}

// Beside what it needs.
Objective ReadObjective(MappingReader& reader) {
  const std::string word = reader.Choice("objective", {"step_time", "tokens_per_s_per_gpu", "cost", "gpus"}).value_or("step_time");
  const auto needs = [&](bool given, const char* key, const char* why) {
    if (!given)
      reader.Error("objective", fmt::format("'objective: {}' needs '{}': {}", word, key, why), {fmt::format("fix: add '{}'", key)});
  };
  if (word == "tokens_per_s_per_gpu") return Objective::kTokensPerSecondPerGpu;
  if (word == "cost") {
    needs(reader.Given("price_per_gpu_hour"), "price_per_gpu_hour", "what a GPU costs");
    return Objective::kCost;
  }
  if (word != "gpus") return Objective::kStepTime;
  needs(reader.Given("tokens"), "tokens", "of the whole run");
  needs(reader.Given("deadline_days"), "deadline_days", "the fewest GPUs are wanted that meet it");
  return Objective::kGpus;
}

Failures ReadFailures(const YamlValue& value, Diagnostics& diagnostics) {
  Failures failures;
  MappingReader reader(value, "'failures'", diagnostics);
  failures.mtbf_gpu_hours = reader.RequireDouble("mtbf_gpu_hours", kPositiveNumber);
  failures.checkpoint_s = reader.RequireDouble("checkpoint_s", kNotNegativeNumber);
  failures.restart_s = reader.RequireDouble("restart_s", kNotNegativeNumber);
  return failures;
}

}  // namespace

void Unsupported(const Location& where, const std::string& what, const std::string& fix, Diagnostics& diagnostics) {
  diagnostics.Error(where, fmt::format("not supported by this version: {}", what), {fix});
}

ir::Workload ReadWorkload(const YamlValue& value, Diagnostics& diagnostics) {
  ir::Workload workload;
  MappingReader reader(value, "the workload", diagnostics);
  if (const auto kind = ReadWord(reader, "kind", ir::WorkloadKinds(), {"inference", "serving", "decode"})) workload.kind = *kind;
  workload.global_batch = reader.RequireInt64("global_batch", ir::kBatchSizes);
  workload.sequence_length = reader.RequireInt64("sequence_length", ir::kSequenceLengths);
  if (const std::string dtype = reader.RequireChoice("dtype", ir::DataTypeWords()); !dtype.empty()) ir::SetDataType(dtype, workload);
  if (const YamlValue* optimizer = reader.Value("optimizer")) workload.optimizer = ReadOptimizer(*optimizer, diagnostics);
  if (const YamlValue* routing = reader.Value("routing")) {
    MappingReader inner(*routing, "'routing'", diagnostics);
    inner.Read("imbalance", workload.routing_imbalance, {1.0});
  }
  ReadSeed(reader, workload.seed);
  return workload;
}

ir::Software ReadSoftware(const YamlValue* value, bool local, const FrameworkContext& context, Diagnostics& diagnostics) {
  YamlValue nothing;
  nothing.kind = YamlKind::kMapping;
  MappingReader reader(value == nullptr ? nothing : *value, "the software", diagnostics);
  YamlValue framework;
  framework.kind = YamlKind::kScalar;
  framework.text = local ? "helm" : "megatron-core";
  if (const YamlValue* named = reader.Value("framework")) framework = *named;
  ir::Software software = ReadFramework(framework, context, diagnostics).value_or(ir::Software());
  ir::ReadSwitches(reader, software);
  return software;
}

SearchOptions ReadSearch(const YamlValue& value, Diagnostics& diagnostics) {
  SearchOptions search;
  MappingReader reader(value, "the search", diagnostics);
  reader.Read("tokens", search.tokens, {1.0, 1e18});  // so that steps can be counted
  reader.Read("deadline_days", search.deadline_days, kPositiveNumber);
  reader.Read("price_per_gpu_hour", search.price_per_gpu_hour, kPositiveNumber);
  if (const YamlValue* failures = reader.Value("failures")) search.failures = ReadFailures(*failures, diagnostics);
  search.objective = ReadObjective(reader);
  if (search.deadline_days > 0 && !reader.Given("tokens") && search.objective != Objective::kGpus) {
    reader.Error("deadline_days", "'deadline_days' needs 'tokens', of the whole run", {"fix: add 'tokens'"});
  }
  reader.Read("memory_fraction", search.memory_fraction, {0.0, 1.0, true});
  reader.Read("time_limit_s", search.time_limit_s, kPositiveNumber);
  if (const YamlValue* forbid = reader.Value("forbid")) {
    if (!forbid->is_sequence())
      reader.Error("forbid", "'forbid' must be a list of mappings", {"fix: write [{tensor: 8}, {sequence_parallel: true}]"});
    for (const YamlValue& item : forbid->items) search.forbid.push_back(ReadForbidden(item, diagnostics));
  }
  return search;
}

ir::Tolerance ReadTolerance(const YamlValue& value, Diagnostics& diagnostics) {
  ir::Tolerance tolerance;
  MappingReader reader(value, "the tolerance", diagnostics);
  reader.Read("step_time", tolerance.step_time, kFraction);
  reader.Read("peak_memory", tolerance.peak_memory, kFraction);
  return tolerance;
}

bool Forbidden(const SearchOptions& search, const ir::Strategy& strategy) {
  return std::any_of(search.forbid.begin(), search.forbid.end(), [&](const ForbiddenStrategy& forbidden) {
    return std::all_of(forbidden.values.begin(), forbidden.values.end(),
                       [&](const auto& entry) { return ValueOf(strategy, entry.first) == entry.second; });
  });
}

}  // namespace helm::config
