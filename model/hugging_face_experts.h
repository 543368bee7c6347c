// The parts of a Hugging Face config.json that speak of experts and latent attention: Mixtral's, Qwen3-MoE's, DeepSeek-V2's and V3's and
// gpt-oss's keys.
// Internal to model/; the entrance is model/hugging_face.h.
//
// Where HELM trains such a model in another way than transformers, `notes` say so: it changes neither the shapes of products nor, but for
// gpt-oss's windows, times by much. Keys that would change shapes are refused at the key.
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

// GptOssConfig: every layer has experts of `intermediate_size`. What its layers have besides (sinks, windows in every other layer, biases
// of output projection, router and experts, a limit in the activation) is noted.
void ReadGptOssExperts(MappingReader& reader, ModelSpec& model);

}  // namespace helm::model
