// ProcessGroup: the collectives of one group of ranks, on Gloo or NCCL. Internal to runtime/ (shows torch types).
//
// Every rank of the group calls Start with the same calls in the same order. Collectives of one group run one after the other, as on one
// stream. What can go wrong between ranks (lost peer, time-out) is thrown by Wait as std::exception; the caller knows the op to name.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include "cluster/cluster.h"
#include "core/status.h"
#include "runtime/communicator.h"

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

namespace helm::runtime {

enum class CollectiveKind : uint8_t { kAllReduce, kAllGather, kReduceScatter, kAllToAll, kBroadcast, kSend, kReceive };
enum class Reduction : uint8_t { kSum, kMaximum };

// "all_reduce" -> kAllReduce, ...
std::optional<CollectiveKind> CollectiveKindFromName(std::string_view name);
// True when the result is the argument itself.
bool IsInPlace(CollectiveKind kind);

struct CollectiveCall {
  CollectiveKind kind = CollectiveKind::kAllReduce;
  Reduction reduction = Reduction::kSum;
  int64_t peer = 0;  // send, receive, broadcast: rank in the group
  int64_t tag = 0;   // send, receive
};

class PendingCollective {
 public:
  virtual ~PendingCollective() = default;
  // CPU: blocks until it has ended. CUDA: makes the current stream wait. Throws on failure.
  virtual void Wait() = 0;
  // When it ended, as far as the backend says so; REQUIRES: after Wait. None: not known before the wait returned.
  virtual std::optional<std::chrono::steady_clock::time_point> end() const = 0;
  // CUDA: how long it ran on its stream. None on a CPU.
  virtual std::optional<double> duration_ms() const = 0;
};

class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t size() const = 0;
  // Dimension 0 of `output` is that of `input` times (all_gather) or divided by (reduce_scatter) the size. All-reduce and broadcast work on
  // `input` in place, receive fills `output`.
  virtual std::unique_ptr<PendingCollective> Start(const CollectiveCall& call, const at::Tensor& input, const at::Tensor& output) = 0;
  virtual void Barrier() = 0;
};

// Wraps a backend class of c10d.
std::unique_ptr<ProcessGroup> WrapBackend(c10::intrusive_ptr<c10d::Backend> backend, bool is_cpu);

// What a rank needs to connect a group.
struct GroupAddress {
  c10::intrusive_ptr<c10d::Store> store;  // of this group alone
  int64_t rank = 0;                       // in the group
  int64_t size = 1;
  bool loopback = true;  // all ranks are on this machine
  std::chrono::milliseconds timeout{60000};
  std::optional<cluster::Link> network;  // to be emulated; REQUIRES: loopback
};
Result<std::unique_ptr<ProcessGroup>> ConnectGloo(const GroupAddress& address);

class Device;
// The process group of `members` (global ranks in the group's order); null on a rank that is not one of them. Every rank of the world calls
// this equally often with the same names, each with the members of its own slice.
Result<std::unique_ptr<ProcessGroup>> MakeProcessGroup(World& world, const Device& device, const std::string& name,
                                                       const std::vector<int64_t>& members);

}  // namespace helm::runtime
