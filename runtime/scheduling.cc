#include "runtime/scheduling.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace helm::runtime {
namespace {

std::vector<int> UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

// The kernel's struct sched_attr, first version (include/uapi/linux/sched/types.h); glibc 2.36 does not declare it.
struct SchedulingAttributes {
  uint32_t size = 48;
  uint32_t policy = SCHED_OTHER;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime_ns = 0;  // of SCHED_OTHER: the slice, 0 for the default
  uint64_t deadline_ns = 0;
  uint64_t period_ns = 0;
};

// Changes only the calling thread's slice. Failure is fine: an older kernel keeps its default.
void SetSlice(uint64_t nanoseconds) {
  SchedulingAttributes attributes;
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0 || attributes.policy != SCHED_OTHER) return;
  attributes.runtime_ns = nanoseconds;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

constexpr uint64_t kShortSliceNanoseconds = 100000;  // the kernel's smallest

}  // namespace

bool BindToCores(int64_t local_rank, int64_t local_ranks, int64_t threads) {
  const std::vector<int> cores = UsableCores();
  if (threads < 1 || local_ranks * threads > static_cast<int64_t>(cores.size())) return false;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int64_t i = local_rank * threads; i < (local_rank + 1) * threads; ++i) CPU_SET(cores[static_cast<size_t>(i)], &set);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", error)) {
    sched_setaffinity(std::stoi(entry.path().filename().string()), sizeof(set), &set);
  }
  return !error;
}

ShortSliceForNewThreads::ShortSliceForNewThreads() { SetSlice(kShortSliceNanoseconds); }
ShortSliceForNewThreads::~ShortSliceForNewThreads() { SetSlice(0); }

}  // namespace helm::runtime
