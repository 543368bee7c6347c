#include "runtime/machine.h"

#include <dlfcn.h>
#include <sched.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <fstream>
#include <sstream>

#include <torch/version.h>

namespace helm::runtime {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string CpuName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

// The cores that the scheduler may put this process on, cut down to the control group's quota (cgroup v2 `cpu.max`: "QUOTA PERIOD" in
// microseconds, v1 the two files of the same meaning).
int64_t UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int64_t cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
  double quota = 0;
  double period = 0;
  std::istringstream limits(FirstLine("/sys/fs/cgroup/cpu.max"));
  if (!(limits >> quota >> period)) {
    std::istringstream old_quota(FirstLine("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"));
    std::istringstream old_period(FirstLine("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
    if (!(old_quota >> quota) || !(old_period >> period)) return cores;
  }
  if (quota > 0 && period > 0) cores = std::min(cores, std::max<int64_t>(1, std::llround(std::floor(quota / period))));
  return cores;
}

// Of the machine, cut down to the control group's limit.
Bytes UsableMemory() {
  struct sysinfo info{};
  int64_t bytes = sysinfo(&info) == 0 ? static_cast<int64_t>(info.totalram) * info.mem_unit : 0;
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::istringstream text(FirstLine(path));
    if (int64_t limit = 0; text >> limit && limit > 0) bytes = std::min(bytes, limit);
  }
  return Bytes(bytes);
}

// The part of the CUDA driver API that says what the GPUs are. Signatures and numbers are those of cuda.h, stable by NVIDIA's promise of
// binary compatibility; the library is opened by name, so that HELM starts on machines without it.
class CudaDriver {
 public:
  CudaDriver() : library_(dlopen("libcuda.so.1", RTLD_LAZY)) {
    if (library_ == nullptr) return;
    Find(initialise_, "cuInit");
    Find(get_count_, "cuDeviceGetCount");
    Find(get_, "cuDeviceGet");
    Find(get_name_, "cuDeviceGetName");
    Find(get_memory_, "cuDeviceTotalMem_v2");
    Find(get_attribute_, "cuDeviceGetAttribute");
    usable_ = initialise_ && get_count_ && get_ && get_name_ && get_memory_ && get_attribute_ && initialise_(0) == 0;
  }

  std::vector<GpuDescription> Describe() const {
    std::vector<GpuDescription> gpus;
    int count = 0;
    if (!usable_ || get_count_(&count) != 0) return gpus;
    for (int i = 0; i < count; ++i) {
      int device = 0;
      if (get_(&device, i) == 0) gpus.push_back(DescribeOne(device));
    }
    return gpus;
  }

 private:
  static constexpr int kMultiprocessorCount = 16;  // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
  static constexpr int kCapabilityMajor = 75;      // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
  static constexpr int kCapabilityMinor = 76;      // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR

  template <typename Function>
  void Find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(dlsym(library_, name));
  }

  GpuDescription DescribeOne(int device) const {
    GpuDescription gpu;
    char name[256] = {};
    size_t bytes = 0;
    if (get_name_(name, sizeof name, device) == 0) gpu.name = name;
    if (get_memory_(&bytes, device) == 0) gpu.memory = Bytes(static_cast<int64_t>(bytes));
    int value = 0;
    if (get_attribute_(&value, kMultiprocessorCount, device) == 0) gpu.multiprocessors = value;
    get_attribute_(&gpu.compute_capability_major, kCapabilityMajor, device);
    get_attribute_(&gpu.compute_capability_minor, kCapabilityMinor, device);
    return gpu;
  }

  void* library_;
  bool usable_ = false;
  int (*initialise_)(unsigned) = nullptr;
  int (*get_count_)(int*) = nullptr;
  int (*get_)(int*, int) = nullptr;
  int (*get_name_)(char*, int, int) = nullptr;
  int (*get_memory_)(size_t*, int) = nullptr;
  int (*get_attribute_)(int*, int, int) = nullptr;
};

}  // namespace

Result<MachineDescription> DescribeMachine() {
  MachineDescription machine;
  char hostname[HOST_NAME_MAX + 1] = {};
  if (gethostname(hostname, sizeof hostname - 1) == 0) machine.hostname = hostname;
  machine.cpu_name = CpuName();
  machine.cpu_cores = UsableCores();
  machine.memory = UsableMemory();
  if (machine.memory.count() == 0) return UnavailableError("error: cannot find out how much memory this machine has (sysinfo failed)");
  machine.gpus = CudaDriver().Describe();
  if (!machine.gpus.empty()) machine.driver_version = FirstLine("/sys/module/nvidia/version");
  machine.torch_version = TORCH_VERSION;
  return machine;
}

}  // namespace helm::runtime
