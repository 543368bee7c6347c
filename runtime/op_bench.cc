// OpBench: see measure.h. What decides whether a measured op takes as long as in a step is what the caches hold when it starts. Before each
// sample
//  1. a buffer as large as the last-level cache is read: weights, optimizer state, the memory that results get and the code of the operator
//     are then not in cache, as after the other ops of a step;
//  2. operands that the step wrote shortly before are written again.
// bench/op_fidelity_bench.cc compares with ops inside a step.
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include "core/check.h"
#include "runtime/device.h"
#include "runtime/measure.h"
#include "runtime/operator_call.h"
#include "runtime/tensors.h"

namespace helm::runtime {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kSeed = 20240520;
constexpr int64_t kPatternElements = 8192;              // random values are drawn once and repeated
constexpr int64_t kCacheBytesLeast = int64_t{8} << 20;  // bounds of what is swept, whatever the machine says of its cache
constexpr int64_t kCacheBytesMost = int64_t{64} << 20;
constexpr int64_t kSamplesPerRefresh = 8;  // in-place ops change persistent operands: values start anew before they decay to denormals

int64_t LastLevelCacheBytes() { return std::clamp<int64_t>(sysconf(_SC_LEVEL3_CACHE_SIZE), kCacheBytesLeast, kCacheBytesMost); }

template <typename T>
void FillPattern(std::byte* data, const ir::TensorSignature& signature, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < kPatternElements; ++i) {
    T value{};
    if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, int32_t> || std::is_same_v<T, uint8_t>) {
      value = signature.index_bound > 0 ? static_cast<T>(random() % static_cast<uint64_t>(signature.index_bound)) : T{0};
    } else if constexpr (std::is_same_v<T, bool>) {
      value = (random() & 1) != 0;
    } else {
      value = static_cast<T>(normal(random));
    }
    std::memcpy(data + i * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
  }
}

std::vector<std::byte> MakePattern(const ir::TensorSignature& signature, std::mt19937_64& random) {
  std::vector<std::byte> pattern(static_cast<size_t>(kPatternElements * ir::ElementBytes(signature.dtype)));
  switch (signature.dtype) {
    case ir::DataType::kFloat32:
      FillPattern<float>(pattern.data(), signature, random);
      break;
    case ir::DataType::kBFloat16:
      FillPattern<c10::BFloat16>(pattern.data(), signature, random);
      break;
    case ir::DataType::kFloat16:
      FillPattern<c10::Half>(pattern.data(), signature, random);
      break;
    case ir::DataType::kInt64:
      FillPattern<int64_t>(pattern.data(), signature, random);
      break;
    case ir::DataType::kInt32:
      FillPattern<int32_t>(pattern.data(), signature, random);
      break;
    case ir::DataType::kUInt8:
      FillPattern<uint8_t>(pattern.data(), signature, random);
      break;
    case ir::DataType::kBool:
      FillPattern<bool>(pattern.data(), signature, random);
      break;
  }
  return pattern;
}

// One tensor argument.
class Operand {
 public:
  // `elements_least`: what the memory must hold, beyond what the operand itself spans.
  Operand(const ir::TensorSignature& signature, int64_t elements_least, c10::Device device, std::mt19937_64& random)
      : persistent_(signature.persistent), bytes_(SpannedElements(signature.shape, signature.strides) * ir::ElementBytes(signature.dtype)) {
    const std::vector<std::byte> pattern = MakePattern(signature, random);
    const auto length = static_cast<int64_t>(pattern.size());
    const auto options = at::TensorOptions().dtype(c10::ScalarType::Byte);
    pattern_ = at::empty({length}, options);
    std::memcpy(pattern_.mutable_data_ptr(), pattern.data(), pattern.size());
    pattern_ = pattern_.to(device);
    const int64_t least = std::max({int64_t{1}, bytes_, elements_least * ir::ElementBytes(signature.dtype)});
    const int64_t whole_patterns = (least + length - 1) / length * length;  // so that filling is plain copying
    memory_ = at::empty({whole_patterns}, options.device(device));
    view_ = StridedView(memory_, signature.dtype, signature.shape, signature.strides, 0);
    Refill();
  }

  bool persistent() const { return persistent_; }
  int64_t bytes() const { return bytes_; }
  const at::Tensor& view() const { return view_; }

  void Refill() {
    const int64_t length = pattern_.numel();
    if (memory_.is_cpu()) {
      auto* data = static_cast<std::byte*>(memory_.mutable_data_ptr());
      for (int64_t at = 0; at < memory_.numel(); at += length)
        std::memcpy(data + at, pattern_.const_data_ptr(), static_cast<size_t>(length));
    } else {
      memory_.view({-1, length}).copy_(pattern_.expand({memory_.numel() / length, length}));
    }
  }

 private:
  bool persistent_;
  int64_t bytes_;
  at::Tensor pattern_;
  at::Tensor memory_;
  at::Tensor view_;
};

// aten.as_strided(self, size, stride, storage_offset) may reach beyond self within its storage; other ops do not.
int64_t ElementsLeast(const ir::OpSignature& signature) {
  if (signature.target != "aten.as_strided" || signature.arguments.size() < 3) return 0;
  const auto* size = std::get_if<std::vector<int64_t>>(&signature.arguments[1]);
  const auto* stride = std::get_if<std::vector<int64_t>>(&signature.arguments[2]);
  if (size == nullptr || stride == nullptr || size->size() != stride->size()) return 0;
  const int64_t* offset = signature.arguments.size() > 3 ? std::get_if<int64_t>(&signature.arguments[3]) : nullptr;
  return SpannedElements(*size, *stride) + (offset == nullptr ? 0 : *offset);
}

// Gives every tensor of the signature a slot, in argument order.
struct ToSlots {
  std::vector<ir::TensorSignature>& tensors;

  CallArgument operator()(const ir::TensorSignature& tensor) const {
    tensors.push_back(tensor);
    return TensorSlot{static_cast<int32_t>(tensors.size() - 1)};
  }
  CallArgument operator()(const std::vector<ir::TensorSignature>& list) const {
    std::vector<TensorSlot> slots;
    for (const ir::TensorSignature& tensor : list) slots.push_back(std::get<TensorSlot>((*this)(tensor)));
    return slots;
  }
  template <typename T>
  CallArgument operator()(const T& value) const {
    return value;
  }
};

class DispatchOpBench final : public OpBench {
 public:
  DispatchOpBench(ir::OpSignature signature, std::unique_ptr<Device> device, OperatorCall call)
      : signature_(std::move(signature)), device_(std::move(device)), call_(std::move(call)) {}

  void MakeOperands(const std::vector<ir::TensorSignature>& tensors) {
    const c10::InferenceMode inference;
    std::mt19937_64 random(kSeed);
    for (const ir::TensorSignature& tensor : tensors) {
      operands_.emplace_back(tensor, ElementsLeast(signature_), device_->torch_device(), random);
      tensors_.push_back(operands_.back().view());
      operand_bytes_ += operands_.back().bytes();
    }
    if (device_->is_cpu()) sweep_ = at::zeros({LastLevelCacheBytes()}, c10::ScalarType::Byte);
    timer_ = device_->MakeStepTimer(1, 1);
  }

  Bytes operand_bytes() const override { return Bytes(operand_bytes_); }

  Result<OpSample> RunOnce() override {
    const c10::InferenceMode inference;
    try {
      Prepare();
      return Measure();
    } catch (const std::exception& error) {
      std::string cause = error.what();
      return InternalError("error: cannot run " + ir::ToText(signature_) + ": " + cause.substr(0, cause.find('\n')));
    }
  }

 private:
  void Prepare() {
    const bool refresh = samples_ > 0 && samples_ % kSamplesPerRefresh == 0;
    ++samples_;
    if (refresh) RefillAll(/*persistent=*/true);
    SweepCache();
    RefillAll(/*persistent=*/false);
  }

  void RefillAll(bool persistent) {
    for (Operand& operand : operands_) {
      if (operand.persistent() == persistent) operand.Refill();
    }
  }

  void SweepCache() const {
    if (!sweep_.defined()) return;
    const auto* data = static_cast<const volatile uint8_t*>(sweep_.const_data_ptr());
    for (int64_t at = 0; at < sweep_.numel(); at += 64) (void)data[at];  // one read a cache line
  }

  OpSample Measure() {
    StepRecord record;
    record.ops.resize(1);
    call_.Push(tensors_, stack_);
    device_->Synchronize();
    device_->ResetPeakBytes();
    const int64_t live_before = device_->LiveBytes();
    if (timer_ != nullptr) timer_->BeginStep();
    if (timer_ != nullptr) timer_->BeginOp(0, 0);
    const Clock::time_point start = Clock::now();
    call_.CallPushed(stack_);
    const Clock::time_point end = Clock::now();
    if (timer_ != nullptr) timer_->EndOp(0, 0);
    if (timer_ != nullptr) timer_->EndStep(record);
    const int64_t results = device_->LiveBytes() - live_before;
    OpSample sample;
    sample.duration = timer_ != nullptr ? record.ops[0].end - record.ops[0].start
                                        : Duration::Nanoseconds(std::chrono::duration_cast<std::chrono::nanoseconds>(end - start).count());
    sample.workspace = Bytes(device_->PeakBytes() - live_before - results);
    stack_.clear();
    return sample;
  }

  ir::OpSignature signature_;
  std::unique_ptr<Device> device_;
  OperatorCall call_;
  std::vector<Operand> operands_;
  std::vector<at::Tensor> tensors_;
  std::vector<c10::IValue> stack_;
  at::Tensor sweep_;
  std::unique_ptr<StepTimer> timer_;
  int64_t operand_bytes_ = 0;
  int64_t samples_ = 0;
};

}  // namespace

Result<std::unique_ptr<OpBench>> OpBench::Create(const ir::OpSignature& signature, ir::DeviceKind kind) {
  HELM_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, Device::Make(kind, 0));
  std::vector<ir::TensorSignature> tensors;
  std::vector<CallArgument> arguments;
  for (const ir::ArgumentSignature& argument : signature.arguments) arguments.push_back(std::visit(ToSlots{tensors}, argument));
  HELM_ASSIGN_OR_RETURN(OperatorCall call, OperatorCall::Make(signature.target, arguments, device->torch_device()));
  auto bench = std::make_unique<DispatchOpBench>(signature, std::move(device), std::move(call));
  try {
    bench->MakeOperands(tensors);
  } catch (const std::exception& error) {
    return UnavailableError("error: cannot allocate the operands of " + ir::ToText(signature) + ": " + error.what());
  }
  return std::unique_ptr<OpBench>(std::move(bench));
}

}  // namespace helm::runtime
