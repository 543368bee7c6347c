#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

#include <cupti.h>

#include "runtime/activity_records.h"
#include "runtime/op_clock.h"

namespace helm::runtime {
namespace {

constexpr size_t kBufferBytes = size_t{4} << 20;  // some 20,000 kernels
constexpr size_t kBufferAlignment = 8;            // CUPTI's demand

constexpr CUpti_ActivityKind kKinds[] = {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET,
                                         // External correlations are written for calls that are recorded themselves.
                                         CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_ACTIVITY_KIND_DRIVER};

std::string TextOf(CUptiResult result) {
  const char* text = nullptr;
  return cuptiGetResultString(result, &text) == CUPTI_SUCCESS && text != nullptr ? text : "error " + std::to_string(result);
}

// CUPTI's callbacks are plain functions without a place for a pointer, called from a thread of its own: so there is one collector in a
// process. Buffers are only read, which takes no CUDA call, as they come: after a step, when they are flushed.
class Collector {
 public:
  static Collector& Get() {
    static Collector collector;
    return collector;
  }

  void Read(const uint8_t* buffer, size_t bytes, int64_t dropped) {
    const std::lock_guard lock(mutex_);
    if (bytes > 0) records_.Read({buffer, bytes});
    records_.AddDropped(dropped);
  }
  ActivityRecords Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(records_, {});
  }

 private:
  std::mutex mutex_;
  ActivityRecords records_;
};

void CUPTIAPI GiveBuffer(uint8_t** buffer, size_t* bytes, size_t* records_most) {
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(kBufferAlignment, kBufferBytes));
  *bytes = *buffer == nullptr ? 0 : kBufferBytes;
  *records_most = 0;  // as many as fit
}

void CUPTIAPI TakeBuffer(CUcontext context, uint32_t stream, uint8_t* buffer, size_t, size_t valid_bytes) {
  size_t dropped = 0;
  if (cuptiActivityGetNumDroppedRecords(context, stream, &dropped) != CUPTI_SUCCESS) dropped = 0;
  Collector::Get().Read(buffer, valid_bytes, static_cast<int64_t>(dropped));
  std::free(buffer);
}

class ActivityClock final : public OpClock {
 public:
  ~ActivityClock() override { Disable(); }

  void BeginStep(const c10::cuda::CUDAStream&) override {
    for (const CUpti_ActivityKind kind : kKinds) Note(cuptiActivityEnable(kind));
    Collector::Get().Take();
    uint64_t now = 0;
    Note(cuptiGetTimestamp(&now));  // on the clock of the records
    step_start_ns_ = static_cast<int64_t>(now);
  }
  void BeginOp(size_t op, const c10::cuda::CUDAStream&) override {
    Note(cuptiActivityPushExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, op + 1));
  }
  void EndOp(size_t, const c10::cuda::CUDAStream&) override {
    uint64_t id = 0;
    Note(cuptiActivityPopExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, &id));
  }

  Status EndStep(StepRecord& record) override {
    Note(cuptiActivityFlushAll(0));
    Disable();
    ActivityRecords records = Collector::Get().Take();
    auto by_op = records.TakeByOp();
    Align(by_op, record.makespan);
    for (auto& [op, activities] : by_op) {
      if (op >= record.ops.size()) continue;
      int64_t end = 0;
      for (const DeviceActivity& activity : activities) end = std::max(end, activity.end_ns);
      record.ops[op] = {Duration::Nanoseconds(std::max<int64_t>(0, activities.front().start_ns - step_start_ns_)),
                        Duration::Nanoseconds(std::max<int64_t>(0, end - step_start_ns_))};
      for (DeviceActivity& activity : activities) {
        record.kernels.push_back(
            {op, std::move(activity.name), activity.blocks, Duration::Nanoseconds(activity.end_ns - activity.start_ns)});
      }
    }
    if (failure_ != CUPTI_SUCCESS) return UnavailableError("error: CUPTI failed while a step was recorded: " + TextOf(failure_));
    const ActivityCounts& counts = records.counts();
    if (counts.dropped + counts.unreadable > 0) {
      return UnavailableError("error: CUPTI dropped " + std::to_string(counts.dropped) + " records and " +
                              std::to_string(counts.unreadable) +
                              " buffers could not be read to their end, so the times of this step are not complete");
    }
    return OkStatus();
  }

 private:
  void Note(CUptiResult result) {
    if (result != CUPTI_SUCCESS && failure_ == CUPTI_SUCCESS) failure_ = result;
  }
  // The clock of the records is the device's, which CUPTI sets by the host's: seen to be off by up to 3 ms at first. Nothing can end after
  // the host has seen the device idle.
  void Align(const std::map<size_t, std::vector<DeviceActivity>>& by_op, Duration makespan) {
    int64_t last_ns = 0;
    for (const auto& [op, activities] : by_op) {
      for (const DeviceActivity& activity : activities) last_ns = std::max(last_ns, activity.end_ns);
    }
    step_start_ns_ = std::max(step_start_ns_, last_ns - makespan.picoseconds() / 1000);
  }
  static void Disable() {
    for (const CUpti_ActivityKind kind : kKinds) cuptiActivityDisable(kind);
  }

  int64_t step_start_ns_ = 0;
  CUptiResult failure_ = CUPTI_SUCCESS;
};

}  // namespace

Result<std::unique_ptr<OpClock>> MakeActivityClock() {
  const CUptiResult registered = cuptiActivityRegisterCallbacks(GiveBuffer, TakeBuffer);
  if (registered != CUPTI_SUCCESS) return UnavailableError("error: CUPTI cannot record here: " + TextOf(registered));
  const CUptiResult enabled = cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  if (enabled != CUPTI_SUCCESS) return UnavailableError("error: CUPTI cannot record kernels here: " + TextOf(enabled));
  cuptiActivityDisable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);  // until a step is recorded
  return std::unique_ptr<OpClock>(std::make_unique<ActivityClock>());
}

}  // namespace helm::runtime
