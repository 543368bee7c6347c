#include "runtime/device.h"

#include <dlfcn.h>

#include <filesystem>
#include <string>

namespace helm::runtime {
namespace {

std::string BesideExecutable(const std::string& file) {
  std::error_code error;
  const std::filesystem::path executable = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? file : (executable.parent_path() / file).string();
}

}  // namespace

Result<std::unique_ptr<Device>> Device::Make(ir::DeviceKind kind, int64_t rank) {
  return kind == ir::DeviceKind::kCpu ? MakeCpuDevice() : LoadCudaDevice(rank);
}

Result<std::unique_ptr<Device>> LoadCudaDevice(int64_t rank) {
  constexpr const char* kDriver = "libcuda.so.1";  // comes with NVIDIA's driver, so its absence says that there is no GPU
  if (dlopen(kDriver, RTLD_LAZY) == nullptr) {
    return UnavailableError(
        std::string("error: no NVIDIA driver on this machine (") + kDriver +
        " not found)\nfix: use a machine with an NVIDIA GPU, or plan for this one's CPU with cluster: {local: N, device: cpu}");
  }
  void* library = dlopen(BesideExecutable("libhelm_runtime_cuda.so").c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return UnavailableError(std::string("error: cannot load HELM's CUDA part: ") + dlerror());
  using Make = Status (*)(int64_t rank, std::unique_ptr<Device>* device);
  auto* make = reinterpret_cast<Make>(dlsym(library, "helm_make_cuda_device"));
  if (make == nullptr) return InternalError("libhelm_runtime_cuda.so has no helm_make_cuda_device");
  std::unique_ptr<Device> device;
  HELM_RETURN_IF_ERROR(make(rank, &device));
  return device;
}

}  // namespace helm::runtime
