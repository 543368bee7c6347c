// ActivityRecords: reads CUPTI's buffers of activity records and says which kernels each op launched. No GPU is needed to read: the tests
// build packed buffers of the library's own structs.
//
// Not a profiler: turning recording on and marking ops is activity_clock_cuda.cc. CUPTI joins in two steps: an external-correlation record
// ties the id that was pushed around a call (here: op number + 1) to a correlation id, and the kernels, copies and fills that the call
// launched carry that correlation id. Records of one step may come in any order, in several buffers; nothing is dropped in silence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace helm::runtime {

// One kernel, copy or fill on the device. Times are CUPTI's nanoseconds.
struct DeviceActivity {
  std::string name;  // of a kernel, mangled as the compiler did; "memcpy" or "memset"
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  int64_t blocks = 0;  // of a kernel's grid; 0 for a copy
  uint32_t stream = 0;
  uint32_t correlation = 0;
};

struct ActivityCounts {
  int64_t records = 0;
  int64_t activities = 0;  // kernels, copies, fills
  int64_t unjoined = 0;    // of them: launched outside any op
  int64_t dropped = 0;     // by CUPTI, for want of room
  int64_t unreadable = 0;  // buffers that ended in the middle of a record
};

class ActivityRecords {
 public:
  // A buffer as CUPTI hands it out, filled up to its size.
  void Read(std::span<const uint8_t> buffer);
  void AddDropped(int64_t records) { counts_.dropped += records; }

  // By op number, in order of start. Afterwards nothing is left.
  std::map<size_t, std::vector<DeviceActivity>> TakeByOp();
  // Of everything read so far; `unjoined` is counted by TakeByOp.
  const ActivityCounts& counts() const { return counts_; }

 private:
  ActivityCounts counts_;
  std::vector<DeviceActivity> activities_;
  std::map<uint32_t, uint64_t> external_of_correlation_;
};

}  // namespace helm::runtime
