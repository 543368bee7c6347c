#include "cost/kernel_table.h"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "core/check.h"
#include "core/json.h"
#include "cost/embedded_tables.h"

namespace helm::cost {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kKernelTableFormat = "helm-kernel-table/1";

Result<std::vector<int64_t>> Integers(const Json& array, int64_t least, const std::string& context) {
  std::vector<int64_t> values;
  values.reserve(array.size());
  for (const Json& value : array) {
    if (!value.is_number_integer() || value.get<int64_t>() < least) {
      return InvalidError(fmt::format("{} holds {}; allowed: whole numbers of at least {}", context, value.dump(), least));
    }
    values.push_back(value.get<int64_t>());
  }
  return values;
}

Result<std::vector<int64_t>> Axis(const Json& object, const char* key, const std::string& context) {
  HELM_ASSIGN_OR_RETURN(const Json* array, JsonArray(object, key, context));
  HELM_ASSIGN_OR_RETURN(std::vector<int64_t> axis, Integers(*array, 1, fmt::format("{}: '{}'", context, key)));
  if (axis.size() < 2 || std::ranges::adjacent_find(axis, std::greater_equal<>()) != axis.end()) {
    return InvalidError(fmt::format("{}: '{}' must hold two sizes or more, ascending", context, key));
  }
  return axis;
}

// The times of a grid; null where a cell was not measured.
Result<std::vector<int64_t>> Cells(const Json& object, size_t expected, const std::string& context) {
  HELM_ASSIGN_OR_RETURN(const Json* array, JsonArray(object, "nanoseconds", context));
  if (array->size() != expected) {
    return InvalidError(fmt::format("{}: 'nanoseconds' holds {} times, but m, n and k make {} cells", context, array->size(), expected));
  }
  std::vector<int64_t> cells;
  cells.reserve(expected);
  for (const Json& value : *array) {
    const bool measured = value.is_number_integer() && value.get<int64_t>() > 0;
    if (!measured && !value.is_null()) {
      return InvalidError(fmt::format("{}: 'nanoseconds' holds {}; allowed: positive whole numbers and null", context, value.dump()));
    }
    cells.push_back(measured ? value.get<int64_t>() : 0);
  }
  return cells;
}

Result<ProductTable> ReadProducts(const Json& object, const std::string& context) {
  HELM_RETURN_IF_ERROR(CheckKeys(object, {"dtype", "m", "n", "k", "nanoseconds"}, context));
  ProductTable table;
  HELM_ASSIGN_OR_RETURN(table.dtype, JsonString(object, "dtype", context));
  HELM_ASSIGN_OR_RETURN(table.m, Axis(object, "m", context));
  HELM_ASSIGN_OR_RETURN(table.n, Axis(object, "n", context));
  HELM_ASSIGN_OR_RETURN(table.k, Axis(object, "k", context));
  HELM_ASSIGN_OR_RETURN(table.nanoseconds, Cells(object, table.m.size() * table.n.size() * table.k.size(), context));
  return table;
}

Result<AttentionRow> ReadAttention(const Json& row, const std::string& context) {
  constexpr size_t kColumns = 6;
  if (!row.is_array() || row.size() != kColumns) {
    return InvalidError(fmt::format("{}: a row must be [batch, length, heads, kv_heads, head_size, nanoseconds]", context));
  }
  HELM_ASSIGN_OR_RETURN(const std::vector<int64_t> values, Integers(row, 1, context));
  return AttentionRow{values[0], values[1], values[2], values[3], values[4], values[5]};
}

Status ReadFacts(const Json& document, const std::string& file, KernelTable& table) {
  HELM_ASSIGN_OR_RETURN(table.device, JsonString(document, "device", file));
  HELM_ASSIGN_OR_RETURN(table.architecture, JsonString(document, "architecture", file));
  HELM_ASSIGN_OR_RETURN(const double gigabytes, JsonDouble(document, "memory_gbytes_per_s", file));
  HELM_ASSIGN_OR_RETURN(table.multiprocessors, JsonInt64(document, "multiprocessors", file));
  if (gigabytes <= 0 || table.multiprocessors <= 0) {
    return InvalidError(fmt::format("{}: 'memory_gbytes_per_s' and 'multiprocessors' must be positive", file));
  }
  table.memory_bandwidth = BytesPerSecond::Gigabytes(gigabytes);
  HELM_ASSIGN_OR_RETURN(const Json* peak, JsonObject(document, "peak_tflops", file));
  for (const auto& [dtype, rate] : peak->items()) {
    if (!rate.is_number() || rate.get<double>() <= 0)
      return InvalidError(fmt::format("{}: peak_tflops of '{}' must be positive", file, dtype));
    table.peak.emplace(dtype, FlopsPerSecond::Tera(rate.get<double>()));
  }
  return OkStatus();
}

Status ReadRows(const Json& document, const std::string& file, KernelTable& table) {
  HELM_ASSIGN_OR_RETURN(const Json* sources, JsonArray(document, "sources", file));
  for (const Json& source : *sources) {
    if (!source.is_string()) return InvalidError(file + ": 'sources' must hold texts");
    table.sources.push_back(source.get<std::string>());
  }
  HELM_ASSIGN_OR_RETURN(const Json* products, JsonArray(document, "products", file));
  for (size_t i = 0; i < products->size(); ++i) {
    HELM_ASSIGN_OR_RETURN(ProductTable product, ReadProducts((*products)[i], fmt::format("{}: products {}", file, i)));
    if (!table.peak.contains(product.dtype)) {
      return InvalidError(fmt::format("{}: products of '{}', but 'peak_tflops' has no such key", file, product.dtype));
    }
    table.products.push_back(std::move(product));
  }
  HELM_ASSIGN_OR_RETURN(table.attention_level, JsonDouble(document, "attention_level", file));
  if (table.attention_level <= 0) return InvalidError(file + ": 'attention_level' must be positive");
  HELM_ASSIGN_OR_RETURN(const Json* attention, JsonArray(document, "attention_forward", file));
  for (const Json& row : *attention) {
    HELM_ASSIGN_OR_RETURN(const AttentionRow read, ReadAttention(row, file + ": attention_forward"));
    table.attention_forward.push_back(read);
  }
  return OkStatus();
}

}  // namespace

Result<KernelTable> ParseKernelTable(std::string_view text, const std::string& file) {
  HELM_ASSIGN_OR_RETURN(const Json document, ParseJson(text, file));
  HELM_RETURN_IF_ERROR(CheckKeys(document,
                                 {"format", "device", "architecture", "peak_tflops", "memory_gbytes_per_s", "multiprocessors", "licence",
                                  "sources", "made_by", "products", "attention_forward", "attention_level"},
                                 file));
  HELM_ASSIGN_OR_RETURN(const std::string format, JsonString(document, "format", file));
  if (format != kKernelTableFormat) return InvalidError(fmt::format("{}: format is '{}'; allowed: '{}'", file, format, kKernelTableFormat));
  for (const char* key : {"licence", "made_by"}) HELM_RETURN_IF_ERROR(JsonString(document, key, file).status());
  KernelTable table;
  HELM_RETURN_IF_ERROR(ReadFacts(document, file, table));
  HELM_RETURN_IF_ERROR(ReadRows(document, file, table));
  return table;
}

const std::vector<KernelTable>& BuiltinKernelTables() {
  // A constant of the program that takes a moment to read; never written again.
  static const std::vector<KernelTable> tables = [] {
    std::vector<KernelTable> parsed;
    for (const EmbeddedTable& embedded : EmbeddedKernelTables()) {
      auto table = ParseKernelTable(embedded.text, fmt::format("traces/kernels/{}.json", embedded.name));
      HELM_CHECK(table.ok(), table.status().message().c_str());
      parsed.push_back(*std::move(table));
    }
    return parsed;
  }();
  return tables;
}

namespace {

template <typename Has>
const KernelTable* TableFor(std::string_view device, std::string_view architecture, const Has& has) {
  const KernelTable* relative = nullptr;
  for (const KernelTable& table : BuiltinKernelTables()) {
    if (!has(table)) continue;
    if (table.device == device) return &table;
    if (relative == nullptr && table.architecture == architecture) relative = &table;
  }
  return relative;
}

}  // namespace

const KernelTable* ProductTablesFor(std::string_view device, std::string_view architecture) {
  return TableFor(device, architecture, [](const KernelTable& table) { return !table.products.empty(); });
}

const KernelTable* AttentionTableFor(std::string_view device, std::string_view architecture) {
  return TableFor(device, architecture, [](const KernelTable& table) { return !table.attention_forward.empty(); });
}

}  // namespace helm::cost
