#include "cost/collective_table.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/check.h"
#include "core/json.h"
#include "cost/embedded_tables.h"

namespace helm::cost {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kCollectiveTableFormat = "helm-collective-table/1";
constexpr int64_t kDevicesPerNode = 8;

Result<std::vector<TransferPoint>> ReadPoints(const Json& object, const std::string& context) {
  HELM_ASSIGN_OR_RETURN(const Json* rows, JsonArray(object, "points", context));
  std::vector<TransferPoint> points;
  for (const Json& row : *rows) {
    const bool pair = row.is_array() && row.size() == 2 && row[0].is_number_integer() && row[1].is_number_integer();
    if (!pair || row[0].get<int64_t>() <= 0 || row[1].get<int64_t>() <= 0) {
      return InvalidError(fmt::format("{}: 'points' holds {}; allowed: [bytes, nanoseconds], positive whole numbers", context, row.dump()));
    }
    points.push_back({row[0].get<double>(), row[1].get<double>() * 1e-9});
  }
  const auto not_ascending = [](const TransferPoint& a, const TransferPoint& b) { return a.bytes >= b.bytes; };
  if (points.size() < 2 || std::ranges::adjacent_find(points, not_ascending) != points.end()) {
    return InvalidError(fmt::format("{}: 'points' must hold two sizes or more, ascending", context));
  }
  return points;
}

Result<CollectiveCurve> ReadCurve(const Json& object, const std::string& context) {
  HELM_RETURN_IF_ERROR(CheckKeys(object, {"kind", "ranks", "ranks_per_node", "points"}, context));
  CollectiveCurve curve;
  HELM_ASSIGN_OR_RETURN(curve.kind, JsonString(object, "kind", context));
  HELM_ASSIGN_OR_RETURN(curve.ranks, JsonInt64(object, "ranks", context));
  HELM_ASSIGN_OR_RETURN(curve.ranks_per_node, JsonInt64(object, "ranks_per_node", context));
  if (curve.ranks < 2 || (curve.ranks_per_node != curve.ranks && curve.ranks_per_node != 1)) {
    return InvalidError(fmt::format("{}: {} ranks, {} a node; allowed: two ranks or more, all on one node or one on each", context,
                                    curve.ranks, curve.ranks_per_node));
  }
  HELM_ASSIGN_OR_RETURN(curve.points, ReadPoints(object, context));
  return curve;
}

Status ReadReference(const Json& document, const std::string& file, CollectiveTable& table) {
  HELM_ASSIGN_OR_RETURN(const double nvlink, JsonDouble(document, "nvlink_gbytes_per_s", file));
  HELM_ASSIGN_OR_RETURN(const double network, JsonDouble(document, "network_gbits_per_s", file));
  HELM_ASSIGN_OR_RETURN(const double latency, JsonDouble(document, "network_latency_us", file));
  if (nvlink <= 0 || network <= 0 || latency < 0) {
    return InvalidError(file + ": 'nvlink_gbytes_per_s' and 'network_gbits_per_s' must be positive, 'network_latency_us' not negative");
  }
  cluster::Cluster& reference = table.reference;
  reference.name = table.device;
  reference.device.name = table.device;
  reference.device.architecture = table.architecture;
  reference.devices_per_node = kDevicesPerNode;
  reference.intra_node = {"nvswitch", BytesPerSecond::Gigabytes(nvlink)};
  reference.inter_node = {kDevicesPerNode, BytesPerSecond::Gigabits(network), "infiniband", Duration::Microseconds(latency)};
  return OkStatus();
}

Status ReadCurves(const Json& document, const std::string& file, CollectiveTable& table) {
  HELM_ASSIGN_OR_RETURN(const Json* sources, JsonArray(document, "sources", file));
  for (const Json& source : *sources) {
    if (!source.is_string()) return InvalidError(file + ": 'sources' must hold texts");
    table.sources.push_back(source.get<std::string>());
  }
  HELM_ASSIGN_OR_RETURN(const Json* curves, JsonArray(document, "curves", file));
  for (size_t i = 0; i < curves->size(); ++i) {
    const std::string context = fmt::format("{}: curves {}", file, i);
    HELM_ASSIGN_OR_RETURN(CollectiveCurve curve, ReadCurve((*curves)[i], context));
    const bool again = std::ranges::any_of(table.curves, [&](const CollectiveCurve& other) {
      return other.kind == curve.kind && other.ranks == curve.ranks && other.ranks_per_node == curve.ranks_per_node;
    });
    if (again) return InvalidError(fmt::format("{}: a second curve of {} over {} ranks", context, curve.kind, curve.ranks));
    table.curves.push_back(std::move(curve));
  }
  return OkStatus();
}

}  // namespace

Result<CollectiveTable> ParseCollectiveTable(std::string_view text, const std::string& file) {
  HELM_ASSIGN_OR_RETURN(const Json document, ParseJson(text, file));
  HELM_RETURN_IF_ERROR(CheckKeys(document,
                                 {"format", "device", "architecture", "nvlink_gbytes_per_s", "network_gbits_per_s", "network_latency_us",
                                  "licence", "sources", "made_by", "curves"},
                                 file));
  HELM_ASSIGN_OR_RETURN(const std::string format, JsonString(document, "format", file));
  if (format != kCollectiveTableFormat)
    return InvalidError(fmt::format("{}: format is '{}'; allowed: '{}'", file, format, kCollectiveTableFormat));
  for (const char* key : {"licence", "made_by"}) HELM_RETURN_IF_ERROR(JsonString(document, key, file).status());
  CollectiveTable table;
  HELM_ASSIGN_OR_RETURN(table.device, JsonString(document, "device", file));
  HELM_ASSIGN_OR_RETURN(table.architecture, JsonString(document, "architecture", file));
  HELM_RETURN_IF_ERROR(ReadReference(document, file, table));
  HELM_RETURN_IF_ERROR(ReadCurves(document, file, table));
  return table;
}

const std::vector<CollectiveTable>& BuiltinCollectiveTables() {
  // A constant of the program that takes a moment to read; never written again.
  static const std::vector<CollectiveTable> tables = [] {
    std::vector<CollectiveTable> parsed;
    for (const EmbeddedTable& embedded : EmbeddedCollectiveTables()) {
      auto table = ParseCollectiveTable(embedded.text, fmt::format("traces/collectives/{}.json", embedded.name));
      HELM_CHECK(table.ok(), table.status().message().c_str());
      parsed.push_back(*std::move(table));
    }
    return parsed;
  }();
  return tables;
}

}  // namespace helm::cost
