#include "runtime/emulated_backend.h"

#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "cluster/ring_time.h"
#include "core/check.h"
#include "runtime/emulated_link.h"
#include "runtime/scheduling.h"

namespace helm::runtime {
namespace {

using Clock = EmulatedLink::Clock;
using WorkPointer = c10::intrusive_ptr<c10d::Work>;

class EmulatedWork final : public c10d::Work {
 public:
  EmulatedWork(int rank, c10d::OpType type) : Work(rank, type) {}
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override { return future_; }

  // The future first: whoever has waited knows when it ended.
  void End(const std::exception_ptr& failure) {
    if (failure != nullptr) {
      future_->setError(failure);
    } else {
      future_->markCompleted(c10::IValue());
    }
    finish(failure);
  }

 private:
  c10::intrusive_ptr<c10::ivalue::Future> future_ = c10::make_intrusive<c10::ivalue::Future>(c10::NoneType::get());
};

at::Tensor NumberTensor(int64_t value) {
  at::Tensor tensor = at::empty({1}, at::TensorOptions().dtype(c10::ScalarType::Long));
  *tensor.mutable_data_ptr<int64_t>() = value;
  return tensor;
}

Clock::rep Ticks(Clock::time_point time) { return time.time_since_epoch().count(); }
Clock::time_point TimeOf(const at::Tensor& ticks) { return Clock::time_point(Clock::duration(*ticks.const_data_ptr<int64_t>())); }

// Tags by which the two ends of a message tell each other when they are ready: from the sender, and from the receiver.
constexpr int kSenderReady = 0x7ffffff0;
constexpr int kReceiverReady = 0x7ffffff1;

class EmulatedBackend final : public c10d::Backend {
 public:
  EmulatedBackend(c10::intrusive_ptr<c10d::Backend> inner, const cluster::Link& link)
      : Backend(inner->getRank(), inner->getSize()), inner_(std::move(inner)), link_(link) {}

  const std::string getBackendName() const override { return "emulated"; }

  WorkPointer allreduce(std::vector<at::Tensor>& tensors, const c10d::AllreduceOptions& options) override {
    return Start(c10d::OpType::ALLREDUCE, "all_reduce", tensors.front(),
                 [this, tensors, options]() mutable { return inner_->allreduce(tensors, options); });
  }
  WorkPointer broadcast(std::vector<at::Tensor>& tensors, const c10d::BroadcastOptions& options) override {
    return Start(c10d::OpType::BROADCAST, "broadcast", tensors.front(),
                 [this, tensors, options]() mutable { return inner_->broadcast(tensors, options); });
  }
  WorkPointer _allgather_base(at::Tensor& output, at::Tensor& input, const c10d::AllgatherOptions& options) override {
    return Start(c10d::OpType::_ALLGATHER_BASE, "all_gather", output,
                 [this, output, input, options]() mutable { return inner_->_allgather_base(output, input, options); });
  }
  WorkPointer _reduce_scatter_base(at::Tensor& output, at::Tensor& input, const c10d::ReduceScatterOptions& options) override {
    return Start(c10d::OpType::_REDUCE_SCATTER_BASE, "reduce_scatter", input,
                 [this, output, input, options]() mutable { return inner_->_reduce_scatter_base(output, input, options); });
  }
  WorkPointer alltoall_base(at::Tensor& output, at::Tensor& input, std::vector<int64_t>& output_splits, std::vector<int64_t>& input_splits,
                            const c10d::AllToAllOptions& options) override {
    return Start(c10d::OpType::ALLTOALL_BASE, "all_to_all", input, [this, output, input, output_splits, input_splits, options]() mutable {
      return inner_->alltoall_base(output, input, output_splits, input_splits, options);
    });
  }
  WorkPointer barrier(const c10d::BarrierOptions& options) override {
    return Start(c10d::OpType::BARRIER, "all_reduce", at::Tensor(), [this, options] { return inner_->barrier(options); });
  }

  WorkPointer send(std::vector<at::Tensor>& tensors, int to, int tag) override {
    EmulatedLink::Transfer transfer;
    transfer.meet = [this, to](Clock::time_point ready) { return MeetPeer(to, ready, kSenderReady, kReceiverReady); };
    transfer.move = [this, tensors, to, tag]() mutable { Run([&] { return inner_->send(tensors, to, tag); }); };
    return StartOn(messages_[{to, true}], c10d::OpType::SEND, "send", tensors.front(), std::move(transfer));
  }
  WorkPointer recv(std::vector<at::Tensor>& tensors, int from, int tag) override {
    EmulatedLink::Transfer transfer;
    transfer.meet = [this, from](Clock::time_point ready) { return MeetPeer(from, ready, kReceiverReady, kSenderReady); };
    transfer.move = [this, tensors, from, tag]() mutable { Run([&] { return inner_->recv(tensors, from, tag); }); };
    return StartOn(messages_[{from, false}], c10d::OpType::RECV, "recv", tensors.front(), std::move(transfer));
  }

 private:
  template <typename Call>
  WorkPointer Start(c10d::OpType type, std::string_view kind, const at::Tensor& full, Call call) {
    EmulatedLink::Transfer transfer;
    transfer.meet = [this](Clock::time_point ready) { return MeetAll(ready); };
    transfer.move = [this, call = std::move(call)]() mutable { Run(call); };
    return StartOn(collectives_, type, kind, full, std::move(transfer));
  }

  // `full`: as ir::CollectiveBytes counts; undefined for none.
  WorkPointer StartOn(std::unique_ptr<EmulatedLink>& link, c10d::OpType type, std::string_view kind, const at::Tensor& full,
                      EmulatedLink::Transfer transfer) {
    if (link == nullptr) {
      const ShortSliceForNewThreads short_slice;
      link = std::make_unique<EmulatedLink>();
    }
    const Bytes bytes(full.defined() ? static_cast<int64_t>(full.nbytes()) : 0);
    const Result<Duration> duration = cluster::RingTime(kind, bytes, {getSize(), 1, {}, link_});
    HELM_CHECK(duration.ok(), "the kinds of collectives are known");
    transfer.duration = std::chrono::nanoseconds(duration->nanoseconds());
    auto work = c10::make_intrusive<EmulatedWork>(getRank(), type);
    transfer.done = [work](const std::exception_ptr& failure) { work->End(failure); };
    link->Start(std::move(transfer));
    return work;
  }

  // Has the inner backend do it, and waits. The links' threads call it at the same time, and Gloo's calls are for one thread.
  template <typename Call>
  void Run(Call&& call) {
    const c10::InferenceMode inference;
    WorkPointer work;
    {
      const std::lock_guard lock(mutex_);
      work = call();
    }
    work->wait();
  }

  Clock::time_point MeetAll(Clock::time_point ready) {
    std::vector<at::Tensor> latest = {NumberTensor(Ticks(ready))};
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::MAX;
    Run([&] { return inner_->allreduce(latest, options); });
    return TimeOf(latest.front());
  }

  Clock::time_point MeetPeer(int peer, Clock::time_point ready, int own_tag, int peer_tag) {
    std::vector<at::Tensor> own = {NumberTensor(Ticks(ready))};
    std::vector<at::Tensor> other = {NumberTensor(0)};
    WorkPointer sent;
    WorkPointer received;
    {
      const std::lock_guard lock(mutex_);
      sent = inner_->send(own, peer, own_tag);
      received = inner_->recv(other, peer, peer_tag);
    }
    received->wait();
    sent->wait();
    return std::max(ready, TimeOf(other.front()));
  }

  c10::intrusive_ptr<c10d::Backend> inner_;
  cluster::Link link_;
  std::mutex mutex_;  // of calls of inner_
  // Last, so that their threads end before what they use.
  std::unique_ptr<EmulatedLink> collectives_;
  std::map<std::pair<int, bool>, std::unique_ptr<EmulatedLink>> messages_;  // by peer, and whether it receives
};

}  // namespace

c10::intrusive_ptr<c10d::Backend> EmulateNetwork(c10::intrusive_ptr<c10d::Backend> backend, const cluster::Link& link) {
  return c10::make_intrusive<EmulatedBackend>(std::move(backend), link);
}

bool SaysWhenItEnded(const c10d::Work& work) {
  if (dynamic_cast<const EmulatedWork*>(&work) != nullptr) return true;
  const c10d::OpType type = work.retrieveOpType();
  return type != c10d::OpType::SEND && type != c10d::OpType::RECV && type != c10d::OpType::UNKNOWN;
}

}  // namespace helm::runtime
