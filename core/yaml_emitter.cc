#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "core/check.h"
#include "core/located_yaml.h"
#include "core/text.h"

namespace helm {
namespace {

using Json = nlohmann::ordered_json;

bool IsWordCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_./-+=()").find(c) != std::string_view::npos;
}

// Whether some YAML reader would take the plain word for something else than text.
bool HasAnotherMeaning(const std::string& text) {
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  for (const char* word : {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}) {
    if (lower == word) return true;
  }
  // Numbers, dates, `.inf`, `---`: whatever does not begin like a word or a path. 0x.. and 1e5 begin with a digit.
  const char first = text[0];
  const bool letter = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || first == '_' || first == '/';
  const bool relative_path = text.starts_with("./") || text.starts_with("../");
  return !letter && !relative_path;
}

// Words and paths, with single blanks between words.
bool CanBePlain(const std::string& text) {
  if (text.empty() || HasAnotherMeaning(text) || text.back() == ' ') return false;
  bool blank_before = false;
  for (const char c : text) {
    if (!(IsWordCharacter(c) || (c == ' ' && !blank_before))) return false;
    blank_before = c == ' ';
  }
  return true;
}

std::string EmitText(const std::string& text) { return CanBePlain(text) ? text : Json(text).dump(); }

std::string EmitScalar(const Json& value) {
  if (value.is_string()) return EmitText(value.get<std::string>());
  if (value.is_number_float()) return FormatDouble(value.get<double>());
  return value.dump();
}

std::string EmitFlow(const Json& value) {
  std::vector<std::string> parts;
  if (value.is_array()) {
    for (const auto& item : value) parts.push_back(EmitFlow(item));
    return fmt::format("[{}]", Join(parts, ", "));
  }
  if (!value.is_object()) return EmitScalar(value);
  for (const auto& [key, child] : value.items()) parts.push_back(fmt::format("{}: {}", EmitText(key), EmitFlow(child)));
  return fmt::format("{{{}}}", Join(parts, ", "));
}

// A list that holds a mapping gets one item a line; all others stay on the line of their key.
bool NeedsLines(const Json& value) {
  if (value.is_object()) return !value.empty();
  return value.is_array() && std::any_of(value.begin(), value.end(), [](const Json& item) { return item.is_object() && !item.empty(); });
}

void EmitEntries(const Json& object, const std::string& indent, std::string& out);

void EmitItems(const Json& array, const std::string& indent, std::string& out) {
  for (const auto& item : array) {
    if (!item.is_object() || item.empty()) {
      out += fmt::format("{}- {}\n", indent, EmitFlow(item));
      continue;
    }
    std::string entries;
    EmitEntries(item, indent + "  ", entries);
    entries.replace(indent.size(), 1, "-");
    out += entries;
  }
}

void EmitEntries(const Json& object, const std::string& indent, std::string& out) {
  for (const auto& [key, value] : object.items()) {
    if (!NeedsLines(value)) {
      out += fmt::format("{}{}: {}\n", indent, EmitText(key), EmitFlow(value));
      continue;
    }
    out += fmt::format("{}{}:\n", indent, EmitText(key));
    if (value.is_object()) {
      EmitEntries(value, indent + "  ", out);
    } else {
      EmitItems(value, indent + "  ", out);
    }
  }
}

}  // namespace

std::string EmitYaml(const Json& document) {
  HELM_CHECK(document.is_object(), "a YAML document of HELM is a mapping");
  if (document.empty()) return "{}\n";
  std::string out;
  EmitEntries(document, "", out);
  return out;
}

}  // namespace helm
