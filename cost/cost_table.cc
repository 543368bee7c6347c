#include "cost/cost_table.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/counted.h"
#include "core/diagnostics.h"
#include "core/file.h"
#include "core/file_kind.h"
#include "core/file_lock.h"
#include "core/json.h"
#include "core/text.h"

namespace helm::cost {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kCostTableFormat = "helm-cost-table/1";
constexpr std::string_view kCostTableFormatPairs = "helm-cost-table/2";  // with 'pairs', which readers of /1 do not know
constexpr size_t kProblemsShown = 100;                                   // rows of a table of another version may all be wrong

Json ToJson(const Measurement& measurement) {
  Json row = {{"median_us", measurement.median.microseconds()},
              {"mean_us", measurement.mean.microseconds()},
              {"quartile_lower_us", measurement.quartile_lower.microseconds()},
              {"quartile_upper_us", measurement.quartile_upper.microseconds()},
              {"samples", measurement.samples},
              {"workspace_bytes", measurement.workspace.count()}};
  if (measurement.ranks_wait) row["ranks_wait_us"] = measurement.ranks_wait->microseconds();
  if (measurement.launch) row["launch_us"] = measurement.launch->microseconds();
  if (measurement.clock_megahertz) row["clock_mhz"] = *measurement.clock_megahertz;
  for (const KernelMeasurement& kernel : measurement.kernels) {
    row["kernels"].push_back({{"name", kernel.name}, {"blocks", kernel.blocks}, {"us", kernel.duration.microseconds()}});
  }
  return row;
}

Json ToJson(const PairMeasurement& pair) {
  return {{"op_runs", pair.op_runs},
          {"collective_runs", pair.collective_runs},
          {"op_alone_us", pair.op_alone.microseconds()},
          {"collective_alone_us", pair.collective_alone.microseconds()},
          {"op_beside_us", pair.op_beside.microseconds()},
          {"collective_beside_us", pair.collective_beside.microseconds()},
          {"samples", pair.samples}};
}

bool IsTime(const Json& value) { return value.is_number() && value.get<double>() >= 0 && value.get<double>() < 9e12; }
bool IsCount(const Json& value) { return value.is_number_integer() && value.get<int64_t>() >= 0; }

bool IsKernel(const Json& value) {
  return value.is_object() && value.size() == 3 && value.contains("name") && value["name"].is_string() && value.contains("blocks") &&
         IsCount(value["blocks"]) && value.contains("us") && IsTime(value["us"]);
}

template <typename Row>
Json ToJson(const std::map<std::string, Row>& rows) {
  Json object = Json::object();
  for (const auto& [key, row] : rows) object[key] = ToJson(row);
  return object;
}

// Reads one document; every problem goes to the diagnostics with the line of the row it is in.
class TableReader {
 public:
  TableReader(std::string_view text, std::string_view file)
      : text_(text), source_(std::make_shared<const SourceText>(std::string(file), text)) {}

  Result<CostTable> Read() {
    HELM_ASSIGN_OR_RETURN(const Json document, ParseJson(text_, source_->file()));
    const Location top{source_, 1, 1};
    if (!CheckFormat(document, top)) return diagnostics_.ToStatus();
    std::vector<std::string> required = {"format", "device", "ops", "collectives", "stamp"};
    if (document["format"] == kCostTableFormatPairs) required.emplace_back("pairs");
    CheckFields(document, required, {"host"}, top);
    if (const Json* device = Object(document, "device")) ReadDevice(*device);
    if (const Json* host = document.contains("host") ? Object(document, "host") : nullptr) ReadHost(*host);
    if (const Json* ops = Object(document, "ops")) ReadRows(*ops, table_.ops, CheckOpKey, RowProblem, ReadRow);
    if (const Json* collectives = Object(document, "collectives")) {
      ReadRows(*collectives, table_.collectives, CheckCollectiveKey, RowProblem, ReadRow);
    }
    if (const Json* pairs = Object(document, "pairs")) ReadRows(*pairs, table_.pairs, CheckPairKey, PairProblem, ReadPair);
    if (const Json* stamp = Object(document, "stamp")) table_.stamp = *stamp;
    if (!diagnostics_.ok()) return diagnostics_.ToStatus();
    table_.file = source_->file();
    return std::move(table_);
  }

 private:
  // The place of a key: keys of rows are unique in the file, so searching the text finds the row.
  Location PlaceOf(const std::string& key) const {
    const size_t offset = text_.find(Json(key).dump());
    return offset == std::string_view::npos ? Location{source_, 1, 1} : LocationOfOffset(source_, text_, offset);
  }

  bool CheckFormat(const Json& document, const Location& top) {
    const bool known = document.is_object() && document.contains("format") &&
                       (document["format"] == kCostTableFormat || document["format"] == kCostTableFormatPairs);
    if (known) return true;
    const bool says = document.is_object() && document.contains("format") && document["format"].is_string();
    if (says && !document["format"].get<std::string>().starts_with("helm-cost-table/")) {
      const FileKind kind = KindOfFormat(document["format"].get<std::string>());
      diagnostics_.Error(top, "this is " + kind.name + ", not a cost table", {kind.taker.empty() ? "" : "fix: " + kind.taker});
      return false;
    }
    const std::string found = document.is_object() && document.contains("format") ? document["format"].dump() : "none";
    diagnostics_.Error(
        top, fmt::format("not a cost table of a known version: format is {}", found),
        {fmt::format("allowed: \"{}\", \"{}\"", kCostTableFormat, kCostTableFormatPairs), "fix: write the table again with helm-profile"});
    return false;
  }

  void CheckFields(const Json& object, const std::vector<std::string>& required, const std::vector<std::string>& optional,
                   const Location& where) {
    std::vector<std::string> allowed = required;
    allowed.insert(allowed.end(), optional.begin(), optional.end());
    for (const auto& [key, value] : object.items()) {
      if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) continue;
      const auto meant = DidYouMean(key, allowed);
      diagnostics_.Error(PlaceOf(key), fmt::format("unknown key '{}'{}", key, meant ? fmt::format("; did you mean '{}'?", *meant) : ""),
                         {"allowed: " + Join(allowed, ", ")});
    }
    for (const std::string& key : required) {
      if (!object.contains(key)) diagnostics_.Error(where, fmt::format("missing key '{}'", key));
    }
  }

  const Json* Object(const Json& parent, const char* key) {
    if (!parent.contains(key)) return nullptr;  // said by CheckFields
    if (parent[key].is_object()) return &parent[key];
    diagnostics_.Error(PlaceOf(key), fmt::format("'{}' is {}; it must be an object", key, parent[key].type_name()));
    return nullptr;
  }

  int64_t Integer(const Json& object, const char* key, int64_t least, const Location& where) {
    if (!object.contains(key)) return 0;
    const Json& value = object[key];
    if (value.is_number_integer() && value.get<int64_t>() >= least) return value.get<int64_t>();
    diagnostics_.Error(where, fmt::format("'{}' is {}; it must be a whole number of at least {}", key, value.dump(), least));
    return 0;
  }

  Duration Microseconds(const Json& object, const char* key, const Location& where) {
    if (!object.contains(key)) return {};
    const Json& value = object[key];
    if (value.is_number() && value.get<double>() >= 0 && value.get<double>() < 9e12) return Duration::Microseconds(value.get<double>());
    diagnostics_.Error(where, fmt::format("'{}' is {}; it must be a time in microseconds, not negative", key, value.dump()));
    return {};
  }

  void ReadDevice(const Json& object) {
    const Location where = PlaceOf("device");
    CheckFields(object, {"kind", "name", "threads_per_rank", "ranks_per_machine"}, {"network"}, where);
    cost::DeviceKey& device = table_.device;
    for (auto [key, target] : {std::pair{"kind", &device.kind}, std::pair{"name", &device.name}, std::pair{"network", &device.network}}) {
      if (!object.contains(key)) continue;
      if (object[key].is_string()) {
        *target = object[key].get<std::string>();
      } else {
        diagnostics_.Error(where, fmt::format("'{}' is {}; it must be a text", key, object[key].dump()));
      }
    }
    if (table_.device.kind != "cpu" && table_.device.kind != "cuda" && !table_.device.kind.empty()) {
      diagnostics_.Error(where, fmt::format("unknown kind of device '{}'", table_.device.kind), {"allowed: cpu, cuda"});
    }
    table_.device.threads_per_rank = Integer(object, "threads_per_rank", 1, where);
    table_.device.ranks_per_machine = Integer(object, "ranks_per_machine", 1, where);
  }

  void ReadHost(const Json& object) {
    const Location where = PlaceOf("host");
    CheckFields(object, {"per_op_us", "per_collective_us", "per_wait_us"}, {}, where);
    table_.host = HostMeasurement{Microseconds(object, "per_op_us", where), Microseconds(object, "per_collective_us", where),
                                  Microseconds(object, "per_wait_us", where)};
  }

  template <typename Row>
  void ReadRows(const Json& object, std::map<std::string, Row>& rows, Status (*check_key)(const std::string&),
                std::optional<std::string> (*problem_of)(const Json&), Row (*read)(const Json&)) {
    size_t problems = 0;
    for (const auto& [key, row] : object.items()) {
      const Status key_status = check_key(key);
      const auto problem = !key_status.ok()   ? "the key of this row cannot be read: " + key_status.message()
                           : !row.is_object() ? fmt::format("a row is {}; it must be an object", row.type_name())
                                              : problem_of(row);
      if (!problem) {
        rows.emplace(key, read(row));
      } else if (++problems <= kProblemsShown) {
        diagnostics_.Error(PlaceOf(key), *problem);  // searches the text: for every row of a large table it would take quadratic time
      }
    }
    if (problems <= kProblemsShown) return;
    diagnostics_.Error({source_, 0, 0}, fmt::format("{} more rows cannot be read either", problems - kProblemsShown));
  }

  // What is wrong with a row, before its values are read.
  static std::optional<std::string> RowProblem(const Json& row) {
    for (const auto& item : row.items()) {
      const auto is_field = [&](const auto& fields) { return std::ranges::find(fields, item.key()) != fields.end(); };
      if (is_field(kRowFields) || is_field(kGpuRowFields) || item.key() == kCpuRowField) continue;
      return fmt::format("unknown key '{}' in a row; allowed: {}, of a CPU {}, and of a GPU {}", item.key(), fmt::join(kRowFields, ", "),
                         kCpuRowField, fmt::join(kGpuRowFields, ", "));
    }
    for (const std::string_view field : kRowFields) {
      const auto value = row.find(field);
      if (value == row.end()) return fmt::format("a row without '{}'", field);
      const bool whole = field == "samples" || field == "workspace_bytes";
      if (!(whole ? IsCount(*value) : IsTime(*value)))
        return fmt::format("'{}' is {}; it must be a {} that is not negative", field, value->dump(), whole ? "whole number" : "time");
    }
    for (const char* field : {"ranks_wait_us", "launch_us"}) {
      if (!row.contains(field) || IsTime(row[field])) continue;
      return fmt::format("'{}' is {}; it must be a time that is not negative", field, row[field].dump());
    }
    if (row.contains("clock_mhz") && !IsTime(row["clock_mhz"])) return "'clock_mhz' must be a number that is not negative";
    if (row.contains("kernels") && !(row["kernels"].is_array() && std::ranges::all_of(row["kernels"], IsKernel))) {
      return "'kernels' must be a list of {\"name\": text, \"blocks\": whole number, \"us\": time}";
    }
    return std::nullopt;
  }

  static std::optional<std::string> PairProblem(const Json& row) {
    for (const auto& item : row.items()) {
      if (std::ranges::find(kPairFields, item.key()) != kPairFields.end()) continue;
      return fmt::format("unknown key '{}' in a row of a pair; allowed: {}", item.key(), fmt::join(kPairFields, ", "));
    }
    for (const std::string_view field : kPairFields) {
      const auto value = row.find(field);
      if (value == row.end()) return fmt::format("a row of a pair without '{}'", field);
      const bool is_time = field.ends_with("_us");
      if ((is_time ? IsTime(*value) && Duration::Microseconds(value->get<double>()) > Duration()
                   : IsCount(*value) && value->get<int64_t>() > 0)) {
        continue;
      }
      return fmt::format("'{}' is {}; it must be a {} above zero", field, value->dump(), is_time ? "time" : "whole number");
    }
    return std::nullopt;
  }

  static PairMeasurement ReadPair(const Json& row) {
    const auto time = [&](const char* field) { return Duration::Microseconds(row[field].get<double>()); };
    return {row["op_runs"].get<int64_t>(), row["collective_runs"].get<int64_t>(), time("op_alone_us"),          time("collective_alone_us"),
            time("op_beside_us"),          time("collective_beside_us"),          row["samples"].get<int64_t>()};
  }

  static Measurement ReadRow(const Json& row) {
    Measurement measurement = ReadRequired(row);
    if (row.contains("ranks_wait_us")) measurement.ranks_wait = Duration::Microseconds(row["ranks_wait_us"].get<double>());
    if (row.contains("launch_us")) measurement.launch = Duration::Microseconds(row["launch_us"].get<double>());
    if (row.contains("clock_mhz")) measurement.clock_megahertz = row["clock_mhz"].get<double>();
    if (!row.contains("kernels")) return measurement;
    for (const Json& kernel : row["kernels"]) {
      measurement.kernels.push_back(
          {kernel["name"].get<std::string>(), kernel["blocks"].get<int64_t>(), Duration::Microseconds(kernel["us"].get<double>())});
    }
    return measurement;
  }

  static Measurement ReadRequired(const Json& row) {
    return {Duration::Microseconds(row["median_us"].get<double>()),
            Duration::Microseconds(row["quartile_lower_us"].get<double>()),
            Duration::Microseconds(row["quartile_upper_us"].get<double>()),
            row["samples"].get<int64_t>(),
            Bytes(row["workspace_bytes"].get<int64_t>()),
            Duration::Microseconds(row["mean_us"].get<double>())};
  }

  static Status CheckOpKey(const std::string& key) {
    const auto signature = ir::ParseOpSignature(key);
    if (!signature.ok()) return signature.status();
    if (ir::ToText(*signature) != key) return InvalidError("it is not in the form that HELM writes: " + ir::ToText(*signature));
    return OkStatus();
  }
  static Status CheckCollectiveKey(const std::string& key) { return ir::ParseCollectiveSignature(key).status(); }
  static Status CheckPairKey(const std::string& key) {
    const auto signature = ParsePairSignature(key);
    if (!signature.ok()) return signature.status();
    if (ToText(*signature) != key) return InvalidError("it is not in the form that HELM writes: " + ToText(*signature));
    return OkStatus();
  }

  static constexpr std::array<std::string_view, 6> kRowFields = {"median_us",         "mean_us", "quartile_lower_us",
                                                                 "quartile_upper_us", "samples", "workspace_bytes"};
  static constexpr std::string_view kCpuRowField = "ranks_wait_us";
  static constexpr std::array<std::string_view, 3> kGpuRowFields = {"launch_us", "clock_mhz", "kernels"};
  static constexpr std::array<std::string_view, 7> kPairFields = {
      "op_runs", "collective_runs", "op_alone_us", "collective_alone_us", "op_beside_us", "collective_beside_us", "samples"};
  std::string_view text_;
  std::shared_ptr<const SourceText> source_;
  Diagnostics diagnostics_;
  CostTable table_;
};

}  // namespace

std::string ToText(const DeviceKey& key) {
  if (key.kind != "cpu") return fmt::format("{} '{}'", key.kind, key.name);
  return fmt::format("{} '{}' with {} of {}{}", key.kind, key.name, Counted(key.ranks_per_machine, "rank"),
                     Counted(key.threads_per_rank, "thread"), key.network.empty() ? "" : " over a network of " + key.network);
}

bool SameDevice(const DeviceKey& a, const DeviceKey& b) {
  if (a.kind != "cpu") return a.kind == b.kind && a.name == b.name;
  return a == b;
}

nlohmann::ordered_json ToJson(const CostTable& table) {
  Json document = {{"format", table.pairs.empty() ? kCostTableFormat : kCostTableFormatPairs},
                   {"device",
                    {{"kind", table.device.kind},
                     {"name", table.device.name},
                     {"threads_per_rank", table.device.threads_per_rank},
                     {"ranks_per_machine", table.device.ranks_per_machine}}}};
  if (!table.device.network.empty()) document["device"]["network"] = table.device.network;
  if (table.host) {
    document["host"] = {{"per_op_us", table.host->per_op.microseconds()},
                        {"per_collective_us", table.host->per_collective.microseconds()},
                        {"per_wait_us", table.host->per_wait.microseconds()}};
  }
  document["ops"] = ToJson(table.ops);
  document["collectives"] = ToJson(table.collectives);
  if (!table.pairs.empty()) document["pairs"] = ToJson(table.pairs);
  document["stamp"] = table.stamp.is_null() ? Json::object() : table.stamp;
  return document;
}

Result<CostTable> ParseCostTable(std::string_view text, std::string_view file) { return TableReader(text, file).Read(); }

Result<CostTable> ReadCostTable(const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseCostTable(text, path);
}

Status WriteCostTable(const CostTable& table, const std::string& path) { return WriteJsonFile(path, ToJson(table)); }

Status ExtendCostTable(const CostTable& table, const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !FileExists(path)) return WriteCostTable(table, path);  // a device or pipe has no rows
  HELM_ASSIGN_OR_RETURN(const FileLock lock, FileLock::Take(path));
  if (!FileExists(path)) return WriteCostTable(table, path);
  HELM_ASSIGN_OR_RETURN(CostTable whole, ReadCostTable(path));
  HELM_RETURN_IF_ERROR(Merge(whole, table));
  whole.stamp = table.stamp;
  return WriteCostTable(whole, path);
}

Status Merge(CostTable& into, const CostTable& from) {
  if (!SameDevice(into.device, from.device)) {
    return InvalidError(fmt::format("{}:1:1: error: a table of {} cannot be merged into one of {}; give tables of one device only",
                                    from.file.empty() ? "cost table" : from.file, ToText(from.device), ToText(into.device)));
  }
  for (const auto& [key, row] : from.ops) into.ops[key] = row;
  for (const auto& [key, row] : from.collectives) into.collectives[key] = row;
  for (const auto& [key, row] : from.pairs) into.pairs[key] = row;
  if (from.host) into.host = from.host;
  return OkStatus();
}

}  // namespace helm::cost
