// NcclTopology: the tree of one machine that NCCL writes where NCCL_TOPO_DUMP_FILE says (XML, `<system version="1">`): GPUs with their
// NVLinks, PCIe, network cards. Reading only.
//
// Clouds ship such files written by hand, which lack attributes (NVIDIA/nccl issue 1726): what is missing is unknown here, never an error.
// Source of the form: https://github.com/NVIDIA/nccl, src/graph/xml.cc and topo.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "formats/omissions.h"

namespace helm::formats {

struct NvLink {
  std::string target;        // bus id, or a number for a switch that is not seen
  int64_t count = 0;         // links
  std::string target_class;  // PCI class of the other end: "0x068000" is an NVSwitch, "0x0302.." a GPU; empty: not told
  bool operator==(const NvLink&) const = default;
};

struct TopologyGpu {
  std::string host;                          // host_hash of its CPU; empty: not told
  int64_t compute_capability = 0;            // 90: 9.0; 0: not told
  std::string pci_device;                    // "0x2330"; empty: not told
  std::optional<double> pcie_gigatransfers;  // a second and lane
  std::optional<int64_t> pcie_lanes;
  std::vector<NvLink> links;
  bool operator==(const TopologyGpu&) const = default;
};

struct TopologyNic {
  std::string host;
  std::string name;  // "mlx5_0"
  std::optional<double> gigabits_per_second;
  bool direct = false;  // gdr: the GPUs' memory is reached without the CPU's
  bool operator==(const TopologyNic&) const = default;
};

struct NcclTopology {
  std::vector<TopologyGpu> gpus;
  std::vector<TopologyNic> nics;
  Omissions omissions;
};

// Fails on what is no XML, with the place, on another version and without `<system>`.
Result<NcclTopology> ParseNcclTopology(std::string_view text, const std::string& file);

}  // namespace helm::formats
