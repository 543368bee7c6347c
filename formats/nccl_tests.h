// NcclTests: what NVIDIA's nccl-tests (all_reduce_perf and its siblings, also RCCL's) print and, with -J, write as JSON: one run measures
// one collective over a range of sizes. Reading only, and only what the files say: which of it HELM can use, importer/ decides.
//
// Source of both forms: https://github.com/NVIDIA/nccl-tests, src/util.cu (version 2.19.6; JSON versions 1 to 3) and, of older texts, their
// published outputs. Columns are found by their names in the table's header, which differ between versions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/units.h"
#include "formats/omissions.h"

namespace helm::formats {

// Ranks on one host. In the text there is an entry for each rank; the JSON form lists the first rank of each process only, and how many
// GPUs each process drives.
struct NcclTestsRanks {
  int64_t group = 0;  // of NCCL_TESTS_SPLIT: each group runs the collective on its own, all at the same time
  std::string host;
  std::string device;  // "NVIDIA H100 80GB HBM3"
  int64_t count = 1;
  bool operator==(const NcclTestsRanks&) const = default;
};

struct NcclTestsTime {
  Duration time;                     // of one collective: the mean over the iterations
  std::vector<Duration> iterations;  // with -I 1, JSON only
  int64_t wrong_elements = 0;        // -1: not checked
  bool operator==(const NcclTestsTime&) const = default;
};

struct NcclTestsRow {
  Bytes bytes;            // of the larger of a rank's send and receive buffers: the full tensor
  std::string type;       // "float", "bfloat16", ...
  std::string reduction;  // "sum", ...; "none" or empty where nothing is reduced
  std::optional<NcclTestsTime> out_of_place;
  std::optional<NcclTestsTime> in_place;
  std::string where;  // "FILE:LINE", or "FILE: results[3]"
  bool operator==(const NcclTestsRow&) const = default;
};

struct NcclTestsRun {
  std::string program;  // "all_reduce_perf"; empty in texts of before June 2025, which do not say it
  std::string nccl_version;
  int64_t iterations = 1;  // behind each time
  bool host_time = false;  // -C 1: the times are of the launching thread, not of the collective
  std::vector<NcclTestsRanks> ranks;
  std::vector<NcclTestsRow> rows;
  bool operator==(const NcclTestsRun&) const = default;
};

struct NcclTestsFile {
  std::vector<NcclTestsRun> runs;
  Omissions omissions;
};

// A log with the output of one or several runs; other lines (NCCL's own, a launcher's) are counted. Fails when there is no table in it.
Result<NcclTestsFile> ParseNcclTestsText(std::string_view text, const std::string& file);
// The document of -J. Fails on another version, and on a result without the fields that every version writes.
Result<NcclTestsFile> ParseNcclTestsJson(std::string_view text, const std::string& file);

}  // namespace helm::formats
