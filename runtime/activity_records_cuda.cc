#include <algorithm>

#include <cupti.h>

#include "runtime/activity_records.h"

namespace helm::runtime {
namespace {

DeviceActivity KernelOf(const CUpti_Activity* record) {
  const auto* kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(record);
  DeviceActivity activity;
  activity.name = kernel->name == nullptr ? "" : kernel->name;
  activity.start_ns = static_cast<int64_t>(kernel->start);
  activity.end_ns = static_cast<int64_t>(kernel->end);
  activity.blocks = int64_t{kernel->gridX} * kernel->gridY * kernel->gridZ;
  activity.stream = kernel->streamId;
  activity.correlation = kernel->correlationId;
  return activity;
}

template <typename Record>
DeviceActivity TransferOf(const CUpti_Activity* record, const char* name) {
  const auto* transfer = reinterpret_cast<const Record*>(record);
  DeviceActivity activity;
  activity.name = name;
  activity.start_ns = static_cast<int64_t>(transfer->start);
  activity.end_ns = static_cast<int64_t>(transfer->end);
  activity.stream = transfer->streamId;
  activity.correlation = transfer->correlationId;
  return activity;
}

}  // namespace

void ActivityRecords::Read(std::span<const uint8_t> buffer) {
  CUpti_Activity* record = nullptr;
  CUptiResult result = CUPTI_SUCCESS;
  auto* data = const_cast<uint8_t*>(buffer.data());  // CUPTI's reader takes what it does not change
  while ((result = cuptiActivityGetNextRecord(data, buffer.size(), &record)) == CUPTI_SUCCESS) {
    ++counts_.records;
    switch (record->kind) {
      case CUPTI_ACTIVITY_KIND_KERNEL:
      case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
        activities_.push_back(KernelOf(record));
        break;
      case CUPTI_ACTIVITY_KIND_MEMCPY:
        activities_.push_back(TransferOf<CUpti_ActivityMemcpy6>(record, "memcpy"));
        break;
      case CUPTI_ACTIVITY_KIND_MEMSET:
        activities_.push_back(TransferOf<CUpti_ActivityMemset4>(record, "memset"));
        break;
      case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION: {
        const auto* correlation = reinterpret_cast<const CUpti_ActivityExternalCorrelation*>(record);
        if (correlation->externalKind == CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0)
          external_of_correlation_[correlation->correlationId] = correlation->externalId;
        break;
      }
      default:
        break;  // calls of the runtime, synchronisation, overhead: they come with the kinds above
    }
  }
  if (result != CUPTI_ERROR_MAX_LIMIT_REACHED) ++counts_.unreadable;
}

std::map<size_t, std::vector<DeviceActivity>> ActivityRecords::TakeByOp() {
  std::map<size_t, std::vector<DeviceActivity>> by_op;
  for (DeviceActivity& activity : activities_) {
    ++counts_.activities;
    const auto external = external_of_correlation_.find(activity.correlation);
    if (external == external_of_correlation_.end() || external->second == 0) {
      ++counts_.unjoined;
      continue;
    }
    by_op[static_cast<size_t>(external->second - 1)].push_back(std::move(activity));
  }
  for (auto& [op, activities] : by_op) std::ranges::sort(activities, {}, &DeviceActivity::start_ns);
  activities_.clear();
  external_of_correlation_.clear();
  return by_op;
}

}  // namespace helm::runtime
