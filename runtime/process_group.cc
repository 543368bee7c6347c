#include "runtime/process_group.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "core/check.h"
#include "runtime/emulated_backend.h"
#include "runtime/scheduling.h"

namespace helm::runtime {
namespace {

using Clock = std::chrono::steady_clock;

// Written by the backend's thread when the collective ends, read after the wait.
struct Completion {
  std::atomic<Clock::rep> ticks{0};
};

class PendingWork final : public PendingCollective {
 public:
  PendingWork(c10::intrusive_ptr<c10d::Work> work, bool is_cpu) : work_(std::move(work)), is_cpu_(is_cpu) {
    if (!is_cpu || !SaysWhenItEnded(*work_)) return;
    completion_ = std::make_shared<Completion>();
    work_->getFuture()->addCallback([completion = completion_](c10::ivalue::Future&) {
      completion->ticks.store(Clock::now().time_since_epoch().count(), std::memory_order_release);
    });
  }

  void Wait() override { work_->wait(); }

  std::optional<Clock::time_point> end() const override {
    if (completion_ == nullptr) return std::nullopt;
    const Clock::rep ticks = completion_->ticks.load(std::memory_order_acquire);
    if (ticks == 0) return std::nullopt;
    return Clock::time_point(Clock::duration(ticks));
  }

  std::optional<double> duration_ms() const override {
    if (is_cpu_) return std::nullopt;
    return static_cast<double>(work_->getDuration());
  }

 private:
  c10::intrusive_ptr<c10d::Work> work_;
  bool is_cpu_;
  std::shared_ptr<Completion> completion_;
};

c10d::ReduceOp ReduceOpOf(Reduction reduction) { return reduction == Reduction::kSum ? c10d::ReduceOp::SUM : c10d::ReduceOp::MAX; }

class BackendProcessGroup final : public ProcessGroup {
 public:
  BackendProcessGroup(c10::intrusive_ptr<c10d::Backend> backend, bool is_cpu) : backend_(std::move(backend)), is_cpu_(is_cpu) {}

  int64_t rank() const override { return backend_->getRank(); }
  int64_t size() const override { return backend_->getSize(); }

  std::unique_ptr<PendingCollective> Start(const CollectiveCall& call, const at::Tensor& input, const at::Tensor& output) override {
    return std::make_unique<PendingWork>(StartWork(call, input, output), is_cpu_);
  }

  void Barrier() override { backend_->barrier()->wait(); }

 private:
  c10::intrusive_ptr<c10d::Work> StartWork(const CollectiveCall& call, at::Tensor input, at::Tensor output) {
    std::vector<at::Tensor> inputs{input};
    switch (call.kind) {
      case CollectiveKind::kAllReduce: {
        c10d::AllreduceOptions options;
        options.reduceOp = ReduceOpOf(call.reduction);
        return backend_->allreduce(inputs, options);
      }
      case CollectiveKind::kAllGather:
        return backend_->_allgather_base(output, input);
      case CollectiveKind::kReduceScatter: {
        c10d::ReduceScatterOptions options;
        options.reduceOp = ReduceOpOf(call.reduction);
        return backend_->_reduce_scatter_base(output, input, options);
      }
      case CollectiveKind::kAllToAll: {
        std::vector<int64_t> even;
        return backend_->alltoall_base(output, input, even, even);
      }
      case CollectiveKind::kBroadcast: {
        c10d::BroadcastOptions options;
        options.rootRank = call.peer;
        return backend_->broadcast(inputs, options);
      }
      case CollectiveKind::kSend:
        return backend_->send(inputs, static_cast<int>(call.peer), static_cast<int>(call.tag));
      case CollectiveKind::kReceive: {
        std::vector<at::Tensor> outputs{output};
        return backend_->recv(outputs, static_cast<int>(call.peer), static_cast<int>(call.tag));
      }
    }
    HELM_CHECK(false, "a collective kind without a call");
  }

  c10::intrusive_ptr<c10d::Backend> backend_;
  bool is_cpu_;
};

// The network interface that Gloo listens on: loopback when all ranks are here, else the one that GLOO_SOCKET_IFNAME names (torch's own
// variable), else the one of this machine's name.
std::shared_ptr<gloo::transport::Device> GlooDevice(bool loopback) {
  if (loopback) return c10d::ProcessGroupGloo::createDeviceForInterface("lo");
  if (const char* interface = std::getenv("GLOO_SOCKET_IFNAME"); interface != nullptr && *interface != '\0') {
    return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  }
  return c10d::ProcessGroupGloo::createDefaultDevice();
}

}  // namespace

std::optional<CollectiveKind> CollectiveKindFromName(std::string_view name) {
  if (name == "all_reduce") return CollectiveKind::kAllReduce;
  if (name == "all_gather") return CollectiveKind::kAllGather;
  if (name == "reduce_scatter") return CollectiveKind::kReduceScatter;
  if (name == "all_to_all") return CollectiveKind::kAllToAll;
  if (name == "broadcast") return CollectiveKind::kBroadcast;
  if (name == "send") return CollectiveKind::kSend;
  if (name == "recv") return CollectiveKind::kReceive;
  return std::nullopt;
}

bool IsInPlace(CollectiveKind kind) { return kind == CollectiveKind::kAllReduce || kind == CollectiveKind::kBroadcast; }

std::unique_ptr<ProcessGroup> WrapBackend(c10::intrusive_ptr<c10d::Backend> backend, bool is_cpu) {
  return std::make_unique<BackendProcessGroup>(std::move(backend), is_cpu);
}

Result<std::unique_ptr<ProcessGroup>> ConnectGloo(const GroupAddress& address) {
  try {
    auto options = c10d::ProcessGroupGloo::Options::create(address.timeout);
    options->threads = 1;  // collectives of a group run in order, one at a time
    const ShortSliceForNewThreads short_slice;
    options->devices.push_back(GlooDevice(address.loopback));
    c10::intrusive_ptr<c10d::Backend> backend = c10::make_intrusive<c10d::ProcessGroupGloo>(
        address.store, static_cast<int>(address.rank), static_cast<int>(address.size), std::move(options));
    if (address.network) backend = EmulateNetwork(std::move(backend), *address.network);
    return WrapBackend(std::move(backend), /*is_cpu=*/true);
  } catch (const std::exception& error) {
    return RankFailedError(std::string("cannot connect the ranks of a group: ") + error.what());
  }
}

}  // namespace helm::runtime
