// What helm-profile is to measure: for a run configuration's search, or the standard sweep; and the cluster file of a machine.
#pragma once

#include <string>

#include "core/status.h"
#include "cost/cost_table.h"
#include "profiler/profile.h"
#include "runtime/machine.h"
#include "tools/pricing.h"

namespace helm::tools {

struct ProfileWork {
  cost::DeviceKey device;
  profiler::WorkList list;
};

// An empty config path: the standard sweep, with one rank per core. A configuration for another cluster than this machine is refused.
Result<ProfileWork> WorkFor(const ConfigArguments& arguments, const std::string& device);

// kUnavailable, naming what is missing, when `device` is "cuda" and this machine has no usable GPU.
Status CheckDevice(const std::string& device);

// YAML, as `cluster:` of a run configuration takes it (docs/formats/cluster.md).
std::string ClusterFileOf(const runtime::MachineDescription& machine);

}  // namespace helm::tools
