#include "importer/imported_rows.h"

#include <algorithm>

#include <fmt/format.h>

#include "cost/quartiles.h"

namespace helm::importer {
namespace {

void Add(std::map<std::string, RowSamples>& rows, const std::map<std::string, RowSamples>& others) {
  for (const auto& [key, samples] : others) {
    RowSamples& row = rows[key];
    row.times.insert(row.times.end(), samples.times.begin(), samples.times.end());
    row.measured += samples.measured;
  }
}

}  // namespace

void AddSample(ImportedRows& rows, const ir::CollectiveSignature& collective, Duration time, int64_t measured) {
  if (time <= Duration() || collective.bytes <= Bytes() || measured <= 0) return;
  RowSamples& row = rows.collectives[ir::ToText(collective)];
  row.times.push_back(time);
  row.measured += measured;
}

Status Add(ImportedRows& rows, const ImportedRows& other) {
  if (!rows.device.empty() && !other.device.empty() && rows.device != other.device) {
    return InvalidError(fmt::format("error: these files were measured on two devices, '{}' and '{}'; import them into two tables",
                                    rows.device, other.device));
  }
  if (rows.device.empty()) rows.device = other.device;
  Add(rows.ops, other.ops);
  Add(rows.collectives, other.collectives);
  rows.omissions.Add(other.omissions);
  for (const std::string& remark : other.remarks) {
    if (std::ranges::find(rows.remarks, remark) == rows.remarks.end()) rows.remarks.push_back(remark);
  }
  return OkStatus();
}

std::map<std::string, cost::Measurement> MeasurementsOf(const std::map<std::string, RowSamples>& rows) {
  std::map<std::string, cost::Measurement> measurements;
  for (const auto& [key, samples] : rows) {
    const cost::Quartiles quartiles = cost::QuartilesOf(samples.times);
    measurements.emplace(key,
                         cost::Measurement{quartiles.median, quartiles.lower, quartiles.upper, samples.measured, Bytes(), quartiles.mean});
  }
  return measurements;
}

}  // namespace helm::importer
