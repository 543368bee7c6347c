#include "cost/overlap_model.h"

#include <algorithm>
#include <string>

#include "ir/product_ops.h"
#include "ir/target.h"

namespace helm::cost {
namespace {

// Channels of NCCL's rings: within a node 24 (12 found by its search, doubled); between nodes one a card and GPU, doubled before Hopper,
// whose channels of 48 GB/s are not (techniques.md 5.1: channels are doubled below 50 GB/s only on Ampere and earlier).
constexpr double kChannelsInside = 24;
constexpr double kChannelsNetwork = 8;
constexpr double kChannelsNetworkAmpere = 16;
// Bytes of memory traffic for each byte that passes the links: 2 for a gather (written, read to pass on), 3 for a reduction (techniques.md
// 5.6); and the share of a link's nominal rate that large collectives reach (docs/cost_model.md: 360 of 450 GB/s on H100).
constexpr double kTrafficPerByte = 2.5;
constexpr double kLinkShare = 0.8;
// A collective beside memory-bound kernels takes 1.05 to 1.1 times as long (techniques.md 5.6).
constexpr double kCommunicationLoss = 1 - 1 / 1.075;
// However much the sums come to, kernels go on.
constexpr double kLossMost = 0.5;

}  // namespace

bool IsProduct(std::string_view target) {
  const std::string base = ir::BaseName(std::string(target));
  return std::ranges::find(ir::kProductOps, base, &ir::ProductOp::name) != ir::kProductOps.end() || base == "_grouped_mm" ||
         base.starts_with("_scaled_dot_product");
}

OverlapLosses OverlapLossesOf(const cluster::Cluster& cluster) {
  OverlapLosses losses;
  const cluster::Device& device = cluster.device;
  if (device.is_cpu) return losses;
  if (device.multiprocessors > 0) {
    const auto multiprocessors = static_cast<double>(device.multiprocessors);
    const double network = device.architecture == "ampere" ? kChannelsNetworkAmpere : kChannelsNetwork;
    losses.inside.product = std::min(kLossMost, kChannelsInside / multiprocessors);
    losses.network.product = std::min(kLossMost, network / multiprocessors);
  }
  if (!device.memory_bandwidth) return losses;
  const double memory = device.memory_bandwidth->value();
  if (cluster.intra_node) {
    losses.inside.memory_bound = std::min(kLossMost, kTrafficPerByte * kLinkShare * cluster.intra_node->bandwidth.value() / memory);
  }
  if (cluster.inter_node) {
    const double rate = cluster.inter_node->bandwidth.value() * static_cast<double>(cluster.inter_node->nics) /
                        static_cast<double>(cluster.devices_per_node);
    losses.network.memory_bound = std::min(kLossMost, kTrafficPerByte * kLinkShare * rate / memory);
  }
  losses.communication = kCommunicationLoss;
  return losses;
}

}  // namespace helm::cost
