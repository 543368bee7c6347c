#include "cluster/gpu_facts.h"

#include <dlfcn.h>

#include "core/file.h"
#include "core/text.h"

namespace helm::cluster {
namespace {

// The part of the CUDA driver API that says what the GPUs are. Signatures and numbers are those of cuda.h, stable by NVIDIA's promise of
// binary compatibility.
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
    Find(get_bus_id_, "cuDeviceGetPCIBusId");
    usable_ = initialise_ && get_count_ && get_ && get_name_ && get_memory_ && get_attribute_ && initialise_(0) == 0;
  }

  std::vector<GpuFacts> Describe() const {
    std::vector<GpuFacts> gpus;
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
  static constexpr int kL2CacheSize = 38;          // CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE
  static constexpr int kCapabilityMajor = 75;      // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
  static constexpr int kCapabilityMinor = 76;      // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR

  template <typename Function>
  void Find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(dlsym(library_, name));
  }

  int Attribute(int attribute, int device) const {
    int value = 0;
    return get_attribute_(&value, attribute, device) == 0 ? value : 0;
  }

  GpuFacts DescribeOne(int device) const {
    GpuFacts gpu;
    char name[256] = {};
    size_t bytes = 0;
    if (get_name_(name, sizeof name, device) == 0) gpu.name = name;
    if (get_memory_(&bytes, device) == 0) gpu.memory = Bytes(static_cast<int64_t>(bytes));
    gpu.multiprocessors = Attribute(kMultiprocessorCount, device);
    gpu.l2 = Bytes(Attribute(kL2CacheSize, device));
    gpu.compute_capability_major = Attribute(kCapabilityMajor, device);
    gpu.compute_capability_minor = Attribute(kCapabilityMinor, device);
    char bus_id[32] = {};
    if (get_bus_id_ != nullptr && get_bus_id_(bus_id, sizeof bus_id, device) == 0) gpu.pci_bus_id = bus_id;
    return gpu;
  }

  void* library_;  // never closed: torch uses the same driver later
  bool usable_ = false;
  int (*initialise_)(unsigned) = nullptr;
  int (*get_count_)(int*) = nullptr;
  int (*get_)(int*, int) = nullptr;
  int (*get_name_)(char*, int, int) = nullptr;
  int (*get_memory_)(size_t*, int) = nullptr;
  int (*get_attribute_)(int*, int, int) = nullptr;
  int (*get_bus_id_)(char*, int, int) = nullptr;
};

}  // namespace

std::vector<GpuFacts> ReadGpuFacts() { return CudaDriver().Describe(); }

std::string NvidiaDriverVersion() {
  for (const char* path : {"/sys/module/nvidia/version", "/proc/driver/nvidia/version"}) {
    const auto text = ReadFile(path);
    if (!text.ok()) continue;
    // The second file is a line of words, the version one of them: "... Kernel Module  580.95.05  Release Build ...".
    for (const std::string& word : Split(Trim(std::string(*text)), ' ')) {
      if (!word.empty() && word[0] >= '0' && word[0] <= '9' && word.find('.') != std::string::npos) return std::string(Trim(word));
    }
  }
  return "";
}

}  // namespace helm::cluster
