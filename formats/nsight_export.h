// NsightExport: an SQLite export of Nsight Systems (`nsys export --type sqlite report.nsys-rep`): kernels, copies, the launches that made
// them, and NVTX ranges around those. Reading only; a value that says what the file says.
//
// Tables are made only when there is something for them, so a missing one is empty. Times are nanoseconds from the earliest event. Source
// of the form: NVIDIA's "Nsight Systems Exporter: SQLite schema reference" and schemas of exports of versions 2022 to 2025.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "formats/omissions.h"

namespace helm::formats {

struct NsightWork {  // a kernel, or a copy or fill
  int64_t start_ns = 0;
  int64_t duration_ns = 0;
  int64_t process = 0;  // globalPid
  int64_t device = 0;
  int64_t stream = 0;
  int64_t correlation = 0;  // of the launch, in its process; nodes of a graph share that of the graph's launch
  int32_t name = 0;         // index into NsightExport::names
  bool copies = false;
};

struct NsightHostSpan {  // a launch (a call of the CUDA runtime or driver), or an NVTX range
  int64_t start_ns = 0;
  int64_t duration_ns = 0;
  int64_t thread = 0;       // globalTid
  int64_t correlation = 0;  // of launches
  int32_t name = 0;
};

struct NsightExport {
  std::vector<std::string> names;
  std::vector<NsightWork> work;
  std::vector<NsightHostSpan> launches;
  std::vector<NsightHostSpan> ranges;
  std::map<int64_t, std::string> gpus;  // by device number
  Omissions omissions;
};

bool IsSqlite(std::string_view content);
// The upper bits of a globalTid or globalPid: the process.
int64_t ProcessOf(int64_t global_id);

// `content`: the bytes of the database. Fails when it is damaged, lacks a column that every version has, or is no export of Nsight.
Result<NsightExport> ParseNsightExport(std::string_view content, const std::string& file);

}  // namespace helm::formats
