#include "cost/attention_model.h"
#include "cost/missing_number.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/check.h"
#include "cost/kernel_grid.h"
#include "ir/signature.h"

namespace helm::cost {
namespace {

constexpr size_t kCoordinates = 4;

// Backward recomputes the scores and forms four gradients: five products where forward has two (techniques.md 4.6).
constexpr double kBackwardFlops = 2.5;
// Backward is as efficient as forward with so many times the heads, but for FittedConstants::attention_backward.
constexpr int64_t kBackwardHeads = 2;
// FlashAttention in Triton: FlashAttention-2 is 1.3 to 1.5 times as fast forward and about twice as fast backward on A100 (arXiv
// 2307.08691, section 4.1). With the 2.5 times the FLOPs of backward that is 1.83 together, which is also what the runs of llm-foundry on
// A100 show (docs/cost_model.md).
constexpr double kTritonForward = 1 / 1.4;
constexpr double kTritonBackward = 1 / 2.0;
// ... where FlashAttention-2 is so fast against the rows of Hopper: 46 training runs with Triton's kernel (docs/cost_model.md).
constexpr double kTritonBaseOnHopper = 0.72;

// Kernels exist for head sizes that are multiples of 32 up to 128, of 64 above; others are padded up (FlashAttention-2, README).
int64_t PaddedHeadSize(int64_t size) {
  const int64_t step = size <= 128 ? 32 : 64;
  return (size + step - 1) / step * step;
}

// The efficiency at head sizes that no row has, against 128: 64 by the kind of kernel, 256 alike on all. Medians over some 150 kernel pairs
// of 16384 tokens each that differ in the head size alone (NVIDIA aiconfigurator, Apache-2.0, attention of L40S, H100, B200): 0.93, 0.80
// and 0.60 at 64; 0.53, 0.62 and 0.63 at 256, about 1 at 192.
double LevelAt64(const std::string& architecture, AttentionKernel kernel) {
  if (kernel != AttentionKernel::kNative) return 0.93;
  if (architecture == "hopper") return 0.80;
  if (architecture == "blackwell") return 0.60;
  return 0.93;
}
constexpr double kLevelAt256 = 0.6;
constexpr int64_t kTableHeadSize = 128;

double HeadSizeLevel(const std::string& architecture, AttentionKernel kernel, int64_t size) {
  const double octaves = std::log2(static_cast<double>(size) / static_cast<double>(kTableHeadSize));
  if (octaves <= 0) return std::pow(LevelAt64(architecture, kernel), -octaves);
  return size <= 192 ? 1.0 : kLevelAt256;
}

// FlashAttention-2's backward gives each block of keys to a thread block of its own, which fills a multiprocessor with its 144 KB of shared
// memory at head sizes from 64 on (flash-attention, csrc/flash_attn/src/flash_bwd_launch_template.h).
int64_t KeysOfBlock(int64_t head_size) { return head_size <= 128 ? 128 : 64; }

// Multiprocessors x MHz of the H100 SXM on which FlashAttention-3's publication measured (configs/gpus/h100-sxm-80gb.yaml).
constexpr double kSpeedOfPublished = 132 * 1830.0;

double Log(int64_t value) { return std::log(static_cast<double>(std::max<int64_t>(value, 1))); }

std::vector<double> Coordinates(int64_t length, int64_t batch_heads, int64_t sharing, int64_t head_size) {
  return {Log(length), Log(batch_heads), Log(sharing), Log(head_size)};
}

double CausalFlops(const AttentionRow& row) {
  return 2.0 * static_cast<double>(row.batch * row.heads) * static_cast<double>(row.length) * static_cast<double>(row.length) *
         static_cast<double>(row.head_size);
}

}  // namespace

AttentionModel::AttentionModel(const KernelTable& table, cluster::Device device, const FittedConstants& constants)
    : device_(std::move(device)),
      backward_(constants.attention_backward),
      own_table_(table.device == device_.name),
      architecture_(table.architecture),
      low_(kCoordinates, std::numeric_limits<double>::infinity()),
      high_(kCoordinates, -std::numeric_limits<double>::infinity()) {
  const auto peak = table.peak.find("bf16");
  HELM_CHECK(peak != table.peak.end() && !table.attention_forward.empty(), "a table with attention of bf16");
  table_peak_ = peak->second.value();
  const double level = std::lerp(1.0, table.attention_level, constants.attention_level);
  for (const AttentionRow& row : table.attention_forward) {
    const double efficiency = level * CausalFlops(row) / (static_cast<double>(row.nanoseconds) * 1e-9) / peak->second.value();
    points_.push_back({Coordinates(row.length, row.batch * row.heads, row.heads / row.kv_heads, row.head_size), std::log(efficiency)});
    for (size_t i = 0; i < kCoordinates; ++i) {
      low_[i] = std::min(low_[i], points_.back().coordinates[i]);
      high_[i] = std::max(high_[i], points_.back().coordinates[i]);
    }
  }
}

double AttentionModel::OfRows(std::vector<double> query) const {
  for (size_t i = 0; i < kCoordinates; ++i) query[i] = std::clamp(query[i], low_[i], high_[i]);
  const auto log_efficiency = InterpolateScattered(points_, query);
  HELM_CHECK(log_efficiency.has_value(), "a query inside the box has neighbours");
  return std::exp(*log_efficiency);
}

double AttentionModel::Efficiency(const AttentionShape& shape) const {
  const int64_t heads = shape.batch * shape.heads * (shape.backward ? kBackwardHeads : 1);
  const int64_t size = PaddedHeadSize(std::max(shape.head_size, shape.value_size));
  // Sizes inside the measured range are interpolated; where a table has one size only, the others follow what is known of the kernels.
  const bool one_size = low_.back() == high_.back();
  const double level = one_size ? HeadSizeLevel(architecture_, shape.kernel, size) : 1.0;
  const auto published = PublishedOf(shape);
  // The published kernels hide the loads of keys and values, which sharing these saves the rows.
  const int64_t sharing = published ? 1 : shape.heads / std::max<int64_t>(shape.kv_heads, 1);
  double efficiency = OfRows(Coordinates(shape.key_length, heads, sharing, size));
  if (published) {
    const double rows = OfRows(Coordinates(published->length, published->heads, 1, kTableHeadSize));
    efficiency *= published->flops_per_second / table_peak_ / rows * device_.sustained_clock;
  }
  return efficiency * level * (shape.backward ? backward_ : 1.0) * TritonLevel(shape);
}

// Nothing is published of Triton's kernel on Hopper. On Blackwell FlashAttention-2 issues the same instructions of Ampere, so that its rate
// goes by multiprocessors and clock.
std::optional<TrainingAttention> AttentionModel::PublishedOf(const AttentionShape& shape) const {
  if (shape.kernel == AttentionKernel::kTriton) return std::nullopt;
  const bool native = shape.kernel == AttentionKernel::kNative;
  if (native || architecture_ != "blackwell") return PublishedTrainingAttention(architecture_, native, shape.causal, shape.key_length);
  auto published = PublishedTrainingAttention("hopper", native, shape.causal, shape.key_length);
  const double speed = static_cast<double>(device_.multiprocessors) * device_.clock_mhz;
  if (speed > 0) published->flops_per_second *= speed / kSpeedOfPublished;
  return published;
}

double AttentionModel::TritonLevel(const AttentionShape& shape) const {
  if (shape.kernel != AttentionKernel::kTriton) return 1.0;
  return (architecture_ == "hopper" ? kTritonBaseOnHopper : 1.0) * (shape.backward ? kTritonBackward : kTritonForward);
}

// A deterministic backward of FlashAttention-2 shares the blocks of keys of each head among ceil(multiprocessors / heads) thread blocks,
// which add to sums of their own: waves that no block can fill up (the same file, gridDimx; from 2.4.1 on). How cuDNN's kernels of Hopper
// do it is not public; the bandwidth that the sums take is not counted.
double AttentionModel::DeterministicSlowdown(const AttentionShape& shape) const {
  const bool flash2 = shape.kernel == AttentionKernel::kFlash2 || architecture_ == "ampere" || architecture_ == "ada";
  const int64_t processors = device_.multiprocessors;
  if (!shape.deterministic || !shape.backward || !flash2 || processors <= 0) return 1.0;
  const int64_t heads = shape.batch * shape.heads;
  const int64_t blocks = DivideUp(shape.key_length, KeysOfBlock(PaddedHeadSize(shape.head_size)));
  const int64_t splits = DivideUp(processors, heads);
  const int64_t turns = DivideUp(heads * splits, processors) * DivideUp(blocks, splits);
  return static_cast<double>(turns) / static_cast<double>(DivideUp(heads * blocks, processors));
}

Result<double> AttentionModel::Seconds(const AttentionShape& shape) const {
  const auto peak = device_.peak.find(shape.dtype);
  if (peak == device_.peak.end()) {
    return NoPeakRate(device_, shape.dtype);
  }
  const double scores = static_cast<double>(shape.batch * shape.heads) * ir::ScoresOf(shape.query_length, shape.key_length, shape.causal);
  const double sizes = static_cast<double>(PaddedHeadSize(shape.head_size) + PaddedHeadSize(shape.value_size));
  const double flops = 2.0 * scores * sizes * (shape.backward ? kBackwardFlops : 1.0);
  return kLaunchSeconds + flops / (peak->second.value() * Efficiency(shape)) * DeterministicSlowdown(shape);
}

}  // namespace helm::cost
