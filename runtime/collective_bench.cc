#include <chrono>

#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>

#include "runtime/device.h"
#include "runtime/measure.h"
#include "runtime/process_group.h"
#include "runtime/tensors.h"

namespace helm::runtime {
namespace {

using Clock = std::chrono::steady_clock;

class GroupCollectiveBench final : public CollectiveBench {
 public:
  GroupCollectiveBench(std::unique_ptr<Device> device, std::unique_ptr<ProcessGroup> group, CollectiveCall call)
      : device_(std::move(device)), group_(std::move(group)), call_(call) {}

  // `bytes` is of the full tensor, as ir::CollectiveBytes defines it.
  void MakeTensors(const ir::CollectiveSignature& signature) {
    const c10::InferenceMode inference;
    const int64_t full = std::max<int64_t>(1, signature.bytes.count() / ir::ElementBytes(signature.dtype));
    const int64_t part = std::max<int64_t>(1, full / signature.ranks);
    const c10::Device device = device_->torch_device();
    const bool gathers = call_.kind == CollectiveKind::kAllGather;
    // Zeros, so that sums stay what they are however often they are taken.
    input_ = EmptyTensor(signature.dtype, {gathers ? part : part * signature.ranks}, device).zero_();
    if (call_.kind == CollectiveKind::kAllGather)
      output_ = EmptyTensor(signature.dtype, {part * signature.ranks}, device).zero_();
    else if (call_.kind == CollectiveKind::kReduceScatter)
      output_ = EmptyTensor(signature.dtype, {part}, device).zero_();
    else
      output_ = EmptyTensor(signature.dtype, {part * signature.ranks}, device).zero_();
    // Neighbours exchange in pairs: even ranks send to the odd rank above.
    if (call_.kind == CollectiveKind::kSend || call_.kind == CollectiveKind::kReceive) {
      const bool lower = group_->rank() % 2 == 0;
      call_.kind = lower ? CollectiveKind::kSend : CollectiveKind::kReceive;
      call_.peer = lower ? group_->rank() + 1 : group_->rank() - 1;
      idle_ = call_.peer >= group_->size();
    }
  }

  Result<Duration> RunOnce() override {
    if (group_ == nullptr) return Duration();
    const c10::InferenceMode inference;
    try {
      Compute();
      if (idle_) return Duration();
      device_->Synchronize();  // a GPU has only been told to compute
      const Clock::time_point start = Clock::now();
      group_->Start(call_, input_, output_)->Wait();
      device_->Synchronize();
      return Duration::Nanoseconds(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
    } catch (const std::exception& error) {
      return RankFailedError(std::string("error: a collective that was being measured failed: ") + error.what());
    }
  }

  // A small collective, which on a GPU the stream waits for, and the host does not.
  void Align() override {
    const c10::InferenceMode inference;
    if (!one_.defined()) one_ = EmptyTensor(ir::DataType::kFloat32, {1}, device_->torch_device()).zero_();
    group_->Start({.kind = CollectiveKind::kAllReduce}, one_, one_)->Wait();
  }

  void Start(int64_t runs) override {
    const c10::InferenceMode inference;
    start_ = Clock::now();
    for (int64_t i = 0; i < runs; ++i) pending_.push_back(group_->Start(call_, input_, output_));
  }

  Result<Duration> Finish() override {
    const c10::InferenceMode inference;
    try {
      for (const auto& pending : pending_) pending->Wait();
      device_->Synchronize();
      Clock::time_point end = Clock::now();
      double on_stream = 0;  // milliseconds
      for (const auto& pending : pending_) on_stream += pending->duration_ms().value_or(0);
      if (const auto known = pending_.back()->end()) end = *known;
      pending_.clear();
      if (!device_->is_cpu()) return Duration::Seconds(on_stream / 1e3);
      return Duration::Nanoseconds(std::chrono::duration_cast<std::chrono::nanoseconds>(end - start_).count());
    } catch (const std::exception& error) {
      return RankFailedError(std::string("error: a collective that was being measured failed: ") + error.what());
    }
  }

 private:
  // In a step a collective follows computation: the threads that move data sleep, the caches hold something else, and the ranks arrive a
  // little apart. Collectives called back to back, or right after a barrier, took from a third to three times as long. The collective
  // itself keeps the ranks together, so that no barrier is needed. About 3 ms on one CPU core.
  void Compute() {
    if (!left_.defined()) {
      const c10::Device device = device_->torch_device();
      left_ = EmptyTensor(ir::DataType::kFloat32, {kComputeRows, kComputeInner}, device).fill_(0.5);
      right_ = EmptyTensor(ir::DataType::kFloat32, {kComputeInner, kComputeColumns}, device).fill_(0.5);
    }
    product_ = at::mm(left_, right_);
  }

  static constexpr int64_t kComputeRows = 256;
  static constexpr int64_t kComputeInner = 384;
  static constexpr int64_t kComputeColumns = 1280;

  std::unique_ptr<Device> device_;
  at::Tensor left_;
  at::Tensor right_;
  at::Tensor product_;
  std::unique_ptr<ProcessGroup> group_;  // null on a rank that is left over
  CollectiveCall call_;
  at::Tensor input_;
  at::Tensor output_;
  at::Tensor one_;
  Clock::time_point start_;
  std::vector<std::unique_ptr<PendingCollective>> pending_;
  bool idle_ = false;
};

// The ranks of the world in consecutive slices of `ranks`; empty for a rank that is left over.
std::vector<int64_t> SliceOf(const World& world, int64_t ranks) {
  const int64_t first = world.rank() / ranks * ranks;
  std::vector<int64_t> members;
  for (int64_t rank = first; rank < first + ranks; ++rank) members.push_back(rank);
  if (first + ranks > world.size()) members.clear();
  return members;
}

}  // namespace

Result<std::unique_ptr<CollectiveBench>> CollectiveBench::Create(const ir::CollectiveSignature& signature, World& world,
                                                                 ir::DeviceKind kind) {
  const std::optional<CollectiveKind> collective = CollectiveKindFromName(signature.kind);
  if (!collective) {
    return InvalidError("error: unknown collective '" + signature.kind +
                        "'; allowed: all_reduce, all_gather, reduce_scatter, all_to_all, broadcast, send, recv");
  }
  if (signature.ranks < 1 || signature.ranks > world.size()) {
    return InvalidError("error: " + ir::ToText(signature) + " needs " + std::to_string(signature.ranks) + " ranks, there are " +
                        std::to_string(world.size()));
  }
  HELM_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, Device::Make(kind, world.rank()));
  CollectiveCall call;
  call.kind = *collective;
  const std::vector<int64_t> members = SliceOf(world, signature.ranks);
  HELM_ASSIGN_OR_RETURN(std::unique_ptr<ProcessGroup> group, MakeProcessGroup(world, *device, "measure", members));
  const bool takes_part = group != nullptr;
  auto bench = std::make_unique<GroupCollectiveBench>(std::move(device), std::move(group), call);
  try {
    if (takes_part) bench->MakeTensors(signature);
  } catch (const std::exception& error) {
    return UnavailableError("error: cannot allocate the tensors of " + ir::ToText(signature) + ": " + error.what());
  }
  return std::unique_ptr<CollectiveBench>(std::move(bench));
}

}  // namespace helm::runtime
