#include "core/json.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "core/file.h"
#include "core/located_yaml.h"
#include "core/text.h"
#include "core/yaml_parser.h"

namespace helm {
namespace {

using Json = nlohmann::ordered_json;

// The fast parse. False if the text is not strict JSON; why, the slower parse with locations says.
bool ParseFast(std::string_view text, Json& document) {
  std::vector<std::set<std::string>> keys;
  bool strict = true;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) strict = keys.back().insert(parsed.get<std::string>()).second && strict;
    strict = strict && depth <= static_cast<int>(kYamlDepthMax);
    return true;
  };
  document = Json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  return strict && !document.is_discarded();
}

Result<const Json*> Field(const Json& object, const char* key, std::string_view context, const char* expected, bool (*fits)(const Json&)) {
  if (!object.is_object()) return InvalidError(fmt::format("{}: error: expected an object, found {}", context, object.type_name()));
  const auto found = object.find(key);
  if (found == object.end()) return InvalidError(fmt::format("{}: error: the key '{}' is missing", context, key));
  if (fits(*found)) return &*found;
  return InvalidError(fmt::format("{}: error: '{}' must be {}, found {}", context, key, expected, found->dump().substr(0, 80)));
}

}  // namespace

Result<Json> ParseJson(std::string_view text, const std::string& file) {
  Json document;
  if (ParseFast(text, document)) return document;
  HELM_ASSIGN_OR_RETURN(const YamlValue tree, ParseLocatedJson(text, file));
  return ToJson(tree);
}

Result<Json> ReadJsonFile(const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseJson(text, path);
}

Status WriteJsonFile(const std::string& path, const Json& document) { return WriteFileAtomically(path, document.dump(2) + "\n"); }

Result<int64_t> JsonInt64(const Json& object, const char* key, std::string_view context) {
  const auto fits = [](const Json& value) {
    return value.is_number_integer() && !(value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX));
  };
  HELM_ASSIGN_OR_RETURN(const Json* value, Field(object, key, context, "a whole number", fits));
  return value->get<int64_t>();
}

Result<double> JsonDouble(const Json& object, const char* key, std::string_view context) {
  HELM_ASSIGN_OR_RETURN(const Json* value, Field(object, key, context, "a number", [](const Json& v) { return v.is_number(); }));
  return value->get<double>();
}

Result<bool> JsonBool(const Json& object, const char* key, std::string_view context) {
  HELM_ASSIGN_OR_RETURN(const Json* value, Field(object, key, context, "true or false", [](const Json& v) { return v.is_boolean(); }));
  return value->get<bool>();
}

Result<std::string> JsonString(const Json& object, const char* key, std::string_view context) {
  HELM_ASSIGN_OR_RETURN(const Json* value, Field(object, key, context, "a text", [](const Json& v) { return v.is_string(); }));
  return value->get<std::string>();
}

Result<const Json*> JsonObject(const Json& object, const char* key, std::string_view context) {
  return Field(object, key, context, "an object", [](const Json& v) { return v.is_object(); });
}

Result<const Json*> JsonArray(const Json& object, const char* key, std::string_view context) {
  return Field(object, key, context, "an array", [](const Json& v) { return v.is_array(); });
}

Status CheckSchemaVersion(const Json& document, int64_t supported, const std::string& file) {
  HELM_ASSIGN_OR_RETURN(const int64_t version, JsonInt64(document, "schema_version", file));
  if (version == supported) return OkStatus();
  return InvalidError(
      fmt::format("{}: error: schema_version is {}, which this version of HELM does not read\n  allowed: {}\n"
                  "  fix: write the file again with this version of HELM",
                  file, version, supported));
}

Status CheckKeys(const Json& object, const std::vector<std::string>& allowed, std::string_view context) {
  if (!object.is_object()) return InvalidError(fmt::format("{}: error: expected an object, found {}", context, object.type_name()));
  std::vector<std::string> problems;
  for (const auto& [key, value] : object.items()) {
    if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) continue;
    const auto meant = DidYouMean(key, allowed);
    problems.push_back(fmt::format("{}: error: unknown key '{}'{}\n  allowed: {}", context, key,
                                   meant ? fmt::format("\n  did you mean '{}'?", *meant) : "", Join(allowed, ", ")));
  }
  return problems.empty() ? OkStatus() : InvalidError(Join(problems, "\n"));
}

}  // namespace helm
