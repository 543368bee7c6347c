#include "model/hugging_face.h"

#include <gtest/gtest.h>
#include <cmath>

#include "model/model_reader.h"

namespace helm::model {
namespace {

struct Outcome {
  std::optional<ModelSpec> model;
  std::string errors;
};

Outcome Read(const std::string& json) {
  Diagnostics diagnostics;
  const auto document = ParseLocatedJson(json, "config.json");
  EXPECT_TRUE(document.ok()) << document.status().message();
  Outcome outcome;
  outcome.model = ReadModel(*document, {{{"configs"}}, "."}, diagnostics);
  outcome.errors = diagnostics.ToStatus().message();
  return outcome;
}

bool Contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Fields of the five models' published files, with the keys that do not matter left in.
constexpr const char* kLlama = R"({
  "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 128000, "eos_token_id": 128001,
  "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": 8192,
  "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "pretraining_tp": 1,
  "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
  "transformers_version": "4.40.0.dev0", "use_cache": true, "vocab_size": 128256 EXTRA})";

std::string Llama(const std::string& extra) {
  std::string text = kLlama;
  return text.replace(text.find("EXTRA"), 5, extra);
}

TEST(HuggingFace, LlamaEqualsThePreset) {
  const Outcome outcome = Read(Llama(""));
  ASSERT_TRUE(outcome.model.has_value()) << outcome.errors;
  ModelSpec expected = *Read(R"({"family": "llama", "layers": 32, "hidden": 4096, "ffn": 14336, "heads": 32, "kv_heads": 8, "vocab": 128256,
                                 "max_positions": 8192, "rope_theta": 500000.0, "name": "llama"})")
                            .model;
  EXPECT_EQ(*outcome.model, expected);
}

TEST(HuggingFace, ErrorsUseTheFilesOwnKeys) {
  std::string text = Llama("");
  text.replace(text.find("\"num_key_value_heads\": 8"), 24, "\"num_key_value_heads\": 5");
  const std::string errors = Read(text).errors;
  EXPECT_TRUE(Contains(errors, "config.json:4:")) << errors;
  EXPECT_TRUE(Contains(errors, "error: num_key_value_heads 5 does not divide num_attention_heads 32; use a divisor of 32")) << errors;
}

TEST(HuggingFace, Gpt2WithDropoutNoted) {
  const Outcome outcome = Read(R"({
    "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1,
    "eos_token_id": 50256, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768,
    "n_head": 12, "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": null, "summary_first_dropout": 0.1,
    "summary_proj_to_labels": true, "summary_type": "cls_index", "summary_use_proj": true,
    "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}}, "vocab_size": 50257})");
  ASSERT_TRUE(outcome.model.has_value()) << outcome.errors;
  EXPECT_EQ(ParameterCount(*outcome.model), 124439808);
  EXPECT_TRUE(outcome.model->tied_embeddings);
  EXPECT_EQ(outcome.model->notes,
            (std::vector<std::string>{"resid_pdrop 0.1: HELM trains without dropout", "embd_pdrop 0.1: HELM trains without dropout",
                                      "attn_pdrop 0.1: HELM trains without dropout"}));
}

TEST(HuggingFace, Qwen2HasQueryKeyValueBiasAndNoWindow) {
  const Outcome outcome =
      Read(R"({"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "hidden_act": "silu", "hidden_size": 896,
    "initializer_range": 0.02, "intermediate_size": 4864, "max_position_embeddings": 131072, "max_window_layers": 24, "model_type": "qwen2",
    "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
    "sliding_window": 131072, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_cache": true, "use_sliding_window": false,
    "vocab_size": 151936})");
  ASSERT_TRUE(outcome.model.has_value()) << outcome.errors;
  EXPECT_TRUE(outcome.model->attention_bias);
  EXPECT_FALSE(outcome.model->bias);
  EXPECT_EQ(outcome.model->sliding_window, 0);
  EXPECT_EQ(ParameterCount(*outcome.model), 494032768);
}

TEST(HuggingFace, Qwen3HasItsOwnHeadSizeAndNorms) {
  const Outcome outcome = Read(R"({"architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "head_dim": 128, "hidden_act": "silu",
    "hidden_size": 1024, "intermediate_size": 3072, "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3",
    "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": null,
    "rope_theta": 1000000, "sliding_window": null, "tie_word_embeddings": true, "use_sliding_window": false, "vocab_size": 151936})");
  ASSERT_TRUE(outcome.model.has_value()) << outcome.errors;
  EXPECT_EQ(ParameterCount(*outcome.model), 596049920);
}

// The published file of mistralai/Mixtral-8x7B-v0.1.
TEST(HuggingFace, Mixtral) {
  const Outcome outcome = Read(R"({"architectures": ["MixtralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
    "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": 32768,
    "model_type": "mixtral", "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "num_local_experts": 8, "output_router_logits": false, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "router_aux_loss_coef": 0.02,
    "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 32000})");
  ASSERT_TRUE(outcome.model.has_value()) << outcome.errors;
  EXPECT_EQ(outcome.model->family, Family::kMoe);
  EXPECT_EQ(outcome.model->moe, (MixtureOfExperts{.experts = 8, .top_k = 2, .ffn = 14336}));
  EXPECT_EQ(ParameterCount(*outcome.model), 46702792704);
}

// The published file of Qwen/Qwen3-30B-A3B, with a balancing loss that counts.
TEST(HuggingFace, Qwen3Experts) {
  const std::string base = R"({"architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false, "decoder_sparse_step": 1, "head_dim": 128,
    "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 6144, "max_window_layers": 48, "model_type": "qwen3_moe",
    "moe_intermediate_size": 768, "norm_topk_prob": true, "num_attention_heads": 32, "num_experts": 128, "num_experts_per_tok": 8,
    "num_hidden_layers": 48, "num_key_value_heads": 4, "output_router_logits": true, "rms_norm_eps": 1e-06, "rope_scaling": null,
    "rope_theta": 1000000.0, "router_aux_loss_coef": 0.001, "sliding_window": null, "tie_word_embeddings": false, "use_sliding_window": false,
    "vocab_size": 151936)";
  const Outcome outcome = Read(base + R"(, "mlp_only_layers": []})");
  ASSERT_TRUE(outcome.model.has_value()) << outcome.errors;
  EXPECT_EQ(outcome.model->moe, (MixtureOfExperts{.experts = 128, .top_k = 8, .ffn = 768, .aux_loss = 0.001}));
  EXPECT_TRUE(outcome.model->qk_norm);
  EXPECT_TRUE(outcome.model->notes.empty());
  EXPECT_EQ(ParameterCount(*outcome.model), 30532122624);
  EXPECT_TRUE(Contains(Read(base + R"(, "mlp_only_layers": [0, 3]})").errors, "`mlp_only_layers` (some layers without experts)"));
}

// The published file of deepseek-ai/DeepSeek-V3, without keys that other files above have.
TEST(HuggingFace, DeepSeekV3SaysWhereItDiffers) {
  const Outcome outcome =
      Read(R"({"architectures": ["DeepseekV3ForCausalLM"], "ep_size": 1, "first_k_dense_replace": 3, "hidden_act": "silu",
    "hidden_size": 7168, "intermediate_size": 18432, "kv_lora_rank": 512, "max_position_embeddings": 163840, "model_type": "deepseek_v3",
    "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_group": 8, "n_routed_experts": 256, "n_shared_experts": 1, "norm_topk_prob": true,
    "num_attention_heads": 128, "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128, "num_nextn_predict_layers": 1,
    "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "quantization_config": {"quant_method": "fp8"},
    "rms_norm_eps": 1e-06, "rope_scaling": {"factor": 40, "type": "yarn"}, "rope_theta": 10000, "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid", "tie_word_embeddings": false, "topk_group": 4, "topk_method": "noaux_tc", "v_head_dim": 128,
    "vocab_size": 129280})");
  ASSERT_TRUE(outcome.model.has_value()) << outcome.errors;
  EXPECT_EQ(outcome.model->moe, (MixtureOfExperts{.experts = 256, .top_k = 8, .ffn = 2048, .shared_ffn = 2048, .dense_layers = 3}));
  EXPECT_EQ(outcome.model->mla, (LatentAttention{.q_lora = 1536, .kv_lora = 512, .qk_nope = 128, .qk_rope = 64, .v = 128}));
  EXPECT_EQ(
      outcome.model->notes,
      (std::vector<std::string>{"quantization_config: HELM trains in the workload's dtype", "scoring_func sigmoid: HELM routes by softmax",
                                "n_group 8: HELM chooses among all experts", "routed_scaling_factor 2.5: HELM does not scale",
                                "num_nextn_predict_layers 1: HELM trains without multi-token prediction",
                                "rope_scaling of type yarn: HELM rotates positions unscaled"}));
  EXPECT_EQ(ParameterCount(*outcome.model), 671026404352);
}

// The published file of openai/gpt-oss-20b. It counts 20,914,757,184 parameters; HELM leaves out of each of 24 layers 2880 biases of the
// output projection, 64 sinks, 32 biases of the router and 32 x (5760 + 2880) of the experts: 279,456.
TEST(HuggingFace, GptOssSaysWhereItDiffers) {
  const Outcome outcome = Read(R"({"architectures": ["GptOssForCausalLM"], "attention_bias": true, "attention_dropout": 0.0,
    "eos_token_id": 200002, "experts_per_token": 4, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2880, "initial_context_length": 4096,
    "initializer_range": 0.02, "intermediate_size": 2880, "layer_types": ["sliding_attention", "full_attention"],
    "max_position_embeddings": 131072, "model_type": "gpt_oss", "num_attention_heads": 64, "num_experts_per_tok": 4,
    "num_hidden_layers": 24, "num_key_value_heads": 8, "num_local_experts": 32, "output_router_logits": false, "pad_token_id": 199999,
    "quantization_config": {"modules_to_not_convert": ["lm_head"], "quant_method": "mxfp4"}, "rms_norm_eps": 1e-05,
    "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096, "rope_type": "yarn",
                     "truncate": false},
    "rope_theta": 150000, "router_aux_loss_coef": 0.9, "sliding_window": 128, "swiglu_limit": 7.0, "tie_word_embeddings": false,
    "transformers_version": "4.55.0.dev0", "use_cache": true, "vocab_size": 201088})");
  ASSERT_TRUE(outcome.model.has_value()) << outcome.errors;
  EXPECT_EQ(ParameterCount(*outcome.model), 20914757184 - 24 * 279456);
  EXPECT_EQ(outcome.model->notes.size(), 4U);
  Outcome preset = Read(R"("gpt-oss-20b")");
  ASSERT_TRUE(preset.model.has_value()) << preset.errors;
  preset.model->name = outcome.model->name;
  preset.model->notes = outcome.model->notes;
  EXPECT_EQ(*outcome.model, *preset.model);
}

TEST(HuggingFace, MistralsWindow) {
  const std::string base = R"({"model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 32768)";
  EXPECT_EQ(Read(base + "}").model->sliding_window, 4096);  // MistralConfig's default
  EXPECT_EQ(Read(base + R"(, "sliding_window": null})").model->sliding_window, 0);
  EXPECT_EQ(Read(base + R"(, "sliding_window": 1024})").model->sliding_window, 1024);
}

TEST(HuggingFace, AbsentKeysHaveTheClassDefaults) {
  const Outcome outcome =
      Read(R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 4,
    "num_hidden_layers": 2, "vocab_size": 50})");
  ASSERT_TRUE(outcome.model.has_value()) << outcome.errors;
  EXPECT_EQ(outcome.model->kv_heads, 4);
  EXPECT_EQ(outcome.model->head_dim, 6);
  EXPECT_EQ(outcome.model->norm_epsilon, 1e-6);
  EXPECT_EQ(outcome.model->rope_theta, 10000.0);
  EXPECT_FALSE(outcome.model->tied_embeddings);
}

TEST(HuggingFace, RopeParametersOfTransformersFive) {
  std::string text = Llama(R"(, "rope_parameters": {"rope_theta": 10.0, "rope_type": "default"})");
  EXPECT_EQ(Read(text).model->rope_theta, 10.0);
}

TEST(HuggingFace, UnknownModelTypeNamesTheNearest) {
  const Outcome outcome = Read(R"({"model_type": "lama", "hidden_size": 24})");
  EXPECT_FALSE(outcome.model.has_value());
  EXPECT_TRUE(Contains(outcome.errors, "config.json:1:16: error: unsupported model_type 'lama'; did you mean 'llama'?")) << outcome.errors;
  EXPECT_TRUE(Contains(outcome.errors,
                       "supported: llama, mistral, qwen2, qwen3, gemma, gpt2, mixtral, qwen3_moe, deepseek_v2, deepseek_v3, gpt_oss"))
      << outcome.errors;
}

TEST(HuggingFace, LanguageModelOfAMultimodalFile) {
  const Outcome outcome = Read(R"({"model_type": "llava", "text_config": {"model_type": "llama", "hidden_size": 24, "intermediate_size": 40,
    "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 50}})");
  ASSERT_TRUE(outcome.model.has_value()) << outcome.errors;
  EXPECT_EQ(outcome.model->notes, std::vector<std::string>{"model_type llava: only its language model is read"});
}

// As in Llama 3.1's file; yarn as Qwen's cards have it, whose attention factor follows: 0.1 ln 4 + 1.
TEST(HuggingFace, ScaledRotaryPositions) {
  const Outcome llama = Read(Llama(R"(, "rope_parameters": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192, "rope_type": "llama3"})"));
  ASSERT_TRUE(llama.model.has_value()) << llama.errors;
  const RopeScaling expected{.type = RopeScaling::Type::kLlama3,
                             .factor = 8,
                             .low_freq_factor = 1,
                             .high_freq_factor = 4,
                             .original_max_position_embeddings = 8192};
  EXPECT_EQ(llama.model->rope_scaling, expected);
  const Outcome yarn = Read(Llama(R"(, "rope_parameters": {"rope_type": "yarn", "type": "yarn", "factor": 4.0,
    "original_max_position_embeddings": 32768})"));
  ASSERT_TRUE(yarn.model.has_value()) << yarn.errors;
  EXPECT_EQ(yarn.model->rope_scaling.type, RopeScaling::Type::kYarn);
  EXPECT_DOUBLE_EQ(yarn.model->rope_scaling.attention_factor, 0.1 * std::log(4.0) + 1);
}

// The published file of Gemma 2B, which says `gelu` and means its tanh approximation, is the preset; a later one names it.
TEST(HuggingFace, GemmaEqualsThePreset) {
  const auto gemma = [](const std::string& activation) {
    return Read(
        R"({"architectures": ["GemmaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 2, "eos_token_id": 1,
      "head_dim": 256, )" +
        activation + R"(, "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 16384,
      "max_position_embeddings": 8192, "model_type": "gemma", "num_attention_heads": 8, "num_hidden_layers": 18, "num_key_value_heads": 1,
      "pad_token_id": 0, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 10000.0, "torch_dtype": "bfloat16",
      "transformers_version": "4.38.0.dev0", "use_cache": true, "vocab_size": 256000})");
  };
  Outcome preset = Read(R"("gemma-2b")");
  ASSERT_TRUE(preset.model.has_value()) << preset.errors;
  preset.model->name = "gemma";
  EXPECT_TRUE(preset.model->notes.empty());
  for (const char* activation : {R"("hidden_act": "gelu")", R"("hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh")"}) {
    const Outcome outcome = gemma(activation);
    ASSERT_TRUE(outcome.model.has_value()) << outcome.errors;
    EXPECT_EQ(*outcome.model, *preset.model);
  }
  EXPECT_TRUE(Contains(gemma(R"("hidden_activation": "gelu")").errors, "`hidden_activation: gelu` is not supported"));
}

// Each changes the computation, so none may be ignored.
TEST(HuggingFace, RefusesByName) {
  const std::pair<std::string, std::string> refused[] = {
      {R"(, "rope_parameters": {"factor": 8.0, "rope_type": "longrope"})", "'rope_type' cannot be the text \"longrope\""},
      {R"(, "rope_parameters": {"factor": 8.0, "type": "dynamic"})", "'type' cannot be the text \"dynamic\""},
      {R"(, "rope_parameters": {"factor": 8.0, "rope_type": "llama3"})", "low_freq_factor"},
      {R"(, "num_local_experts": 8)", "`num_local_experts: 8` (mixture of experts)"},
      {R"(, "num_experts_per_tok": 2)", "`num_experts_per_tok: 2` (mixture of experts)"},
      {R"(, "kv_lora_rank": 512)", "`kv_lora_rank: 512` (multi-head latent attention)"},
      {R"(, "mlp_bias": true)", "`mlp_bias: true` without"},
      {R"(, "partial_rotary_factor": 0.5)", "`partial_rotary_factor: 0.5`"},
      {R"(, "quantization_config": {"quant_method": "fp8"})", "`quantization_config` (quantized weights)"},
      {R"(, "layer_types": ["full_attention", "sliding_attention"])", "`layer_types`"},
      {R"(, "some_new_twist": 3)", "some_new_twist"},
  };
  for (const auto& [extra, expected] : refused) {
    const Outcome outcome = Read(Llama(extra));
    EXPECT_FALSE(outcome.model.has_value()) << extra;
    EXPECT_TRUE(Contains(outcome.errors, expected)) << extra << " gave " << outcome.errors;
  }
  EXPECT_TRUE(Read(Llama(R"(, "num_local_experts": null, "mlp_bias": false, "partial_rotary_factor": 1.0)")).model.has_value());
}

}  // namespace
}  // namespace helm::model
