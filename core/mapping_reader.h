// MappingReader: reads the keys of one mapping into typed values, and reports every problem with its place: wrong types, values out of
// range, missing keys, unknown keys with "did you mean" and the list of allowed keys.
//
// Use: make one for a mapping, call a getter for every key that exists in the format (a key is known because someone asked for it), then
// Finish. `null` means not given. A getter that finds a problem reports it and returns "not given" (its default), so that reading goes on
// and all problems of the file come out together; the caller asks Diagnostics::ok() at the end. Invariant: Finish is called exactly once,
// by the destructor if nobody did before.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/diagnostics.h"
#include "core/located_yaml.h"

namespace helm {

struct IntRange {
  int64_t low = std::numeric_limits<int64_t>::min();
  int64_t high = std::numeric_limits<int64_t>::max();
};
inline constexpr IntRange kPositive{1, std::numeric_limits<int64_t>::max()};
inline constexpr IntRange kNotNegative{0, std::numeric_limits<int64_t>::max()};

struct DoubleRange {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false;  // the low end itself is not allowed
};
inline constexpr DoubleRange kPositiveNumber{0.0, std::numeric_limits<double>::infinity(), true};
inline constexpr DoubleRange kNotNegativeNumber{0.0};
inline constexpr DoubleRange kFraction{0.0, 1.0};

// Reading one value that is not a mapping's. Each reports what is wrong and returns nothing. `what` names the value in messages ("`data`").
std::optional<int64_t> ReadInt64(const YamlValue& value, std::string_view what, Diagnostics& diagnostics, IntRange range = {});
std::optional<double> ReadDouble(const YamlValue& value, std::string_view what, Diagnostics& diagnostics, DoubleRange range = {});
std::optional<bool> ReadBool(const YamlValue& value, std::string_view what, Diagnostics& diagnostics);
std::optional<std::string> ReadString(const YamlValue& value, std::string_view what, Diagnostics& diagnostics);
std::optional<std::string> ReadChoice(const YamlValue& value, std::string_view what, Diagnostics& diagnostics,
                                      const std::vector<std::string>& choices);

class MappingReader {
 public:
  // `what` names the mapping in messages: "the strategy", "`cluster`". If the value is no mapping, that is reported here, and every getter
  // returns "not given" without another word.
  MappingReader(const YamlValue& value, std::string what, Diagnostics& diagnostics);
  ~MappingReader();
  MappingReader(const MappingReader&) = delete;
  MappingReader& operator=(const MappingReader&) = delete;

  bool Given(std::string_view key);  // present and not null; declares the key
  // The value of an optional key, or nothing if it is not given or wrong.
  std::optional<int64_t> Int64(std::string_view key, IntRange range = {});
  std::optional<double> Double(std::string_view key, DoubleRange range = {});
  std::optional<bool> Bool(std::string_view key);
  std::optional<std::string> String(std::string_view key);
  std::optional<std::string> Choice(std::string_view key, const std::vector<std::string>& choices);
  std::optional<std::vector<int64_t>> Int64List(std::string_view key, IntRange range = {});
  std::optional<std::vector<double>> DoubleList(std::string_view key, DoubleRange range = {});
  std::optional<std::vector<std::string>> StringList(std::string_view key);
  // Any kind of value; nullptr if not given.
  const YamlValue* Value(std::string_view key);

  // The same for keys that must be there; a missing one is reported, and what is returned then does not matter.
  int64_t RequireInt64(std::string_view key, IntRange range = {});
  double RequireDouble(std::string_view key, DoubleRange range = {});
  bool RequireBool(std::string_view key);
  std::string RequireString(std::string_view key);
  std::string RequireChoice(std::string_view key, const std::vector<std::string>& choices);
  const YamlValue* RequireValue(std::string_view key);  // nullptr after reporting

  // An enum by the names of its values: Enum<Norm>("norm", {{"layernorm", Norm::kLayerNorm}, {"rmsnorm", Norm::kRmsNorm}}).
  template <typename T>
  std::optional<T> Enum(std::string_view key, std::initializer_list<std::pair<const char*, T>> names) {
    std::vector<std::string> choices;
    for (const auto& [name, unused] : names) choices.emplace_back(name);
    const auto chosen = Choice(key, choices);
    if (!chosen) return std::nullopt;
    for (const auto& [name, result] : names) {
      if (*chosen == name) return result;
    }
    HELM_CHECK(false, "Choice returned a word that is not among the choices");
  }

  // Overwrites `target` if the key is given and right; leaves the default otherwise. RETURNS whether it was given.
  bool Read(std::string_view key, int64_t& target, IntRange range = {});
  bool Read(std::string_view key, double& target, DoubleRange range = {});
  bool Read(std::string_view key, bool& target);
  bool Read(std::string_view key, std::string& target);

  // The key exists in the format, but nobody reads it (a comment field, or one that only other programs use).
  void Ignore(std::string_view key);
  // Reports at the value of the key (at the mapping if it is not given).
  void Error(std::string_view key, std::string message, std::vector<std::string> notes = {});
  Location Where(std::string_view key) const;     // of the key's value, or of the mapping
  Location KeyWhere(std::string_view key) const;  // of the key itself, or of the mapping
  const Location& where() const { return value_.where; }
  Diagnostics& diagnostics() { return diagnostics_; }

  // Reports all keys that nobody has asked for.
  void Finish();
  // Keys that nobody has asked for are allowed (a foreign format, such as a Hugging Face config.json).
  void AllowUnknownKeys() { finished_ = true; }

 private:
  const YamlValue* Declare(std::string_view key);
  const YamlValue* DeclareRequired(std::string_view key, const std::string& note = "");
  std::string Quoted(std::string_view key) const;

  const YamlValue& value_;
  std::string what_;
  Diagnostics& diagnostics_;
  std::vector<std::string> known_;
  bool finished_ = false;
};

}  // namespace helm
