#include "cluster/ring_time.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "core/check.h"

namespace helm::cluster {
namespace {

double Seconds(const Link& link, double steps, double bytes_per_step) {
  if (steps == 0) return 0;
  HELM_CHECK(link.bandwidth.value() > 0, "a link that is used needs a bandwidth");
  return steps * (link.latency.seconds() + bytes_per_step / link.bandwidth.value());
}

int64_t NodesOf(const RingPlacement& placement) { return (placement.ranks + placement.ranks_per_node - 1) / placement.ranks_per_node; }

// One of the two halves of an all-reduce.
double GatherSeconds(double bytes, const RingPlacement& placement) {
  const auto inside = static_cast<double>(placement.ranks_per_node);
  const auto nodes = static_cast<double>(NodesOf(placement));
  return Seconds(placement.intra_node, inside - 1, bytes / inside) + Seconds(placement.inter_node, nodes - 1, bytes / (inside * nodes));
}

double AllToAllSeconds(double bytes, const RingPlacement& placement) {
  const auto ranks = static_cast<double>(placement.ranks);
  const auto inside = static_cast<double>(placement.ranks_per_node);
  return std::max(Seconds(placement.intra_node, inside - 1, bytes / ranks), Seconds(placement.inter_node, ranks - inside, bytes / ranks));
}

double BroadcastSeconds(double bytes, const RingPlacement& placement) {
  const int64_t nodes = NodesOf(placement);
  double bandwidth = std::numeric_limits<double>::infinity();
  if (placement.ranks_per_node > 1) bandwidth = std::min(bandwidth, placement.intra_node.bandwidth.value());
  if (nodes > 1) bandwidth = std::min(bandwidth, placement.inter_node.bandwidth.value());
  const Duration latency = placement.intra_node.latency * (placement.ranks_per_node - 1) + placement.inter_node.latency * (nodes - 1);
  return latency.seconds() + bytes / bandwidth;
}

}  // namespace

Result<Duration> RingTime(std::string_view kind, Bytes bytes, const RingPlacement& placement) {
  HELM_CHECK(placement.ranks >= 1 && placement.ranks_per_node >= 1, "a group has ranks");
  if (placement.ranks == 1) return Duration();
  const auto size = static_cast<double>(bytes.count());
  if (kind == "all_reduce") return Duration::Seconds(2 * GatherSeconds(size, placement));
  if (kind == "all_gather" || kind == "reduce_scatter") return Duration::Seconds(GatherSeconds(size, placement));
  if (kind == "all_to_all") return Duration::Seconds(AllToAllSeconds(size, placement));
  if (kind == "broadcast") return Duration::Seconds(BroadcastSeconds(size, placement));
  if (kind == "send" || kind == "recv") {
    const bool inside = placement.ranks == placement.ranks_per_node;
    return Duration::Seconds(Seconds(inside ? placement.intra_node : placement.inter_node, 1, size));
  }
  return UnavailableError(
      fmt::format("unknown collective '{}'; known: all_reduce, all_gather, reduce_scatter, all_to_all, broadcast, send, recv", kind));
}

}  // namespace helm::cluster
