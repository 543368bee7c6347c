// Row: a run that somebody measured and published, of a `helm-validation/1` file: what was run, in the words of its source, and what was
// measured. Not yet a run configuration: validation/dialect.h translates it.
//
// Invariant: a row whose form is wrong is kept, with `problem` saying why, so that it is counted; only a file that is no suite at all is an
// error.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/located_yaml.h"
#include "core/status.h"

namespace helm::validation {

enum class MemoryKind : uint8_t { kAllocated, kReserved, kDevice, kUnstated };
inline constexpr size_t kMemoryKinds = 4;
std::string_view Name(MemoryKind kind);  // "allocated", "reserved", "device", "unstated"

enum class MemoryRank : uint8_t { kFirst, kLast, kMax };  // which pipeline stage was read; kMax: the fullest rank

struct MeasuredMemory {
  MemoryKind kind = MemoryKind::kUnstated;
  MemoryRank rank = MemoryRank::kMax;
  double gib = 0;
};

struct Measured {
  std::optional<double> step_time_s;
  bool out_of_memory = false;
  std::vector<MeasuredMemory> memory;  // the published peak, and what is reserved where it is given beside it
};

struct Row {
  std::string id;
  std::string source;  // name of the file, without folder and ending
  std::string source_title;
  bool complete = false;
  std::vector<std::string> missing;
  std::vector<std::string> assumed;
  std::string notes;
  Measured measured;
  YamlValue cluster, model, workload, strategy, software;
  YamlValue published;  // `measured` as it stands in the file
  std::string problem;  // why the row cannot be read; empty when it can
};

// Rows of the file (YAML, or JSON by the ending of its name), in its order.
Result<std::vector<Row>> ReadSuite(const std::string& path);
Result<std::vector<Row>> ParseSuite(std::string_view text, const std::string& path);

}  // namespace helm::validation
