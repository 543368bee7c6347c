// OpBench: see measure.h. What decides whether a measured op takes as long as in a step is what the caches hold when it starts. Before each
// sample
//  1. a buffer as large as the last-level cache is read: weights, optimizer state, the memory that results get and the code of the operator
//     are then not in cache, as after the other ops of a step;
//  2. operands that the step wrote shortly before are written again.
// On a GPU both are kernels on the op's own stream, and keep the device busy while the host launches the op, so that the time holds no wait
// for the host; before them comes the load of its part of a training step (runtime/training_load.h), several times as long as the op: it
// and the op together are the mixture of that part. An op's time is the difference of two events, less what two events take longer than the
// next kernel of a stream would (MarkOverhead). bench/op_fidelity_bench.cc compares with ops inside a step.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
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
#include "runtime/training_load.h"

namespace helm::runtime {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kSeed = 20240520;
constexpr int64_t kPatternElements = 8192;  // random values are drawn once and repeated
constexpr int64_t kSamplesPerRefresh = 8;   // in-place ops change persistent operands: values start anew before they decay to denormals

constexpr int64_t kSweepCaches = 4;  // GPU: cache sizes that are written, some 60 us of work on the device before the op
constexpr Duration kLoadLeast = Duration::Nanoseconds(3'000'000);
constexpr int64_t kLoadOverOp = 5;  // the load lasts this many times the op
constexpr Duration kLoadMost = Duration::Nanoseconds(200'000'000);
constexpr int kMarkKernels = 200;  // some 0.4 ms
constexpr int kMarkSamples = 15;

Duration MedianOf(std::vector<Duration> durations) {
  std::ranges::sort(durations);
  return durations[durations.size() / 2];
}

// What lies on a GPU beside the op that is measured, made once for all ops of a process.
struct GpuCompanions {
  TrainingLoad load;
  Duration mark_overhead;
};

// By how much the time between two events around a small kernel exceeds that kernel's share of a stream of such kernels.
Result<Duration> MarkOverhead(const Device& device, TrainingLoad& load) {
  HELM_ASSIGN_OR_RETURN(const auto timer, device.MakeStepTimer(1, OpTimes::kEvents));
  at::Tensor one = at::zeros({1}, at::TensorOptions().device(device.torch_device()));
  const auto measure = [&](int kernels) -> Result<Duration> {
    std::vector<Duration> samples;
    for (int sample = 0; sample < kMarkSamples; ++sample) {
      StepRecord record;
      record.ops.resize(1);
      load.Enqueue(kLoadLeast, {});
      timer->BeginStep(true);
      timer->BeginOp(0);
      for (int i = 0; i < kernels; ++i) one.add_(1);
      timer->EndOp(0);
      HELM_RETURN_IF_ERROR(timer->EndStep(record));
      samples.push_back(record.ops[0].end - record.ops[0].start);
    }
    return MedianOf(std::move(samples));
  };
  HELM_ASSIGN_OR_RETURN(const Duration alone, measure(1));
  HELM_ASSIGN_OR_RETURN(const Duration in_stream, measure(kMarkKernels));
  return std::max(Duration(), alone - Duration::Picoseconds(in_stream.picoseconds() / kMarkKernels));
}

// By device; null on a CPU.
Result<GpuCompanions*> CompanionsOf(const Device& device) {
  if (device.is_cpu()) return nullptr;
  static std::map<int, std::unique_ptr<GpuCompanions>> all;  // a process measures on one thread
  std::unique_ptr<GpuCompanions>& companions = all[device.torch_device().index()];
  if (companions == nullptr) {
    auto made = std::make_unique<GpuCompanions>(TrainingLoad(device.torch_device()));
    HELM_ASSIGN_OR_RETURN(made->mark_overhead, MarkOverhead(device, made->load));
    companions = std::move(made);
  }
  return companions.get();
}

// An operand's values are those of a step in what an operator's speed may depend on. AdamW takes roots of the second moments and powers of
// the step: of negative values they would be no numbers, for which division and root have a slow path.
bool IsNeverNegative(const std::string& target, size_t argument) {
  constexpr size_t kSecondMoments = 3, kSteps = 5;  // exp_avg_sqs, max_exp_avg_sqs, state_steps of aten._fused_adamw_
  return target.starts_with("aten._fused_adamw_") && kSecondMoments <= argument && argument <= kSteps;
}

struct OperandKind {
  ir::TensorSignature signature;
  bool never_negative = false;
};

template <typename T>
void FillPattern(std::byte* data, const OperandKind& kind, std::mt19937_64& random) {
  const ir::TensorSignature& signature = kind.signature;
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < kPatternElements; ++i) {
    T value{};
    if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, int32_t> || std::is_same_v<T, uint8_t>) {
      value = signature.index_bound > 0 ? static_cast<T>(random() % static_cast<uint64_t>(signature.index_bound)) : T{0};
    } else if constexpr (std::is_same_v<T, bool>) {
      value = (random() & 1) != 0;
    } else {
      const float number = normal(random);
      value = static_cast<T>(kind.never_negative ? std::abs(number) : number);
    }
    std::memcpy(data + i * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
  }
}

std::vector<std::byte> MakePattern(const OperandKind& kind, std::mt19937_64& random) {
  const ir::DataType dtype = kind.signature.dtype;
  std::vector<std::byte> pattern(static_cast<size_t>(kPatternElements * ir::ElementBytes(dtype)));
  switch (dtype) {
    case ir::DataType::kFloat32:
      FillPattern<float>(pattern.data(), kind, random);
      break;
    case ir::DataType::kBFloat16:
      FillPattern<c10::BFloat16>(pattern.data(), kind, random);
      break;
    case ir::DataType::kFloat16:
      FillPattern<c10::Half>(pattern.data(), kind, random);
      break;
    case ir::DataType::kInt64:
      FillPattern<int64_t>(pattern.data(), kind, random);
      break;
    case ir::DataType::kInt32:
      FillPattern<int32_t>(pattern.data(), kind, random);
      break;
    case ir::DataType::kUInt8:
      FillPattern<uint8_t>(pattern.data(), kind, random);
      break;
    case ir::DataType::kBool:
      FillPattern<bool>(pattern.data(), kind, random);
      break;
    case ir::DataType::kFloat8E4M3:
      FillPattern<c10::Float8_e4m3fn>(pattern.data(), kind, random);
      break;
    case ir::DataType::kFloat8E5M2:
      FillPattern<c10::Float8_e5m2>(pattern.data(), kind, random);
      break;
  }
  return pattern;
}

// One tensor argument.
class Operand {
 public:
  // `elements_least`: what the memory must hold, beyond what the operand itself spans.
  Operand(const OperandKind& kind, int64_t elements_least, c10::Device device, std::mt19937_64& random)
      : persistent_(kind.signature.persistent),
        bytes_(SpannedElements(kind.signature.shape, kind.signature.strides) * ir::ElementBytes(kind.signature.dtype)) {
    const ir::TensorSignature& signature = kind.signature;
    const std::vector<std::byte> pattern = MakePattern(kind, random);
    const auto length = static_cast<int64_t>(pattern.size());
    const auto options = at::TensorOptions().dtype(c10::ScalarType::Byte);
    const int64_t least = std::max({int64_t{1}, bytes_, elements_least * ir::ElementBytes(signature.dtype)});
    const int64_t whole_patterns = (least + length - 1) / length * length;  // so that filling is plain copying
    memory_ = at::empty({whole_patterns}, options.device(device));
    view_ = StridedView(memory_, signature.dtype, signature.shape, signature.strides, 0);
    pattern_ = at::empty({length}, options);
    std::memcpy(pattern_.mutable_data_ptr(), pattern.data(), pattern.size());
    if (!memory_.is_cpu()) pattern_ = OnDevice(kind, whole_patterns, device);
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
      memory_.copy_(pattern_);
    }
  }

 private:
  // Values of their own for the whole memory: repeated ones would switch fewer bits, and so draw less power, than those of a step.
  at::Tensor OnDevice(const OperandKind& kind, int64_t bytes, c10::Device device) const {
    const ir::TensorSignature& signature = kind.signature;
    const at::Tensor values = at::empty({bytes}, at::TensorOptions().dtype(c10::ScalarType::Byte).device(device));
    at::Tensor typed = values.view(ToScalarType(signature.dtype));
    if (typed.is_floating_point()) {
      typed.normal_();
      if (kind.never_negative) typed.abs_();
    } else if (signature.index_bound > 0) {
      typed.random_(0, signature.index_bound);
    } else {
      values.view({-1, pattern_.numel()}).copy_(pattern_.to(device).expand({bytes / pattern_.numel(), pattern_.numel()}));
    }
    return values;
  }

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
  DispatchOpBench(ir::OpSignature signature, const ir::DeviceLoad& load, std::unique_ptr<Device> device, OperatorCall call)
      : signature_(std::move(signature)), load_(load), device_(std::move(device)), call_(std::move(call)) {}

  Status MakeOperands(const std::vector<OperandKind>& tensors) {
    const c10::InferenceMode inference;
    std::mt19937_64 random(kSeed);
    for (const OperandKind& tensor : tensors) {
      operands_.emplace_back(tensor, ElementsLeast(signature_), device_->torch_device(), random);
      tensors_.push_back(operands_.back().view());
      operand_bytes_ += operands_.back().bytes();
    }
    const int64_t sweep_bytes = device_->CacheBytes() * (device_->is_cpu() ? 1 : kSweepCaches);
    sweep_ = at::zeros({sweep_bytes}, at::TensorOptions().dtype(c10::ScalarType::Byte).device(device_->torch_device()));
    HELM_ASSIGN_OR_RETURN(companions_, CompanionsOf(*device_));
    HELM_ASSIGN_OR_RETURN(timer_, device_->MakeStepTimer(1, OpTimes::kEvents));
    return OkStatus();
  }

  std::optional<double> ClockMegahertz() override {
    const c10::InferenceMode inference;
    if (companions_ != nullptr) LoadDevice();
    return device_->ClockMegahertz();
  }

  Bytes operand_bytes() const override { return Bytes(operand_bytes_); }

  Status Prepare() override {
    const c10::InferenceMode inference;
    try {
      SetTheScene();
      return OkStatus();
    } catch (const std::exception& error) {
      return Failure(error);
    }
  }

  Result<OpSample> Measure() override {
    const c10::InferenceMode inference;
    try {
      return TimedCall();
    } catch (const std::exception& error) {
      return Failure(error);
    }
  }

  Result<Duration> RunBeside(int64_t calls, const std::function<void()>& start_beside) override {
    const c10::InferenceMode inference;
    try {
      SetTheScene();
      StepRecord record;
      record.ops.resize(1);
      if (timer_ != nullptr) timer_->BeginStep(true);
      start_beside();
      const Clock::time_point start = Clock::now();
      if (timer_ != nullptr) timer_->BeginOp(0);
      for (int64_t i = 0; i < calls; ++i) {
        call_.Push(tensors_, stack_);
        call_.CallPushed(stack_);
        stack_.clear();
      }
      const Clock::time_point end = Clock::now();
      if (timer_ != nullptr) timer_->EndOp(0);
      if (timer_ != nullptr) HELM_RETURN_IF_ERROR(timer_->EndStep(record));
      if (timer_ != nullptr) return record.ops[0].end - record.ops[0].start;
      return Duration::Nanoseconds(std::chrono::duration_cast<std::chrono::nanoseconds>(end - start).count());
    } catch (const std::exception& error) {
      return Failure(error);
    }
  }

  Result<std::vector<KernelRun>> Kernels() override {
    if (device_->is_cpu()) return std::vector<KernelRun>();
    const c10::InferenceMode inference;
    HELM_ASSIGN_OR_RETURN(const auto timer, device_->MakeStepTimer(1, OpTimes::kActivities));
    try {
      SetTheScene();
      StepRecord record;
      record.ops.resize(1);
      call_.Push(tensors_, stack_);
      device_->Synchronize();
      timer->BeginStep(true);
      timer->BeginOp(0);
      call_.CallPushed(stack_);
      timer->EndOp(0);
      HELM_RETURN_IF_ERROR(timer->EndStep(record));
      stack_.clear();
      return std::move(record.kernels);
    } catch (const std::exception& error) {
      return Failure(error);
    }
  }

 private:
  Status Failure(const std::exception& error) const {
    const std::string cause = error.what();
    return InternalError("error: cannot run " + ir::ToText(signature_) + ": " + cause.substr(0, cause.find('\n')));
  }

  void SetTheScene() {
    const bool refresh = samples_ > 0 && samples_ % kSamplesPerRefresh == 0;
    ++samples_;
    if (companions_ != nullptr) LoadDevice();
    if (refresh) RefillAll(/*persistent=*/true);
    SweepCache();
    RefillAll(/*persistent=*/false);
  }

  void RefillAll(bool persistent) {
    for (Operand& operand : operands_) {
      if (operand.persistent() == persistent) operand.Refill();
    }
  }

  // So much of everything that together with the op it is what this part of a step does.
  void LoadDevice() {
    const bool attention_op = ir::IsFusedAttention(signature_);
    const Duration duration = std::clamp(last_ * kLoadOverOp, kLoadLeast, kLoadMost);
    const double op = last_.seconds() / duration.seconds();
    const auto beside = [op](double share, bool op_counts) { return std::clamp(share * (1 + op) - (op_counts ? op : 0), 0.0, 1.0); };
    const double attention = beside(load_.attention, attention_op);
    const double products = beside(load_.products, ir::FlopsOf(signature_).count() > 0 && !attention_op);
    companions_->load.Enqueue(duration, {std::min(products, 1 - attention), attention});
  }

  void SweepCache() {
    if (!device_->is_cpu()) {
      sweep_.add_(1);  // reads and writes
      return;
    }
    const auto* data = static_cast<const volatile uint8_t*>(sweep_.const_data_ptr());
    for (int64_t at = 0; at < sweep_.numel(); at += 64) (void)data[at];  // one read a cache line
  }

  Result<OpSample> TimedCall() {
    StepRecord record;
    record.ops.resize(1);
    call_.Push(tensors_, stack_);
    device_->ResetPeakBytes();
    const int64_t live_before = device_->LiveBytes();
    if (timer_ != nullptr) timer_->BeginStep(true);
    if (timer_ != nullptr) timer_->BeginOp(0);
    const Clock::time_point start = Clock::now();
    call_.CallPushed(stack_);
    const Clock::time_point end = Clock::now();
    if (timer_ != nullptr) timer_->EndOp(0);
    if (timer_ != nullptr) HELM_RETURN_IF_ERROR(timer_->EndStep(record));
    const int64_t results = device_->LiveBytes() - live_before;
    OpSample sample;
    const auto in_call = Duration::Nanoseconds(std::chrono::duration_cast<std::chrono::nanoseconds>(end - start).count());
    sample.duration = timer_ != nullptr ? record.ops[0].end - record.ops[0].start : in_call;
    if (companions_ != nullptr) {
      sample.launch = in_call;
      sample.duration = std::max(Duration(), sample.duration - companions_->mark_overhead);
    }
    last_ = sample.duration;
    sample.workspace = Bytes(device_->PeakBytes() - live_before - results);
    stack_.clear();
    return sample;
  }

  ir::OpSignature signature_;
  ir::DeviceLoad load_;
  std::unique_ptr<Device> device_;
  OperatorCall call_;
  std::vector<Operand> operands_;
  std::vector<at::Tensor> tensors_;
  std::vector<c10::IValue> stack_;
  at::Tensor sweep_;
  std::unique_ptr<StepTimer> timer_;
  GpuCompanions* companions_ = nullptr;  // null on a CPU
  int64_t operand_bytes_ = 0;
  int64_t samples_ = 0;
  Duration last_;  // sample
};

}  // namespace

Result<std::unique_ptr<OpBench>> OpBench::Create(const ir::OpSignature& signature, ir::DeviceKind kind, int64_t rank,
                                                 const ir::DeviceLoad& load) {
  HELM_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, Device::Make(kind, rank));
  std::vector<ir::TensorSignature> tensors;
  std::vector<CallArgument> arguments;
  std::vector<OperandKind> operands;
  for (size_t i = 0; i < signature.arguments.size(); ++i) {
    arguments.push_back(std::visit(ToSlots{tensors}, signature.arguments[i]));
    while (operands.size() < tensors.size()) operands.push_back({tensors[operands.size()], IsNeverNegative(signature.target, i)});
  }
  HELM_ASSIGN_OR_RETURN(OperatorCall call, OperatorCall::Make(signature.target, arguments, device->torch_device()));
  auto bench = std::make_unique<DispatchOpBench>(signature, load, std::move(device), std::move(call));
  try {
    HELM_RETURN_IF_ERROR(bench->MakeOperands(operands));
  } catch (const std::exception& error) {
    return UnavailableError("error: cannot allocate the operands of " + ir::ToText(signature) + ": " + error.what());
  }
  return std::unique_ptr<OpBench>(std::move(bench));
}

}  // namespace helm::runtime
