// Hugging Face's config.json as a ModelSpec: llama, mistral, qwen2, qwen3 (dense) and gpt2, with their aliases of keys.
//
// Strict about what changes the computation: a field that asks for something HELM does not run (scaled rotary positions, experts, windows
// in effect, dropout, other activations) is an error that names it; a key that this reader does not know is an error as well, since it may
// change the architecture. Keys that only matter to inference, tokenizers or files are known and not read.
#pragma once

#include <optional>
#include <string>

#include "core/diagnostics.h"
#include "core/located_yaml.h"
#include "model/model_spec.h"

namespace helm::model {

bool IsHuggingFaceConfig(const YamlValue& value);

// `name`: the model's name where the config gives none (`_name_or_path`).
std::optional<ModelSpec> ReadHuggingFaceConfig(const YamlValue& value, const std::string& name, Diagnostics& diagnostics);

}  // namespace helm::model
