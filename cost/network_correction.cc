#include "cost/network_correction.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <span>

#include "core/check.h"

namespace helm::cost {
namespace {

// All tables: techniques.md 5.2. A ramp is by floor(log2(bytes of a GPU / 64)), from `first` on; below it the first value, above it 1.
struct Ramp {
  int first;
  std::span<const double> shares;
};
constexpr std::array<double, 8> kRingShares = {.10, .18, .30, .43, .63, .55, .78, .93};
constexpr std::array<double, 8> kSwitchTreeShares = {.10, .10, .15, .28, .41, .55, .72, .88};
constexpr std::array<double, 10> kAllToAllShares = {.28, .28, .35, .43, .62, .71, .82, .89, .92, .95};
constexpr Ramp kRing{11, kRingShares};
constexpr Ramp kSwitchTree{8, kSwitchTreeShares};
constexpr Ramp kAllToAll{8, kAllToAllShares};

double ShareOf(const Ramp& ramp, double bytes_per_gpu) {
  const auto units = static_cast<uint64_t>(std::max(1.0, bytes_per_gpu / 64));
  const int index = static_cast<int>(std::bit_width(units)) - 1 - ramp.first;
  if (index >= static_cast<int>(ramp.shares.size())) return 1.0;
  return ramp.shares[static_cast<size_t>(std::max(index, 0))];
}

// Nodes that take part with eight GPUs and as many cards.
double FullNodeShare(double bytes_per_gpu) {
  constexpr double kMebibyte = 1048576.0;
  if (bytes_per_gpu < 16 * kMebibyte) return .68;
  return bytes_per_gpu < 32 * kMebibyte ? .79 : .87;
}

constexpr int64_t kFullNode = 8;
constexpr double kRingSyncUs = 4.7;

}  // namespace

NetworkCorrection NetworkCorrectionOf(const NcclCommunicator& communicator, NcclCollective collective, NcclAlgorithm algorithm,
                                      Bytes bytes) {
  if (communicator.nodes == 1) return {};
  const auto nodes = static_cast<double>(communicator.nodes);
  const double per_gpu = static_cast<double>(bytes.count()) / (nodes * static_cast<double>(communicator.ranks_per_node));
  if (algorithm == NcclAlgorithm::kNvlsTree) return {ShareOf(kSwitchTree, per_gpu), 0};
  const bool gathers = collective == NcclCollective::kAllGather || collective == NcclCollective::kReduceScatter;
  if (algorithm != NcclAlgorithm::kRing || !gathers) return {};
  const double sync = kRingSyncUs * nodes * (nodes > 4 ? std::pow(nodes / 4, 0.65) : 1.0);
  if (communicator.ranks_per_node >= kFullNode) return {FullNodeShare(per_gpu), sync};
  const double power = nodes > 4 ? 1 + 0.2 * (std::log2(nodes) - 2) : 1.0;
  return {std::pow(ShareOf(kRing, per_gpu), power), sync};
}

NetworkCorrection AllToAllNetwork(int64_t nodes, Bytes bytes) {
  HELM_CHECK(nodes >= 2, "a network between nodes");
  constexpr std::array<double, 5> kLatency = {37, 42, 60, 98, 290};  // us, of 2, 4, 8, 16, 32 nodes
  const double place = std::log2(static_cast<double>(nodes)) - 1;
  const auto below = static_cast<size_t>(std::min(place, 3.0));
  const double latency =
      place >= 4 ? kLatency[4] * std::exp2(place - 4) : std::lerp(kLatency[below], kLatency[below + 1], place - static_cast<double>(below));
  double share = ShareOf(kAllToAll, static_cast<double>(bytes.count()));
  if (nodes > 2) share = 1 - (1 - share) / (place + 1);
  return {share * (1 - 0.44 / static_cast<double>(nodes)), latency};
}

}  // namespace helm::cost
