// NCCL's own cost model: latency and bandwidth of each algorithm and protocol, and the pair it would choose for a size.
//
// It ranks; the absolute times are those that NCCL believes, which are optimistic for small messages. Source of every formula and constant:
// NCCL 2.27 tuning.cc, as described in techniques.md 5.1. Not covered: CollNet, PAT, and NVLS over several nodes without in-network
// reduction.
//
// Known deviation: for kNvlsTree over two nodes of eight H100 the tables give 66.8 us and 246 GB/s, a log of NCCL 2.27.5 shows 53.0 us and
// 266.7 GB/s; the graph of that run is not published.
//
// Units inside are NCCL's: microseconds, GB/s (1e9 bytes), bytes of the full tensor.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/units.h"

namespace helm::cost {

enum class NcclAlgorithm : uint8_t { kRing, kTree, kNvls, kNvlsTree };
enum class NcclProtocol : uint8_t { kLl, kLl128, kSimple };
enum class NcclCollective : uint8_t { kAllReduce, kAllGather, kReduceScatter, kBroadcast };
enum class NcclArchitecture : uint8_t { kVolta, kAmpere, kHopper, kBlackwell };

// What NCCL's topology search found for one algorithm: channels, and GB/s of one of them inside and between nodes.
struct NcclGraph {
  int64_t channels = 0;  // 0: not available
  double intra_gbytes_per_s = 0;
  double inter_gbytes_per_s = 0;
};

struct NcclCommunicator {
  NcclArchitecture architecture = NcclArchitecture::kHopper;
  int64_t nodes = 1;
  int64_t ranks_per_node = 8;
  bool nvlink = true;         // inside a node; otherwise PCIe
  bool intel_cpu = true;      // otherwise AMD
  bool ll128 = true;          // the paths between the GPUs allow it
  double net_latency_us = 0;  // of the network plugin, on top of NCCL's constant
  NcclGraph ring, tree, nvls;
};

struct NcclCost {
  double latency_us = 0;
  double bandwidth_gbytes_per_s = 0;  // algorithm bandwidth: full tensor over time
};

struct NcclChoice {
  NcclAlgorithm algorithm = NcclAlgorithm::kRing;
  NcclProtocol protocol = NcclProtocol::kSimple;
  Duration time;
};

// Nothing where NCCL would not consider the pair. REQUIRES: at least two ranks.
std::optional<NcclCost> NcclCostOf(const NcclCommunicator& communicator, NcclCollective collective, NcclAlgorithm algorithm,
                                   NcclProtocol protocol);

// With the corrections by size that NCCL applies on top: trees in the middle range, large ring all-reduces over several nodes.
std::optional<Duration> NcclTime(const NcclCommunicator& communicator, NcclCollective collective, NcclAlgorithm algorithm,
                                 NcclProtocol protocol, Bytes bytes);

// The fastest. Ties: the first in the order of the enumerations.
NcclChoice ChooseNccl(const NcclCommunicator& communicator, NcclCollective collective, Bytes bytes);

// The graphs that NCCL's search gives for GPUs all connected by NVLink switches with all links of their architecture; `nics` network cards
// of `nic` each serve the group. Rates of the search: techniques.md 5.1 "Graph presets".
void SetSwitchGraphs(NcclCommunicator& communicator, int64_t nics, BytesPerSecond nic);

}  // namespace helm::cost
