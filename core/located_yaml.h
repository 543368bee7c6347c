// YamlValue: a YAML or JSON document as a tree in which every value and key knows its place; the strict layer that all of HELM's own files
// and configs go through. MappingReader (core/mapping_reader.h) turns it into structs.
//
// A strict subset of YAML 1.2: one document; mappings with text keys, sequences, scalars on one line. Refused with place and remedy:
// duplicate keys, anchors, aliases, tags, merge keys, tabs in indentation, block scalars, keys without a value, multi-line scalars,
// unterminated quotes, text after a closing quote or bracket, bytes that are not UTF-8, control characters, nesting beyond 64.
// What a scalar means (number, boolean) is decided by who reads it, with the same strictness: `010`, `yes`, `0x10`, `.5` are errors there.
// Not a general YAML library: comments and style are not kept. yaml-cpp stays inside located_yaml.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/diagnostics.h"
#include "core/status.h"

namespace helm {

enum class YamlKind : uint8_t { kNull, kScalar, kSequence, kMapping };

struct YamlEntry;

struct YamlValue {
  YamlKind kind = YamlKind::kNull;
  std::string text;                // of a scalar, unquoted and unescaped
  bool quoted = false;             // a scalar in quotes (JSON: a string): always text, never a number or a boolean
  std::vector<YamlValue> items;    // of a sequence
  std::vector<YamlEntry> entries;  // of a mapping, in file order; keys are unique
  Location where;

  bool is_null() const { return kind == YamlKind::kNull; }
  bool is_scalar() const { return kind == YamlKind::kScalar; }
  bool is_sequence() const { return kind == YamlKind::kSequence; }
  bool is_mapping() const { return kind == YamlKind::kMapping; }
  // The value of a key of a mapping, or nullptr (also when this is no mapping).
  const YamlValue* Find(std::string_view key) const;
  YamlValue* Find(std::string_view key);
};

struct YamlEntry {
  std::string key;
  Location key_where;
  YamlValue value;
};

struct YamlOptions {
  // Texts that go on over several lines, as other programs write them into data that HELM only reads. In HELM's own files they are refused,
  // since there they come from a missing quote, bracket or colon.
  bool scalars_over_lines = false;
};
// `file` is the name in messages. All lexical problems found are in the Status.
Result<YamlValue> ParseYaml(std::string_view text, const std::string& file, const YamlOptions& options = {});
// By the ending of its name: .json is read as JSON, everything else as YAML.
Result<YamlValue> ReadYamlFile(const std::string& path);

// JSON into the same tree, with locations, so that one reader serves both. Strict: duplicate keys, NaN, comments are errors.
Result<YamlValue> ParseLocatedJson(std::string_view text, const std::string& file);

// A tree without lines: messages name `file` and the path of keys.
YamlValue FromJson(const nlohmann::ordered_json& document, const std::string& file);
// Plain scalars true, false, whole and decimal numbers become JSON's; all others text.
nlohmann::ordered_json ToJson(const YamlValue& value);

// A YAML document that ParseYaml reads back to the same JSON: mappings in block style, sequences of scalars in one line, text quoted where
// it must be. REQUIRES: an object at the top.
std::string EmitYaml(const nlohmann::ordered_json& document);

}  // namespace helm
