#include "model/lora.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.h"
#include "model/parameter_plan.h"

namespace helm::model {
namespace {

// Inputs and outputs of the linear layers of one transformer layer.
struct Linear {
  const char* name;
  int64_t inputs, outputs;
};
std::vector<Linear> LinearsOf(const ModelSpec& model) {
  const int64_t h = model.hidden, query = model.heads * model.head_dim, key = model.kv_heads * model.head_dim;
  if (model.family == Family::kGpt) {
    std::vector<Linear> linears = {{"c_attn", h, query + 2 * key}, {"c_proj", query, h}, {"c_fc", h, model.ffn}, {"c_proj", model.ffn, h}};
    if (IsGated(model.activation)) linears.push_back({"c_gate", h, model.ffn});
    return linears;
  }
  std::vector<Linear> linears = {{"q_proj", h, query}, {"k_proj", h, key}, {"v_proj", h, key}, {"o_proj", query, h}};
  if (IsGated(model.activation)) linears.push_back({"gate_proj", h, model.ffn});
  linears.push_back({"up_proj", h, model.ffn});
  linears.push_back({"down_proj", model.ffn, h});
  return linears;
}

void CheckTarget(const std::vector<std::string>& targets, size_t index, const YamlValue& listed, const ModelSpec& model,
                 Diagnostics& diagnostics) {
  const std::string& target = targets[index];
  const std::vector<std::string> allowed = LoraTargetsOf(model);
  if (std::ranges::find(allowed, target) == allowed.end()) {
    diagnostics.Error(listed.items[index].where,
                      fmt::format("'{}' is no linear layer in the layers of this {} model", target, Name(model.family)),
                      {fmt::format("allowed: {}", Join(allowed, ", "))});
  }
  const auto end = targets.begin() + static_cast<std::ptrdiff_t>(index);
  if (std::find(targets.begin(), end, target) != end) {
    diagnostics.Error(listed.items[index].where, fmt::format("'{}' is listed twice", target), {"fix: remove one"});
  }
}

}  // namespace

std::vector<std::string> LoraTargetsOf(const ModelSpec& model) {
  std::vector<std::string> names;
  for (const Linear& linear : LinearsOf(model)) {
    if (std::ranges::find(names, linear.name) == names.end()) names.emplace_back(linear.name);
  }
  return names;
}

bool HasAdapter(const ModelSpec& model, std::string_view name) {
  if (model.lora.rank == 0) return false;
  return std::ranges::find(model.lora.targets, name.substr(name.rfind('.') + 1)) != model.lora.targets.end();
}

int64_t AdapterParameterCount(const ModelSpec& model) {
  int64_t of_layer = 0;
  for (const Linear& linear : LinearsOf(model)) {
    if (HasAdapter(model, linear.name)) of_layer += model.lora.rank * (linear.inputs + linear.outputs);
  }
  return model.layers * of_layer;
}

int64_t TrainedParameterCount(const ModelSpec& model) { return model.lora.rank > 0 ? AdapterParameterCount(model) : ParameterCount(model); }

LowRankAdapters ReadLora(const YamlValue& value, const ModelSpec& model, Diagnostics& diagnostics) {
  constexpr double kAlphaOfRank = 2;  // the usual choice of alpha (torchtune's recipes: rank 8, alpha 16)
  MappingReader reader(value, "'lora'", diagnostics);
  LowRankAdapters lora;
  lora.rank = reader.RequireInt64("rank", kPositive);
  lora.alpha = reader.Double("alpha", kPositiveNumber).value_or(kAlphaOfRank * static_cast<double>(lora.rank));
  const YamlValue* listed = reader.Value("targets");
  const auto targets = reader.StringList("targets");
  lora.targets = targets.value_or(LoraTargetsOf(model));
  if (targets && targets->empty()) reader.Error("targets", "'targets' is empty: nothing would be trained", {"fix: leave it out for all"});
  for (size_t i = 0; targets && i < targets->size(); ++i) CheckTarget(*targets, i, *listed, model, diagnostics);
  return lora;
}

nlohmann::ordered_json ToJson(const LowRankAdapters& lora) {
  return {{"rank", lora.rank}, {"alpha", lora.alpha}, {"targets", lora.targets}};
}

}  // namespace helm::model
