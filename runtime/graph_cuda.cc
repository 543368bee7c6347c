// RecordedWork as a CUDA graph (runtime/device.h). Its results and what it needs in between lie in a memory pool of its own, which lives as
// long as the graph.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <optional>

#include "runtime/recorded_work.h"

namespace helm::runtime {
namespace {

class CudaGraphWork final : public RecordedWork {
 public:
  explicit CudaGraphWork(c10::DeviceIndex device) : device_(device) {}

  void Begin() override {
    c10::cuda::CUDACachingAllocator::emptyCache();  // steps that ran before leave blocks that the graph's pool cannot use
    stream_.emplace(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device_));  // the default stream cannot be recorded
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
  }
  void End() override {
    graph_.capture_end();
    stream_.reset();
  }
  void Launch() override { graph_.replay(); }

 private:
  c10::DeviceIndex device_;
  at::cuda::CUDAGraph graph_;
  std::optional<c10::cuda::CUDAStreamGuard> stream_;  // while it is recorded
};

}  // namespace

std::unique_ptr<RecordedWork> MakeCudaGraph(c10::DeviceIndex device) { return std::make_unique<CudaGraphWork>(device); }

}  // namespace helm::runtime
