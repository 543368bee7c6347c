// OpBench: see measure.h. What decides whether a measured op takes as long as in a step is what the caches hold when it starts:
//  * operands that the step wrote shortly before are written again before each sample, the first argument first;
//  * persistent operands (weights, optimizer state, gradients) were last used long ago: they rotate through as many copies as the last-level
//    cache cannot hold;
//  * between samples a buffer larger than the second-level cache is read, as other ops of the step would have.
#include <algorithm>
#include <cstring>
#include <random>

#include <ATen/ops/empty.h>
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
constexpr int64_t kRotationBytes = int64_t{96} << 20;   // persistent operands: more than a last-level cache per core complex (32 MiB on EPYC)
constexpr int64_t kCopiesMost = 64;
constexpr int64_t kSweepBytes = int64_t{4} << 20;       // more than a second-level cache (1 to 2 MiB a core)
constexpr int64_t kSamplesPerRefresh = 8;               // in-place ops change persistent operands: values start anew before they decay to denormals

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
    case ir::DataType::kFloat32: FillPattern<float>(pattern.data(), signature, random); break;
    case ir::DataType::kBFloat16: FillPattern<c10::BFloat16>(pattern.data(), signature, random); break;
    case ir::DataType::kFloat16: FillPattern<c10::Half>(pattern.data(), signature, random); break;
    case ir::DataType::kInt64: FillPattern<int64_t>(pattern.data(), signature, random); break;
    case ir::DataType::kInt32: FillPattern<int32_t>(pattern.data(), signature, random); break;
    case ir::DataType::kUInt8: FillPattern<uint8_t>(pattern.data(), signature, random); break;
    case ir::DataType::kBool: FillPattern<bool>(pattern.data(), signature, random); break;
  }
  return pattern;
}

// One tensor argument and its copies.
class Operand {
 public:
  Operand(const ir::TensorSignature& signature, int64_t copies, c10::Device device, std::mt19937_64& random)
      : signature_(signature), bytes_count_(SpannedElements(signature.shape, signature.strides) * ir::ElementBytes(signature.dtype)) {
    const std::vector<std::byte> pattern = MakePattern(signature, random);
    // A whole number of patterns, so that filling is plain copying.
    const auto length = static_cast<int64_t>(pattern.size());
    const int64_t rounded = std::max<int64_t>(1, (bytes_count_ + length - 1) / length) * length;
    const auto options = at::TensorOptions().dtype(c10::ScalarType::Byte);
    pattern_ = at::empty({length}, options);
    std::memcpy(pattern_.mutable_data_ptr(), pattern.data(), pattern.size());
    pattern_ = pattern_.to(device);
    for (int64_t i = 0; i < copies; ++i) {
      memory_.push_back(at::empty({rounded}, options.device(device)));
      views_.push_back(StridedView(memory_.back(), signature.dtype, signature.shape, signature.strides, 0));
    }
    Refill();
  }

  const ir::TensorSignature& signature() const { return signature_; }
  int64_t bytes() const { return bytes_count_; }
  const at::Tensor& view(int64_t sample) const { return views_[static_cast<size_t>(sample) % views_.size()]; }

  void Refill() {
    for (at::Tensor& memory : memory_) RefillOne(memory);
  }

 private:
  void RefillOne(at::Tensor& memory) {
    const int64_t length = pattern_.numel();
    if (memory.is_cpu()) {
      auto* data = static_cast<std::byte*>(memory.mutable_data_ptr());
      for (int64_t at = 0; at < memory.numel(); at += length) std::memcpy(data + at, pattern_.const_data_ptr(), static_cast<size_t>(length));
    } else {
      memory.view({-1, length}).copy_(pattern_.expand({memory.numel() / length, length}));
    }
  }

  ir::TensorSignature signature_;
  int64_t bytes_count_;
  at::Tensor pattern_;
  std::vector<at::Tensor> memory_;
  std::vector<at::Tensor> views_;
};

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
    int64_t persistent = 0;
    for (const ir::TensorSignature& tensor : tensors) {
      if (tensor.persistent) persistent += SpannedElements(tensor.shape, tensor.strides) * ir::ElementBytes(tensor.dtype);
    }
    const int64_t copies = persistent == 0 ? 1 : std::clamp<int64_t>(kRotationBytes / persistent, 2, kCopiesMost);
    for (const ir::TensorSignature& tensor : tensors) {
      operands_.emplace_back(tensor, tensor.persistent ? copies : 1, device_->torch_device(), random);
      operand_bytes_ += operands_.back().bytes();
    }
    tensors_.resize(tensors.size());
    sweep_ = at::empty({kSweepBytes}, at::TensorOptions().dtype(c10::ScalarType::Byte).device(device_->torch_device())).zero_();
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
    if (samples_ > 0 && samples_ % kSamplesPerRefresh == 0) {
      for (Operand& operand : operands_) {
        if (operand.signature().persistent) operand.Refill();
      }
    }
    Sweep();
    for (size_t i = 0; i < operands_.size(); ++i) {
      if (!operands_[i].signature().persistent) operands_[i].Refill();
      tensors_[i] = operands_[i].view(samples_);
    }
    ++samples_;
  }

  void Sweep() {
    if (!device_->is_cpu()) return;
    const auto* data = static_cast<const volatile uint8_t*>(sweep_.const_data_ptr());
    for (int64_t at = 0; at < kSweepBytes; at += 64) (void)data[at];  // one read a cache line
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
