// The parts of a Hugging Face config.json that speak of experts and latent attention: Mixtral's, Qwen3-MoE's, DeepSeek-V2's and V3's keys.
// Internal to model/; the entrance is model/hugging_face.h.
//
// Where HELM trains such a model in another way than transformers, which changes neither shapes nor time, `notes` say so. Keys that would
// change shapes are refused at the key.
#pragma once

#include "core/mapping_reader.h"
#include "model/model_spec.h"

namespace helm::model {

// MixtralConfig: every layer has experts of `intermediate_size`.
void ReadMixtralExperts(MappingReader& reader, ModelSpec& model);
// Qwen3MoeConfig.
void ReadQwen3Experts(MappingReader& reader, ModelSpec& model);
// DeepseekV2Config, DeepseekV3Config: experts, shared experts, latent attention. A configuration without `kv_lora_rank` is an error.
void ReadDeepSeek(MappingReader& reader, ModelSpec& model);

}  // namespace helm::model
