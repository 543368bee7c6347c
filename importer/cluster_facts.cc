#include "importer/cluster_facts.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace helm::importer {
namespace {

using formats::NcclTopology;
using formats::NvLink;
using formats::TopologyGpu;
using formats::TopologyMatrix;
using formats::TopologyNic;

// PCI device numbers of NVIDIA's GPUs (pci.ids) and the presets of configs/gpus/.
constexpr std::array<std::pair<std::string_view, std::string_view>, 13> kPresets = {{{"0x20b0", "a100-sxm-40gb"},
                                                                                     {"0x20b2", "a100-sxm-80gb"},
                                                                                     {"0x20f1", "a100-pcie-40gb"},
                                                                                     {"0x20b5", "a100-pcie-80gb"},
                                                                                     {"0x20f3", "a800-sxm-80gb"},
                                                                                     {"0x2235", "a40"},
                                                                                     {"0x26b9", "l40s"},
                                                                                     {"0x2330", "h100-sxm-80gb"},
                                                                                     {"0x2331", "h100-pcie-80gb"},
                                                                                     {"0x2324", "h800-sxm-80gb"},
                                                                                     {"0x2335", "h200-sxm-141gb"},
                                                                                     {"0x2901", "b200-sxm-180gb"},
                                                                                     {"0x3182", "b300-sxm-288gb"}}};

// Of one NVLink, one direction, in 10^9 bytes a second: NVIDIA's architecture whitepapers (P100; V100, A100, H100; GA102; Blackwell).
constexpr std::array<std::pair<int64_t, double>, 7> kLinkRates = {
    {{60, 20}, {70, 25}, {80, 25}, {86, 14.0625}, {90, 25}, {100, 50}, {103, 50}}};

constexpr std::string_view kSwitchClass = "0x068000";  // PCI class of an NVSwitch, in NCCL's files
// No GPU so far has more NVLinks (H100, B200: 18). Who reaches its neighbours by more of them in sum reaches them through switches.
constexpr int64_t kLinksOfAGpu = 18;

// Bytes a second and lane over transfers: 128 of 130 bits carry data from 8 GT/s on, 8 of 10 below (PCI Express base specification); PCIe
// 6's 64 GT/s are sent in frames of which 236 of 256 bytes are data.
double PcieGigabytes(double gigatransfers, int64_t lanes) {
  const double efficiency = gigatransfers >= 64 ? 236.0 / 256 : gigatransfers >= 8 ? 128.0 / 130 : 0.8;
  return gigatransfers * efficiency / 8 * static_cast<double>(lanes);
}

int64_t LinksOf(const TopologyGpu& gpu) {
  int64_t count = 0;
  for (const NvLink& link : gpu.links) count += link.count;
  return count;
}

class NcclFacts {
 public:
  NcclFacts(const NcclTopology& topology, const std::string& file) : topology_(topology), file_(file) {}

  Result<ClusterFacts> Make() {
    facts_.omissions = topology_.omissions;
    HELM_RETURN_IF_ERROR(CountNodes());
    NameGpu();
    if (facts_.gpus_per_node > 1) DescribeLinks();
    DescribeNics();
    return std::move(facts_);
  }

 private:
  Status CountNodes() {
    std::map<std::string, int64_t> on_host;
    for (const TopologyGpu& gpu : topology_.gpus) ++on_host[gpu.host];
    facts_.nodes = std::ssize(on_host);
    facts_.gpus_per_node = on_host.begin()->second;
    for (const auto& [host, count] : on_host) {
      if (count == facts_.gpus_per_node) continue;
      return InvalidError(fmt::format("{}: error: the hosts of this topology have {} and {} GPUs; HELM's clusters have nodes of one kind",
                                      file_, facts_.gpus_per_node, count));
    }
    return OkStatus();
  }

  void NameGpu() {
    const std::string& device = topology_.gpus.front().pci_device;
    for (const TopologyGpu& gpu : topology_.gpus) {
      if (gpu.pci_device == device) continue;
      facts_.remarks.push_back(fmt::format("the GPUs are of two kinds, {} and {}", device, gpu.pci_device));
      return;
    }
    const auto* known = std::ranges::find(kPresets, device, &std::pair<std::string_view, std::string_view>::first);
    if (known != kPresets.end()) {
      facts_.gpu = known->second;
    } else {
      facts_.remarks.push_back(device.empty() ? "the file does not tell which GPU it is"
                                              : fmt::format("no preset is known for the PCI device {}", device));
    }
  }

  void DescribeLinks() {
    const auto fewest = std::ranges::min_element(topology_.gpus, {}, LinksOf);
    const int64_t links = LinksOf(*fewest);
    if (links != LinksOf(*std::ranges::max_element(topology_.gpus, {}, LinksOf))) {
      facts_.remarks.push_back(fmt::format("the GPUs have different numbers of NVLinks: the least, {}, is taken", links));
    }
    if (links == 0) return DescribePcie();
    const bool switched =
        std::ranges::any_of(fewest->links, [](const NvLink& link) { return link.target_class.starts_with(kSwitchClass); });
    facts_.link_kind = switched ? "nvswitch" : "nvlink-mesh";
    const auto* rate = std::ranges::find(kLinkRates, fewest->compute_capability, &std::pair<int64_t, double>::first);
    if (rate != kLinkRates.end()) {
      facts_.link_gbytes_per_s = rate->second * static_cast<double>(links);
    } else {
      facts_.remarks.push_back(fmt::format("the rate of an NVLink is not known for compute capability {}", fewest->compute_capability));
    }
  }

  void DescribePcie() {
    facts_.link_kind = "pcie";
    std::optional<double> slowest;
    for (const TopologyGpu& gpu : topology_.gpus) {
      if (!gpu.pcie_gigatransfers || !gpu.pcie_lanes) {
        facts_.remarks.emplace_back("the file does not tell the rate of every GPU's slot");
        return;
      }
      const double rate = PcieGigabytes(*gpu.pcie_gigatransfers, *gpu.pcie_lanes);
      slowest = std::min(slowest.value_or(rate), rate);
    }
    facts_.link_gbytes_per_s = slowest;
  }

  void DescribeNics() {
    double fastest = 0;
    for (const TopologyNic& nic : topology_.nics) fastest = std::max(fastest, nic.gigabits_per_second.value_or(0));
    int64_t count = 0;
    for (const TopologyNic& nic : topology_.nics) {
      if (fastest > 0 && nic.gigabits_per_second == fastest) {
        ++count;
        if (nic.name.starts_with("efa") || nic.name.starts_with("rdmap")) facts_.fabric = "efa";
      } else {
        facts_.omissions.Add("network cards that are slower than others, or whose rate is not told");
      }
    }
    if (count == 0) return;
    facts_.nics = std::max<int64_t>(1, count / facts_.nodes);
    facts_.nic_gbits_per_s = fastest;
  }

  const NcclTopology& topology_;
  const std::string& file_;
  ClusterFacts facts_;
};

std::string OrNull(const std::optional<double>& value) { return value ? fmt::format("{:.4g}", *value) : "null"; }
std::string OrNull(const std::string& text) { return text.empty() ? "null" : text; }

}  // namespace

Result<ClusterFacts> FactsOf(const NcclTopology& topology, const std::string& file) { return NcclFacts(topology, file).Make(); }

ClusterFacts FactsOf(const TopologyMatrix& matrix, const std::optional<cluster::Device>& gpu) {
  ClusterFacts facts;
  facts.gpus_per_node = std::ranges::count_if(matrix.names, formats::IsGpu);
  int64_t links_least = -1;
  int64_t near = 0, nics = 0;
  for (size_t row = 0; row < matrix.names.size(); ++row) {
    int64_t links = 0;
    bool beside_gpu = false;
    for (size_t column = 0; column < matrix.names.size(); ++column) {
      if (column == row || !formats::IsGpu(matrix.names[column])) continue;
      const std::string& cell = matrix.cells[row][column];
      links += formats::NvLinksOf(cell);
      beside_gpu = beside_gpu || cell == "PIX" || cell == "PXB";
    }
    if (formats::IsGpu(matrix.names[row])) {
      links_least = links_least < 0 ? links : std::min(links_least, links);
    } else {
      ++nics;
      near += beside_gpu ? 1 : 0;
    }
  }
  facts.nics = near > 0 ? near : nics;
  facts.omissions.Add("network cards that no GPU reaches without the CPU", {}, near > 0 ? nics - near : 0);
  if (facts.gpus_per_node > 1) facts.link_kind = links_least > kLinksOfAGpu ? "nvswitch" : links_least > 0 ? "nvlink-mesh" : "pcie";
  if (gpu) facts.gpu = gpu->name;
  if (links_least > 0 && gpu && gpu->nvlink) facts.link_gbytes_per_s = gpu->nvlink->gigabytes();
  if (!gpu) facts.remarks.emplace_back("nvidia-smi topo -m does not tell which GPU it is; --gpu does");
  return facts;
}

std::string ClusterFileOf(const ClusterFacts& facts, const std::string& source) {
  const std::string network =
      fmt::format("inter_node: {{nics: {}, gbits_per_s: {}, fabric: {}, latency_us: null}}\n",
                  facts.nics > 0 ? fmt::format("{}", facts.nics) : "null", OrNull(facts.nic_gbits_per_s), OrNull(facts.fabric));
  std::string text = fmt::format("# From {}. null: not told there; fill it in.\n", source);
  if (facts.nodes == 1) text += "# With several such nodes: " + network;
  text += fmt::format("gpu: {}\nnodes: {}\ngpus_per_node: {}\n", OrNull(facts.gpu), facts.nodes, facts.gpus_per_node);
  if (!facts.link_kind.empty()) {
    text += fmt::format("intra_node: {{kind: {}, gbytes_per_s: {}}}\n", facts.link_kind, OrNull(facts.link_gbytes_per_s));
  }
  return facts.nodes > 1 ? text + network : text;
}

}  // namespace helm::importer
