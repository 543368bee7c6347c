#include "cluster/cluster_reader.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>
#include <cmath>

#include "core/text.h"

namespace helm::cluster {
namespace {

MachineFacts Machine() {
  return {.cpu_name = "Test CPU",
          .cpu_cores = 8,
          .memory = Bytes::Gibibytes(16),
          .peak = FlopsPerSecond::Of(3.2e11),
          .memory_bandwidth = BytesPerSecond::Of(4e10)};
}

ClusterContext Context() { return {{{"configs"}}, "configs/runs", Machine()}; }

struct Outcome {
  std::optional<Cluster> cluster;
  std::string message;
};

Outcome Read(const std::string& text) {
  const YamlValue value = ParseYaml(text, "f.yaml").value();
  Diagnostics diagnostics;
  Outcome outcome;
  outcome.cluster = ReadCluster(value, Context(), diagnostics);
  outcome.message = diagnostics.ToStatus().message();
  EXPECT_EQ(outcome.cluster.has_value(), outcome.message.empty());
  return outcome;
}

constexpr char kGpu[] = "gpu: {name: g, memory_gib: 80, memory_gbytes_per_s: 2000, peak_tflops: {bf16: 300}}";

// Two nodes of the DESIGN's inline form, every unit converted by hand: 450 GB/s = 4.5e11 B/s; 400 Gb/s = 5e10 B/s; 5 us = 5e6 ps.
TEST(ReadCluster, ReadsTheInlineForm) {
  const auto outcome = Read(std::string(kGpu) +
                            "\nnodes: 2\ngpus_per_node: 8\nintra_node: {kind: nvswitch, gbytes_per_s: 450}\n"
                            "inter_node: {nics: 8, gbits_per_s: 400, fabric: infiniband, latency_us: 5}\nnvlink_domain: 8\ngpus: 12\n");
  ASSERT_TRUE(outcome.cluster) << outcome.message;
  Cluster expected;
  expected.name = "g-x12";
  expected.device = {.name = "g",
                     .is_cpu = false,
                     .memory = Bytes(80LL << 30),
                     .memory_bandwidth = BytesPerSecond::Of(2e12),
                     .peak = {{"bf16", FlopsPerSecond::Of(3e14)}},
                     .multiprocessors = 0};
  expected.node_count = 2;
  expected.devices_per_node = 8;
  expected.devices_used = 12;
  expected.intra_node = {.kind = "nvswitch", .bandwidth = BytesPerSecond::Of(4.5e11)};
  expected.inter_node = {
      .nics = 8, .bandwidth = BytesPerSecond::Of(5e10), .fabric = "infiniband", .latency = Duration::Picoseconds(5000000)};
  expected.nvlink_domain = 8;
  EXPECT_EQ(*outcome.cluster, expected);
}

TEST(ReadCluster, LocalIsThisMachine) {
  const auto outcome = Read("local: 4\n");
  ASSERT_TRUE(outcome.cluster) << outcome.message;
  Cluster expected;
  expected.name = "local-4";
  expected.device = {.name = "Test CPU",
                     .is_cpu = true,
                     .memory = Bytes(16LL << 30),
                     .memory_bandwidth = BytesPerSecond::Of(4e10),
                     .peak = {{"bf16", FlopsPerSecond::Of(3.2e11)}, {"f32", FlopsPerSecond::Of(3.2e11)}},
                     .multiprocessors = 0};
  expected.devices_per_node = expected.devices_used = 4;
  expected.local = true;
  expected.cpu_cores = 8;
  EXPECT_EQ(*outcome.cluster, expected);
  EXPECT_EQ(ThreadsPerRank(*outcome.cluster), 2);
  EXPECT_EQ(ThreadsPerRank(*Read("local: 9\n").cluster), 1);
  EXPECT_EQ(Read("local: 2\ncores: 4\ncpu: {name: Other, memory_gib: 1}\n").cluster->device.name, "Other");
}

// 1 Gbit/s is 1.25e8 bytes a second.
TEST(LocalCluster, EmulatesANetworkBetweenCpuRanks) {
  const std::string network = "emulated_network: {gbits_per_s: 1, latency_us: 50}\n";
  const auto outcome = Read("local: 2\n" + network);
  ASSERT_TRUE(outcome.cluster) << outcome.message;
  EXPECT_EQ(outcome.cluster->emulated_network, (Link{Duration::Picoseconds(50000000), BytesPerSecond::Of(1.25e8)}));
  EXPECT_EQ(ClusterFromJson(ToJson(*outcome.cluster)).value(), *outcome.cluster);
  EXPECT_EQ(Describe(*outcome.cluster->emulated_network), "1 Gbit/s, 50 us");
  EXPECT_NE(Read("local: 1\ngpu: h200-sxm-141gb\n" + network).message.find("'emulated_network' is for CPU ranks"), std::string::npos);
}

TEST(ReadCluster, ReadsEveryShippedPreset) {
  for (const std::string& name : PresetNames({{"configs"}}, "clusters")) {
    const auto outcome = Read(name);
    ASSERT_TRUE(outcome.cluster) << outcome.message;
    EXPECT_EQ(outcome.cluster->name, name);
    EXPECT_EQ(ClusterFromJson(ToJson(*outcome.cluster)).value(), *outcome.cluster);
  }
  for (const std::string& name : PresetNames({{"configs"}}, "gpus")) {
    Diagnostics diagnostics;
    const auto device = ReadDevice(ParseYaml(name, "f.yaml").value(), Context(), diagnostics);
    ASSERT_TRUE(device) << diagnostics.ToStatus().message();
    EXPECT_EQ(device->name, name);
    EXPECT_TRUE(device->memory_bandwidth.has_value());
    EXPECT_TRUE(device->peak.contains("bf16"));
    EXPECT_TRUE(device->peak.contains("f32"));
    EXPECT_GT(device->power_watts, 0);
    EXPECT_LT(device->sustained_clock, 1);
  }
}

// A multiprocessor does a power of two of bf16 operations in a cycle (1024 on GA102 and AD102, 2048 on GA100 and CDNA 3, 4096 on GH100,
// 8192 on Blackwell): a rate, a clock and a number of multiprocessors that do not fit each other are a wrong number in a preset.
TEST(ReadCluster, ShippedRatesFitClockAndMultiprocessors) {
  for (const std::string& name : PresetNames({{"configs"}}, "gpus")) {
    Diagnostics diagnostics;
    const auto device = ReadDevice(ParseYaml(name, "f.yaml").value(), Context(), diagnostics);
    ASSERT_TRUE(device);
    const double per_cycle = device->peak.at("bf16").value() / (static_cast<double>(device->multiprocessors) * device->clock_mhz * 1e6);
    EXPECT_NEAR(std::log2(per_cycle), std::round(std::log2(per_cycle)), 0.01) << name << ": " << per_cycle;
    EXPECT_EQ(device->peak.at("bf16"), device->peak.at("f16"));
    EXPECT_NEAR(device->peak.at("bf16").value() / device->peak.at("tf32").value(), 2, 0.03) << name;
  }
}

RC_GTEST_PROP(ClusterJson, ReadsBackToTheSameCluster, ()) {
  const auto number = [](double low, double high) { return low + (high - low) * *rc::gen::inRange(1, 1000003) / 1000003.0; };
  Cluster cluster;
  const int nodes = *rc::gen::inRange(1, 5), per_node = *rc::gen::inRange(1, 9);
  const std::string text = fmt::format(
      "name: n\ngpu: {{name: g, memory_bytes: {}, memory_gbytes_per_s: {}, peak_tflops: {{fp32: {}, bf16: {}, fp8: {}}}, multiprocessors: "
      "3}}\n"
      "nodes: {}\ngpus_per_node: {}\nintra_node: {{kind: pcie, gbytes_per_s: {}}}\n"
      "inter_node: {{nics: 2, gbits_per_s: {}, fabric: roce, latency_us: {}}}\ngpus: {}\n",
      *rc::gen::inRange<int64_t>(1, int64_t{1} << 40), number(0, 5000), number(0, 100), number(0, 1000), number(0, 5000), nodes, per_node,
      number(0, 900), number(0, 800), number(0, 100), *rc::gen::inRange(1, nodes * per_node + 1));
  const auto outcome = Read(text);
  RC_ASSERT(outcome.cluster.has_value());
  const auto again = ClusterFromJson(ToJson(*outcome.cluster));
  RC_ASSERT(again.ok());
  RC_ASSERT(*again == *outcome.cluster);
  // Also through the text of a plan.
  const auto from_text = ClusterFromJson(helm::ToJson(ParseYaml(EmitYaml(ToJson(*outcome.cluster)), "plan.yaml").value()));
  RC_ASSERT(from_text.ok());
  RC_ASSERT(*from_text == *outcome.cluster);
}

TEST(ClusterJson, LocalDoesNotDependOnTheMachineThatReadsIt) {
  const Cluster cluster = *Read("local: 2\n").cluster;
  EXPECT_EQ(ClusterFromJson(ToJson(cluster)).value(), cluster);
  EXPECT_EQ(ClusterFromJson({{"local", 2}}, "plan.yaml").status().message(),
            "plan.yaml: error: a local cluster in a plan needs the keys 'cores' and 'cpu' or 'gpu'");
  EXPECT_EQ(ClusterFromJson("x", "plan.yaml").status().message(), "plan.yaml: error: the cluster must be written out as a mapping");
}

// Messages without source line and caret.
std::string Brief(const std::string& text) {
  std::string brief;
  for (const std::string& line : Split(Read(text).message, '\n')) {
    if (line.find(" | ") == std::string::npos) brief += line + "\n";
  }
  return brief;
}

TEST(ReadCluster, SaysWhatIsWrong) {
  EXPECT_EQ(Brief("h100-sxm-x46"),
            std::string("f.yaml:1:1: error: there is no cluster preset 'h100-sxm-x46'\n  did you mean 'h100-sxm-x64'?\n"
                        "  allowed: ") +
                Join(PresetNames({{"configs"}}, "clusters"), ", ") +
                "\n  fix: give a preset's name, a file (with its ending), or an inline mapping\n");
  EXPECT_EQ(Brief("../clusters/none.yaml"),
            "f.yaml:1:1: error: cluster file '../clusters/none.yaml' does not exist\n  looked for: configs/clusters/none.yaml\n"
            "  fix: paths are relative to the file that names them\n");
  EXPECT_EQ(Brief("[1]"), "f.yaml:1:1: error: 'cluster' must be a preset's name, a file, or a mapping\n");
  EXPECT_EQ(Brief("gpu: h100-smx-80gb\ngpus_per_node: 1\n").substr(0, 90),
            std::string("f.yaml:1:6: error: there is no gpu preset 'h100-smx-80gb'\n  did you mean 'h100-sxm-80gb'?\n").substr(0, 90));
  EXPECT_EQ(Brief(std::string(kGpu) + "\nnodes: 2\ngpus_per_node: 8\n"),
            "f.yaml:1:1: error: 'gpus_per_node' is 8, so the cluster needs the key 'intra_node'\n"
            "  fix: add `intra_node: {kind: nvswitch, gbytes_per_s: ...}` (bandwidth per GPU and direction)\n"
            "f.yaml:1:1: error: 'nodes' is 2, so the cluster needs the key 'inter_node'\n"
            "  fix: add `inter_node: {nics: ..., gbits_per_s: ..., fabric: infiniband, latency_us: ...}` (bandwidth per NIC)\n");
  EXPECT_EQ(Brief(std::string(kGpu) + "\ngpus_per_node: 1\ngpus: 2\n"),
            "f.yaml:3:7: error: 'gpus' is 2, above the 1 of 1 node of 1\n  allowed: whole numbers from 1 to 1\n");
  EXPECT_EQ(Brief(std::string(kGpu) + "\ngpus_per_node: 8\nintra_node: {kind: nvlink, gbytes_per_s: 450GB}\n"),
            "f.yaml:3:20: error: 'kind' cannot be 'nvlink'\n  allowed: nvswitch, nvlink-mesh, pcie\n"
            "f.yaml:3:42: error: 'gbytes_per_s' must be a number, found '450GB'\n"
            "  fix: write the number alone, without 'GB'; the unit is in the name of the key\n");
  EXPECT_EQ(Brief(std::string(kGpu) + "\ngpus_per_node: 6\nnvlink_domain: 4\nintra_node: {kind: pcie, gbytes_per_s: 1}\n"),
            "f.yaml:3:16: error: 'nvlink_domain' 4 and 'gpus_per_node' 6: one must be a multiple of the other\n");
  EXPECT_EQ(Brief(std::string(kGpu) + "\ngpus_per_node: 1\nnodes: 4194304\ninter_node: {nics: 1, gbits_per_s: 1, fabric: ethernet, "
                                      "latency_us: 1}\n"),
            "\n");
  EXPECT_EQ(Brief(std::string(kGpu) + "\ngpus_per_node: 4\nnodes: 4194304\nintra_node: {kind: pcie, gbytes_per_s: 1}\n"
                                      "inter_node: {nics: 1, gbits_per_s: 1, fabric: ethernet, latency_us: 1}\n"),
            "f.yaml:2:16: error: 4194304 nodes of 4 devices are more than 4194304\n");
  EXPECT_EQ(Brief("gpu: {name: g}\ngpus_per_node: 1\n"),
            "f.yaml:1:6: error: the GPU needs the key 'memory_gib'\n  fix: add `memory_gib: ...`\n");
  EXPECT_EQ(Brief("local: 0\n"), "f.yaml:1:8: error: 'local' is 0, which is out of range\n  allowed: whole numbers from 1 to 1024\n");
  EXPECT_EQ(Brief("local: 2\nnodes: 2\n"),
            "f.yaml:2:1: error: unknown key 'nodes' in the cluster\n  allowed: local, name, cores, gpu, device, cpu, emulated_network\n");
}

// Of machines with GPUs, which the tests' machine need not have.
Cluster ReadOn(const std::string& text, std::vector<GpuFacts> gpus) {
  MachineFacts machine = Machine();
  machine.gpus = std::move(gpus);
  Diagnostics diagnostics;
  const auto value = ParseYaml(text, "f.yaml");
  const auto cluster = ReadCluster(value.value(), {{{"configs"}}, ".", machine}, diagnostics);
  EXPECT_TRUE(cluster) << diagnostics.ToStatus().message();
  return cluster.value_or(Cluster());
}

GpuFacts H200() { return {.name = "NVIDIA H200", .multiprocessors = 132, .memory = Bytes(150109880320)}; }

TEST(LocalCluster, UsesGpusWhereThereAreEnough) {
  const Cluster one = ReadOn("local: 1\n", {H200()});
  EXPECT_FALSE(one.device.is_cpu);
  EXPECT_EQ(one.device.name, "h200-sxm-141gb");       // the preset that has the driver's name for it
  EXPECT_EQ(one.device.memory, Bytes(150109880320));  // but with the memory of this one
  EXPECT_TRUE(one.device.peak.contains("bf16"));
  EXPECT_TRUE(ReadOn("local: 2\n", {H200()}).device.is_cpu);  // fewer GPUs than ranks: they share the cores
  EXPECT_TRUE(ReadOn("local: 1\n", {}).device.is_cpu);
  EXPECT_TRUE(ReadOn("{local: 1, device: cpu}\n", {H200()}).device.is_cpu);
}

TEST(LocalCluster, OfAnUnknownGpuHoldsWhatTheDriverSays) {
  const Cluster cluster = ReadOn("local: 1\n", {{.name = "NVIDIA X999", .multiprocessors = 7, .memory = Bytes(1 << 30)}});
  EXPECT_EQ(cluster.device.name, "NVIDIA X999");
  EXPECT_EQ(cluster.device.multiprocessors, 7);
  EXPECT_EQ(cluster.device.memory, Bytes(1 << 30));
  EXPECT_TRUE(cluster.device.peak.empty());
}

TEST(LocalCluster, OfANamedGpuNeedsNoGpuHereAndComesBackFromAPlan) {
  const Cluster cluster = ReadOn("{local: 1, gpu: h200-sxm-141gb}\n", {});
  EXPECT_EQ(cluster.device.driver_name, "NVIDIA H200");
  const auto again = ClusterFromJson(ToJson(cluster));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(*again, cluster);
  const Cluster two = ReadOn("{local: 2, gpu: h200-sxm-141gb, intra_node: {kind: nvswitch, gbytes_per_s: 450}}\n", {});
  EXPECT_EQ(ClusterFromJson(ToJson(two)).value(), two);
}

TEST(LocalCluster, SaysWhatGpusItLacks) {
  EXPECT_EQ(Brief("local: 1\ndevice: cuda\n"),
            "f.yaml:2:9: error: 'device' is cuda and 'local' 1, but this machine has 0 usable NVIDIA GPUs\n"
            "  fix: lower 'local', run on a machine with more GPUs, or name the kind of GPU to plan for with 'gpu'\n");
  EXPECT_EQ(Brief("local: 2\ngpu: h200-sxm-141gb\n"),
            "f.yaml:1:1: error: 'local' is 2 GPUs, so the cluster needs the key 'intra_node'\n"
            "  fix: add `intra_node: {kind: nvswitch, gbytes_per_s: ...}` (bandwidth per GPU and direction)\n");
}

TEST(MachineFacts, AreReadFromProc) {
  EXPECT_EQ(CpuNameFrom("processor\t: 0\nmodel name\t: AMD EPYC 7B13  \nflags\t: fma avx2\n"), "AMD EPYC 7B13");
  EXPECT_EQ(CpuNameFrom("processor\t: 0\n"), "unknown CPU");
  // 2.2 GHz x 2 units x 16 numbers x 2; 2.5 GHz (assumed) x 2 x 8 x 2; 2.5 GHz x 8.
  EXPECT_DOUBLE_EQ(CorePeakFrom("model name : Intel(R) Xeon(R) CPU @ 2.20GHz\nflags : fma avx512f\n").value(), 2.2e9 * 64);
  EXPECT_DOUBLE_EQ(CorePeakFrom("model name : AMD EPYC\nflags : fma avx2\n").value(), 2.5e9 * 32);
  EXPECT_DOUBLE_EQ(CorePeakFrom("model name : x\n").value(), 2.5e9 * 8);
  EXPECT_EQ(MemoryFrom("MemTotal:       24684096 kB\nMemFree: 1 kB\n").value(), Bytes(24684096LL * 1024));
  EXPECT_EQ(MemoryFrom("MemFree: 1 kB\n").status().code(), StatusCode::kUnavailable);
  const auto facts = ReadMachineFacts();
  ASSERT_TRUE(facts.ok()) << facts.status().message();
  EXPECT_GE(facts->cpu_cores, 1);
  EXPECT_GT(facts->memory.count(), 0);
  EXPECT_FALSE(facts->cpu_name.empty());
}

}  // namespace
}  // namespace helm::cluster
