// Reading models: a preset's name (configs/models/), a file (a Hugging Face config.json, or YAML in the inline form), an inline mapping;
// and the JSON form that a plan embeds. Forms: docs/formats/model.md.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "core/diagnostics.h"
#include "core/located_yaml.h"
#include "core/preset.h"
#include "model/model_spec.h"

namespace helm::model {

struct ModelContext {
  PresetPath presets;
  std::string folder;  // of the file that holds the value
};

// Reports everything that is wrong; nothing is returned then. A mapping with `model_type` or `architectures` is a Hugging Face config.
std::optional<ModelSpec> ReadModel(const YamlValue& value, const ModelContext& context, Diagnostics& diagnostics);

// The inline form. `name`: the model's name where the mapping gives none.
std::optional<ModelSpec> ReadInlineModel(const YamlValue& value, const std::string& name, Diagnostics& diagnostics);

// The inline form with every field written out: ModelFromJson(ToJson(m)) == m for every model that ReadModel returns.
nlohmann::ordered_json ToJson(const ModelSpec& model);
Result<ModelSpec> ModelFromJson(const nlohmann::ordered_json& document, const std::string& file = "model");

}  // namespace helm::model
