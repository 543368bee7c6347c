#include "cluster/cluster_reader.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "cluster/device_groups.h"
#include "cluster/group_reader.h"
#include "core/counted.h"
#include "core/mapping_reader.h"

namespace helm::cluster {
namespace {

using Json = nlohmann::ordered_json;

// Dtypes as configs write them, and as ir::Name does. tf32 and fp8 are rates of kernels, not element types of programs.
constexpr std::array<std::pair<const char*, const char*>, 5> kPeakNames = {
    {{"fp32", "f32"}, {"tf32", "tf32"}, {"bf16", "bf16"}, {"fp16", "f16"}, {"fp8", "fp8"}}};

// Upper ends that no machine reaches: whoever exceeds them has used another unit.
constexpr DoubleRange kGigabytesPerSecond{0.0, 1e5, true};
constexpr DoubleRange kGigabitsPerSecond{0.0, 1e5, true};
constexpr DoubleRange kTeraflops{0.0, 1e6, true};
constexpr DoubleRange kGibibytes{0.0, 1e6, true};
constexpr DoubleRange kMebibytes{0.0, 1e5, true};
constexpr DoubleRange kWatts{0.0, 1e5, true};
constexpr DoubleRange kMegahertz{0.0, 1e5, true};
constexpr DoubleRange kShare{0.0, 1.0, true};
constexpr DoubleRange kMicroseconds{0.0, 1e6};
constexpr IntRange kDevices{1, 1 << 22};

const std::vector<std::string> kArchitectures = {"ampere", "ada", "hopper", "blackwell", "cdna3"};

void ReadMemory(MappingReader& reader, Device& device) {
  const auto gibibytes = reader.Double("memory_gib", kGibibytes);
  const auto bytes = reader.Int64("memory_bytes", kPositive);
  if (gibibytes && bytes)
    reader.Error("memory_bytes", "'memory_gib' and 'memory_bytes' exclude each other", {"fix: remove one of the two"});
  if (gibibytes) device.memory = Bytes::Gibibytes(*gibibytes);
  if (bytes) device.memory = Bytes(*bytes);
  if (!reader.Given("memory_gib") && !reader.Given("memory_bytes")) reader.RequireDouble("memory_gib", kGibibytes);
}

void ReadPeak(const YamlValue& value, Device& device, Diagnostics& diagnostics) {
  MappingReader reader(value, "'peak_tflops'", diagnostics);
  for (const auto& [key, name] : kPeakNames) {
    if (const auto rate = reader.Double(key, kTeraflops)) device.peak.emplace(name, FlopsPerSecond::Tera(*rate));
  }
}

Device ReadDeviceMapping(const YamlValue& value, const std::string& name, const std::string& what, Diagnostics& diagnostics) {
  Device device;
  MappingReader reader(value, what, diagnostics);
  device.name = name;
  reader.Read("name", device.name);
  if (device.name.empty() && value.is_mapping()) reader.RequireString("name");
  ReadMemory(reader, device);
  if (const auto rate = reader.Double("memory_gbytes_per_s", kGigabytesPerSecond))
    device.memory_bandwidth = BytesPerSecond::Gigabytes(*rate);
  if (const YamlValue* peak = reader.Value("peak_tflops")) ReadPeak(*peak, device, diagnostics);
  reader.Read("driver_name", device.driver_name);
  reader.Read("multiprocessors", device.multiprocessors, kPositive);
  if (const auto architecture = reader.Choice("architecture", kArchitectures)) device.architecture = *architecture;
  if (const auto l2 = reader.Double("l2_mib", kMebibytes)) device.l2 = Bytes::Gibibytes(*l2 / 1024);
  if (const auto rate = reader.Double("nvlink_gbytes_per_s", kGigabytesPerSecond)) device.nvlink = BytesPerSecond::Gigabytes(*rate);
  reader.Read("power_watts", device.power_watts, kWatts);
  reader.Read("clock_mhz", device.clock_mhz, kMegahertz);
  reader.Read("sustained_clock", device.sustained_clock, kShare);
  reader.Read("host_slowdown", device.host_slowdown, kPositiveNumber);
  return device;
}

IntraNodeLink ReadIntraNode(const YamlValue& value, Diagnostics& diagnostics) {
  IntraNodeLink link;
  MappingReader reader(value, "'intra_node'", diagnostics);
  link.kind = reader.RequireChoice("kind", {"nvswitch", "nvlink-mesh", "pcie"});
  link.bandwidth = BytesPerSecond::Gigabytes(reader.RequireDouble("gbytes_per_s", kGigabytesPerSecond));
  return link;
}

Link ReadEmulatedNetwork(const YamlValue& value, Diagnostics& diagnostics) {
  Link link;
  MappingReader reader(value, "'emulated_network'", diagnostics);
  link.bandwidth = BytesPerSecond::Gigabits(reader.RequireDouble("gbits_per_s", kGigabitsPerSecond));
  link.latency = Duration::Microseconds(reader.RequireDouble("latency_us", kMicroseconds));
  return link;
}

Device DeviceOf(const MachineFacts& machine) {
  Device device;
  device.name = machine.cpu_name;
  device.is_cpu = true;
  device.memory = machine.memory;
  // Through the units of the file form, so that what ToJson writes reads back to the same bits.
  device.memory_bandwidth = BytesPerSecond::Gigabytes(machine.memory_bandwidth.gigabytes());
  const FlopsPerSecond peak = FlopsPerSecond::Tera(machine.peak.value() / 1e12);
  // Where a core has no bf16 units, bf16 is computed in fp32; so both have the rate of fp32.
  device.peak = {{"f32", peak}, {"bf16", peak}};
  return device;
}

// What the driver says of this GPU. Rates it does not tell; they stay absent.
Device DeviceOf(const GpuFacts& gpu) {
  Device device;
  device.name = device.driver_name = gpu.name;
  device.memory = gpu.memory;
  device.multiprocessors = gpu.multiprocessors;
  if (gpu.l2.count() > 0) device.l2 = gpu.l2;
  return device;
}

// The preset that has the driver's name for this GPU, with the memory that this one really has; without such a preset only what the driver
// says.
Device DeviceOf(const GpuFacts& gpu, const ClusterContext& context) {
  for (const std::string& preset : PresetNames(context.presets, "gpus")) {
    Diagnostics ignored;  // a broken preset is reported where it is named
    std::optional<Device> device = ReadDevice({.kind = YamlKind::kScalar, .text = preset}, context, ignored);
    if (!device || device->driver_name != gpu.name) continue;
    device->memory = gpu.memory;
    return *std::move(device);
  }
  return DeviceOf(gpu);
}

Device LocalCpu(MappingReader& reader, const MachineFacts& machine) {
  Device device = DeviceOf(machine);
  if (const YamlValue* cpu = reader.Value("cpu")) device = ReadDeviceMapping(*cpu, machine.cpu_name, "'cpu'", reader.diagnostics());
  device.is_cpu = true;
  return device;
}

Device LocalGpu(MappingReader& reader, const ClusterContext& context) {
  if (const YamlValue* gpu = reader.Value("gpu")) return ReadDevice(*gpu, context, reader.diagnostics()).value_or(Device());
  return DeviceOf(context.machine.gpus.front(), context);
}

// GPUs where `device`, `gpu` or `cpu` says so, else where the machine has one for each rank.
bool LocalUsesGpus(MappingReader& reader, const Cluster& cluster, const MachineFacts& machine) {
  const bool enough = static_cast<int64_t>(machine.gpus.size()) >= cluster.devices_used;
  const bool names_gpu = reader.Given("gpu");
  if (names_gpu && reader.Given("cpu")) reader.Error("gpu", "'gpu' and 'cpu' exclude each other", {"fix: remove one of the two"});
  const std::string fallback = names_gpu || (enough && !reader.Given("cpu")) ? "cuda" : "cpu";
  const std::string device = reader.Choice("device", {"cpu", "cuda"}).value_or(fallback);
  if (device == "cpu" && names_gpu) reader.Error("gpu", "'gpu' does not go with 'device: cpu'", {"fix: remove one of the two"});
  if (device == "cuda" && !names_gpu && !enough) {
    reader.Error("device",
                 fmt::format("'device' is cuda and 'local' {}, but this machine has {}", cluster.devices_used,
                             Counted(static_cast<int64_t>(machine.gpus.size()), "usable NVIDIA GPU")),
                 {"fix: lower 'local', run on a machine with more GPUs, or name the kind of GPU to plan for with 'gpu'"});
    return false;
  }
  return device == "cuda";
}

void ReadLinksOfGpus(MappingReader& reader, Cluster& cluster) {
  if (reader.Given("emulated_network")) {
    reader.Error("emulated_network", "'emulated_network' is for CPU ranks, and this cluster has GPUs",
                 {"fix: remove it, or plan for the CPU with `device: cpu`"});
  }
  if (const YamlValue* intra = reader.Value("intra_node")) {
    cluster.intra_node = ReadIntraNode(*intra, reader.diagnostics());
  } else if (cluster.devices_used > 1) {
    reader.diagnostics().Error(reader.where(),
                               fmt::format("'local' is {} GPUs, so the cluster needs the key 'intra_node'", cluster.devices_used),
                               {"fix: add `intra_node: {kind: nvswitch, gbytes_per_s: ...}` (bandwidth per GPU and direction)"});
  }
}

// {local: N}, with `cores` and `cpu` or `gpu` where it must not depend on the machine that reads it.
Cluster ReadLocal(MappingReader& reader, const ClusterContext& context) {
  Cluster cluster;
  cluster.local = true;
  cluster.devices_per_node = cluster.devices_used = std::max<int64_t>(1, reader.RequireInt64("local", {1, 1024}));
  cluster.name = fmt::format("local-{}", cluster.devices_used);
  reader.Read("name", cluster.name);
  cluster.cpu_cores = context.machine.cpu_cores;
  reader.Read("cores", cluster.cpu_cores, {1, 1 << 16});
  if (!LocalUsesGpus(reader, cluster, context.machine)) {
    cluster.device = LocalCpu(reader, context.machine);
    if (const YamlValue* network = reader.Value("emulated_network")) {
      cluster.emulated_network = ReadEmulatedNetwork(*network, reader.diagnostics());
    }
    return cluster;
  }
  cluster.device = LocalGpu(reader, context);
  ReadLinksOfGpus(reader, cluster);
  return cluster;
}

void CheckSizes(MappingReader& reader, Cluster& cluster) {
  const int64_t present = cluster.node_count * cluster.devices_per_node;
  if (present > kDevices.high) {
    reader.Error("gpus_per_node", fmt::format("{} of {} are more than {}", Counted(cluster.node_count, "node"),
                                              Counted(cluster.devices_per_node, "device"), kDevices.high));
  }
  if (const auto used = reader.Int64("gpus", kPositive)) {
    cluster.devices_used = *used;
    if (*used > present) {
      reader.Error("gpus",
                   fmt::format("'gpus' is {}, above the {} of {} of {}", *used, present, Counted(cluster.node_count, "node"),
                               cluster.devices_per_node),
                   {fmt::format("allowed: whole numbers from 1 to {}", present)});
    }
  } else {
    cluster.devices_used = present;
  }
  const int64_t domain = reader.Int64("nvlink_domain", kPositive).value_or(0);
  const int64_t node = cluster.devices_per_node;
  if (domain > 0 && domain % node != 0 && node % domain != 0) {
    reader.Error("nvlink_domain",
                 fmt::format("'nvlink_domain' {} and 'gpus_per_node' {}: one must be a multiple of the other", domain, node));
  }
  cluster.nvlink_domain = domain;
}

void ReadLinks(MappingReader& reader, Cluster& cluster) {
  const YamlValue* intra = reader.Value("intra_node");
  const YamlValue* inter = reader.Value("inter_node");
  if (intra != nullptr) cluster.intra_node = ReadIntraNode(*intra, reader.diagnostics());
  if (inter != nullptr) cluster.inter_node = ReadInterNode(*inter, /*between_groups=*/false, reader.diagnostics());
  if (intra == nullptr && cluster.devices_per_node > 1) {
    reader.diagnostics().Error(reader.where(),
                               fmt::format("'gpus_per_node' is {}, so the cluster needs the key 'intra_node'", cluster.devices_per_node),
                               {"fix: add `intra_node: {kind: nvswitch, gbytes_per_s: ...}` (bandwidth per GPU and direction)"});
  }
  if (inter == nullptr && cluster.node_count > 1) {
    reader.diagnostics().Error(
        reader.where(), fmt::format("'nodes' is {}, so the cluster needs the key 'inter_node'", cluster.node_count),
        {"fix: add `inter_node: {nics: ..., gbits_per_s: ..., fabric: infiniband, latency_us: ...}` (bandwidth per NIC)"});
  }
}

Cluster ReadRemote(MappingReader& reader, const LoadedReference& reference, const ClusterContext& context) {
  Cluster cluster;
  cluster.name = reference.name;
  ClusterContext inner = context;
  inner.folder = reference.folder;
  if (const YamlValue* gpu = reader.RequireValue("gpu")) {
    cluster.device = ReadDevice(*gpu, inner, reader.diagnostics()).value_or(Device());
  }
  reader.Read("nodes", cluster.node_count, kDevices);
  cluster.devices_per_node = std::max<int64_t>(1, reader.RequireInt64("gpus_per_node", kDevices));
  CheckSizes(reader, cluster);
  ReadLinks(reader, cluster);
  if (cluster.name.empty()) cluster.name = fmt::format("{}-x{}", cluster.device.name, cluster.devices_used);
  reader.Read("name", cluster.name);
  return cluster;
}

std::optional<Cluster> ReadMapping(const LoadedReference& reference, const ClusterContext& context, Diagnostics& diagnostics) {
  const size_t errors_before = diagnostics.error_count();
  if (reference.value.Find("groups") != nullptr || reference.value.Find("between") != nullptr) {
    ClusterContext inner = context;
    inner.folder = reference.folder;
    return ReadGroupedCluster(reference.value, reference.name, inner, diagnostics);
  }
  Cluster cluster;
  {
    MappingReader reader(reference.value, "the cluster", diagnostics);
    const bool local = reference.value.Find("local") != nullptr;
    cluster = local ? ReadLocal(reader, context) : ReadRemote(reader, reference, context);
    if (!local) reader.Ignore("local");  // named among the allowed keys
    if (!local) reader.Ignore("groups");
  }
  if (diagnostics.error_count() > errors_before) return std::nullopt;
  return cluster;
}

// The number x with make(x) == value, for a constructor that multiplies by a constant: value / factor or one of its neighbours, since
// rounding may lose the last bit. A value that was read always has one.
template <typename Make>
double Invert(double value, double factor, Make make) {
  const double guess = value / factor;
  for (const double candidate : {guess, std::nextafter(guess, 0.0), std::nextafter(guess, HUGE_VAL)}) {
    if (make(candidate).value() == value) return candidate;
  }
  return guess;
}

double GigabytesOf(BytesPerSecond rate) { return Invert(rate.value(), 1e9, BytesPerSecond::Gigabytes); }
double GigabitsOf(BytesPerSecond rate) { return Invert(rate.value(), 1.25e8, BytesPerSecond::Gigabits); }

Json ToJson(const Device& device) {
  Json json;
  json["name"] = device.name;
  json["memory_bytes"] = device.memory.count();
  if (device.memory_bandwidth) json["memory_gbytes_per_s"] = GigabytesOf(*device.memory_bandwidth);
  for (const auto& [key, name] : kPeakNames) {
    const auto rate = device.peak.find(name);
    if (rate != device.peak.end()) json["peak_tflops"][key] = Invert(rate->second.value(), 1e12, FlopsPerSecond::Tera);
  }
  if (!device.driver_name.empty()) json["driver_name"] = device.driver_name;
  if (device.multiprocessors > 0) json["multiprocessors"] = device.multiprocessors;
  if (!device.architecture.empty()) json["architecture"] = device.architecture;
  if (device.l2) json["l2_mib"] = device.l2->gibibytes() * 1024;
  if (device.nvlink) json["nvlink_gbytes_per_s"] = GigabytesOf(*device.nvlink);
  if (device.power_watts > 0) json["power_watts"] = device.power_watts;
  if (device.clock_mhz > 0) json["clock_mhz"] = device.clock_mhz;
  if (device.sustained_clock < 1.0) json["sustained_clock"] = device.sustained_clock;
  if (device.host_slowdown != 1.0) json["host_slowdown"] = device.host_slowdown;
  return json;
}

Json ToJson(const IntraNodeLink& link) { return {{"kind", link.kind}, {"gbytes_per_s", GigabytesOf(link.bandwidth)}}; }

Json ToJson(const Link& link) { return {{"gbits_per_s", GigabitsOf(link.bandwidth)}, {"latency_us", link.latency.microseconds()}}; }

}  // namespace

int64_t ThreadsPerRank(const Cluster& cluster) {
  return std::max<int64_t>(1, cluster.cpu_cores / std::max<int64_t>(1, cluster.devices_per_node));
}

std::string Describe(const Link& link) {
  return fmt::format("{:g} Gbit/s, {:g} us", GigabitsOf(link.bandwidth), link.latency.microseconds());
}

InterNodeLink ReadInterNode(const YamlValue& value, bool between_groups, Diagnostics& diagnostics) {
  const std::vector<std::string> fabrics = {"infiniband", "roce", "efa", "omni-path", "ethernet"};
  InterNodeLink link;
  MappingReader reader(value, between_groups ? "'between'" : "'inter_node'", diagnostics);
  if (between_groups) {
    reader.Read("nics", link.nics, {1, 1024});
    link.fabric = reader.Choice("fabric", fabrics).value_or("ethernet");
  } else {
    link.nics = reader.RequireInt64("nics", {1, 1024});
    link.fabric = reader.RequireChoice("fabric", fabrics);
  }
  link.bandwidth = BytesPerSecond::Gigabits(reader.RequireDouble("gbits_per_s", kGigabitsPerSecond));
  link.latency = Duration::Microseconds(reader.RequireDouble("latency_us", kMicroseconds));
  return link;
}

Json ToJson(const InterNodeLink& link) {
  return {{"nics", link.nics},
          {"gbits_per_s", GigabitsOf(link.bandwidth)},
          {"fabric", link.fabric},
          {"latency_us", link.latency.microseconds()}};
}

std::optional<Device> ReadDevice(const YamlValue& value, const ClusterContext& context, Diagnostics& diagnostics) {
  const size_t errors_before = diagnostics.error_count();
  const auto reference = LoadReference(value, "gpu", "gpus", context.presets, context.folder, diagnostics);
  if (!reference) return std::nullopt;
  Device device = ReadDeviceMapping(reference->value, reference->name, "the GPU", diagnostics);
  if (diagnostics.error_count() > errors_before) return std::nullopt;
  return device;
}

std::optional<Cluster> ReadCluster(const YamlValue& value, const ClusterContext& context, Diagnostics& diagnostics) {
  const auto reference = LoadReference(value, "cluster", "clusters", context.presets, context.folder, diagnostics);
  if (!reference) return std::nullopt;
  return ReadMapping(*reference, context, diagnostics);
}

Json ToJson(const Cluster& cluster) {
  if (HasGroups(cluster)) return GroupsToJson(cluster);
  Json json;
  json["name"] = cluster.name;
  if (cluster.local) {
    json["local"] = cluster.devices_used;
    json["cores"] = cluster.cpu_cores;
    json[cluster.device.is_cpu ? "cpu" : "gpu"] = ToJson(cluster.device);
    if (cluster.intra_node) json["intra_node"] = ToJson(*cluster.intra_node);
    if (cluster.emulated_network) json["emulated_network"] = ToJson(*cluster.emulated_network);
    return json;
  }
  json["gpu"] = ToJson(cluster.device);
  json["nodes"] = cluster.node_count;
  json["gpus_per_node"] = cluster.devices_per_node;
  if (cluster.intra_node) json["intra_node"] = ToJson(*cluster.intra_node);
  if (cluster.inter_node) json["inter_node"] = ToJson(*cluster.inter_node);
  if (cluster.nvlink_domain > 0) json["nvlink_domain"] = cluster.nvlink_domain;
  json["gpus"] = cluster.devices_used;
  return json;
}

Result<Cluster> ClusterFromJson(const Json& document, const std::string& file) {
  Diagnostics diagnostics;
  const YamlValue value = FromJson(document, file);
  std::optional<Cluster> cluster;
  if (value.is_mapping()) {
    cluster = ReadCluster(value, {}, diagnostics);
  } else {
    diagnostics.Error(value.where, "the cluster must be written out as a mapping");
  }
  const bool has_device = value.Find("cpu") != nullptr || value.Find("gpu") != nullptr;
  if (cluster && cluster->local && (!has_device || value.Find("cores") == nullptr)) {
    diagnostics.Error(value.where, "a local cluster in a plan needs the keys 'cores' and 'cpu' or 'gpu'");
  }
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  return *std::move(cluster);
}

}  // namespace helm::cluster
