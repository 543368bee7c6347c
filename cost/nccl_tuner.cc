#include "cost/nccl_tuner.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "core/check.h"

namespace helm::cost {
namespace {

using Row = std::array<double, 3>;  // by protocol, or by {1, 2, more nodes}

// Tables of techniques.md 5.1, by architecture (Volta, Ampere, Hopper, Blackwell) where two-dimensional.
constexpr Row kTreeBase = {6.8, 14.0, 8.4};
constexpr Row kRingBase = {6.6, 14.0, 8.4};
constexpr Row kTreeNvlink = {0.6, 1.25, 4.0};
constexpr Row kTreePci = {1.0, 1.9, 4.0};
constexpr Row kTreeNet = {5.0, 8.5, 14.0};
constexpr Row kRingNvlink = {0.6, 1.9, 3.4};
constexpr Row kRingPci = {1.0, 2.5, 5.7};
constexpr Row kRingNet = {2.7, 4.0, 14.0};
constexpr double kNvlsIntra = 25.0;
constexpr double kNvlsTreeNet = 20.9;
constexpr std::array<Row, 4> kLlMost = {{{39, 39, 20.4}, {87.7, 22.5, 19}, {141, 45, 35}, {282, 90, 70}}};
constexpr std::array<double, 4> kRingLl128PerChannel = {20, 20, 36.7, 40};
constexpr std::array<Row, 4> kTreeLl128PerChannel = {{{20, 20, 20}, {20, 20, 20}, {36.7, 36.7, 29}, {55.6, 31.67, 20}}};
constexpr std::array<Row, 4> kTreePerChannel = {{{26.5, 18.5, 10}, {24, 23.6, 17.8}, {38.7, 41.4, 36}, {70, 42.8, 24}}};
constexpr std::array<Row, 4> kNvlsTreePerChannel = {{{0, 0, 0}, {0, 0, 0}, {0, 57.7, 45.5}, {0, 96, 80}}};
constexpr std::array<double, 4> kNvlsEfficiency = {0, 0, 0.85, 0.74};

// Trees by log2(bytes / 64).
constexpr std::array<std::array<double, 23>, 3> kTreeCorrection = {
    {{1, 1, 1, 1, .9, .8, .7, .7, .7, .7, .6, .5, .4, .4, .5, .6, .7, .8, .9, 1, 1, 1, 1},
     {1, 1, 1, 1, 1, .9, .8, .8, .8, .7, .6, .6, .6, .6, .6, .6, .8, .9, .9, .9, .9, 1, 1},
     {.9, .9, .9, .9, .9, .9, .9, .8, .7, .6, .6, .5, .5, .5, .5, .6, .7, .8, .7, .7, .8, .9, .9}}};

struct Shape {
  double ranks;
  double nodes;
  double steps;        // of a ring
  double inter_steps;  // of these between nodes
  size_t node_column;  // of the tables
  size_t architecture;
};

Shape ShapeOf(const NcclCommunicator& communicator, NcclCollective collective) {
  const auto nodes = static_cast<double>(communicator.nodes);
  const double ranks = nodes * static_cast<double>(communicator.ranks_per_node);
  double steps = ranks - 1;
  double inter = communicator.nodes == 1 ? 0 : nodes - 1;
  if (collective == NcclCollective::kAllReduce) {
    steps *= 2;
    inter *= 2;
  }
  if (collective == NcclCollective::kBroadcast) steps = ranks;
  return {ranks,
          nodes,
          steps,
          inter,
          static_cast<size_t>(std::min<int64_t>(communicator.nodes, 3) - 1),
          static_cast<size_t>(communicator.architecture)};
}

double FloorLog2(int64_t value) { return static_cast<double>(std::bit_width(static_cast<uint64_t>(value)) - 1); }

// The row of the table is the GPU's on one node; over several nodes the CPU limits the rate: Intel counts as Volta, AMD as Ampere.
double LlMost(const NcclCommunicator& communicator, const Shape& shape) {
  const size_t row = communicator.nodes == 1 ? shape.architecture : (communicator.intel_cpu ? 0 : 1);
  return kLlMost[row][shape.node_column];
}

double GraphBandwidth(const NcclCommunicator& communicator, const NcclGraph& graph) {
  return static_cast<double>(graph.channels) * (communicator.nodes <= 2 ? graph.intra_gbytes_per_s : graph.inter_gbytes_per_s);
}

NcclCost Ring(const NcclCommunicator& communicator, NcclCollective collective, NcclProtocol protocol) {
  const Shape shape = ShapeOf(communicator, collective);
  const auto p = static_cast<size_t>(protocol);
  double bandwidth = GraphBandwidth(communicator, communicator.ring);
  if (protocol == NcclProtocol::kLl) bandwidth = std::min(LlMost(communicator, shape), bandwidth / 2);
  if (protocol == NcclProtocol::kLl128) {
    bandwidth = std::min(0.92 * bandwidth, static_cast<double>(communicator.ring.channels) * kRingLl128PerChannel[shape.architecture]);
  }
  bandwidth *= shape.ranks / shape.steps;
  const bool simple = protocol == NcclProtocol::kSimple;
  double intra = communicator.nvlink ? kRingNvlink[p] : kRingPci[p];
  if (communicator.nodes > 1) intra = std::max(intra, (communicator.intel_cpu ? 1.0 : 2.0) * (simple ? 3 : 1));
  const double net = communicator.ranks_per_node == 1 ? kTreeNet[p] : kRingNet[p];
  const double inter = net + communicator.net_latency_us * (simple ? 2 : 1);
  if (collective == NcclCollective::kBroadcast) return {kRingBase[p] + (communicator.nodes > 1 ? inter : intra), bandwidth};
  return {kRingBase[p] + (shape.steps - shape.inter_steps) * intra + shape.inter_steps * inter, bandwidth};
}

NcclCost Tree(const NcclCommunicator& communicator, NcclProtocol protocol) {
  const Shape shape = ShapeOf(communicator, NcclCollective::kAllReduce);
  const auto p = static_cast<size_t>(protocol);
  const auto channels = static_cast<double>(communicator.tree.channels);
  double bandwidth =
      std::min(0.92 * GraphBandwidth(communicator, communicator.tree), channels * kTreePerChannel[shape.architecture][shape.node_column]);
  if (protocol == NcclProtocol::kLl) bandwidth = std::min(bandwidth / 3.8, LlMost(communicator, shape));
  if (protocol == NcclProtocol::kLl128) {
    bandwidth = std::min(bandwidth * (communicator.nodes == 1 ? 7.0 / 9 : 120.0 / 128),
                         channels * kTreeLl128PerChannel[shape.architecture][shape.node_column]);
  }
  const double intra = communicator.nvlink ? kTreeNvlink[p] : kTreePci[p];
  const double inter = kTreeNet[p] + communicator.net_latency_us * (protocol == NcclProtocol::kSimple ? 2 : 1);
  const double hops = static_cast<double>(communicator.ranks_per_node - 1);
  return {kTreeBase[p] + 2 * (hops * intra + FloorLog2(communicator.nodes) * inter), bandwidth * 0.5};
}

NcclCost Nvls(const NcclCommunicator& communicator, NcclCollective collective, bool tree) {
  const Shape shape = ShapeOf(communicator, collective);
  const NcclGraph& graph = communicator.nvls;
  const auto channels = static_cast<double>(graph.channels);
  const auto inside = static_cast<double>(communicator.ranks_per_node);
  double rate = graph.intra_gbytes_per_s * kNvlsEfficiency[shape.architecture] * (channels - 1) / channels;
  rate *= collective == NcclCollective::kAllReduce ? 2 : (inside - 1) / inside;
  if (tree) {
    const double inter = graph.inter_gbytes_per_s * (communicator.nodes <= 2 ? 2 : 1);
    rate = std::min({rate, inter, kNvlsTreePerChannel[shape.architecture][shape.node_column]});
    const double net = kNvlsTreeNet + 2 * communicator.net_latency_us;
    return {kNvlsIntra + 2 * FloorLog2(communicator.nodes) * net, channels * rate * shape.ranks / shape.steps};
  }
  const double to_algorithm = collective == NcclCollective::kAllReduce ? shape.ranks / shape.steps : 1.0;
  return {kNvlsIntra, channels * rate * to_algorithm};
}

// Volta: 6 links of 20 GB/s. What NVLS gets on Blackwell is not published in numbers: rings only.
struct SwitchPreset {
  int64_t ring_channels;
  double ring_rate;
  int64_t nvls_channels;
  double nvls_rate;
};
constexpr std::array<SwitchPreset, 4> kSwitchPresets = {{{6, 20, 0, 0}, {12, 20, 0, 0}, {12, 30, 8, 40}, {8, 90, 0, 0}}};

}  // namespace

std::optional<NcclCost> NcclCostOf(const NcclCommunicator& communicator, NcclCollective collective, NcclAlgorithm algorithm,
                                   NcclProtocol protocol) {
  HELM_CHECK(communicator.nodes * communicator.ranks_per_node >= 2, "a communicator of one rank has no cost");
  if (protocol == NcclProtocol::kLl128 && !communicator.ll128) return std::nullopt;
  const bool reduces = collective == NcclCollective::kAllReduce;
  const bool nvls = communicator.nvls.channels >= 2 && communicator.ranks_per_node > 2 && protocol == NcclProtocol::kSimple;
  switch (algorithm) {
    case NcclAlgorithm::kRing:
      return communicator.ring.channels > 0 ? std::optional(Ring(communicator, collective, protocol)) : std::nullopt;
    case NcclAlgorithm::kTree:
      return communicator.tree.channels > 0 && reduces ? std::optional(Tree(communicator, protocol)) : std::nullopt;
    case NcclAlgorithm::kNvls:
      if (!nvls || communicator.nodes > 1 || collective == NcclCollective::kBroadcast) return std::nullopt;
      return Nvls(communicator, collective, false);
    case NcclAlgorithm::kNvlsTree:
      if (!nvls || communicator.nodes == 1 || !reduces) return std::nullopt;
      return Nvls(communicator, collective, true);
  }
  return std::nullopt;
}

std::optional<Duration> NcclTime(const NcclCommunicator& communicator, NcclCollective collective, NcclAlgorithm algorithm,
                                 NcclProtocol protocol, Bytes bytes) {
  const auto cost = NcclCostOf(communicator, collective, algorithm, protocol);
  if (!cost || cost->bandwidth_gbytes_per_s <= 0) return std::nullopt;
  double latency = cost->latency_us;
  double bandwidth = cost->bandwidth_gbytes_per_s;
  const auto index = static_cast<size_t>(FloorLog2(std::max<int64_t>(bytes.count() >> 6, 1)));
  const auto& correction = kTreeCorrection[static_cast<size_t>(protocol)];
  if (algorithm == NcclAlgorithm::kTree && index < correction.size()) bandwidth *= correction[index];
  const double ranks = static_cast<double>(communicator.nodes * communicator.ranks_per_node);
  const double piece = static_cast<double>(bytes.count()) / (static_cast<double>(communicator.ring.channels) * ranks);
  if (algorithm == NcclAlgorithm::kRing && protocol == NcclProtocol::kSimple && collective == NcclCollective::kAllReduce &&
      communicator.nodes > 1 && piece >= 64) {
    latency *= communicator.architecture == NcclArchitecture::kVolta ? 1.9 : 1.4;
  }
  return Duration::Microseconds(latency + static_cast<double>(bytes.count()) / (1000 * bandwidth));
}

NcclChoice ChooseNccl(const NcclCommunicator& communicator, NcclCollective collective, Bytes bytes) {
  std::optional<NcclChoice> best;
  for (const auto algorithm : {NcclAlgorithm::kRing, NcclAlgorithm::kTree, NcclAlgorithm::kNvls, NcclAlgorithm::kNvlsTree}) {
    for (const auto protocol : {NcclProtocol::kLl, NcclProtocol::kLl128, NcclProtocol::kSimple}) {
      const auto time = NcclTime(communicator, collective, algorithm, protocol, bytes);
      if (time && (!best || *time < best->time)) best = {algorithm, protocol, *time};
    }
  }
  HELM_CHECK(best.has_value(), "a communicator has a ring");
  return *best;
}

void SetSwitchGraphs(NcclCommunicator& communicator, int64_t nics, BytesPerSecond nic) {
  const SwitchPreset& preset = kSwitchPresets[static_cast<size_t>(communicator.architecture)];
  if (communicator.nodes == 1) {
    communicator.ring = communicator.tree = {preset.ring_channels, preset.ring_rate, preset.ring_rate};
    communicator.nvls = {preset.nvls_channels, preset.nvls_rate, preset.nvls_rate};
    return;
  }
  // NCCL counts 12 GB/s for 100 Gb/s (12.5 GB/s) of network.
  const double rate = nic.gigabytes() * 0.96;
  communicator.ring = communicator.tree = {nics, rate, rate};
  communicator.nvls = preset.nvls_channels > 0 ? NcclGraph{nics, preset.nvls_rate, rate} : NcclGraph{};
}

}  // namespace helm::cost
