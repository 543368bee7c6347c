#include "cost/gpu_collective_model.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "cluster/placement.h"
#include "cluster/ring_time.h"
#include "cost/nccl_tuner.h"
#include "cost/network_correction.h"

namespace helm::cost {
namespace {

// NCCL's ring protocols: time before the first step, of one step inside a node over NVLink and over PCIe, and the share of the bandwidth
// that carries data. Source: NCCL tuning constants, techniques.md 5.1 (baseLat Ring, hwLat Ring, LL = B/2, LL128 = 0.92 B).
struct RingProtocol {
  double base_us;
  double nvlink_us;
  double pcie_us;
  double bandwidth_share;
};
constexpr std::array<RingProtocol, 3> kRingProtocols = {{{6.6, 0.6, 1.0, 0.5}, {14.0, 1.9, 2.5, 0.92}, {8.4, 3.4, 5.7, 1.0}}};

std::optional<NcclCollective> NcclCollectiveOf(std::string_view kind) {
  if (kind == "all_reduce") return NcclCollective::kAllReduce;
  if (kind == "all_gather") return NcclCollective::kAllGather;
  if (kind == "reduce_scatter") return NcclCollective::kReduceScatter;
  if (kind == "broadcast") return NcclCollective::kBroadcast;
  return std::nullopt;
}

std::optional<NcclArchitecture> NcclArchitectureOf(std::string_view architecture) {
  if (architecture == "ampere") return NcclArchitecture::kAmpere;
  if (architecture == "hopper") return NcclArchitecture::kHopper;
  if (architecture == "blackwell") return NcclArchitecture::kBlackwell;
  return std::nullopt;
}

int64_t NodesOf(const ir::CollectiveSignature& collective) {
  return (collective.ranks + collective.ranks_per_node - 1) / collective.ranks_per_node;
}

bool IsSwitched(const cluster::Cluster& cluster) { return cluster.intra_node && cluster.intra_node->kind == "nvswitch"; }

// The share of a network's nominal rate that NCCL moves. Omni-Path leaves the work to the host: 135 of 4 x 100 Gb/s a node on Jean Zay
// (stas00/ml-engineering, network/README.md). Others come near enough (docs/cost_model.md).
double FabricShare(const cluster::InterNodeLink& link) { return link.fabric == "omni-path" ? 135.0 / 400.0 : 1.0; }

// NCCL's constants are of InfiniBand; what another fabric takes beyond one of its hops comes on top.
double ExtraLatencyUs(const cluster::InterNodeLink& link) {
  constexpr double kInfinibandHopUs = 5;  // as in configs/clusters/
  return std::max(0.0, link.latency.microseconds() - kInfinibandHopUs);
}

NcclCommunicator CommunicatorOf(const cluster::Cluster& cluster, const ir::CollectiveSignature& collective, NcclArchitecture architecture) {
  NcclCommunicator communicator;
  communicator.architecture = architecture;
  communicator.nodes = NodesOf(collective);
  communicator.ranks_per_node = collective.ranks_per_node;
  BytesPerSecond share;
  if (communicator.nodes > 1) {
    share = NetworkRateOfRank(cluster, collective);
    communicator.net_latency_us = ExtraLatencyUs(*cluster.inter_node);
  }
  SetSwitchGraphs(communicator, collective.ranks_per_node, share);
  // GPUs with fewer links than the architecture's best (A800, H800): no channel gets more than its part of them.
  for (NcclGraph* graph : {&communicator.ring, &communicator.tree, &communicator.nvls}) {
    if (graph->channels == 0 || !cluster.intra_node) continue;
    const double part = cluster.intra_node->bandwidth.gigabytes() / static_cast<double>(graph->channels);
    graph->intra_gbytes_per_s = std::min(graph->intra_gbytes_per_s, part);
  }
  return communicator;
}

// NCCL's own model where all of a node's GPUs are connected by NVLink switches; nothing where its graphs are not known. NCCL chooses by its
// uncorrected model.
std::optional<Duration> TunerTime(const cluster::Cluster& cluster, const ir::CollectiveSignature& collective) {
  const auto kind = NcclCollectiveOf(collective.kind);
  const auto architecture = NcclArchitectureOf(cluster.device.architecture);
  if (!kind || !architecture || !IsSwitched(cluster) || collective.ranks < 2) return std::nullopt;
  const NcclCommunicator communicator = CommunicatorOf(cluster, collective, *architecture);
  const NcclChoice choice = ChooseNccl(communicator, *kind, collective.bytes);
  const NetworkCorrection correction = NetworkCorrectionOf(communicator, *kind, choice.algorithm, collective.bytes);
  const double gigabytes_per_s = NcclCostOf(communicator, *kind, choice.algorithm, choice.protocol)->bandwidth_gbytes_per_s;
  const double longer = static_cast<double>(collective.bytes.count()) / (1000 * gigabytes_per_s) * (1 / correction.bandwidth_share - 1);
  return choice.time + Duration::Microseconds(correction.latency_us + longer);
}

cluster::RingPlacement PlacementOf(const cluster::Cluster& cluster, const ir::CollectiveSignature& collective,
                                   const RingProtocol& protocol) {
  cluster::RingPlacement placement{collective.ranks, collective.ranks_per_node, {}, {}};
  if (collective.ranks_per_node > 1) {
    const bool pcie = cluster.intra_node->kind == "pcie";
    placement.intra_node = {Duration::Microseconds(pcie ? protocol.pcie_us : protocol.nvlink_us),
                            BytesPerSecond::Of(cluster.intra_node->bandwidth.value() * protocol.bandwidth_share)};
  }
  if (NodesOf(collective) > 1) {
    placement.inter_node = {cluster.inter_node->latency,
                            BytesPerSecond::Of(NetworkRateOfRank(cluster, collective).value() * protocol.bandwidth_share)};
  }
  return placement;
}

// The fastest protocol.
Result<Duration> RingsTime(const cluster::Cluster& cluster, const ir::CollectiveSignature& collective) {
  std::optional<Duration> best;
  for (const RingProtocol& protocol : kRingProtocols) {
    HELM_ASSIGN_OR_RETURN(const Duration ring,
                          cluster::RingTime(collective.kind, collective.bytes, PlacementOf(cluster, collective, protocol)));
    const Duration total = Duration::Microseconds(protocol.base_us) + ring;
    if (!best || total < *best) best = total;
  }
  return *best;
}

// Each rank sends an equal part to each: (n - q) / n of its bytes through its network share, (q - 1) / n over the links inside the node at
// the same time.
Duration AllToAllOverNodes(const cluster::Cluster& cluster, const ir::CollectiveSignature& collective) {
  const auto ranks = static_cast<double>(collective.ranks);
  const auto inside = static_cast<double>(collective.ranks_per_node);
  const auto bytes = static_cast<double>(collective.bytes.count());
  const NetworkCorrection network = AllToAllNetwork(NodesOf(collective), collective.bytes);
  double seconds = bytes * (ranks - inside) / ranks / (NetworkRateOfRank(cluster, collective).value() * network.bandwidth_share);
  if (collective.ranks_per_node > 1) {
    seconds = std::max(seconds, bytes * (inside - 1) / ranks / cluster.intra_node->bandwidth.value());
  }
  return Duration::Seconds(seconds) + Duration::Microseconds(network.latency_us + ExtraLatencyUs(*cluster.inter_node));
}

}  // namespace

BytesPerSecond NetworkRateOfRank(const cluster::Cluster& cluster, const ir::CollectiveSignature& collective) {
  const cluster::InterNodeLink& link = *cluster.inter_node;
  const auto devices = static_cast<double>(cluster::DevicesPerDomain(cluster));
  const double cards = static_cast<double>(link.nics) * devices / static_cast<double>(cluster.devices_per_node);
  const double active = std::min(devices, static_cast<double>(collective.ranks_per_node * collective.groups_per_node));
  const double near = std::max(1.0, cards / devices);
  return BytesPerSecond::Of(link.bandwidth.value() * std::min(near, cards / active) * FabricShare(link));
}

Result<Duration> GpuCollectiveTime(const cluster::Cluster& cluster, const ir::CollectiveSignature& collective) {
  if (collective.ranks_per_node > 1 && !cluster.intra_node) {
    return UnavailableError("the cluster description has no intra_node link");
  }
  const bool between = NodesOf(collective) > 1;
  if (between && !cluster.inter_node) return UnavailableError("the cluster description has no inter_node link");
  if (between && collective.kind == "all_to_all") return AllToAllOverNodes(cluster, collective);
  if (const auto tuned = TunerTime(cluster, collective)) return *tuned;
  return RingsTime(cluster, collective);
}

}  // namespace helm::cost
