#include "runtime/machine.h"

#include <unistd.h>

#include <climits>

#include <torch/version.h>

#include "cluster/machine_facts.h"

namespace helm::runtime {

Result<MachineDescription> DescribeMachine() {
  HELM_ASSIGN_OR_RETURN(cluster::MachineFacts facts, cluster::ReadMachineFacts());
  MachineDescription machine;
  char hostname[HOST_NAME_MAX + 1] = {};
  if (gethostname(hostname, sizeof hostname - 1) == 0) machine.hostname = hostname;
  machine.cpu_name = std::move(facts.cpu_name);
  machine.cpu_cores = facts.cpu_cores;
  machine.memory = facts.memory;
  machine.gpus = std::move(facts.gpus);
  if (!machine.gpus.empty()) machine.driver_version = cluster::NvidiaDriverVersion();
  machine.torch_version = TORCH_VERSION;
  return machine;
}

}  // namespace helm::runtime
