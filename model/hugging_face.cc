#include "model/hugging_face.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/mapping_reader.h"
#include "core/text.h"
#include "model/hugging_face_experts.h"

namespace helm::model {

namespace {

enum class Kind { kLlama, kMistral, kQwen2, kQwen3, kGemma, kGpt2, kMixtral, kQwen3Moe, kDeepSeekV2, kDeepSeekV3, kGptOss };

struct KindNames {
  Kind kind;
  const char* model_type;
  const char* architecture;
};
constexpr std::array<KindNames, 11> kKinds = {{{Kind::kLlama, "llama", "LlamaForCausalLM"},
                                               {Kind::kMistral, "mistral", "MistralForCausalLM"},
                                               {Kind::kQwen2, "qwen2", "Qwen2ForCausalLM"},
                                               {Kind::kQwen3, "qwen3", "Qwen3ForCausalLM"},
                                               {Kind::kGemma, "gemma", "GemmaForCausalLM"},
                                               {Kind::kGpt2, "gpt2", "GPT2LMHeadModel"},
                                               {Kind::kMixtral, "mixtral", "MixtralForCausalLM"},
                                               {Kind::kQwen3Moe, "qwen3_moe", "Qwen3MoeForCausalLM"},
                                               {Kind::kDeepSeekV2, "deepseek_v2", "DeepseekV2ForCausalLM"},
                                               {Kind::kDeepSeekV3, "deepseek_v3", "DeepseekV3ForCausalLM"},
                                               {Kind::kGptOss, "gpt_oss", "GptOssForCausalLM"}}};

bool IsDeepSeek(Kind kind) { return kind == Kind::kDeepSeekV2 || kind == Kind::kDeepSeekV3; }
bool HasExperts(Kind kind) { return kind == Kind::kMixtral || kind == Kind::kQwen3Moe || kind == Kind::kGptOss || IsDeepSeek(kind); }

std::vector<std::string> ModelTypes() {
  std::vector<std::string> names;
  for (const KindNames& kind : kKinds) names.emplace_back(kind.model_type);
  return names;
}

const KindNames* FindKind(std::string_view name) {
  for (const KindNames& kind : kKinds) {
    if (name == kind.model_type || name == kind.architecture) return &kind;
  }
  return nullptr;
}

// Keys of PretrainedConfig and of the eleven classes that say nothing about how a training step computes: tokens with a meaning,
// generation, output formats, files, caches, dtype (HELM's is the workload's).
constexpr const char* kIrrelevantKeys[] = {"_name_or_path",
                                           "_attn_implementation_autoset",
                                           "_commit_hash",
                                           "add_faster_video",
                                           "auto_map",
                                           "bad_words_ids",
                                           "begin_suppress_tokens",
                                           "bos_token_id",
                                           "chunk_size_feed_forward",
                                           "cls_token_id",
                                           "decoder_start_token_id",
                                           "diversity_penalty",
                                           "do_sample",
                                           "dtype",
                                           "early_stopping",
                                           "encoder_no_repeat_ngram_size",
                                           "eos_token_id",
                                           "exponential_decay_length_penalty",
                                           "finetuning_task",
                                           "forced_bos_token_id",
                                           "forced_eos_token_id",
                                           "id2label",
                                           "label2id",
                                           "length_penalty",
                                           "license",
                                           "max_length",
                                           "max_window_layers",
                                           "min_length",
                                           "n_ctx",
                                           "no_repeat_ngram_size",
                                           "num_beam_groups",
                                           "num_beams",
                                           "num_labels",
                                           "num_return_sequences",
                                           "output_attentions",
                                           "output_hidden_states",
                                           "output_scores",
                                           "pad_token_id",
                                           "prefix",
                                           "pretraining_tp",
                                           "problem_type",
                                           "remove_invalid_values",
                                           "repetition_penalty",
                                           "return_dict",
                                           "return_dict_in_generate",
                                           "sep_token_id",
                                           "summary_activation",
                                           "summary_first_dropout",
                                           "summary_proj_to_labels",
                                           "summary_type",
                                           "summary_use_proj",
                                           "suppress_tokens",
                                           "task_specific_params",
                                           "temperature",
                                           "tf_legacy_loss",
                                           "tokenizer_class",
                                           "top_k",
                                           "top_p",
                                           "torch_dtype",
                                           "torchscript",
                                           "transformers_version",
                                           "typical_p",
                                           "unsloth_fixed",
                                           "use_bfloat16",
                                           "use_cache",
                                           "predict_special_tokens",
                                           "gradient_checkpointing",
                                           "afn"};

// Keys that make another architecture, with the values under which they do not.
struct RefusedKey {
  const char* key;
  const char* harmless;  // as written, besides null
  const char* why;
};
constexpr RefusedKey kRefusedKeys[] = {
    {"partial_rotary_factor", "1.0", "rotary positions on a part of each head"},
    {"is_encoder_decoder", "false", "an encoder"},
    {"is_decoder", "false", "cross-attention"},
    {"add_cross_attention", "false", "cross-attention"},
    {"tie_encoder_decoder", "false", "an encoder"},
    {"cross_attention_hidden_size", "", "cross-attention"},
    {"pruned_heads", "", "pruned heads"},
    {"scale_attn_by_inverse_layer_idx", "false", "attention scaled by layer"},
    {"reorder_and_upcast_attn", "false", "attention in another precision"},
    {"scale_attn_weights", "true", "unscaled attention"},
    {"logits_soft_cap", "", "capped logits"},
    {"attn_logit_softcapping", "", "capped attention logits"},
    {"final_logit_softcapping", "", "capped logits"},
    {"query_pre_attn_scalar", "", "another attention scale"},
    {"no_rope_layers", "", "layers without rotary positions"},
    {"embedding_multiplier", "", "scaled embeddings"},
    {"residual_multiplier", "", "scaled residuals"},
};

// Of the classes that have experts, the reader of the class says what they mean.
constexpr RefusedKey kExpertKeys[] = {
    {"num_experts", "0", "mixture of experts"},
    {"n_routed_experts", "0", "mixture of experts"},
    {"num_local_experts", "0", "mixture of experts"},
    {"num_experts_per_tok", "0", "mixture of experts"},
    {"kv_lora_rank", "0", "multi-head latent attention"},
    {"q_lora_rank", "0", "multi-head latent attention"},
    {"num_nextn_predict_layers", "0", "multi-token prediction"},
};

bool IsEmptyCollection(const YamlValue& value) {
  return (value.is_mapping() && value.entries.empty()) || (value.is_sequence() && value.items.empty());
}

class HuggingFaceReader {
 public:
  HuggingFaceReader(const YamlValue& value, Kind kind, Diagnostics& diagnostics)
      : value_(value), reader_(value, "the Hugging Face config", diagnostics), kind_(kind) {}

  ModelSpec Read(const std::string& name) {
    model_.name = name;
    reader_.Ignore("model_type");
    reader_.Ignore("architectures");
    for (const char* key : kIrrelevantKeys) reader_.Ignore(key);
    for (const RefusedKey& key : kRefusedKeys) Refuse(key);
    if (!HasExperts(kind_)) {
      for (const RefusedKey& key : kExpertKeys) Refuse(key);
    }
    ReadQuantization();
    if (kind_ == Kind::kGpt2) {
      ReadGpt2();
    } else {
      ReadLlama();
    }
    if (const auto std = reader_.Double("initializer_range", kPositiveNumber)) model_.init_std = *std;
    reader_.Finish();
    return model_;
  }

 private:
  void Refuse(const RefusedKey& refused) {
    if (!reader_.Given(refused.key)) return;
    const YamlValue* value = reader_.Value(refused.key);
    if (value->is_scalar() && (value->text == refused.harmless || value->text + ".0" == refused.harmless)) return;
    if (IsEmptyCollection(*value)) return;
    std::string found = value->is_scalar() ? ": " + value->text : "";
    reader_.Error(refused.key, fmt::format("`{}{}` ({}) is not supported by this version", refused.key, found, refused.why));
  }

  // DeepSeek-V3 is published in fp8, gpt-oss in mxfp4; whoever trains them gives the type of the computation (`workload.dtype`).
  void ReadQuantization() {
    if (!IsDeepSeek(kind_) && kind_ != Kind::kGptOss) return Refuse({"quantization_config", "", "quantized weights"});
    if (reader_.Given("quantization_config")) model_.notes.emplace_back("quantization_config: HELM trains in the workload's dtype");
  }

  void ReadExperts() {
    if (kind_ == Kind::kMixtral) ReadMixtralExperts(reader_, model_);
    if (kind_ == Kind::kQwen3Moe) ReadQwen3Experts(reader_, model_);
    if (IsDeepSeek(kind_)) ReadDeepSeek(reader_, model_);
    if (kind_ == Kind::kGptOss) ReadGptOssExperts(reader_, model_);
  }

  // transformers' default where `head_dim` is absent: hidden / heads if nothing else.
  int64_t HeadDimension() {
    const bool qwen3 = kind_ == Kind::kQwen3 || kind_ == Kind::kQwen3Moe;
    const auto given = reader_.Int64("head_dim", kPositive);
    if (IsDeepSeek(kind_)) return reader_.Int64("v_head_dim", kPositive).value_or(128);  // `mla` has the widths that count
    return given.value_or(qwen3 ? 128 : kind_ == Kind::kGemma ? 256 : 0);
  }

  void NoteDropout(const char* key) {
    const double rate = reader_.Double(key, kFraction).value_or(0.0);
    if (rate > 0) model_.notes.push_back(fmt::format("{} {}: HELM trains without dropout", key, FormatDouble(rate)));
  }

  void ReadHeads(int64_t heads) {
    model_.heads = heads;
    if (model_.head_dim > 0 || heads == 0) return;
    if (model_.hidden % heads != 0) {
      reader_.Error("head_dim", fmt::format("no `head_dim`, and {} heads do not divide hidden size {}", heads, model_.hidden));
    }
    model_.head_dim = model_.hidden / heads;
  }

  // GPT2Config: defaults as in transformers. n_inner null: 4 x n_embd.
  void ReadGpt2() {
    model_.family = Family::kGpt;
    model_.activation = Activation::kGelu;
    model_.norm = Norm::kLayerNorm;
    model_.position = Position::kLearned;
    model_.bias = true;
    model_.hidden = reader_.RequireInt64("n_embd", kPositive);
    model_.layers = reader_.RequireInt64("n_layer", kPositive);
    ReadHeads(reader_.RequireInt64("n_head", kPositive));
    model_.kv_heads = model_.heads;
    model_.ffn = reader_.Int64("n_inner", kPositive).value_or(4 * model_.hidden);
    model_.max_positions = reader_.Int64("n_positions", kPositive).value_or(1024);
    model_.vocab = reader_.RequireInt64("vocab_size", kPositive);
    model_.norm_epsilon = reader_.Double("layer_norm_epsilon", kPositiveNumber).value_or(1e-5);
    model_.tied_embeddings = reader_.Bool("tie_word_embeddings").value_or(true);
    const std::string activation = reader_.String("activation_function").value_or("gelu_new");
    if (!IsTanhGelu(activation)) RefuseActivation("activation_function", activation, "gelu_new, gelu_pytorch_tanh");
    for (const char* key : {"resid_pdrop", "embd_pdrop", "attn_pdrop"}) NoteDropout(key);
  }

  void ReadLlama() {
    model_.hidden = reader_.RequireInt64("hidden_size", kPositive);
    model_.layers = reader_.RequireInt64("num_hidden_layers", kPositive);
    model_.ffn = reader_.RequireInt64("intermediate_size", kPositive);
    model_.head_dim = HeadDimension();
    ReadHeads(reader_.RequireInt64("num_attention_heads", kPositive));
    model_.kv_heads = reader_.Int64("num_key_value_heads", kPositive).value_or(model_.heads);
    model_.vocab = reader_.RequireInt64("vocab_size", kPositive);
    model_.max_positions = reader_.Int64("max_position_embeddings", kPositive).value_or(0);
    model_.norm_epsilon = reader_.Double("rms_norm_eps", kPositiveNumber).value_or(1e-6);
    const bool gemma = kind_ == Kind::kGemma;
    model_.tied_embeddings = reader_.Bool("tie_word_embeddings").value_or(gemma);  // the default of all other classes is false
    model_.scaled_embeddings = gemma;
    if (gemma) model_.norm = Norm::kRmsNorm1p;
    model_.qk_norm = kind_ == Kind::kQwen3 || kind_ == Kind::kQwen3Moe;
    ReadExperts();
    ReadBiases();
    ReadRope();
    ReadWindow();
    NoteDropout("attention_dropout");
    if (gemma) return ReadGemmaActivation();
    const std::string activation = reader_.String("hidden_act").value_or("silu");
    if (activation == "silu" || activation == "swish") return;
    if (!IsTanhGelu(activation)) return RefuseActivation("hidden_act", activation, "silu, gelu_pytorch_tanh");
    model_.activation = Activation::kGeGlu;
  }

  // GemmaConfig: hidden_act, or hidden_activation where that is given; the first files say `gelu` and mean its tanh approximation
  // (transformers, modeling_gemma.py).
  void ReadGemmaActivation() {
    model_.activation = Activation::kGeGlu;
    const std::string old = reader_.String("hidden_act").value_or("gelu_pytorch_tanh");
    const std::optional<std::string> given = reader_.String("hidden_activation");
    const std::string activation = given.value_or(old);
    if (IsTanhGelu(activation) || (!given && activation == "gelu")) return;
    RefuseActivation(given ? "hidden_activation" : "hidden_act", activation, "gelu_pytorch_tanh");
  }

  static bool IsTanhGelu(const std::string& name) { return name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast"; }

  void RefuseActivation(const char* key, const std::string& found, const std::string& allowed) {
    reader_.Error(key, fmt::format("`{}: {}` is not supported by this version", key, found), {"allowed: " + allowed});
  }

  // `attention_bias` of transformers' Llama and Qwen3 puts a bias on the output projection too; Qwen2 has one on query, key, value, always.
  void ReadBiases() {
    if (kind_ == Kind::kGptOss) return;  // with its experts
    const bool attention = reader_.Bool("attention_bias").value_or(false);
    const bool mlp = reader_.Bool("mlp_bias").value_or(false);
    if (kind_ == Kind::kQwen2) model_.attention_bias = true;
    if (attention && mlp) {
      model_.bias = true;
    } else if (attention && kind_ != Kind::kQwen2) {
      reader_.Error("attention_bias", "`attention_bias: true` without `mlp_bias: true` is not supported by this version");
    } else if (mlp) {
      reader_.Error("mlp_bias", "`mlp_bias: true` without `attention_bias: true` is not supported by this version");
    }
  }

  // transformers 4: rope_theta and rope_scaling; transformers 5: rope_parameters with both.
  void ReadRope() {
    const double usual = 10000.0;
    model_.rope_theta = reader_.Double("rope_theta", kPositiveNumber).value_or(usual);
    for (const char* key : {"rope_scaling", "rope_parameters"}) {
      const YamlValue* scaling = reader_.Value(key);
      if (scaling == nullptr) continue;
      MappingReader inner(*scaling, fmt::format("`{}`", key), reader_.diagnostics());
      if (const auto theta = inner.Double("rope_theta", kPositiveNumber)) model_.rope_theta = *theta;
      inner.AllowUnknownKeys();
      if (IsDeepSeek(kind_)) {  // yarn of every published one, which scales the scores too
        const std::string type = inner.String("rope_type").value_or(inner.String("type").value_or("default"));
        if (type != "default") model_.notes.push_back(fmt::format("{} of type {}: HELM rotates positions unscaled", key, type));
        continue;
      }
      model_.rope_scaling = ReadRopeScaling(inner, model_.max_positions).value_or(RopeScaling());
    }
  }

  // A window takes effect in Mistral and Mixtral whenever it is given (Mistral: 4096 when the key is absent), in Qwen only with
  // use_sliding_window.
  void ReadWindow() {
    if (kind_ == Kind::kGptOss) return;  // with its experts
    const std::optional<int64_t> window = reader_.Int64("sliding_window", kPositive);
    const bool used = reader_.Bool("use_sliding_window").value_or(kind_ == Kind::kMistral || kind_ == Kind::kMixtral);
    if (used) {
      const bool absent = value_.Find("sliding_window") == nullptr;  // null means none
      model_.sliding_window = window.value_or(absent && kind_ == Kind::kMistral ? 4096 : 0);
    }
    if (const auto types = reader_.StringList("layer_types")) {
      const bool all_full = std::ranges::all_of(*types, [](const std::string& type) { return type == "full_attention"; });
      if (all_full) {
        model_.sliding_window = 0;
      } else if (!used) {
        reader_.Error("layer_types", "`layer_types` with anything but full_attention is not supported by this version");
      }
    }
  }

  const YamlValue& value_;
  MappingReader reader_;
  Kind kind_;
  ModelSpec model_;
};

std::string TypeOf(const YamlValue& value) {
  if (const YamlValue* type = value.Find("model_type"); type != nullptr && type->is_scalar()) return type->text;
  if (const YamlValue* list = value.Find("architectures"); list != nullptr && list->is_sequence() && !list->items.empty()) {
    return list->items[0].text;
  }
  return "";
}

// The language model inside a multimodal file, or nullptr.
const YamlValue* NestedText(const YamlValue& value) {
  for (const char* key : {"text_config", "llm_config"}) {
    if (const YamlValue* nested = value.Find(key); nested != nullptr && nested->is_mapping()) return nested;
  }
  return nullptr;
}

void ReportUnknown(const YamlValue& value, const std::string& type, Diagnostics& diagnostics) {
  const YamlValue* at = value.Find("model_type");
  const std::optional<std::string> nearest = DidYouMean(type, ModelTypes());
  std::string message = fmt::format("unsupported model_type '{}'", type);
  if (nearest) message += fmt::format("; did you mean '{}'?", *nearest);
  diagnostics.Error(at == nullptr ? value.where : at->where, message,
                    {"supported: " + Join(ModelTypes(), ", "),
                     "fix: describe the model inline (family: gpt, llama or moe) if it is one of these in disguise"});
}

// What the file calls a size of ModelSpec; the word itself where it is none, or has no key of its own.
std::string OwnName(const std::string& word, Kind kind) {
  struct Names {
    std::string_view helm;
    const char* gpt2;
    const char* others;
  };
  static constexpr Names kNames[] = {{"layers", "n_layer", "num_hidden_layers"},
                                     {"hidden", "n_embd", "hidden_size"},
                                     {"ffn", "n_inner", "intermediate_size"},
                                     {"heads", "n_head", "num_attention_heads"},
                                     {"kv_heads", "n_head", "num_key_value_heads"},
                                     {"vocab", "vocab_size", "vocab_size"},
                                     {"max_positions", "n_positions", "max_position_embeddings"},
                                     {"norm_epsilon", "layer_norm_epsilon", "rms_norm_eps"}};
  for (const Names& names : kNames) {
    if (word == names.helm) return kind == Kind::kGpt2 ? names.gpt2 : names.others;
  }
  return word;
}

// A line of ValidateModel ("error: model kv_heads 3 does not divide heads 8; ...") in the words of the file, at the first key that it
// names.
void ReportInvalid(const std::string& line, Kind kind, const YamlValue& value, Diagnostics& diagnostics) {
  Location where = value.where;
  std::vector<std::string> words = Split(line, ' ');
  if (words.size() > 2 && words[0] == "error:" && words[1] == "model") words.erase(words.begin(), words.begin() + 2);
  for (auto word = words.rbegin(); word != words.rend(); ++word) {
    *word = OwnName(*word, kind);
    if (const YamlValue* found = value.Find(*word)) where = found->where;
  }
  diagnostics.Error(where, Join(words, " "));
}

}  // namespace

bool IsHuggingFaceConfig(const YamlValue& value) { return value.Find("model_type") != nullptr || value.Find("architectures") != nullptr; }

std::optional<ModelSpec> ReadHuggingFaceConfig(const YamlValue& value, const std::string& name, Diagnostics& diagnostics) {
  const std::string type = TypeOf(value);
  const KindNames* kind = FindKind(type);
  if (kind == nullptr) {
    if (const YamlValue* nested = NestedText(value); nested != nullptr && FindKind(TypeOf(*nested)) != nullptr) {
      std::optional<ModelSpec> model = ReadHuggingFaceConfig(*nested, name, diagnostics);
      if (model) model->notes.push_back(fmt::format("model_type {}: only its language model is read", type));
      return model;
    }
    ReportUnknown(value, type, diagnostics);
    return std::nullopt;
  }
  const size_t errors_before = diagnostics.error_count();
  ModelSpec model = HuggingFaceReader(value, kind->kind, diagnostics).Read(name.empty() ? kind->model_type : name);
  if (diagnostics.error_count() != errors_before) return std::nullopt;
  if (const Status status = ValidateModel(model); !status.ok()) {
    for (const std::string& line : Split(status.message(), '\n')) ReportInvalid(line, kind->kind, value, diagnostics);
    return std::nullopt;
  }
  return model;
}

}  // namespace helm::model
