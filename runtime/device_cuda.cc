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
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "runtime/device.h"
#include "runtime/op_clock.h"

namespace helm::runtime {
namespace {

constexpr auto kAggregate = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);

// Compute stream 0 is the device's default stream.
class CudaStepTimer final : public StepTimer {
 public:
  CudaStepTimer(c10::DeviceIndex device, int32_t compute_streams, std::unique_ptr<OpClock> clock) : clock_(std::move(clock)) {
    streams_.push_back(c10::cuda::getDefaultCUDAStream(device));
    while (static_cast<int32_t>(streams_.size()) < compute_streams) {
      streams_.push_back(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device));
    }
  }

  void BeginStep(bool record) override {
    recording_ = record;
    begin_.record(streams_.front());
    for (size_t i = 1; i < streams_.size(); ++i) begin_.block(streams_[i]);
    if (record) clock_->BeginStep(streams_.front());
  }
  void BeginOp(size_t op, int32_t compute_stream) override {
    const c10::cuda::CUDAStream& stream = streams_[static_cast<size_t>(compute_stream)];
    if (streams_.size() > 1) c10::cuda::setCurrentCUDAStream(stream);
    if (recording_) clock_->BeginOp(op, stream);
  }
  void EndOp(size_t op, int32_t compute_stream) override {
    if (recording_) clock_->EndOp(op, streams_[static_cast<size_t>(compute_stream)]);
  }
  Status EndStep(StepRecord& record) override {
    c10::cuda::device_synchronize();
    c10::cuda::setCurrentCUDAStream(streams_.front());
    return recording_ ? clock_->EndStep(record) : OkStatus();
  }

 private:
  std::vector<c10::cuda::CUDAStream> streams_;
  at::cuda::CUDAEvent begin_;
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
    constexpr int64_t kCycles = 200'000;  // some 100 us: what the events themselves take does not count
    const c10::cuda::CUDAStream stream = c10::cuda::getCurrentCUDAStream(index_);
    at::cuda::CUDAEvent begin(cudaEventDefault);
    at::cuda::CUDAEvent end(cudaEventDefault);
    begin.record(stream);
    at::cuda::sleep(kCycles);
    end.record(stream);
    end.synchronize();
    const double milliseconds = begin.elapsed_time(end);
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

  Result<std::unique_ptr<StepTimer>> MakeStepTimer(size_t ops, int32_t compute_streams, OpTimes times) const override {
    std::unique_ptr<OpClock> clock;
    if (times == OpTimes::kEvents) {
      clock = MakeEventClock(ops);
    } else {
      HELM_ASSIGN_OR_RETURN(clock, MakeActivityClock());
    }
    return std::unique_ptr<StepTimer>(std::make_unique<CudaStepTimer>(index_, compute_streams, std::move(clock)));
  }

 private:
  c10::CachingDeviceAllocator::DeviceStats Stats() const { return c10::cuda::CUDACachingAllocator::getDeviceStats(index_); }

  c10::DeviceIndex index_;
};

Status MakeCudaDevice(int64_t rank, std::unique_ptr<Device>* device) {
  try {
    const int64_t count = c10::cuda::device_count();
    if (count == 0) return UnavailableError("error: no GPU on this machine; use --device cpu");
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
