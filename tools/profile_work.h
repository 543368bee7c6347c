// What helm-profile is to measure: for a run configuration's search, or the standard sweep; and the cluster file of a machine.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "core/status.h"
#include "cost/cost_table.h"
#include "profiler/profile.h"
#include "tools/pricing.h"

namespace helm::tools {

struct ProfileWork {
  cost::DeviceKey device;
  int64_t ranks = 1;                     // that measure at the same time: one for each GPU, or as many as share the cores
  std::optional<cluster::Link> network;  // between the ranks, emulated
  profiler::WorkList list;
  std::string gpu_pci_bus_id;      // of the first GPU; empty on a CPU
  std::vector<std::string> notes;  // what is left out, and why
};

// An empty config path: the standard sweep, on the CPU with one rank per core. A configuration for another cluster than this machine is
// refused, unless this machine has the cluster's kind of GPU: then its ops are measured, on one GPU, and its collectives are not.
// `device`: "cpu", "cuda", or empty for what the configuration runs on. kUnavailable, naming what is missing, when a GPU is asked for and
// this machine has none.
// `pairs_limit`: the most pairs of an op and a collective; none: no pairs, which need a configuration.
Result<ProfileWork> WorkFor(const ConfigArguments& arguments, const std::string& device, std::optional<int64_t> pairs_limit = {});

// This machine as a cluster file (docs/formats/cluster.md): its GPUs and their links, or its cores; with comments for people.
Result<std::string> ClusterFileOfThisMachine();

}  // namespace helm::tools
