#include "planner/outside_memory.h"

#include <algorithm>
#include <set>
#include <utility>

#include "cluster/placement.h"
#include "sim/task_costs.h"

namespace helm::planner {
namespace {

constexpr int64_t kMebibyte = int64_t{1} << 20;

// 534 MiB on H100 (pytorch/torchcomms issue 777), 300 to over 1000 MB elsewhere (pytorch issue 107667): a round figure.
constexpr int64_t kContextMebibytes = 600;

// NCCL, for each connection of a channel: 10 MiB where it receives (LL 0.5, LL128 4.7, Simple 4, aligned) and 2 MiB where it sends (NCCL
// issue 1685). Each rank receives from one ring neighbour and sends to one; of a tree it has one neighbour where there are two ranks, and
// on average 1.4 connections otherwise: 576 and 691 MiB for 24 channels, measured 544 and 688 (NCCL issue 964, A100).
constexpr int64_t kConnectionMebibytes = 12;
constexpr double kTreeConnections = 1.4;
constexpr int64_t kChannelsInside = 24;        // techniques.md 5.1
constexpr int64_t kChannelsNetwork = 8;        // one for each card of a node; twice on Ampere
constexpr int64_t kChannelsOfPeerInside = 32;  // an all-to-all over eight H100 takes 2.7 GB by this, 3.3 measured (NCCL issue 1685)
constexpr int64_t kChannelsOfPeerNetwork = 2;

int64_t ChannelsOf(const cluster::GroupPlacement& placement, const cluster::Cluster& cluster) {
  if (placement.nodes == 1) return kChannelsInside;
  return cluster.device.architecture == "ampere" ? 2 * kChannelsNetwork : kChannelsNetwork;
}

int64_t RingAndTreeBytes(const cluster::GroupPlacement& placement, const cluster::Cluster& cluster) {
  const double connections = 1 + (placement.size == 2 ? 1.0 : kTreeConnections);
  const auto each = static_cast<double>(ChannelsOf(placement, cluster) * kConnectionMebibytes * kMebibyte);
  return static_cast<int64_t>(connections * each);
}

// Of one rank that exchanges messages with each of `inside` peers on its node and `outside` peers elsewhere.
int64_t PeerBytes(int64_t inside, int64_t outside) {
  return (inside * kChannelsOfPeerInside + outside * kChannelsOfPeerNetwork) * kConnectionMebibytes * kMebibyte;
}

}  // namespace

OutsideMemory OutsideMemoryOf(const ir::StepPrograms& step, size_t rank_class, const cluster::Cluster& cluster) {
  return OutsideMemoryOf(step, rank_class, cluster, cluster::DevicesPerDomain(cluster));
}

OutsideMemory OutsideMemoryOf(const ir::StepPrograms& step, size_t rank_class, const cluster::Cluster& cluster,
                              const cluster::RankLayout& layout) {
  OutsideMemory memory;
  if (cluster.device.is_cpu) return memory;
  memory.cuda_context = Bytes(kContextMebibytes * kMebibyte);
  const ir::Program& program = step.classes[rank_class];
  // What is connected once, whatever is sent over it: (group, peer; -1 for rings and trees, -2 for all peers).
  std::set<std::pair<size_t, int64_t>> connected;
  int64_t bytes = 0;
  for (const ir::Op& op : program.ops) {
    if (op.kind != ir::OpKind::kCollectiveStart) continue;
    int64_t peer = op.target == "c10d.all_to_all" ? -2 : -1;
    if (ir::IsPointToPoint(op)) peer = ir::PeerOffset(program, op);
    if (!connected.emplace(op.group.index(), peer).second) continue;
    const cluster::GroupPlacement placement = sim::PlacementOf(program, op, RepresentativeRank(step, rank_class), layout);
    if (placement.size < 2) continue;
    if (peer == -1) bytes += RingAndTreeBytes(placement, cluster);
    if (peer == -2) bytes += PeerBytes(placement.ranks_per_node - 1, placement.size - placement.ranks_per_node);
    if (peer >= 0) bytes += placement.nodes == 1 ? PeerBytes(1, 0) : PeerBytes(0, 1);
  }
  memory.nccl_buffers = Bytes(bytes);
  return memory;
}

// ATen/cuda/CublasHandlePool.cpp: CUBLAS_WORKSPACE_CONFIG's default, :4096:2:16:8 in KiB, and eight buffers of 4096 KiB from Hopper on, for
// each handle; a thread has a handle of its own, and autograd's engine runs backward in a thread of its own
// (torch/csrc/autograd/engine.cpp), HELM's executor does not. transformer_engine/pytorch/module/base.py, get_cublas_workspace_size_bytes:
// 32 MiB from Hopper on, else 4, once.
Bytes CublasWorkspaces(const cluster::Device& device, const ir::Software& software) {
  if (device.is_cpu) return Bytes();
  const bool recent = device.architecture == "hopper" || device.architecture == "blackwell";
  const bool own_executor = software.framework.empty() || software.framework == "helm";
  const int64_t threads = own_executor ? 1 : 2;
  const int64_t of_transformer_engine = (recent ? 32 : 4) * kMebibyte;
  return Bytes(threads * (recent ? 32 * kMebibyte : 8 * kMebibyte + 128 * 1024) + (software.fused.norm_linear ? of_transformer_engine : 0));
}

}  // namespace helm::planner
