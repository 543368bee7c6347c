#include <vector>

#include <ATen/cuda/CUDAEvent.h>

#include "runtime/op_clock.h"

namespace helm::runtime {
namespace {

class EventClock final : public OpClock {
 public:
  explicit EventClock(size_t ops) : marked_(ops) {
    begin_.reserve(ops);
    end_.reserve(ops);
    for (size_t i = 0; i < ops; ++i) {
      begin_.emplace_back(cudaEventDefault);
      end_.emplace_back(cudaEventDefault);
    }
  }

  void BeginStep(const c10::cuda::CUDAStream& stream) override {
    marked_.assign(marked_.size(), false);
    step_.record(stream);
  }
  void BeginOp(size_t op, const c10::cuda::CUDAStream& stream) override { begin_[op].record(stream); }
  void EndOp(size_t op, const c10::cuda::CUDAStream& stream) override {
    end_[op].record(stream);
    marked_[op] = true;
  }
  Status EndStep(StepRecord& record) override {
    for (size_t i = 0; i < marked_.size(); ++i) {
      if (!marked_[i]) continue;
      record.ops[i] = {Duration::Milliseconds(step_.elapsed_time(begin_[i])), Duration::Milliseconds(step_.elapsed_time(end_[i]))};
    }
    return OkStatus();
  }

 private:
  at::cuda::CUDAEvent step_{cudaEventDefault};  // with timing, unlike torch's own default
  std::vector<at::cuda::CUDAEvent> begin_;
  std::vector<at::cuda::CUDAEvent> end_;
  std::vector<bool> marked_;
};

}  // namespace

std::unique_ptr<OpClock> MakeEventClock(size_t ops) { return std::make_unique<EventClock>(ops); }

}  // namespace helm::runtime
