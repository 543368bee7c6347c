#include "cost/error_bands.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/check.h"
#include "core/json.h"
#include "cost/embedded_tables.h"

namespace helm::cost {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kErrorBandsFormat = "helm-error-bands/1";
constexpr double kShareOfMeasured = 0.9;
constexpr std::string_view kAll = "all";

Result<ErrorBand> ReadBand(const Json& object, const std::string& context) {
  HELM_RETURN_IF_ERROR(CheckKeys(object, {"kind", "rows", "sources", "low", "high"}, context));
  ErrorBand band;
  HELM_ASSIGN_OR_RETURN(band.kind, JsonString(object, "kind", context));
  HELM_ASSIGN_OR_RETURN(band.rows, JsonInt64(object, "rows", context));
  HELM_ASSIGN_OR_RETURN(band.sources, JsonInt64(object, "sources", context));
  HELM_ASSIGN_OR_RETURN(band.low, JsonDouble(object, "low", context));
  HELM_ASSIGN_OR_RETURN(band.high, JsonDouble(object, "high", context));
  if (band.low > 0 && band.low <= band.high) return band;
  return InvalidError(fmt::format("{}: low {} and high {}; allowed: 0 < low <= high", context, band.low, band.high));
}

}  // namespace

std::vector<std::string> RunKindsOf(const cluster::Device& device, bool quantized, double share_measured) {
  if (device.is_cpu) return {};
  if (share_measured >= kShareOfMeasured) return {std::string(kMeasuredRuns)};
  std::vector<std::string> kinds;
  if (!device.architecture.empty()) kinds.push_back(device.architecture + (quantized ? " fp8" : ""));
  if (quantized) kinds.emplace_back("fp8");
  kinds.emplace_back(kAll);
  return kinds;
}

const ErrorBand* BandOf(const ErrorBands& bands, const std::vector<std::string>& kinds) {
  for (const std::string& kind : kinds) {
    const auto known = std::ranges::find(bands.bands, kind, &ErrorBand::kind);
    if (known != bands.bands.end()) return &*known;
  }
  return nullptr;
}

bool IsTie(const ErrorBands& bands, double seconds, double other_seconds) {
  HELM_CHECK(seconds > 0 && other_seconds > 0, "times above 0");
  return std::abs(std::log(seconds / other_seconds)) <= std::log(bands.ratio_factor);
}

Result<ErrorBands> ParseErrorBands(std::string_view text, const std::string& file) {
  HELM_ASSIGN_OR_RETURN(const Json document, ParseJson(text, file));
  HELM_RETURN_IF_ERROR(CheckKeys(document, {"format", "made_by", "bands", "ratio"}, file));
  HELM_ASSIGN_OR_RETURN(const std::string format, JsonString(document, "format", file));
  if (format != kErrorBandsFormat) return InvalidError(fmt::format("{}: format is '{}'; allowed: '{}'", file, format, kErrorBandsFormat));
  ErrorBands bands;
  HELM_ASSIGN_OR_RETURN(const Json* list, JsonArray(document, "bands", file));
  for (const Json& object : *list) {
    HELM_ASSIGN_OR_RETURN(ErrorBand band, ReadBand(object, fmt::format("{}: bands {}", file, bands.bands.size())));
    bands.bands.push_back(std::move(band));
  }
  HELM_ASSIGN_OR_RETURN(const Json* ratio, JsonObject(document, "ratio", file));
  HELM_RETURN_IF_ERROR(CheckKeys(*ratio, {"factor", "pairs", "sources"}, file + ": ratio"));
  HELM_ASSIGN_OR_RETURN(bands.ratio_factor, JsonDouble(*ratio, "factor", file + ": ratio"));
  HELM_ASSIGN_OR_RETURN(bands.pairs, JsonInt64(*ratio, "pairs", file + ": ratio"));
  if (bands.ratio_factor < 1) return InvalidError(fmt::format("{}: ratio: factor is {}; allowed: 1 or more", file, bands.ratio_factor));
  if (BandOf(bands, {std::string(kAll)}) == nullptr) return InvalidError(fmt::format("{}: no band of the kind '{}'", file, kAll));
  return bands;
}

const ErrorBands& BuiltInErrorBands() {
  // A constant of the program that takes a moment to read; never written again.
  static const ErrorBands bands = [] {
    const std::vector<EmbeddedTable> embedded = EmbeddedErrorTables();
    HELM_CHECK(embedded.size() == 1, "one table of errors");
    auto parsed = ParseErrorBands(embedded[0].text, fmt::format("traces/errors/{}.json", embedded[0].name));
    HELM_CHECK(parsed.ok(), parsed.status().message().c_str());
    return *std::move(parsed);
  }();
  return bands;
}

}  // namespace helm::cost
