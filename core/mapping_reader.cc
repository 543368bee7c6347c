#include "core/mapping_reader.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/synonym.h"
#include "core/text.h"

namespace helm {
namespace {

// What was found, in words: "text 'abc'", "a list".
std::string Found(const YamlValue& value) {
  switch (value.kind) {
    case YamlKind::kNull:
      return "null";
    case YamlKind::kSequence:
      return "a list";
    case YamlKind::kMapping:
      return "a mapping";
    case YamlKind::kScalar:
      break;
  }
  if (value.quoted) return fmt::format("the text \"{}\"", value.text);
  return fmt::format("'{}'", value.text);
}

// How to repair a plain scalar that almost is a number.
std::vector<std::string> NumberHints(const YamlValue& value) {
  if (!value.is_scalar()) return {};
  const std::string& text = value.text;
  if (value.quoted && ParseDouble(text)) return {fmt::format("fix: write {} without quotes", text)};
  const size_t digits = text.find_first_not_of("0123456789");
  const bool digits_only = !text.empty() && digits == std::string::npos;
  if (digits_only && text[0] == '0') return {"fix: numbers are decimal, without leading zeros"};
  if (text.starts_with("0x") || text.starts_with("0o")) return {"fix: write the number in decimal"};
  if (const auto number = ParseDouble(text); number && *number == std::floor(*number) && std::abs(*number) < 1e15) {
    return {fmt::format("fix: write {}", static_cast<int64_t>(*number))};
  }
  if (text.starts_with('+')) return {"fix: write it without the plus sign"};
  if (text.starts_with('.') || text.ends_with('.')) return {"fix: a digit must stand before and after the point"};
  if (digits != std::string::npos && digits > 0) {
    if (text.find_first_not_of("0123456789_,") == std::string::npos) return {"fix: write the digits without separators"};
    const size_t unit = text.find_first_not_of("0123456789.- ");
    const auto number = unit == std::string::npos ? std::nullopt : ParseDouble(Trim(text.substr(0, unit)));
    if (number && text.substr(unit) == "%") return {fmt::format("fix: write the fraction {}", *number / 100)};
    if (number && text.substr(unit).size() == 1) return {fmt::format("fix: write the number in full, without '{}'", text.substr(unit))};
    if (number) {
      return {fmt::format("fix: write the number alone, without '{}'; the unit is in the name of the key", text.substr(unit))};
    }
  }
  return {};
}

std::string RangeText(IntRange range) {
  constexpr auto kLimits = std::numeric_limits<int64_t>();
  if (range.low == kLimits.min() && range.high == kLimits.max()) return "whole numbers";
  if (range.high == kLimits.max()) return fmt::format("whole numbers from {}", range.low);
  if (range.low == kLimits.min()) return fmt::format("whole numbers up to {}", range.high);
  return fmt::format("whole numbers from {} to {}", range.low, range.high);
}

std::string RangeText(DoubleRange range) {
  const bool has_low = std::isfinite(range.low), has_high = std::isfinite(range.high);
  const std::string low = fmt::format("{} {}", range.low_open ? "above" : "from", range.low);
  if (!has_low && !has_high) return "numbers";
  if (!has_high) return fmt::format("numbers {}", low);
  if (!has_low) return fmt::format("numbers up to {}", range.high);
  return fmt::format("numbers {} to {}", low, range.high);
}

bool Inside(double value, DoubleRange range) { return (range.low_open ? value > range.low : value >= range.low) && value <= range.high; }

void WrongType(const YamlValue& value, std::string_view what, std::string_view expected, std::vector<std::string> notes,
               Diagnostics& diagnostics) {
  diagnostics.Error(value.where, fmt::format("{} must be {}, found {}", what, expected, Found(value)), std::move(notes));
}

void OutOfRange(const YamlValue& value, std::string_view what, const std::string& range, Diagnostics& diagnostics) {
  diagnostics.Error(value.where, fmt::format("{} is {}, which is out of range", what, value.text), {fmt::format("allowed: {}", range)});
}

bool IsPlain(const YamlValue& value) { return value.is_scalar() && !value.quoted; }

std::vector<std::string> BoolHints(const YamlValue& value) {
  std::string lower = value.text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* word : {"yes", "on", "true", "1", "y"}) {
    if (lower == word) return {"allowed: true, false", "fix: write true"};
  }
  for (const char* word : {"no", "off", "false", "0", "n"}) {
    if (lower == word) return {"allowed: true, false", "fix: write false"};
  }
  return {"allowed: true, false"};
}

// The values of a list by the reader of one; nothing if the value is no list or one of them is wrong.
template <typename T, typename ReadOne>
std::optional<std::vector<T>> ReadList(const YamlValue* value, const std::string& what, Diagnostics& diagnostics, ReadOne read_one) {
  if (value == nullptr) return std::nullopt;
  if (!value->is_sequence()) {
    WrongType(*value, what, "a list", {"fix: write [a, b]"}, diagnostics);
    return std::nullopt;
  }
  std::vector<T> list;
  for (const YamlValue& item : value->items) {
    if (const std::optional<T> read = read_one(item, "an item of " + what)) list.push_back(*read);
  }
  if (list.size() != value->items.size()) return std::nullopt;
  return list;
}

}  // namespace

std::optional<int64_t> ReadInt64(const YamlValue& value, std::string_view what, Diagnostics& diagnostics, IntRange range) {
  const auto number = IsPlain(value) ? ParseInt64(value.text) : std::nullopt;
  if (!number) {
    if (IsPlain(value) && ParseDouble(value.text) && value.text.find_first_not_of("-0123456789") == std::string::npos) {
      OutOfRange(value, what, RangeText(IntRange{std::max(range.low, -std::numeric_limits<int64_t>::max()), range.high}), diagnostics);
    } else {
      WrongType(value, what, "a whole number", NumberHints(value), diagnostics);
    }
    return std::nullopt;
  }
  if (*number >= range.low && *number <= range.high) return number;
  OutOfRange(value, what, RangeText(range), diagnostics);
  return std::nullopt;
}

std::optional<double> ReadDouble(const YamlValue& value, std::string_view what, Diagnostics& diagnostics, DoubleRange range) {
  const auto number = IsPlain(value) ? ParseDouble(value.text) : std::nullopt;
  if (!number) {
    WrongType(value, what, "a number", NumberHints(value), diagnostics);
    return std::nullopt;
  }
  if (Inside(*number, range)) return number;
  OutOfRange(value, what, RangeText(range), diagnostics);
  return std::nullopt;
}

std::optional<bool> ReadBool(const YamlValue& value, std::string_view what, Diagnostics& diagnostics) {
  if (IsPlain(value) && value.text == "true") return true;
  if (IsPlain(value) && value.text == "false") return false;
  WrongType(value, what, "true or false", BoolHints(value), diagnostics);
  return std::nullopt;
}

std::optional<std::string> ReadString(const YamlValue& value, std::string_view what, Diagnostics& diagnostics) {
  if (!value.is_scalar()) {
    WrongType(value, what, "a text", {}, diagnostics);
    return std::nullopt;
  }
  const bool number = !value.text.empty() && value.text.find_first_not_of("+-.0123456789") == std::string::npos;
  if (!value.quoted && (ParseDouble(value.text) || number || value.text == "true" || value.text == "false")) {
    WrongType(value, what, "a text", {fmt::format("fix: write \"{}\" if the text is meant", value.text)}, diagnostics);
    return std::nullopt;
  }
  return value.text;
}

std::optional<std::string> ReadChoice(const YamlValue& value, std::string_view what, Diagnostics& diagnostics,
                                      const std::vector<std::string>& choices) {
  if (value.is_scalar() && std::find(choices.begin(), choices.end(), value.text) != choices.end()) return value.text;
  std::vector<std::string> notes;
  if (value.is_scalar()) {
    if (const auto meant = WhatIsMeant(value.text, choices)) notes.push_back(fmt::format("did you mean '{}'?", *meant));
  }
  notes.push_back(fmt::format("allowed: {}", Join(choices, ", ")));
  if (value.is_scalar()) {
    diagnostics.Error(value.where, fmt::format("{} cannot be {}", what, Found(value)), std::move(notes));
  } else {
    WrongType(value, what, "a word", std::move(notes), diagnostics);
  }
  return std::nullopt;
}

MappingReader::MappingReader(const YamlValue& value, std::string what, Diagnostics& diagnostics)
    : value_(value), what_(std::move(what)), diagnostics_(diagnostics) {
  if (value_.is_mapping()) return;
  WrongType(value_, what_, "a mapping (`key: value` lines)", {}, diagnostics_);
  finished_ = true;
}

MappingReader::~MappingReader() { Finish(); }

std::string MappingReader::Quoted(std::string_view key) const { return fmt::format("'{}'", key); }

const YamlValue* MappingReader::Declare(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  const YamlValue* value = value_.Find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const YamlValue* MappingReader::DeclareRequired(std::string_view key, const std::string& note) {
  const YamlValue* value = Declare(key);
  if (value == nullptr && value_.is_mapping()) {
    std::vector<std::string> notes;
    if (!note.empty()) notes.push_back(note);
    notes.push_back(fmt::format("fix: add `{}: ...`", key));
    diagnostics_.Error(value_.where, fmt::format("{} needs the key '{}'", what_, key), std::move(notes));
  }
  return value;
}

bool MappingReader::Given(std::string_view key) { return Declare(key) != nullptr; }
void MappingReader::Ignore(std::string_view key) { Declare(key); }
const YamlValue* MappingReader::Value(std::string_view key) { return Declare(key); }
const YamlValue* MappingReader::RequireValue(std::string_view key) { return DeclareRequired(key); }

std::optional<int64_t> MappingReader::Int64(std::string_view key, IntRange range) {
  const YamlValue* value = Declare(key);
  return value == nullptr ? std::nullopt : ReadInt64(*value, Quoted(key), diagnostics_, range);
}

std::optional<double> MappingReader::Double(std::string_view key, DoubleRange range) {
  const YamlValue* value = Declare(key);
  return value == nullptr ? std::nullopt : ReadDouble(*value, Quoted(key), diagnostics_, range);
}

std::optional<bool> MappingReader::Bool(std::string_view key) {
  const YamlValue* value = Declare(key);
  return value == nullptr ? std::nullopt : ReadBool(*value, Quoted(key), diagnostics_);
}

std::optional<std::string> MappingReader::String(std::string_view key) {
  const YamlValue* value = Declare(key);
  return value == nullptr ? std::nullopt : ReadString(*value, Quoted(key), diagnostics_);
}

std::optional<std::string> MappingReader::Choice(std::string_view key, const std::vector<std::string>& choices) {
  const YamlValue* value = Declare(key);
  return value == nullptr ? std::nullopt : ReadChoice(*value, Quoted(key), diagnostics_, choices);
}

std::optional<std::vector<int64_t>> MappingReader::Int64List(std::string_view key, IntRange range) {
  return ReadList<int64_t>(Declare(key), Quoted(key), diagnostics_,
                           [&](const YamlValue& item, const std::string& what) { return ReadInt64(item, what, diagnostics_, range); });
}

std::optional<std::vector<double>> MappingReader::DoubleList(std::string_view key, DoubleRange range) {
  return ReadList<double>(Declare(key), Quoted(key), diagnostics_,
                          [&](const YamlValue& item, const std::string& what) { return ReadDouble(item, what, diagnostics_, range); });
}

std::optional<std::vector<std::string>> MappingReader::StringList(std::string_view key) {
  return ReadList<std::string>(Declare(key), Quoted(key), diagnostics_,
                               [&](const YamlValue& item, const std::string& what) { return ReadString(item, what, diagnostics_); });
}

int64_t MappingReader::RequireInt64(std::string_view key, IntRange range) {
  const YamlValue* value = DeclareRequired(key);
  return value == nullptr ? 0 : ReadInt64(*value, Quoted(key), diagnostics_, range).value_or(0);
}

double MappingReader::RequireDouble(std::string_view key, DoubleRange range) {
  const YamlValue* value = DeclareRequired(key);
  return value == nullptr ? 0.0 : ReadDouble(*value, Quoted(key), diagnostics_, range).value_or(0.0);
}

bool MappingReader::RequireBool(std::string_view key) {
  const YamlValue* value = DeclareRequired(key);
  return value != nullptr && ReadBool(*value, Quoted(key), diagnostics_).value_or(false);
}

std::string MappingReader::RequireString(std::string_view key) {
  const YamlValue* value = DeclareRequired(key);
  return value == nullptr ? "" : ReadString(*value, Quoted(key), diagnostics_).value_or("");
}

std::string MappingReader::RequireChoice(std::string_view key, const std::vector<std::string>& choices) {
  const YamlValue* value = DeclareRequired(key, fmt::format("allowed: {}", Join(choices, ", ")));
  return value == nullptr ? "" : ReadChoice(*value, Quoted(key), diagnostics_, choices).value_or("");
}

bool MappingReader::Read(std::string_view key, int64_t& target, IntRange range) {
  const auto value = Int64(key, range);
  target = value.value_or(target);
  return value.has_value();
}

bool MappingReader::Read(std::string_view key, double& target, DoubleRange range) {
  const auto value = Double(key, range);
  target = value.value_or(target);
  return value.has_value();
}

bool MappingReader::Read(std::string_view key, bool& target) {
  const auto value = Bool(key);
  target = value.value_or(target);
  return value.has_value();
}

bool MappingReader::Read(std::string_view key, std::string& target) {
  const auto value = String(key);
  if (value) target = *value;
  return value.has_value();
}

void MappingReader::Error(std::string_view key, std::string message, std::vector<std::string> notes) {
  diagnostics_.Error(Where(key), std::move(message), std::move(notes));
}

Location MappingReader::Where(std::string_view key) const {
  const YamlValue* value = value_.Find(key);
  return value == nullptr ? value_.where : value->where;
}

Location MappingReader::KeyWhere(std::string_view key) const {
  for (const YamlEntry& entry : value_.entries) {
    if (entry.key == key) return entry.key_where;
  }
  return value_.where;
}

void MappingReader::Finish() {
  if (finished_) return;
  finished_ = true;
  for (const YamlEntry& entry : value_.entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    std::vector<std::string> notes;
    if (const auto meant = WhatIsMeant(entry.key, known_)) notes.push_back(fmt::format("did you mean '{}'?", *meant));
    notes.push_back(fmt::format("allowed: {}", Join(known_, ", ")));
    diagnostics_.Error(entry.key_where, fmt::format("unknown key '{}' in {}", entry.key, what_), std::move(notes));
  }
}

}  // namespace helm
