// What the fuzz targets share: the bytes as text, and a machine and presets that are the same everywhere. Headers only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cluster/machine_facts.h"
#include "core/check.h"

namespace helm::fuzz {

inline std::string_view Text(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

inline cluster::MachineFacts Machine() {
  return {.cpu_name = "Test CPU",
          .cpu_cores = 8,
          .memory = Bytes::Gibibytes(16),
          .peak = FlopsPerSecond::Of(3.2e11),
          .memory_bandwidth = BytesPerSecond::Of(4e10)};
}

}  // namespace helm::fuzz

// The one function of a target. libFuzzer, or tests/fuzz/mutation_driver.cc, calls it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
