// Small models and plans for the executor's tests: shapes that are not powers of two, one thread a rank.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cluster/cluster.h"
#include "cluster/cluster_reader.h"
#include "ir/plan.h"
#include "ir/strategy.h"
#include "model/lora.h"
#include "model/model_reader.h"
#include "model/model_spec.h"

namespace helm::exec {

// Llama with grouped-query attention.
inline model::ModelSpec LlamaModel() {
  return {.name = "llama",
          .family = model::Family::kLlama,
          .layers = 2,
          .hidden = 48,
          .ffn = 88,
          .heads = 8,
          .kv_heads = 4,
          .head_dim = 6,
          .vocab = 264,
          .max_positions = 64};
}

// GPT-2: LayerNorm, GELU, biases, learned positions, tied embeddings.
inline model::ModelSpec Gpt2Model() {
  return {.name = "gpt2",
          .family = model::Family::kGpt,
          .layers = 2,
          .hidden = 40,
          .ffn = 160,
          .heads = 4,
          .kv_heads = 4,
          .head_dim = 10,
          .vocab = 260,
          .max_positions = 20,
          .activation = model::Activation::kGelu,
          .norm = model::Norm::kLayerNorm,
          .position = model::Position::kLearned,
          .bias = true,
          .tied_embeddings = true};
}

// Qwen2: bias on query, key and value; here with tied embeddings.
inline model::ModelSpec Qwen2Model() {
  model::ModelSpec model = LlamaModel();
  model.name = "qwen2";
  model.attention_bias = true;
  model.tied_embeddings = true;
  model.rope_theta = 1e6;
  return model;
}

// Qwen3: norms of query and key heads, heads wider than hidden / heads.
inline model::ModelSpec Qwen3Model() {
  model::ModelSpec model = LlamaModel();
  model.name = "qwen3";
  model.qk_norm = true;
  model.head_dim = 14;
  return model;
}

// Four experts, two for a token, with slots for all; a dense layer before, a shared expert beside them.
inline model::ModelSpec MoeModel() {
  model::ModelSpec model = LlamaModel();
  model.name = "moe";
  model.family = model::Family::kMoe;
  model.moe = {.experts = 4, .top_k = 2, .ffn = 24, .shared_ffn = 16, .dense_layers = 1, .capacity_factor = 2.0};
  return model;
}

// All of it frozen but for adapters on these linear layers, or on all.
inline model::ModelSpec Adapted(model::ModelSpec model, std::vector<std::string> targets = {}) {
  model.name += " with adapters";
  model.lora = {.rank = 3, .alpha = 6, .targets = targets.empty() ? model::LoraTargetsOf(model) : std::move(targets)};
  return model;
}

// A vocabulary that no tensor-parallel degree divides; as many key-value heads as heads, so that eight ranks can share them.
inline model::ModelSpec PaddedModel() {
  model::ModelSpec model = LlamaModel();
  model.name = "padded";
  model.kv_heads = model.heads;
  model.vocab = 259;
  return model;
}

inline cluster::Cluster LocalCluster(int64_t ranks) {
  cluster::Cluster cluster;
  cluster.name = "local";
  cluster.device.name = "test CPU";
  cluster.device.is_cpu = true;
  cluster.device.memory = Bytes::Gibibytes(8);
  cluster.device.memory_bandwidth = BytesPerSecond::Gigabytes(20);  // from here on of passes that need durations, any will do
  cluster.device.peak = {{"f32", FlopsPerSecond::Tera(0.1)}, {"bf16", FlopsPerSecond::Tera(0.1)}};
  cluster.devices_per_node = ranks;
  cluster.devices_used = ranks;
  cluster.local = true;
  cluster.cpu_cores = ranks;  // one thread each
  return cluster;
}

struct PlanSettings {
  ir::Strategy strategy;
  ir::DataType dtype = ir::DataType::kFloat32;
  int64_t global_batch = 4;
  int64_t sequence_length = 12;
  int64_t bucket_bytes = 40'000;  // several buckets, some with more than one parameter
  ir::ContextCommunication context_communication = ir::ContextCommunication::kRing;
};

inline ir::Plan MakePlan(const model::ModelSpec& model, const PlanSettings& settings) {
  ir::Plan plan;
  plan.model = model::ToJson(model);
  plan.cluster = cluster::ToJson(LocalCluster(settings.strategy.world_size()));
  plan.workload.global_batch = settings.global_batch;
  plan.workload.sequence_length = settings.sequence_length;
  plan.workload.dtype = settings.dtype;
  plan.workload.optimizer.learning_rate = 1e-3;
  plan.workload.optimizer.clip_norm = 0.5;  // below the gradients of a fresh model, so that clipping takes part
  plan.software.framework = "helm";
  plan.software.gradient_bucket_bytes = settings.bucket_bytes;
  plan.software.context_communication = settings.context_communication;
  plan.strategy = settings.strategy;
  return plan;
}

}  // namespace helm::exec
