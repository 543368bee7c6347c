// ImportedRows: what a file of somebody else's measurements gives to a cost table (cost/cost_table.h): rows by signature, the device that
// they were measured on, and what was left out.
//
// Not a cost table yet: whoever imports several files joins their samples first, and may know better what the device is called.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/units.h"
#include "cost/cost_table.h"
#include "formats/omissions.h"
#include "ir/data_type.h"
#include "ir/signature.h"

namespace helm::importer {

// What the files may not say and the user knows.
struct ImportHints {
  std::string collective;                   // kind, "all_reduce": of texts that do not name their test
  std::optional<ir::DataType> dtype;        // of files that count bytes only
  std::optional<int64_t> devices_per_node;  // of files that list ranks without their hosts
};

// Times of one op or collective. A time may be the mean over many iterations: then it is one sample here, and `measured` counts them all.
struct RowSamples {
  std::vector<Duration> times;
  int64_t measured = 0;
};

struct ImportedRows {
  std::string device;                     // as the files name it; empty: they do not
  std::map<std::string, RowSamples> ops;  // by ir::ToText of the signature
  std::map<std::string, RowSamples> collectives;
  formats::Omissions omissions;
  std::vector<std::string> remarks;  // what a user of the rows must know, one line each, without an end
};

// A time of `collective`, the mean over `measured` runs of it. A time of zero, or no bytes, is no measurement: nothing is added.
void AddSample(ImportedRows& rows, const ir::CollectiveSignature& collective, Duration time, int64_t measured);

// Fails when the two were measured on different devices.
Status Add(ImportedRows& rows, const ImportedRows& other);

// Rows of a cost table, by quartiles of the samples.
std::map<std::string, cost::Measurement> MeasurementsOf(const std::map<std::string, RowSamples>& rows);

}  // namespace helm::importer
