// Strict JSON documents for tables and reports: duplicate keys, comments, NaN and trailing text are errors, with FILE:LINE:COLUMN; and
// getters for a document's fields that say what was expected instead of throwing. For configs use core/located_yaml.h, which keeps places.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/status.h"

namespace helm {

Result<nlohmann::ordered_json> ParseJson(std::string_view text, const std::string& file);
Result<nlohmann::ordered_json> ReadJsonFile(const std::string& path);
// Two blanks of indentation, a newline at the end; atomic.
Status WriteJsonFile(const std::string& path, const nlohmann::ordered_json& document);

// A field of an object. `context` begins the message: "traces/cpu/ops.json: entry 12".
Result<int64_t> JsonInt64(const nlohmann::ordered_json& object, const char* key, std::string_view context);
Result<double> JsonDouble(const nlohmann::ordered_json& object, const char* key, std::string_view context);
Result<bool> JsonBool(const nlohmann::ordered_json& object, const char* key, std::string_view context);
Result<std::string> JsonString(const nlohmann::ordered_json& object, const char* key, std::string_view context);
// A field that must be an object or an array. The pointer is into `object`.
Result<const nlohmann::ordered_json*> JsonObject(const nlohmann::ordered_json& object, const char* key, std::string_view context);
Result<const nlohmann::ordered_json*> JsonArray(const nlohmann::ordered_json& object, const char* key, std::string_view context);

// The document is an object whose `schema_version` is `supported`; else an error that says which versions this HELM reads.
Status CheckSchemaVersion(const nlohmann::ordered_json& document, int64_t supported, const std::string& file);
// Every key of the object is one of `allowed`; else an error with "did you mean".
Status CheckKeys(const nlohmann::ordered_json& object, const std::vector<std::string>& allowed, std::string_view context);

}  // namespace helm
