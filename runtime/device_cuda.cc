// The GPU part of runtime/, in a library of its own (runtime/device.h): caching allocator counters, NCCL, event times.
#include <vector>

#include <ATen/Context.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "runtime/device.h"

namespace helm::runtime {
namespace {

constexpr auto kAggregate = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);

// Events around each op, read when the step has ended. Compute stream 0 is the device's default stream.
class CudaStepTimer final : public StepTimer {
 public:
  CudaStepTimer(c10::DeviceIndex device, size_t ops, int32_t compute_streams) {
    streams_.push_back(c10::cuda::getDefaultCUDAStream(device));
    while (static_cast<int32_t>(streams_.size()) < compute_streams) {
      streams_.push_back(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device));
    }
    begin_.reserve(ops);
    end_.reserve(ops);
    for (size_t i = 0; i < ops; ++i) {
      begin_.emplace_back(cudaEventDefault);
      end_.emplace_back(cudaEventDefault);
    }
    marked_.resize(ops);
  }

  void BeginStep() override {
    marked_.assign(marked_.size(), false);
    step_.record(streams_.front());
    for (size_t i = 1; i < streams_.size(); ++i) step_.block(streams_[i]);
  }
  void BeginOp(size_t op, int32_t compute_stream) override {
    const c10::cuda::CUDAStream& stream = streams_[static_cast<size_t>(compute_stream)];
    c10::cuda::setCurrentCUDAStream(stream);
    begin_[op].record(stream);
  }
  void EndOp(size_t op, int32_t compute_stream) override {
    end_[op].record(streams_[static_cast<size_t>(compute_stream)]);
    marked_[op] = true;
  }
  void EndStep(StepRecord& record) override {
    c10::cuda::device_synchronize();
    c10::cuda::setCurrentCUDAStream(streams_.front());
    for (size_t i = 0; i < marked_.size(); ++i) {
      if (!marked_[i]) continue;
      record.ops[i] = {Duration::Milliseconds(step_.elapsed_time(begin_[i])), Duration::Milliseconds(step_.elapsed_time(end_[i]))};
    }
  }

 private:
  std::vector<c10::cuda::CUDAStream> streams_;
  at::cuda::CUDAEvent step_{cudaEventDefault};  // with timing, unlike torch's own default
  std::vector<at::cuda::CUDAEvent> begin_;
  std::vector<at::cuda::CUDAEvent> end_;
  std::vector<bool> marked_;
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

  std::unique_ptr<StepTimer> MakeStepTimer(size_t ops, int32_t compute_streams) const override {
    return std::make_unique<CudaStepTimer>(index_, ops, compute_streams);
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
