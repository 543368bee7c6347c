#include "validation/dialect.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "validation/words.h"

namespace helm::validation {
namespace {

// ---- trees ----

YamlValue Scalar(std::string text, const Location& where) {
  YamlValue value;
  value.kind = YamlKind::kScalar;
  value.text = std::move(text);
  value.where = where;
  return value;
}

YamlValue Sequence(std::vector<YamlValue> items, const Location& where) {
  YamlValue value;
  value.kind = YamlKind::kSequence;
  value.items = std::move(items);
  value.where = where;
  return value;
}

YamlValue Mapping(std::vector<std::pair<std::string, YamlValue>> entries, const Location& where) {
  YamlValue value;
  value.kind = YamlKind::kMapping;
  value.where = where;
  for (auto& [key, item] : entries) value.entries.push_back({key, where, std::move(item)});
  return value;
}

void Remove(YamlValue& mapping, std::string_view key) {
  std::erase_if(mapping.entries, [&](const YamlEntry& entry) { return entry.key == key; });
}

// Replaces or adds.
void Set(YamlValue& mapping, const std::string& key, YamlValue value) {
  if (YamlValue* old = mapping.Find(key)) {
    *old = std::move(value);
  } else {
    mapping.entries.push_back({key, value.where, std::move(value)});
  }
}

// Takes a key out; nullopt where it is absent or null.
std::optional<YamlValue> Take(YamlValue& mapping, std::string_view key) {
  const YamlValue* found = mapping.Find(key);
  std::optional<YamlValue> value;
  if (found != nullptr && !found->is_null()) value = *found;
  Remove(mapping, key);
  return value;
}

std::string TextOf(const YamlValue& mapping, std::string_view key) {
  const YamlValue* value = mapping.Find(key);
  return value == nullptr || !value->is_scalar() ? "" : value->text;
}

int64_t NumberOf(const YamlValue& mapping, std::string_view key, int64_t otherwise) {
  return ParseInt64(TextOf(mapping, key)).value_or(otherwise);
}

// ---- sections ----

class Translator {
 public:
  explicit Translator(const Row& row)
      : row_(row), cluster_(row.cluster), model_(row.model), workload_(row.workload), strategy_(row.strategy), software_(row.software) {}

  Result<Translation> Run() {
    HELM_RETURN_IF_ERROR(TranslateSoftware());
    TranslateRecipe();
    TranslateCluster();
    TranslateModel();
    TranslateDropout();
    TranslateWorkload();
    HELM_RETURN_IF_ERROR(TranslateRecompute());
    HELM_RETURN_IF_ERROR(TranslateStages());
    TranslateSharding();
    TranslateOverlap();
    for (const auto& [key, value] : NoteSwitches(row_.notes)) SetSwitch(key, value, row_.strategy.where);
    return Translation{Mapping({{"model", std::move(model_)},
                                {"cluster", std::move(cluster_)},
                                {"software", std::move(software_)},
                                {"workload", std::move(workload_)},
                                {"strategy", std::move(strategy_)}},
                               row_.strategy.where),
                       std::move(notes_)};
  }

 private:
  void Note(std::string text) { notes_.push_back(std::move(text)); }

  // A published switch wins over the framework's default, and over what was said more generally before.
  void SetSwitch(const std::string& key, const std::string& value, const Location& where) { Set(software_, key, Scalar(value, where)); }

  Status TranslateSoftware() {
    if (const auto compiler = Take(software_, "compiler")) {
      if (compiler->text != "eager") {
        Set(software_, "compile", Scalar("true", compiler->where));
        SetSwitch("fused_elementwise", "true", compiler->where);
        Note(fmt::format("compiler '{}': as a compiler that joins elementwise operations", compiler->text));
      }
    }
    if (const auto sharp = Take(software_, "sharp")) {
      if (sharp->text == "true") Note("sharp: reductions inside the switch are not modelled");
    }
    if (TextOf(software_, "framework").empty()) return InvalidError("the framework is not published");
    return OkStatus();
  }

  void TranslateRecipe() {
    const Switches recipe = RecipeSwitches(TextOf(software_, "framework"), row_.source_title);
    for (const auto& [key, value] : recipe) SetSwitch(key, value, software_.where);
    if (!recipe.empty()) Note("gradients and moments in the compute dtype: the framework's recipe of this model");
  }

  void TranslateCluster() {
    YamlValue* inter = cluster_.Find("inter_node");
    if (inter == nullptr || !inter->is_mapping() || inter->Find("latency_us") != nullptr) return;
    // No source publishes a latency. One switch hop with RDMA takes a few microseconds (docs/formats/cluster.md); EFA's reliable datagrams
    // (configs/clusters/p5-h100-80gb-x64.yaml) and TCP take longer.
    const std::string fabric = TextOf(*inter, "fabric");
    const char* latency = fabric == "efa" ? "40" : (fabric == "ethernet" ? "30" : "5");
    Set(*inter, "latency_us", Scalar(latency, inter->where));
  }

  void TranslateModel() {
    if (TextOf(model_, "position") == "learned" && model_.Find("max_positions") == nullptr) {
      Set(model_, "max_positions", Scalar(TextOf(workload_, "sequence_length"), model_.where));
    }
    YamlValue* moe = model_.Find("moe");
    if (moe == nullptr || !moe->is_mapping()) return;
    const auto dispatcher = Take(*moe, "dispatcher");
    if (!dispatcher) return;
    const std::string& word = dispatcher->text;
    if (word == "alltoall") return SetSwitch("expert_dispatch", "all_to_all", dispatcher->where);
    if (word == "allgather") return SetSwitch("expert_dispatch", "all_gather", dispatcher->where);
    if (word == "HybridEP" || word == "DeepEP" || word == "flex") return SetSwitch("expert_dispatch", "fused", dispatcher->where);
    Note(fmt::format("dispatcher '{}' is not understood: the framework's default", word));
  }

  // No row has a field for dropout. In Megatron Core (megatron/training/arguments.py) and in NeMo's GPT-3 configurations
  // (launcher_scripts/conf/training/gpt3) both are 0.1 unless a run says otherwise, as those of models with rotary positions do.
  void TranslateDropout() {
    static constexpr std::array<std::string_view, 3> kFrameworks = {"megatron-core", "nemo", "megatron-bridge"};
    if (std::ranges::find(kFrameworks, TextOf(software_, "framework")) == kFrameworks.end()) return;
    if (TextOf(model_, "position") != "learned") return;
    for (const char* key : {"attention_dropout", "hidden_dropout"}) {
      if (software_.Find(key) == nullptr) SetSwitch(key, "0.1", software_.where);
    }
    Note("dropout 0.1: the framework's default, which recipes of models with learned positions keep");
  }

  void TranslateWorkload() {
    const auto published = Take(workload_, "dtype_as_published");
    if (!published) return;
    for (const auto& [key, value] : PrecisionSwitches(published->text)) SetSwitch(key, value, published->where);
  }

  Status TranslateRecompute() {
    const YamlValue* recompute = strategy_.Find("recompute");
    if (recompute == nullptr || !recompute->is_scalar() || !recompute->text.starts_with("custom")) return OkStatus();
    const auto parts = RecomputeWords(recompute->text);
    if (!parts) return InvalidError(fmt::format("recompute '{}' is not understood", recompute->text));
    std::vector<YamlValue> items;
    for (const std::string& part : *parts) items.push_back(Scalar(part, recompute->where));
    Set(strategy_, "recompute", Mapping({{"ops", Sequence(std::move(items), recompute->where)}}, recompute->where));
    return OkStatus();
  }

  // Layers of each chunk as `stages`.
  void SetStages(const std::vector<int64_t>& layers, const Location& where) {
    std::vector<YamlValue> stages;
    int64_t first = 0;
    for (const int64_t count : layers) {
      std::vector<YamlValue> range = {Scalar(fmt::format("{}", first), where), Scalar(fmt::format("{}", first + count), where)};
      stages.push_back(Mapping({{"layers", Sequence(std::move(range), where)}}, where));
      first += count;
    }
    Set(strategy_, "stages", Sequence(std::move(stages), where));
  }

  Status TranslateStages() {
    const auto published = Take(strategy_, "stage_layers");
    const int64_t layers = NumberOf(model_, "layers", 0);
    const int64_t chunks = NumberOf(strategy_, "pipeline", 1) * NumberOf(strategy_, "virtual_pipeline", 1);
    if (published) {
      std::vector<int64_t> counts;
      for (const YamlValue& item : published->items) counts.push_back(ParseInt64(item.text).value_or(-1));
      int64_t sum = 0;
      for (const int64_t count : counts) sum += count;
      if (std::ranges::any_of(counts, [](int64_t count) { return count < 0; }) || static_cast<int64_t>(counts.size()) != chunks ||
          sum != layers) {
        return InvalidError(
            fmt::format("stage_layers has {} chunks of {} layers, the strategy {} and the model {}", counts.size(), sum, chunks, layers));
      }
      SetStages(counts, published->where);
    } else if (chunks > 1 && layers % chunks != 0) {
      // Megatron's account_for_embedding_in_pipeline_split and account_for_loss_in_pipeline_split.
      if ((layers + 2) % chunks != 0)
        return InvalidError(fmt::format("{} layers on {} pipeline chunks: the split is not published", layers, chunks));
      std::vector<int64_t> counts(static_cast<size_t>(chunks), (layers + 2) / chunks);
      --counts.front();
      --counts.back();
      SetStages(counts, strategy_.where);
      Note("embedding and head count as one layer each, since the layers do not divide otherwise");
    }
    return OkStatus();
  }

  void TranslateSharding() {
    if (const auto context = Take(strategy_, "context_comm")) {
      const std::string& word = context->text;
      if (word == "a2a")
        SetSwitch("context_communication", "all_to_all", context->where);
      else if (word == "all_gather")
        SetSwitch("context_communication", "all_gather", context->where);
      else if (word == "p2p")
        SetSwitch("context_communication", "ring", context->where);
      else
        Note(fmt::format("context_comm '{}' is not understood: the framework's default", word));
    }
    const YamlValue* fsdp = strategy_.Find("fsdp");
    if (fsdp == nullptr || !fsdp->is_scalar()) return;
    const Location where = fsdp->where;
    const bool sharded = fsdp->text == "true";
    Remove(strategy_, "fsdp");
    if (!sharded) return;
    const int64_t shard = NumberOf(strategy_, "data", 1) * NumberOf(strategy_, "context", 1);
    Set(strategy_, "fsdp", Mapping({{"shard", Scalar(fmt::format("{}", shard), where)}}, where));
  }

  void TranslateOverlap() {
    const auto overlap = Take(strategy_, "overlap");
    if (!overlap) return;  // null: the framework's defaults
    std::vector<std::pair<std::string, std::string>> words;
    if (overlap->is_mapping()) {
      for (const YamlEntry& entry : overlap->entries) {
        if (!entry.value.is_null()) words.emplace_back(entry.key, entry.value.text);
      }
    } else {
      words.emplace_back("note", overlap->text);
    }
    for (const auto& [kind, text] : words) {
      const auto switches = OverlapSwitches(kind, text);
      if (!switches) {
        Note(fmt::format("overlap.{} '{}' is not understood: the framework's default", kind, text));
        continue;
      }
      for (const auto& [key, value] : *switches) SetSwitch(key, value, overlap->where);
    }
  }

  const Row& row_;
  YamlValue cluster_, model_, workload_, strategy_, software_;
  std::vector<std::string> notes_;
};

// Suites name some GPUs without their memory: the one preset whose name goes on behind.
void CompleteGpuName(YamlValue& document, const PresetPath& presets, std::vector<std::string>& notes) {
  YamlValue* gpu = document.Find("cluster")->Find("gpu");
  if (gpu == nullptr || !gpu->is_scalar() || FindPreset(presets, "gpus", gpu->text)) return;
  std::vector<std::string> longer;
  for (const std::string& name : PresetNames(presets, "gpus")) {
    if (name.starts_with(gpu->text + "-")) longer.push_back(name);
  }
  if (longer.size() != 1) return;
  notes.push_back(fmt::format("gpu {}: as {}", gpu->text, longer[0]));
  gpu->text = longer[0];
}

}  // namespace

Result<Translation> Translate(const Row& row) {
  if (!row.problem.empty()) return InvalidError(OneLine(row.problem));
  if (!row.complete) return InvalidError(fmt::format("not published: {}", row.missing.empty() ? "(not said)" : Join(row.missing, ", ")));
  return Translator(row).Run();
}

Result<Run> ReadRun(const Row& row, const config::ConfigContext& context) {
  HELM_ASSIGN_OR_RETURN(Translation translation, Translate(row));
  CompleteGpuName(translation.document, context.presets, translation.notes);
  Result<config::RunConfig> config = config::ReadRunConfigTree(std::move(translation.document), row.source + ".yaml", {}, context);
  if (!config.ok()) return InvalidError(OneLine(config.status().message()));
  return Run{std::move(config).value(), std::move(translation.notes)};
}

}  // namespace helm::validation
