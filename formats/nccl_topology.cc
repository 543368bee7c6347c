#include "formats/nccl_topology.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <pugixml.hpp>

#include "core/diagnostics.h"
#include "core/text.h"

namespace helm::formats {
namespace {

constexpr std::string_view kVersion = "1";  // NCCL_TOPO_XML_VERSION

std::optional<int64_t> WholeNumber(const pugi::xml_node& node, const char* attribute) {
  constexpr int64_t kMost = 1'000'000'000;
  const auto value = ParseInt64(node.attribute(attribute).value());
  return value && *value >= 0 && *value <= kMost ? value : std::nullopt;
}

// "32.0 GT/s PCIe", "16 GT/s"
std::optional<double> Gigatransfers(std::string_view text) {
  constexpr double kMost = 1000;
  const std::string word = Split(Trim(text), ' ').front();
  const auto value = ParseDouble(word);
  return value && *value > 0 && *value < kMost ? value : std::nullopt;
}

std::string HostOf(pugi::xml_node node) {
  while (node && std::string_view(node.name()) != "cpu") node = node.parent();
  return node.attribute("host_hash").value();
}

// Visits every element, without recursion.
class TopologyWalker : public pugi::xml_tree_walker {
 public:
  explicit TopologyWalker(NcclTopology& topology) : topology_(topology) {}

  bool for_each(pugi::xml_node& node) override {
    const std::string_view name = node.name();
    if (node.type() != pugi::node_element) return true;
    if (name == "gpu") {
      AddGpu(node);
    } else if (name == "net") {
      AddNic(node);
    } else if (name == "nvlink") {
      AddLink(node);
    } else if (std::ranges::find(kFrame, name) == kFrame.end()) {
      topology_.omissions.Add(fmt::format("elements <{}>", name));
    }
    return true;
  }

 private:
  // What the tree hangs on, and links that a cluster description does not hold (between CPU and GPU, between PCIe switches).
  static constexpr std::array<std::string_view, 6> kFrame = {"system", "cpu", "pci", "nic", "c2c", "pcilink"};

  void AddGpu(const pugi::xml_node& node) {
    const pugi::xml_node pci = node.parent();
    TopologyGpu gpu;
    gpu.host = HostOf(node);
    gpu.compute_capability = WholeNumber(node, "sm").value_or(0);
    gpu.pci_device = pci.attribute("device").value();
    gpu.pcie_gigatransfers = Gigatransfers(pci.attribute("link_speed").value());
    gpu.pcie_lanes = WholeNumber(pci, "link_width");
    topology_.gpus.push_back(std::move(gpu));
  }

  // A link stands in its GPU's element.
  void AddLink(const pugi::xml_node& node) {
    const auto count = WholeNumber(node, "count");
    if (topology_.gpus.empty() || std::string_view(node.parent().name()) != "gpu" || !count) {
      topology_.omissions.Add("NVLinks without a GPU or a count");
      return;
    }
    topology_.gpus.back().links.push_back({node.attribute("target").value(), *count, node.attribute("tclass").value()});
  }

  void AddNic(const pugi::xml_node& node) {
    TopologyNic nic;
    nic.host = HostOf(node);
    nic.name = node.attribute("name").value();
    if (const auto megabits = WholeNumber(node, "speed")) nic.gigabits_per_second = static_cast<double>(*megabits) / 1000;
    nic.direct = WholeNumber(node, "gdr").value_or(0) > 0;
    topology_.nics.push_back(std::move(nic));
  }

  NcclTopology& topology_;
};

}  // namespace

Result<NcclTopology> ParseNcclTopology(std::string_view text, const std::string& file) {
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(text.data(), text.size());
  if (!parsed) {
    const auto source = std::make_shared<const SourceText>(file, text);
    const size_t offset = std::min(static_cast<size_t>(std::max<std::ptrdiff_t>(parsed.offset, 0)), text.size());
    return InvalidError(RenderError(LocationOfOffset(source, text, offset), fmt::format("this is not XML: {}", parsed.description())));
  }
  const pugi::xml_node system = document.child("system");
  if (!system) return InvalidError(fmt::format("{}: error: this is no topology of NCCL: the element <system> is missing", file));
  const std::string_view version = system.attribute("version").value();
  if (version != kVersion) {
    return InvalidError(
        fmt::format("{}: error: version '{}' of NCCL's topology is not known; this HELM reads {}", file, version, kVersion));
  }
  NcclTopology topology;
  TopologyWalker walker(topology);
  document.traverse(walker);
  if (topology.gpus.empty()) return InvalidError(fmt::format("{}: error: this topology holds no GPU", file));
  return topology;
}

}  // namespace helm::formats
