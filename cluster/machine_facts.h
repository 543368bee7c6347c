// MachineFacts: what `{local: N}` needs to know about this computer. Read from /proc and the scheduler; no torch, no GPU library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"
#include "core/units.h"

namespace helm::cluster {

struct MachineFacts {
  std::string cpu_name;   // as /proc/cpuinfo says, blanks collapsed
  int64_t cpu_cores = 0;  // that this process may use (affinity mask and cgroup quota)
  Bytes memory;           // that this process may use: the machine's or its cgroup's limit, whichever is less
  bool operator==(const MachineFacts&) const = default;
};

Result<MachineFacts> ReadMachineFacts();

// The parts of it, for tests: texts of /proc/cpuinfo, /proc/meminfo.
std::string CpuNameFrom(std::string_view cpuinfo);
Result<Bytes> MemoryFrom(std::string_view meminfo);

}  // namespace helm::cluster
