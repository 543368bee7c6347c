// TopologyMatrix: what `nvidia-smi topo -m` prints: how each GPU and network card of a machine reaches each other one. Reading only.
//
// A cell is "X" (itself), "NV#" (that many NVLinks), or the way over PCIe: PIX (one bridge), PXB (several), PHB (the CPU's host bridge),
// NODE (between host bridges of a NUMA node), SYS (between NUMA nodes). Columns may be parted by tabs or, from a terminal, by blanks;
// underlined headings are understood. Source: the legend that nvidia-smi prints itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace helm::formats {

struct TopologyMatrix {
  std::vector<std::string> names;               // of rows and columns: "GPU0", ..., "NIC0" or "mlx5_0"
  std::vector<std::vector<std::string>> cells;  // one row for each name
  std::vector<std::string> nic_names;           // of the NIC legend, "mlx5_0", in its order; empty in older versions
  bool operator==(const TopologyMatrix&) const = default;
};

bool IsGpu(std::string_view name);         // "GPU3"
int64_t NvLinksOf(std::string_view cell);  // 18 of "NV18", 0 of others

// Fails when there is no matrix, a row is missing or too short, or a cell is none of the legend.
Result<TopologyMatrix> ParseTopologyMatrix(std::string_view text, const std::string& file);

}  // namespace helm::formats
