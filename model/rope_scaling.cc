#include "model/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include <fmt/format.h>

#include "core/mapping_reader.h"

namespace helm::model {
namespace {

using Type = RopeScaling::Type;

// Of yarn, where the file does not say it: 0.1 m ln(factor) + 1, over the same for all dimensions where `mscale_all_dim` is given
// (DeepSeek).
double AttentionFactor(MappingReader& reader, double factor) {
  const auto given = reader.Double("attention_factor", kPositiveNumber);
  const auto scale = reader.Double("mscale", kNotNegativeNumber), all = reader.Double("mscale_all_dim", kNotNegativeNumber);
  if (given) return *given;
  const auto grown = [factor](double m) { return factor > 1 ? 0.1 * m * std::log(factor) + 1 : 1.0; };
  const bool both = scale.value_or(0) > 0 && all.value_or(0) > 0;  // 0 is as if absent
  return both ? grown(*scale) / grown(*all) : grown(1.0);
}

std::optional<Type> ReadType(MappingReader& reader) {
  const bool newer = reader.Given("rope_type");
  if (newer) reader.Value("type");  // older files have both
  return reader.Enum<Type>(newer ? "rope_type" : "type",
                           {{"default", Type::kNone}, {"linear", Type::kLinear}, {"llama3", Type::kLlama3}, {"yarn", Type::kYarn}});
}

}  // namespace

RopeScaling Llama3RopeScaling(double factor) {
  return {.type = Type::kLlama3, .factor = factor, .low_freq_factor = 1, .high_freq_factor = 4, .original_max_position_embeddings = 8192};
}

std::optional<RopeScaling> ReadRopeScaling(MappingReader& reader, int64_t max_positions) {
  if (!reader.Given("rope_type") && !reader.Given("type")) {
    if (!reader.Given("factor")) return RopeScaling();
    reader.Error("factor", "a `factor` of an unknown kind of scaling", {"fix: add `rope_type`: linear, llama3 or yarn"});
    return std::nullopt;
  }
  const std::optional<Type> type = ReadType(reader);
  if (!type) return std::nullopt;
  RopeScaling scaling{.type = *type};
  if (*type == Type::kNone) return scaling;
  scaling.factor = reader.RequireDouble("factor", kPositiveNumber);
  if (*type == Type::kLinear) return scaling;
  if (*type == Type::kLlama3) {
    scaling.low_freq_factor = reader.RequireDouble("low_freq_factor", kPositiveNumber);
    scaling.high_freq_factor = reader.RequireDouble("high_freq_factor", kPositiveNumber);
    scaling.original_max_position_embeddings = reader.RequireInt64("original_max_position_embeddings", kPositive);
    if (scaling.high_freq_factor <= scaling.low_freq_factor) {
      reader.Error("high_freq_factor", "`high_freq_factor` must be above `low_freq_factor`");
      return std::nullopt;
    }
    return scaling;
  }
  reader.Read("beta_fast", scaling.beta_fast, kPositiveNumber);
  reader.Read("beta_slow", scaling.beta_slow, kPositiveNumber);
  scaling.attention_factor = AttentionFactor(reader, scaling.factor);
  scaling.original_max_position_embeddings = reader.Int64("original_max_position_embeddings", kPositive).value_or(max_positions);
  if (scaling.original_max_position_embeddings == 0) reader.RequireValue("original_max_position_embeddings");
  return scaling;
}

nlohmann::ordered_json ToJson(const RopeScaling& scaling) {
  switch (scaling.type) {
    case Type::kNone:
      return {{"type", "default"}};
    case Type::kLinear:
      return {{"type", "linear"}, {"factor", scaling.factor}};
    case Type::kLlama3:
      return {{"type", "llama3"},
              {"factor", scaling.factor},
              {"low_freq_factor", scaling.low_freq_factor},
              {"high_freq_factor", scaling.high_freq_factor},
              {"original_max_position_embeddings", scaling.original_max_position_embeddings}};
    case Type::kYarn:
      return {{"type", "yarn"},
              {"factor", scaling.factor},
              {"original_max_position_embeddings", scaling.original_max_position_embeddings},
              {"beta_fast", scaling.beta_fast},
              {"beta_slow", scaling.beta_slow},
              {"attention_factor", scaling.attention_factor}};
  }
  return {};
}

RopeRamp RampOf(const RopeScaling& scaling, double theta, int64_t width) {
  const auto original = static_cast<double>(scaling.original_max_position_embeddings), dimensions = static_cast<double>(width);
  const auto index_of = [&](double turns) {
    return dimensions * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  RopeRamp ramp{std::max(std::floor(index_of(scaling.beta_fast)), 0.0), std::min(std::ceil(index_of(scaling.beta_slow)), dimensions - 1)};
  if (ramp.high == ramp.low) ramp.high += 0.001;  // transformers: prevents a division by zero
  return ramp;
}

}  // namespace helm::model
