// LoRA: which linear layers have adapters, how many parameters those have, and which part of the model is trained (ModelSpec::lora).
//
// Everything but the adapters is frozen: embeddings, norms, biases, the head and the weights beside which the adapters stand. A target is
// the name of a linear layer in the family's files, as in PEFT's `target_modules`. Where a file keeps several projections in one layer
// (GPT-2's c_attn), they share one adapter, as in PEFT.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/located_yaml.h"
#include "core/mapping_reader.h"
#include "model/model_spec.h"

namespace helm::model {

// Those that this model's layers have, in the order of a layer: "q_proj", "k_proj", ...; of the gpt family "c_attn", "c_proj", ...
std::vector<std::string> LoraTargetsOf(const ModelSpec& model);

// Whether the layer of this name, or of this last part of a name ("self_attn.q_proj"), has an adapter.
bool HasAdapter(const ModelSpec& model, std::string_view name);

// Of all layers.
int64_t AdapterParameterCount(const ModelSpec& model);
// All parameters, or those of the adapters.
int64_t TrainedParameterCount(const ModelSpec& model);

// `lora: {rank, alpha, targets}` beside the other keys of `model`, whose sizes are known; alpha is twice the rank and targets are all
// where they are not given.
LowRankAdapters ReadLora(const YamlValue& value, const ModelSpec& model, Diagnostics& diagnostics);
nlohmann::ordered_json ToJson(const LowRankAdapters& lora);

}  // namespace helm::model
