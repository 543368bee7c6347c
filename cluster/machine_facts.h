// MachineFacts: what `{local: N}` needs to know about this computer. Read from /proc, the scheduler and the GPU driver; no torch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/gpu_facts.h"
#include "core/status.h"
#include "core/units.h"

namespace helm::cluster {

struct MachineFacts {
  std::string cpu_name;   // `model name` of /proc/cpuinfo, "unknown CPU" where there is none
  int64_t cpu_cores = 0;  // that this process may use (affinity mask and cgroup quota)
  Bytes memory;           // that this process may use: the machine's or its cgroup's limit, whichever is less
  // Coarse, for analytic estimates only, where nothing was measured: of all `cpu_cores` together. See machine_facts.cc for how.
  FlopsPerSecond peak;
  BytesPerSecond memory_bandwidth;
  std::vector<GpuFacts> gpus;  // empty without a GPU
  bool operator==(const MachineFacts&) const = default;
};

Result<MachineFacts> ReadMachineFacts();

// The parts of it, from the texts of /proc/cpuinfo and /proc/meminfo.
std::string CpuNameFrom(std::string_view cpuinfo);
FlopsPerSecond CorePeakFrom(std::string_view cpuinfo);
Result<Bytes> MemoryFrom(std::string_view meminfo);

}  // namespace helm::cluster
