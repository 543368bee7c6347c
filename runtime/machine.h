// Machine: what this computer has, and how this process measures itself. No torch type is visible here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cluster/gpu_facts.h"
#include "core/status.h"
#include "core/units.h"

namespace helm::runtime {

struct MachineDescription {
  std::string hostname;
  std::string cpu_name;
  int64_t cpu_cores = 0;  // that this process may use
  Bytes memory;           // likewise
  std::vector<cluster::GpuFacts> gpus;
  std::string driver_version;  // empty without a GPU
  std::string torch_version;
};

Result<MachineDescription> DescribeMachine();

}  // namespace helm::runtime
