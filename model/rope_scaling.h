// RopeScaling: how a model stretches its rotary positions beyond the length that it was first trained with. The keys are those of Hugging
// Face's `rope_scaling`; the formulas those of transformers (src/transformers/modeling_rope_utils.py).
//
// Each pair of a head's dimensions turns by frequency f(i) = theta^(-2i / width), i = 0 ... width/2 - 1. A scaling multiplies f by
// s + (1 - s) / factor: s = 1 leaves a frequency alone, s = 0 stretches it.
//   linear   s = 0
//   llama3   s from the wavelength w = 2 pi / f: (original / w - low_freq_factor) / (high_freq_factor - low_freq_factor), within 0 and 1
//   yarn     s from the index: 1 - (i - low) / (high - low), within 0 and 1, where low and high are the indices whose frequency turns
//            beta_fast and beta_slow times within the original length; cosine and sine are multiplied by the attention factor
#pragma once

#include <cstdint>
#include <optional>

#include <nlohmann/json.hpp>

namespace helm {
class MappingReader;
}

namespace helm::model {

struct RopeScaling {
  enum class Type : uint8_t { kNone, kLinear, kLlama3, kYarn };
  Type type = Type::kNone;
  double factor = 1;
  double low_freq_factor = 1;  // llama3
  double high_freq_factor = 4;
  int64_t original_max_position_embeddings = 0;  // llama3, yarn
  double beta_fast = 32;                         // yarn
  double beta_slow = 1;
  double attention_factor = 1;
  bool operator==(const RopeScaling&) const = default;
};

// Of Llama 3.1, whose trainers know no other numbers than the factor.
RopeScaling Llama3RopeScaling(double factor);

// The keys of `reader`, with the type under `type` or `rope_type`. `max_positions` stands for an original length that is not given. Reports
// a type that is not one of the above, and missing keys; nothing then.
std::optional<RopeScaling> ReadRopeScaling(MappingReader& reader, int64_t max_positions);
nlohmann::ordered_json ToJson(const RopeScaling& scaling);  // the keys of its type

// yarn: from which index to which s falls from 1 to 0.
struct RopeRamp {
  double low = 0, high = 0;
};
RopeRamp RampOf(const RopeScaling& scaling, double theta, int64_t width);

}  // namespace helm::model
