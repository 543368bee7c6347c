// The GPU part of runtime/, in a library of its own (runtime/device.h): caching allocator counters, NCCL, event times.
#include <vector>

#include <ATen/Context.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/Sleep.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/cuda/memory_snapshot.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "runtime/device.h"
#include "runtime/op_clock.h"

namespace helm::runtime {
namespace {

constexpr auto kAggregate = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);

// Ops run on the device's default stream.
class CudaStepTimer final : public StepTimer {
 public:
  CudaStepTimer(c10::DeviceIndex device, std::unique_ptr<OpClock> clock)
      : stream_(c10::cuda::getDefaultCUDAStream(device)), clock_(std::move(clock)) {}

  void BeginStep(bool record) override {
    recording_ = record;
    if (record) clock_->BeginStep(stream_);
  }
  void BeginOp(size_t op) override {
    if (recording_) clock_->BeginOp(op, stream_);
  }
  void EndOp(size_t op) override {
    if (recording_) clock_->EndOp(op, stream_);
  }
  Status EndStep(StepRecord& record) override {
    c10::cuda::device_synchronize();
    return recording_ ? clock_->EndStep(record) : OkStatus();
  }

 private:
  c10::cuda::CUDAStream stream_;
  std::unique_ptr<OpClock> clock_;
  bool recording_ = false;
};

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(c10::DeviceIndex index) : index_(index) {
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    c10::cuda::set_device(index);
  }
  c10::Device torch_device() const override { return {c10::DeviceType::CUDA, index_}; }
  bool is_cpu() const override { return false; }
  int64_t LiveBytes() const override { return Stats().allocated_bytes[kAggregate].current; }
  int64_t PeakBytes() const override { return Stats().allocated_bytes[kAggregate].peak; }
  void ResetPeakBytes() const override { c10::cuda::CUDACachingAllocator::resetPeakStats(index_); }
  void Synchronize() const override { c10::cuda::device_synchronize(); }
  std::optional<DeviceMemory> Memory() const override {
    size_t free_bytes = 0;
    size_t total_bytes = 0;
    C10_CUDA_CHECK(cudaMemGetInfo(&free_bytes, &total_bytes));
    const auto stats = Stats().reserved_bytes[kAggregate];
    return DeviceMemory{stats.peak, static_cast<int64_t>(total_bytes - free_bytes) - stats.current};
  }
  std::optional<double> ClockMegahertz() const override {
    constexpr int64_t kCycles = 200'000;  // some 100 us
    // Of two lengths the difference: what events and the start of a kernel take is in both. Enqueued at once: the clock rises when the
    // device waits for the host.
    const c10::cuda::CUDAStream stream = c10::cuda::getCurrentCUDAStream(index_);
    std::vector<at::cuda::CUDAEvent> marks;
    for (int i = 0; i < 3; ++i) marks.emplace_back(cudaEventDefault);
    marks[0].record(stream);
    at::cuda::sleep(kCycles);
    marks[1].record(stream);
    at::cuda::sleep(2 * kCycles);
    marks[2].record(stream);
    marks[2].synchronize();
    const double milliseconds = marks[1].elapsed_time(marks[2]) - marks[0].elapsed_time(marks[1]);
    return milliseconds > 0 ? std::optional(static_cast<double>(kCycles) / milliseconds / 1e3) : std::nullopt;
  }
  int64_t CacheBytes() const override { return at::cuda::getDeviceProperties(index_)->l2CacheSize; }

  Result<std::unique_ptr<ProcessGroup>> Connect(const GroupAddress& address) const override {
    try {
      auto options =
          c10d::ProcessGroupNCCL::Options::create(/*is_high_priority_stream=*/true);  // so that communication is not queued behind kernels
      options->timeout = address.timeout;
      auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(address.store, static_cast<int>(address.rank),
                                                               static_cast<int>(address.size), std::move(options));
      group->enableCollectivesTiming();
      return WrapBackend(std::move(group), /*is_cpu=*/false);
    } catch (const std::exception& error) {
      return RankFailedError(std::string("cannot connect the GPUs of a group: ") + error.what());
    }
  }

  std::unique_ptr<RecordedWork> MakeRecordedWork() const override { return MakeCudaGraph(index_); }

  // Without call stacks: an op's name says where an allocation comes from.
  void RecordMemoryHistory() const override { torch::cuda::_record_memory_history(std::string("all"), std::nullopt); }
  void NameAllocations(const std::string& name) const override { c10::cuda::CUDACachingAllocator::setUserMetadata(name); }
  std::string MemorySnapshot() const override { return torch::cuda::_memory_snapshot_pickled(); }

  Result<std::unique_ptr<StepTimer>> MakeStepTimer(size_t ops, OpTimes times) const override {
    std::unique_ptr<OpClock> clock;
    if (times == OpTimes::kEvents) {
      clock = MakeEventClock(ops);
    } else {
      HELM_ASSIGN_OR_RETURN(clock, MakeActivityClock());
    }
    return std::unique_ptr<StepTimer>(std::make_unique<CudaStepTimer>(index_, std::move(clock)));
  }

 private:
  c10::CachingDeviceAllocator::DeviceStats Stats() const { return c10::cuda::CUDACachingAllocator::getDeviceStats(index_); }

  c10::DeviceIndex index_;
};

Status MakeCudaDevice(int64_t rank, std::unique_ptr<Device>* device) {
  try {
    const int64_t count = c10::cuda::device_count();
    if (count == 0)
      return UnavailableError(
          "error: no GPU on this machine; fix: use one with an NVIDIA GPU, or plan for its CPU with cluster: {local: N, device: cpu}");
    *device = std::make_unique<CudaDevice>(static_cast<c10::DeviceIndex>(rank % count));
    return OkStatus();
  } catch (const std::exception& error) {
    return UnavailableError(std::string("error: cannot use the GPU: ") + error.what());
  }
}

}  // namespace
}  // namespace helm::runtime

// What runtime/device.cc looks for.
extern "C" __attribute__((visibility("default"))) helm::Status helm_make_cuda_device(int64_t rank,
                                                                                     std::unique_ptr<helm::runtime::Device>* device) {
  return helm::runtime::MakeCudaDevice(rank, device);
}
