#include "tools/profile_work.h"

#include <fmt/format.h>

#include "cluster/machine_facts.h"
#include "core/located_yaml.h"
#include "cost/chain.h"
#include "planner/evaluate.h"
#include "planner/memory_bound.h"
#include "planner/space.h"
#include "profiler/standard_sweep.h"

namespace helm::tools {
namespace {

Result<ProfileWork> WorkForConfig(const ConfigArguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const config::RunConfig config, ReadConfig(arguments));
  if (!config.cluster.local) {
    return UnavailableError(
        fmt::format("{}: error: this configuration is for {}, not for this machine\n"
                    "  fix: run helm-profile on a node of that cluster with `cluster: {{local: N}}`",
                    config.path, config.cluster.name));
  }
  const planner::Space space = planner::EnumerateStrategies(config);
  if (space.candidates.empty()) {
    return InvalidError(
        fmt::format("{}: error: no strategy is possible, so there is nothing to measure; `helm-plan --explain` says why", config.path));
  }
  std::vector<ir::Plan> plans;
  for (const ir::Strategy& strategy : space.candidates) {
    plans.push_back(planner::MakePlan(config, strategy));
    // What the search puts in its place when it cannot fit.
    const auto sharded = planner::FullySharded(config, strategy);
    const bool fits = planner::MemoryLowerBound(config.model, config.workload, strategy) <=
                      planner::MemoryCapacity(config.cluster, config.search.memory_fraction);
    if (sharded && !fits) plans.push_back(planner::MakePlan(config, *sharded));
  }
  HELM_ASSIGN_OR_RETURN(planner::CostQueries queries, planner::CostQueriesOf(plans, config.cluster));
  return ProfileWork{cost::DeviceKeyOf(config.cluster), {std::move(queries.ops), std::move(queries.collectives)}};
}

// One rank per core: how this machine is used when all of it is.
Result<ProfileWork> StandardWork() {
  HELM_ASSIGN_OR_RETURN(const auto machine, cluster::ReadMachineFacts());
  const cost::DeviceKey device{"cpu", machine.cpu_name, 1, machine.cpu_cores};
  HELM_ASSIGN_OR_RETURN(auto list, profiler::StandardSweep(machine.cpu_cores));
  return ProfileWork{device, std::move(list)};
}

}  // namespace

Result<ProfileWork> WorkFor(const ConfigArguments& arguments, const std::string& device) {
  HELM_ASSIGN_OR_RETURN(ProfileWork work, arguments.path.empty() ? StandardWork() : WorkForConfig(arguments));
  if (work.device.kind != device) {
    return InvalidError(fmt::format("error: the configuration runs on {}, but --device is {}", work.device.kind, device));
  }
  return work;
}

Status CheckDevice(const std::string& device) {
  if (device != "cuda") return OkStatus();
  HELM_ASSIGN_OR_RETURN(const auto machine, runtime::DescribeMachine());
  if (machine.gpus.empty()) {
    return UnavailableError(
        "error: --device cuda: this machine has no usable GPU\n  found: no NVIDIA driver, or a driver without a device\n"
        "  fix: run on a machine with an NVIDIA GPU, or use --device cpu");
  }
  return UnavailableError("error: --device cuda: this version measures CPUs only\n  fix: use --device cpu");
}

std::string ClusterFileOf(const runtime::MachineDescription& machine) {
  nlohmann::ordered_json description;
  description["local"] = machine.gpus.empty() ? machine.cpu_cores : static_cast<int64_t>(machine.gpus.size());
  std::string text = fmt::format("# {}: {}, {} cores, {:.1f} GiB of memory; torch {}\n", machine.hostname, machine.cpu_name,
                                 machine.cpu_cores, machine.memory.gibibytes(), machine.torch_version);
  for (const runtime::GpuDescription& gpu : machine.gpus) {
    text += fmt::format("# GPU: {}, {} SMs, {:.1f} GiB, compute capability {}.{}; driver {}\n", gpu.name, gpu.multiprocessors,
                        gpu.memory.gibibytes(), gpu.compute_capability_major, gpu.compute_capability_minor, machine.driver_version);
  }
  if (machine.gpus.empty()) text += "# no GPU\n";
  return text + "cluster:\n  " + EmitYaml(description);
}

}  // namespace helm::tools
