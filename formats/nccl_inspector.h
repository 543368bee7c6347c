// NcclInspector: the records that NCCL's Inspector plugin writes while a program runs: each collective of each communicator, as one rank
// saw it, one JSON object a line. Reading only, and only what the files say.
//
// Source of the form: https://github.com/NVIDIA/nccl, plugins/profiler/inspector (inspector_json.cc, README.md), output format v4.0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/units.h"
#include "formats/omissions.h"

namespace helm::formats {

struct InspectorRecord {
  std::string communicator;  // a hash; the same on all of its ranks
  std::string host;
  int64_t rank = 0;  // in the communicator
  int64_t ranks = 1;
  int64_t nodes = 1;
  std::string operation;  // "AllReduce", ...; of a message "Send", "Recv"
  bool message = false;   // point to point
  int64_t sequence = 0;   // of the operation in the communicator
  Bytes bytes;            // count argument x size of an element: what one rank gives to AllGather, or gets from ReduceScatter
  Duration time;          // whole microseconds
  std::string timing;     // "kernel_gpu", "kernel_cpu", "collective_cpu"; empty in files of before
  std::string where;      // "FILE:LINE"
  bool operator==(const InspectorRecord&) const = default;
};

struct InspectorDump {
  std::vector<InspectorRecord> records;
  Omissions omissions;
};

// Lines that are no records (a file that was cut off) are counted. Fails when none is.
Result<InspectorDump> ParseInspectorDump(std::string_view text, const std::string& file);

}  // namespace helm::formats
