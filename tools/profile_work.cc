#include "tools/profile_work.h"

#include <cstdlib>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "cluster/cluster_reader.h"
#include "cluster/device_groups.h"
#include "cluster/machine_facts.h"
#include "core/diagnostics.h"
#include "core/file.h"
#include "core/json.h"
#include "core/located_yaml.h"
#include "core/preset.h"
#include "cost/chain.h"
#include "planner/cost_queries.h"
#include "planner/evaluate.h"
#include "planner/memory_bound.h"
#include "planner/pair_queries.h"
#include "planner/space.h"
#include "profiler/standard_sweep.h"
#include "runtime/gpu_state.h"
#include "runtime/machine.h"
#include "tools/terminal.h"

namespace helm::tools {
namespace {

Status NoGpu() {
  return UnavailableError(
      "error: --device cuda: this machine has no usable GPU\n  found: no NVIDIA driver, or a driver without a device\n"
      "  fix: run on a machine with an NVIDIA GPU, or use --device cpu");
}

// All that the search of `config` may simulate.
Result<std::vector<ir::Plan>> PlansFor(const config::RunConfig& config) {
  const planner::Space space = planner::EnumerateStrategies(config);
  if (space.candidates.empty()) {
    return InvalidError(
        fmt::format("{}: error: no strategy is possible, so there is nothing to measure; `helm-plan --explain` says why", config.path));
  }
  std::vector<ir::Plan> plans;
  for (const ir::Strategy& strategy : space.candidates) {
    plans.push_back(planner::MakePlan(config, strategy));
    for (const ir::Strategy& variant : planner::OverlapVariants(config, strategy).candidates) {
      plans.push_back(planner::MakePlan(config, variant));
    }
    // What the search puts in its place when it cannot fit.
    const auto sharded = planner::FullySharded(config, strategy);
    const bool fits = planner::MemoryLowerBound(config.model, config.workload, config.software, strategy) <=
                      planner::MemoryCapacity(config.cluster, config.search.memory_fraction);
    if (sharded && !fits) plans.push_back(planner::MakePlan(config, *sharded));
  }
  return plans;
}

Result<profiler::WorkList> ListFor(const std::vector<ir::Plan>& plans, const cluster::Cluster& cluster) {
  HELM_ASSIGN_OR_RETURN(planner::CostQueries queries, planner::CostQueriesOf(plans, cluster));
  profiler::WorkList work{.collectives = std::move(queries.collectives)};
  for (auto& [signature, load] : queries.ops) work.ops.push_back({std::move(signature), load});
  return work;
}

// With the loads of the ops in `work`.
Status AddPairs(const std::vector<ir::Plan>& plans, const cluster::Cluster& cluster, int64_t limit, ProfileWork& work) {
  HELM_ASSIGN_OR_RETURN(planner::PairQueries queries, planner::PairQueriesOf(plans, cluster, limit));
  std::map<std::string, ir::DeviceLoad> loads;
  for (const profiler::OpWork& op : work.list.ops) loads[ir::ToText(op.op)] = op.load;
  for (cost::PairSignature& pair : queries.pairs) {
    const ir::DeviceLoad load = loads[ir::ToText(pair.op)];
    work.list.pairs.push_back({{std::move(pair.op), load}, std::move(pair.collective)});
  }
  const auto measured = static_cast<int64_t>(work.list.pairs.size());
  work.notes.push_back(queries.distinct == 0
                           ? "note: no plan runs an op beside a collective that take time by themselves, so there are no pairs to measure"
                           : fmt::format("note: {} pairs of an op and a collective can run at once; {} are measured{}", queries.distinct,
                                         measured,
                                         measured < queries.distinct ? ", those of each kind with most to save (--pairs-limit)" : ""));
  return OkStatus();
}

Result<ProfileWork> WorkForConfig(const ConfigArguments& arguments, std::optional<int64_t> pairs_limit) {
  HELM_ASSIGN_OR_RETURN(const config::RunConfig config, ReadConfig(arguments));
  const cluster::Cluster& cluster = config.cluster;
  HELM_RETURN_IF_ERROR(cluster::RefuseGroups(cluster, "helm-profile",
                                             "measure each group's device by itself, on a machine that has it, with cluster: {local: N}; "
                                             "helm-plan takes the tables of all groups"));
  const std::vector<cluster::GpuFacts> gpus = cluster.device.is_cpu ? std::vector<cluster::GpuFacts>() : cluster::ReadGpuFacts();
  const auto is_of_cluster = [&](const cluster::GpuFacts& gpu) { return gpu.name == cluster.device.driver_name; };
  const bool has_gpu = !gpus.empty() && is_of_cluster(gpus.front());
  if (cluster.local && !cluster.device.is_cpu && !has_gpu) {
    return UnavailableError(fmt::format(
        "{}: error: the configuration is for the GPU '{}' ({}), which this machine does not have\n  found: {}\n"
        "  fix: run helm-profile on a machine with that GPU",
        config.path, cluster.device.name, cluster.device.driver_name, gpus.empty() ? "no usable NVIDIA GPU" : gpus.front().name));
  }
  if (!cluster.local && !has_gpu) {
    return UnavailableError(
        fmt::format("{}: error: this configuration is for {}, not for this machine\n"
                    "  fix: run helm-profile on a node of that cluster with `cluster: {{local: N}}`",
                    config.path, cluster.name));
  }
  ProfileWork work{
      .device = cost::DeviceKeyOf(cluster), .ranks = cluster.local ? cluster.devices_used : 1, .network = cluster.emulated_network};
  if (has_gpu) work.gpu_pci_bus_id = gpus.front().pci_bus_id;
  HELM_ASSIGN_OR_RETURN(const std::vector<ir::Plan> plans, PlansFor(config));
  HELM_ASSIGN_OR_RETURN(work.list, ListFor(plans, cluster));
  if (pairs_limit && cluster.local) HELM_RETURN_IF_ERROR(AddPairs(plans, cluster, *pairs_limit, work));
  if (!cluster.local && !work.list.collectives.empty()) {
    work.notes.push_back(fmt::format("note: {} collectives of {}{} are not measured: they need its ranks, and this is one GPU",
                                     work.list.collectives.size(), cluster.name, pairs_limit ? ", and pairs with them," : ""));
    work.list.collectives.clear();
  }
  return work;
}

// One rank per core: how this machine is used when all of it is.
Result<ProfileWork> StandardWork() {
  HELM_ASSIGN_OR_RETURN(const auto machine, cluster::ReadMachineFacts());
  ProfileWork work{.device = {"cpu", machine.cpu_name, 1, machine.cpu_cores}, .ranks = machine.cpu_cores};
  HELM_ASSIGN_OR_RETURN(work.list, profiler::StandardSweep(machine.cpu_cores));
  return work;
}

}  // namespace

Result<ProfileWork> WorkFor(const ConfigArguments& arguments, const std::string& device, std::optional<int64_t> pairs_limit) {
  if (device == "cuda" && cluster::ReadGpuFacts().empty()) return NoGpu();
  if (device == "cuda" && arguments.path.empty()) {
    return InvalidError(
        "error: --device cuda needs a configuration, which says what to measure\n"
        "  fix: helm-profile config.yaml --device cuda; configs/runs/h200/ has some");
  }
  if (pairs_limit && arguments.path.empty()) {
    return InvalidError(
        "error: --pairs needs a configuration, whose plans say what runs at once\n"
        "  fix: helm-profile config.yaml --pairs");
  }
  HELM_ASSIGN_OR_RETURN(ProfileWork work, arguments.path.empty() ? StandardWork() : WorkForConfig(arguments, pairs_limit));
  if (!device.empty() && work.device.kind != device) {
    return InvalidError(fmt::format("error: the configuration runs on {}, but --device is {}", work.device.kind, device));
  }
  return work;
}

Result<std::string> ClusterFileOfThisMachine() {
  HELM_ASSIGN_OR_RETURN(const auto machine, runtime::DescribeMachine());
  HELM_ASSIGN_OR_RETURN(cluster::MachineFacts facts, cluster::ReadMachineFacts());
  const cluster::ClusterContext context{MakePresetPath(std::getenv("HELM_CONFIG_DIR"), ExecutableFolder()), ".", std::move(facts)};
  const auto ranks = static_cast<int64_t>(machine.gpus.empty() ? machine.cpu_cores : machine.gpus.size());
  nlohmann::ordered_json file = {{"local", ranks}};
  std::string text = fmt::format("# {}: {}, {} cores, {:.1f} GiB of memory; torch {}\n", machine.hostname, machine.cpu_name,
                                 machine.cpu_cores, machine.memory.gibibytes(), machine.torch_version);
  for (const cluster::GpuFacts& gpu : machine.gpus) {
    text +=
        fmt::format("# GPU {}: {}, {} SMs, {:.1f} GiB, compute capability {}.{}; driver {}", gpu.pci_bus_id, gpu.name, gpu.multiprocessors,
                    gpu.memory.gibibytes(), gpu.compute_capability_major, gpu.compute_capability_minor, machine.driver_version);
    const runtime::GpuLinks links = runtime::ReadGpuLinks(gpu.pci_bus_id).value_or(runtime::GpuLinks());
    text += fmt::format("; {} NVLinks, {:g} GB/s, PCIe {:.1f} GB/s in one direction\n", links.nvlinks, links.nvlink.gigabytes(),
                        links.pcie.gigabytes());
    const bool has_nvlink = links.nvlinks > 0;
    const double bandwidth = (has_nvlink ? links.nvlink : links.pcie).gigabytes();
    const char* kind = !has_nvlink ? "pcie" : links.to_switch ? "nvswitch" : "nvlink-mesh";
    if (ranks > 1 && bandwidth > 0) file["intra_node"] = {{"kind", kind}, {"gbytes_per_s", bandwidth}};
  }
  if (machine.gpus.empty()) text += "# no GPU\n";
  Diagnostics diagnostics;
  const auto cluster = cluster::ReadCluster(FromJson(file, "this machine"), context, diagnostics);
  if (!cluster) return diagnostics.ToStatus();
  return text + EmitYaml(cluster::ToJson(*cluster));
}

}  // namespace helm::tools
