#include "ir/strategy_text.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "core/check.h"
#include "core/file.h"
#include "core/mapping_reader.h"
#include "core/text.h"
#include "ir/schedule_csv.h"

namespace helm::ir {
namespace {

using Json = nlohmann::ordered_json;

constexpr IntRange kDegree{1, 1 << 22};
constexpr std::string_view kOverlapAuto = "auto";

struct DataTypeName {
  const char* word;
  DataType dtype;
  Quantization quantization;
};
// In configs and plans dtypes have the names that people write; inside programs those of ir/data_type.h.
constexpr std::array<DataTypeName, 6> kDataTypes = {{{"fp32", DataType::kFloat32, Quantization::kNone},
                                                     {"bf16", DataType::kBFloat16, Quantization::kNone},
                                                     {"fp16", DataType::kFloat16, Quantization::kNone},
                                                     {"fp8", DataType::kBFloat16, Quantization::kFp8},
                                                     {"mxfp8", DataType::kBFloat16, Quantization::kMxFp8},
                                                     {"nvfp4", DataType::kBFloat16, Quantization::kNvFp4}}};

// Remembers which keys were given.
class Keys {
 public:
  Keys(MappingReader& reader, std::set<std::string>* given) : reader_(reader), given_(given) {}

  // A key is given when it has a value, also one that is wrong.
  MappingReader& Mark(const char* key) {
    if (reader_.Given(key) && given_ != nullptr) given_->insert(key);
    return reader_;
  }

 private:
  MappingReader& reader_;
  std::set<std::string>* given_;
};

void ReadWord(MappingReader& reader, const char* key, const std::vector<std::string>& words, std::string& target) {
  if (const auto word = reader.Choice(key, words)) target = *word;
}

void ReadFsdp(MappingReader& reader, Strategy& strategy) {
  const YamlValue* value = reader.Value("fsdp");
  if (value == nullptr) return;
  MappingReader fsdp(*value, "'fsdp'", reader.diagnostics());
  strategy.fsdp_shard = fsdp.RequireInt64("shard", kDegree);
  fsdp.Read("replicate", strategy.fsdp_replicate, kDegree);
}

void ReadRecompute(MappingReader& reader, Strategy& strategy) {
  const YamlValue* value = reader.Value("recompute");
  if (value == nullptr) return;
  if (!value->is_mapping()) {
    ReadWord(reader, "recompute", {"none", "selective", "full"}, strategy.recompute);
    return;
  }
  strategy.recompute = "custom";
  MappingReader custom(*value, "'recompute'", reader.diagnostics());
  if (const YamlValue* ops = custom.Value("ops")) {
    if (!ops->is_sequence()) custom.Error("ops", "'ops' must be a list of parts of a layer", {"fix: write [norm, mlp_activation]"});
    for (const YamlValue& item : ops->items) {
      const auto part = ReadChoice(item, "a part of a layer", reader.diagnostics(), RecomputeParts());
      if (!part) continue;
      const bool known = std::ranges::find(strategy.recompute_ops, *part) != strategy.recompute_ops.end();
      if (known) reader.diagnostics().Error(item.where, "'" + *part + "' is listed twice", {"fix: remove one"});
      strategy.recompute_ops.push_back(*part);
    }
    if (ops->is_sequence() && ops->items.empty()) {
      custom.Error("ops", "'ops' lists no part", {"fix: list parts of a layer, or write `recompute: none`"});
    }
  }
  custom.Read("layers", strategy.recompute_layers, kPositive);
  if (!custom.Given("ops") && !custom.Given("layers")) {
    reader.Error("recompute", "'recompute' says nothing", {"fix: write a word, or a mapping with 'ops', 'layers' or both"});
  }
  // The word for it.
  const bool selective = strategy.recompute_ops == std::vector<std::string>{"core_attention"} && strategy.recompute_layers == 0;
  if (!selective) return;
  strategy.recompute = "selective";
  strategy.recompute_ops.clear();
}

void ReadStages(MappingReader& reader, Strategy& strategy) {
  const YamlValue* value = reader.Value("stages");
  if (value == nullptr) return;
  if (!value->is_sequence()) {
    reader.Error("stages", "'stages' must be a list of mappings", {"fix: write [{layers: [0, 12]}, {layers: [12, 24]}]"});
    return;
  }
  for (const YamlValue& item : value->items) {
    MappingReader stage(item, "a stage", reader.diagnostics());
    for (const char* later : {"group", "data", "tensor", "recompute", "share"}) {
      if (!stage.Given(later)) continue;
      stage.Error(later, std::string("not supported by this version: stages that differ in '") + later + "'",
                  {later == std::string("group")   ? "fix: strategy.groups says in which order the stages fill the groups of the cluster"
                   : later == std::string("share") ? "fix: strategy.micro_batches says how many each data-parallel rank has"
                                                   : "fix: give a stage only 'layers'"});
    }
    const auto layers = stage.Int64List("layers", kNotNegative);
    if (!stage.Given("layers")) stage.RequireValue("layers");
    if (!layers) continue;
    const int64_t expected = strategy.stages.empty() ? 0 : strategy.stages.back().layer_end;
    if (layers->size() != 2 || (*layers)[0] != expected || (*layers)[1] < expected) {
      stage.Error("layers", "'layers' of a stage must be [first, end], the first where the stage before ends",
                  {"fix: begin at " + std::to_string(expected)});
      continue;
    }
    strategy.stages.push_back({(*layers)[0], (*layers)[1]});
  }
}

// The rows that a plan holds.
std::optional<std::vector<Schedule>> ReadScheduleRows(MappingReader& reader) {
  const auto rows = reader.StringList("rows");
  if (!rows) return std::nullopt;
  auto schedules = ParseScheduleCsv(Join(*rows, "\n"), "rows");
  if (schedules.ok()) return std::move(schedules).value();
  reader.Error("rows", "the rows of the schedule are not right", {schedules.status().message()});
  return std::nullopt;
}

std::optional<std::vector<Schedule>> ReadScheduleFile(const YamlValue& value, const std::string* folder, Diagnostics& diagnostics) {
  if (folder == nullptr) {
    diagnostics.Error(value.where, "a plan holds the rows of its schedule, not the name of a file", {"fix: write {rows: [...]}"});
    return std::nullopt;
  }
  const std::string path = ResolvePath(*folder, value.text);
  if (!FileExists(path)) {
    diagnostics.Error(value.where, "the schedule '" + value.text + "' does not exist",
                      {"looked for: " + path, "fix: paths are relative to the file that names them"});
    return std::nullopt;
  }
  auto schedules = ReadScheduleCsv(path);
  if (schedules.ok()) return std::move(schedules).value();
  diagnostics.Add(schedules.status());
  return std::nullopt;
}

// A word, or a schedule of the user's own: {csv: file}, also written as the file alone; in a plan {rows: [...]}.
void ReadSchedule(MappingReader& reader, const std::string* folder, Strategy& strategy) {
  const YamlValue* value = reader.Value("schedule");
  if (value == nullptr) return;
  std::optional<std::vector<Schedule>> rows;
  if (value->is_scalar() && value->text.ends_with(".csv")) {
    rows = ReadScheduleFile(*value, folder, reader.diagnostics());
  } else if (value->is_mapping()) {
    MappingReader own(*value, "'schedule'", reader.diagnostics());
    rows = ReadScheduleRows(own);
    const auto file = own.String("csv");
    if (file) rows = ReadScheduleFile(*own.Value("csv"), folder, reader.diagnostics());
    if (own.Given("csv") == own.Given("rows")) reader.Error("schedule", "'schedule' needs 'csv' or 'rows'", {"fix: write {csv: file}"});
  } else {
    ReadWord(reader, "schedule", ScheduleWords(), strategy.schedule);
    if (strategy.schedule == "zb-1p") strategy.schedule = "zb-h1";
    if (strategy.schedule == "zb-2p") strategy.schedule = "zb-h2";
    return;
  }
  if (!rows) return;
  strategy.schedule = "csv";
  strategy.schedule_rows = *std::move(rows);
}

// `auto`, in a run configuration, is as if it were not given: the search decides.
void ReadOverlap(MappingReader& reader, std::set<std::string>* given, Strategy& strategy) {
  const YamlValue* value = reader.Value("overlap");
  if (value == nullptr) return;
  std::vector<std::string> words = OverlapWords();
  if (given != nullptr) words.emplace_back(kOverlapAuto);
  const std::string allowed = "allowed: " + Join(words, ", ");
  if (value->is_mapping()) {
    reader.Error("overlap", "not supported by this version: 'overlap' by kind of parallelism", {allowed});
    return;
  }
  const auto word = reader.Choice("overlap", words);
  if (word && *word == kOverlapAuto) {
    given->erase("overlap");
  } else if (word) {
    strategy.overlap = *word;
  }
}

}  // namespace

Strategy ReadStrategy(const YamlValue& value, std::set<std::string>* given, Diagnostics& diagnostics, const std::string* folder) {
  Strategy strategy;
  MappingReader reader(value, "the strategy", diagnostics);
  Keys keys(reader, given);
  keys.Mark("data").Read("data", strategy.data, kDegree);
  keys.Mark("tensor").Read("tensor", strategy.tensor, kDegree);
  keys.Mark("sequence_parallel").Read("sequence_parallel", strategy.sequence_parallel);
  keys.Mark("context").Read("context", strategy.context, kDegree);
  keys.Mark("pipeline").Read("pipeline", strategy.pipeline, kDegree);
  keys.Mark("virtual_pipeline").Read("virtual_pipeline", strategy.virtual_pipeline, kDegree);
  keys.Mark("expert").Read("expert", strategy.expert, kDegree);
  keys.Mark("expert_tensor").Read("expert_tensor", strategy.expert_tensor, kDegree);
  keys.Mark("zero").Read("zero", strategy.zero, {0, 3});
  keys.Mark("micro_batch").Read("micro_batch", strategy.micro_batch, kDegree);
  if (auto counts = keys.Mark("micro_batches").Int64List("micro_batches", kDegree)) strategy.micro_batches = *std::move(counts);
  ReadRecompute(keys.Mark("recompute"), strategy);
  ReadSchedule(keys.Mark("schedule"), folder, strategy);
  ReadOverlap(keys.Mark("overlap"), given, strategy);
  keys.Mark("overlap_tiles").Read("overlap_tiles", strategy.overlap_tiles, {2, 64});
  ReadStages(keys.Mark("stages"), strategy);
  keys.Mark("head_stage").Read("head_stage", strategy.head_stage, {-1, kDegree.high});
  if (auto groups = keys.Mark("groups").StringList("groups")) strategy.groups = *std::move(groups);
  ReadFsdp(keys.Mark("fsdp"), strategy);
  return strategy;
}

Json ToJson(const Strategy& strategy) {
  Json json = {{"data", strategy.data},
               {"tensor", strategy.tensor},
               {"sequence_parallel", strategy.sequence_parallel},
               {"context", strategy.context},
               {"pipeline", strategy.pipeline},
               {"virtual_pipeline", strategy.virtual_pipeline},
               {"expert", strategy.expert},
               {"expert_tensor", strategy.expert_tensor},
               {"zero", strategy.zero},
               {"micro_batch", strategy.micro_batch},
               {"recompute", strategy.recompute},
               {"schedule", strategy.schedule},
               {"overlap", strategy.overlap}};
  if (!strategy.schedule_rows.empty()) {
    std::vector<std::string> rows;
    for (const Schedule& row : strategy.schedule_rows) rows.push_back(ToText(row));
    json["schedule"] = {{"rows", rows}};
  }
  if (!strategy.micro_batches.empty()) json["micro_batches"] = strategy.micro_batches;
  if (IsTiled(strategy)) json["overlap_tiles"] = strategy.overlap_tiles;
  if (strategy.recompute == "custom") {
    Json custom = Json::object();
    if (!strategy.recompute_ops.empty()) custom["ops"] = strategy.recompute_ops;
    if (strategy.recompute_layers > 0) custom["layers"] = strategy.recompute_layers;
    json["recompute"] = custom;
  }
  if (strategy.fsdp_shard > 0) json["fsdp"] = {{"shard", strategy.fsdp_shard}, {"replicate", strategy.fsdp_replicate}};
  for (const Stage& stage : strategy.stages) json["stages"].push_back({{"layers", {stage.layer_first, stage.layer_end}}});
  if (!strategy.groups.empty()) json["groups"] = strategy.groups;
  if (strategy.head_stage >= 0) json["head_stage"] = strategy.head_stage;
  return json;
}

std::string DataTypeWord(const Workload& workload) {
  for (const DataTypeName& name : kDataTypes) {
    if (name.dtype == workload.dtype && name.quantization == workload.quantization) return name.word;
  }
  HELM_CHECK(false, "a workload computes in fp32, bf16 or fp16, and quantizes from bf16");
}

void SetDataType(const std::string& word, Workload& workload) {
  for (const DataTypeName& name : kDataTypes) {
    if (word != name.word) continue;
    workload.dtype = name.dtype;
    workload.quantization = name.quantization;
    return;
  }
  HELM_CHECK(false, "a word of DataTypeWords");
}

const std::vector<std::string>& WorkloadKinds() {
  static const std::vector<std::string> kinds = {"training", "prefill"};
  return kinds;
}

const std::vector<std::string>& DataTypeWords() {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> list;
    for (const DataTypeName& name : kDataTypes) list.emplace_back(name.word);
    return list;
  }();
  return words;
}

const std::vector<std::string>& ScheduleWords() {
  static const std::vector<std::string> words = {"none",  "gpipe", "1f1b", "interleaved-1f1b", "zb-h1",    "zb-1p",
                                                 "zb-h2", "zb-2p", "zb-v", "dualpipe",         "dualpipev"};
  return words;
}

}  // namespace helm::ir
