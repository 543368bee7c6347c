#include "cost/missing_number.h"

#include <fmt/format.h>

namespace helm::cost {

Status NoMemoryBandwidth(const cluster::Device& device) {
  return UnavailableError(fmt::format("device '{}' of the cluster description has no memory bandwidth (memory_gbytes_per_s)", device.name));
}

Status NoPeakRate(const cluster::Device& device, std::string_view dtype) {
  return UnavailableError(fmt::format("device '{}' of the cluster description has no peak rate for {} (peak_tflops)", device.name, dtype));
}

}  // namespace helm::cost
