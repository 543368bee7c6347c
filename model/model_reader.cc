#include "model/model_reader.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "core/mapping_reader.h"
#include "core/text.h"
#include "model/hugging_face.h"
#include "model/lora.h"

namespace helm::model {

namespace {

// What a family's models have where the mapping says nothing.
ModelSpec FamilyDefaults(Family family) {
  ModelSpec model;
  model.family = family;
  if (family != Family::kGpt) return model;
  model.activation = Activation::kGelu;
  model.norm = Norm::kLayerNorm;
  model.position = Position::kLearned;
  model.bias = true;
  model.tied_embeddings = true;
  return model;
}

Family ReadFamily(MappingReader& reader) {
  reader.RequireValue("family");
  return reader.Enum<Family>("family", {{"gpt", Family::kGpt}, {"llama", Family::kLlama}, {"moe", Family::kMoe}}).value_or(Family::kLlama);
}

void ReadSizes(MappingReader& reader, ModelSpec& model) {
  model.layers = reader.RequireInt64("layers", kPositive);
  model.hidden = reader.RequireInt64("hidden", kPositive);
  model.heads = reader.RequireInt64("heads", kPositive);
  model.vocab = reader.RequireInt64("vocab", kPositive);
  if (model.family == Family::kGpt) {
    model.ffn = reader.Int64("ffn", kPositive).value_or(4 * model.hidden);
  } else {
    model.ffn = reader.RequireInt64("ffn", kPositive);
  }
  model.kv_heads = reader.Int64("kv_heads", kPositive).value_or(model.heads);
  model.padded_vocab = reader.Int64("padded_vocab", kPositive).value_or(0);
  model.max_positions = reader.Int64("max_positions", kPositive).value_or(0);
  model.mtp_layers = reader.Int64("mtp_layers", kNotNegative).value_or(0);
  model.sliding_window = reader.Int64("sliding_window", kNotNegative).value_or(0);
  if (const auto head_dim = reader.Int64("head_dim", kPositive)) {
    model.head_dim = *head_dim;
  } else if (model.heads > 0 && model.hidden > 0) {
    if (model.hidden % model.heads != 0) {
      reader.Error("heads", fmt::format("`heads` {} does not divide `hidden` {}", model.heads, model.hidden),
                   {"fix: choose a divisor of hidden, or give `head_dim`"});
    }
    model.head_dim = model.hidden / model.heads;
  }
}

void ReadKinds(MappingReader& reader, ModelSpec& model) {
  model.activation = reader
                         .Enum<Activation>("activation", {{"gelu", Activation::kGelu},
                                                          {"geglu", Activation::kGeGlu},
                                                          {"swiglu", Activation::kSwiGlu},
                                                          {"squared_relu", Activation::kSquaredRelu}})
                         .value_or(model.activation);
  model.norm = reader
                   .Enum<Norm>("norm", {{"layernorm", Norm::kLayerNorm},
                                        {"layernorm1p", Norm::kLayerNorm1p},
                                        {"rmsnorm", Norm::kRmsNorm},
                                        {"rmsnorm1p", Norm::kRmsNorm1p}})
                   .value_or(model.norm);
  model.position =
      reader
          .Enum<Position>(
              "position",
              {{"learned", Position::kLearned}, {"rope", Position::kRope}, {"alibi", Position::kAlibi}, {"none", Position::kNone}})
          .value_or(model.position);
  reader.Read("norm_epsilon", model.norm_epsilon, kPositiveNumber);
  reader.Read("rope_theta", model.rope_theta, kPositiveNumber);
  if (const YamlValue* scaling = reader.Value("rope_scaling"); scaling != nullptr) {
    MappingReader inner(*scaling, "'rope_scaling'", reader.diagnostics());
    model.rope_scaling = ReadRopeScaling(inner, model.max_positions).value_or(RopeScaling());
  }
  reader.Read("init_std", model.init_std, kPositiveNumber);
  reader.Read("bias", model.bias);
  reader.Read("attention_bias", model.attention_bias);
  reader.Read("qk_norm", model.qk_norm);
  reader.Read("tied_embeddings", model.tied_embeddings);
  reader.Read("scaled_embeddings", model.scaled_embeddings);
}

void ReadExperts(MappingReader& model, MixtureOfExperts& moe) {
  const YamlValue* value = model.Value("moe");
  if (value == nullptr) return;
  MappingReader reader(*value, "'moe'", model.diagnostics());
  moe.experts = reader.RequireInt64("experts", kPositive);
  moe.top_k = reader.RequireInt64("top_k", kPositive);
  moe.ffn = reader.RequireInt64("ffn", kPositive);
  reader.Read("shared_ffn", moe.shared_ffn, kNotNegative);
  reader.Read("dense_layers", moe.dense_layers, kNotNegative);
  reader.Read("layer_freq", moe.layer_freq, kPositive);
  reader.Read("capacity_factor", moe.capacity_factor, kPositiveNumber);
  reader.Read("pad_to_capacity", moe.pad_to_capacity);
  reader.Read("aux_loss", moe.aux_loss, kNotNegativeNumber);
}

void ReadLatentAttention(MappingReader& model, LatentAttention& mla) {
  const YamlValue* value = model.Value("mla");
  if (value == nullptr) return;
  MappingReader reader(*value, "'mla'", model.diagnostics());
  reader.Read("q_lora", mla.q_lora, kNotNegative);
  mla.kv_lora = reader.RequireInt64("kv_lora", kPositive);
  mla.qk_nope = reader.RequireInt64("qk_nope", kPositive);
  mla.qk_rope = reader.RequireInt64("qk_rope", kNotNegative);
  mla.v = reader.RequireInt64("v", kPositive);
}

nlohmann::ordered_json ToJson(const MixtureOfExperts& moe) {
  nlohmann::ordered_json json = {{"experts", moe.experts},
                                 {"top_k", moe.top_k},
                                 {"ffn", moe.ffn},
                                 {"shared_ffn", moe.shared_ffn},
                                 {"dense_layers", moe.dense_layers},
                                 {"layer_freq", moe.layer_freq},
                                 {"pad_to_capacity", moe.pad_to_capacity},
                                 {"aux_loss", moe.aux_loss}};
  if (moe.capacity_factor > 0) json["capacity_factor"] = moe.capacity_factor;
  return json;
}

nlohmann::ordered_json ToJson(const LatentAttention& mla) {
  return {{"q_lora", mla.q_lora}, {"kv_lora", mla.kv_lora}, {"qk_nope", mla.qk_nope}, {"qk_rope", mla.qk_rope}, {"v", mla.v}};
}

// ValidateModel's lines, at the mapping.
void ReportInvalid(const ModelSpec& model, const Location& where, Diagnostics& diagnostics) {
  const Status status = ValidateModel(model);
  if (status.ok()) return;
  for (std::string line : Split(status.message(), '\n')) {
    if (line.starts_with("error: ")) line.erase(0, 7);
    diagnostics.Error(where, line);
  }
}

}  // namespace

std::optional<ModelSpec> ReadInlineModel(const YamlValue& value, const std::string& name, Diagnostics& diagnostics) {
  const size_t errors_before = diagnostics.error_count();
  MappingReader reader(value, "the model", diagnostics);
  if (!value.is_mapping()) return std::nullopt;
  ModelSpec model = FamilyDefaults(ReadFamily(reader));
  model.name = reader.String("name").value_or(name.empty() ? "inline" : name);
  ReadSizes(reader, model);
  ReadKinds(reader, model);
  model.notes = reader.StringList("notes").value_or(std::vector<std::string>{});
  ReadExperts(reader, model.moe);
  ReadLatentAttention(reader, model.mla);
  if (const YamlValue* lora = reader.Value("lora")) model.lora = ReadLora(*lora, model, diagnostics);
  reader.Finish();
  if (diagnostics.error_count() == errors_before) ReportInvalid(model, value.where, diagnostics);
  if (diagnostics.error_count() != errors_before) return std::nullopt;
  return model;
}

namespace {

// A config.json has other keys than a model of HELM's; only adapters can be added to it.
std::optional<ModelSpec> ReadHuggingFaceModel(const YamlValue& value, const LoadedReference& reference, Diagnostics& diagnostics) {
  const bool replaces =
      std::ranges::any_of(value.entries, [](const YamlEntry& entry) { return entry.key != "preset" && entry.key != "lora"; });
  if (reference.changed && replaces) {
    diagnostics.Error(value.where, "a config.json has other keys than a model of HELM's, so none of its can be replaced here",
                      {"fix: change them in a copy of the file"});
    return std::nullopt;
  }
  YamlValue config = reference.value;
  std::erase_if(config.entries, [](const YamlEntry& entry) { return entry.key == "lora"; });
  std::optional<ModelSpec> model = ReadHuggingFaceConfig(config, reference.name, diagnostics);
  const YamlValue* lora = value.Find("lora");
  if (!model || lora == nullptr) return model;
  const size_t errors_before = diagnostics.error_count();
  model->lora = ReadLora(*lora, *model, diagnostics);
  if (diagnostics.error_count() == errors_before) ReportInvalid(*model, value.where, diagnostics);
  if (diagnostics.error_count() != errors_before) return std::nullopt;
  return model;
}

}  // namespace

std::optional<ModelSpec> ReadModel(const YamlValue& value, const ModelContext& context, Diagnostics& diagnostics) {
  const std::optional<LoadedReference> reference = LoadReference(value, "model", "models", context.presets, context.folder, diagnostics);
  if (!reference) return std::nullopt;
  if (IsHuggingFaceConfig(reference->value)) return ReadHuggingFaceModel(value, *reference, diagnostics);
  return ReadInlineModel(reference->value, reference->name, diagnostics);
}

nlohmann::ordered_json ToJson(const ModelSpec& model) {
  nlohmann::ordered_json document;
  document["name"] = model.name;
  document["family"] = Name(model.family);
  document["layers"] = model.layers;
  document["hidden"] = model.hidden;
  document["ffn"] = model.ffn;
  document["heads"] = model.heads;
  document["kv_heads"] = model.kv_heads;
  document["head_dim"] = model.head_dim;
  document["vocab"] = model.vocab;
  if (model.padded_vocab > 0) document["padded_vocab"] = model.padded_vocab;
  if (model.max_positions > 0) document["max_positions"] = model.max_positions;
  document["activation"] = Name(model.activation);
  document["norm"] = Name(model.norm);
  document["norm_epsilon"] = model.norm_epsilon;
  document["position"] = Name(model.position);
  document["rope_theta"] = model.rope_theta;
  if (model.rope_scaling.type != RopeScaling::Type::kNone) document["rope_scaling"] = ToJson(model.rope_scaling);
  document["bias"] = model.bias;
  document["attention_bias"] = model.attention_bias;
  document["qk_norm"] = model.qk_norm;
  document["sliding_window"] = model.sliding_window;
  document["tied_embeddings"] = model.tied_embeddings;
  if (model.scaled_embeddings) document["scaled_embeddings"] = true;
  document["init_std"] = model.init_std;
  if (model.moe.experts > 0) document["moe"] = ToJson(model.moe);
  if (model.mla.kv_lora > 0) document["mla"] = ToJson(model.mla);
  if (model.lora.rank > 0) document["lora"] = ToJson(model.lora);
  if (model.mtp_layers > 0) document["mtp_layers"] = model.mtp_layers;
  if (!model.notes.empty()) document["notes"] = model.notes;
  return document;
}

Result<ModelSpec> ModelFromJson(const nlohmann::ordered_json& document, const std::string& file) {
  Diagnostics diagnostics;
  const YamlValue value = FromJson(document, file);
  const std::optional<ModelSpec> model = ReadInlineModel(value, "", diagnostics);
  if (!model) return diagnostics.ToStatus();
  return *model;
}

}  // namespace helm::model
