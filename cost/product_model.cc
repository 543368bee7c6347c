#include "cost/product_model.h"
#include "cost/missing_number.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "cost/kernel_grid.h"

namespace helm::cost {
namespace {

constexpr double kWaveSeconds = 1e-6;  // prologue and epilogue of a tile (techniques.md 6.2)
constexpr std::array<std::pair<int64_t, int64_t>, 2> kTiles = {{{256, 128}, {128, 256}}};
constexpr int64_t kRowsOfBatch = 128;  // of a tile, in products of a batch
constexpr std::array<int64_t, 3> kSplits = {1, 2, 4};
constexpr int64_t kTensorCoreBytes = 16;  // at multiples of which rows must start for a batched product to use tensor cores

double BytesOfElement(const std::string& dtype) { return dtype == "fp8" ? 1 : dtype == "f32" || dtype == "tf32" ? 4 : 2; }

double BytesOf(const ProductShape& s) {
  const double elements = static_cast<double>(s.batch) *
                          (static_cast<double>(s.m) * static_cast<double>(s.k) + static_cast<double>(s.k) * static_cast<double>(s.n) +
                           static_cast<double>(s.m) * static_cast<double>(s.n));
  return elements * BytesOfElement(s.dtype) + s.extra_bytes_written;
}

double FlopsOf(const ProductShape& s) {
  return 2.0 * static_cast<double>(s.batch) * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
}

double WaveSeconds(const ProductFacts& facts, const ProductShape& s) {
  const double per_multiprocessor = facts.flops_per_second / static_cast<double>(facts.multiprocessors);
  double best = HUGE_VAL;
  for (const auto& [rows, columns] : kTiles) {
    const int64_t tiles = s.batch * DivideUp(s.m, rows) * DivideUp(s.n, columns);
    for (const int64_t split : kSplits) {
      const auto waves = static_cast<double>(DivideUp(tiles * split, facts.multiprocessors));
      const double tile = 2.0 * static_cast<double>(rows * columns) * static_cast<double>(s.k) / static_cast<double>(split);
      double seconds = waves * (tile / per_multiprocessor + kWaveSeconds);
      // Partial sums in fp32 are written and read again.
      const double partial = 8.0 * static_cast<double>(s.batch * split) * static_cast<double>(s.m) * static_cast<double>(s.n);
      if (split > 1) seconds += partial / facts.bytes_per_second;
      best = std::min(best, seconds);
    }
  }
  return best;
}

// Where a size lies on an axis: between at and at + 1, `weight` of the way in logarithms; beyond the ends, at the end.
struct Position {
  size_t at = 0;
  double weight = 0;
};
Position PositionOn(const std::vector<int64_t>& axis, int64_t size) {
  const int64_t clamped = std::clamp(size, axis.front(), axis.back());
  const auto upper = std::ranges::upper_bound(axis, clamped);
  const size_t at = std::min<size_t>(static_cast<size_t>(upper - axis.begin()) - 1, axis.size() - 2);
  const auto logarithm = [](int64_t value) { return std::log(static_cast<double>(value)); };
  return {at, (logarithm(clamped) - logarithm(axis[at])) / (logarithm(axis[at + 1]) - logarithm(axis[at]))};
}

// The logarithm of ideal / measured at [m, n, k], from the corners of the cell that were measured; nothing when none was.
std::optional<double> LogEfficiency(const ProductTable& table, const ProductFacts& facts, const ProductShape& shape) {
  const Position m = PositionOn(table.m, shape.m), n = PositionOn(table.n, shape.n), k = PositionOn(table.k, shape.k);
  double sum = 0, mass = 0;
  for (unsigned corner = 0; corner < 8; ++corner) {
    const size_t dm = corner & 1U, dn = corner >> 1U & 1U, dk = corner >> 2U;
    const double weight = (dm == 1 ? m.weight : 1 - m.weight) * (dn == 1 ? n.weight : 1 - n.weight) * (dk == 1 ? k.weight : 1 - k.weight);
    const int64_t nanoseconds = table.nanoseconds[((m.at + dm) * table.n.size() + n.at + dn) * table.k.size() + k.at + dk];
    if (weight <= 0 || nanoseconds == 0) continue;
    const ProductShape at{1, table.m[m.at + dm], table.n[n.at + dn], table.k[k.at + dk], table.dtype};
    sum += weight * std::log(IdealProductSeconds(facts, at) / (static_cast<double>(nanoseconds) * 1e-9));
    mass += weight;
  }
  if (mass <= 0) return std::nullopt;
  return sum / mass;
}

// fp8 from its own measurements where there are some, anything else from bf16, whose kernels have the same structure.
const ProductTable* TableOf(const KernelTable& table, const std::string& dtype) {
  const auto own = std::ranges::find(table.products, dtype, &ProductTable::dtype);
  if (own != table.products.end()) return &*own;
  const auto general = std::ranges::find(table.products, "bf16", &ProductTable::dtype);
  return general != table.products.end() ? &*general : nullptr;
}

// A matrix whose rows do not start at multiples of 16 bytes is loaded in narrower pieces: cuBLAS has kernels for 16, 8, 4 and 2 bytes.
double AlignmentSlowdown(int64_t alignment_bytes) {
  if (alignment_bytes >= kTensorCoreBytes) return 1.0;
  if (alignment_bytes >= 8) return 1.15;
  if (alignment_bytes >= 4) return 1.5;
  return 2.5;
}

// A batch of narrow products whose rows do not start at multiples of 16 bytes gets a kernel without tensor cores, which multiplies in fp32
// and is priced as any product in fp32 is (docs/cost_model.md).
bool RunsOnScalarUnits(const ProductShape& shape) {
  return shape.batch > 1 && shape.alignment_bytes < kTensorCoreBytes && BytesOfElement(shape.dtype) == 2;
}

}  // namespace

double IdealProductSeconds(const ProductFacts& facts, const ProductShape& shape) {
  const double compute = facts.waves ? WaveSeconds(facts, shape) : FlopsOf(shape) / facts.flops_per_second;
  return kLaunchSeconds + std::max(compute, BytesOf(shape) / facts.bytes_per_second);
}

Result<double> ProductModel::Seconds(const ProductShape& shape) const {
  const auto peak = device_.peak.find(shape.dtype);
  if (peak == device_.peak.end()) {
    return NoPeakRate(device_, shape.dtype);
  }
  if (!device_.memory_bandwidth) {
    return NoMemoryBandwidth(device_);
  }
  if (RunsOnScalarUnits(shape)) return Seconds({shape.batch, shape.m, shape.n, shape.k, "f32"});
  const ProductTable* products = TableOf(table_, shape.dtype);
  HELM_CHECK(products != nullptr, "a kernel table has products of bf16");
  const bool waves = table_.architecture == "ampere" || table_.architecture == "ada";
  const ProductFacts measured{table_.peak.at(products->dtype).value(), table_.memory_bandwidth.value(), table_.multiprocessors, waves};
  const ProductFacts facts{peak->second.value() * device_.sustained_clock, device_.memory_bandwidth->value(),
                           device_.multiprocessors > 0 ? device_.multiprocessors : table_.multiprocessors, waves};
  // A batch is one product with more rows, those of each member filled up to whole tiles: as many tiles, as many FLOPs. The table is of [m,
  // k] x [n, k]^T; a product is as fast as its transpose, and the mean of the two halves the scatter of single measurements.
  ProductShape padded = shape;
  if (shape.batch > 1) padded.m = DivideUp(shape.m, kRowsOfBatch) * kRowsOfBatch;
  const ProductShape rows{1, padded.batch * padded.m, padded.n, padded.k, shape.dtype};
  const ProductShape transposed{1, padded.batch * padded.n, padded.m, padded.k, shape.dtype};
  const auto one = LogEfficiency(*products, measured, rows);
  const auto other = LogEfficiency(*products, measured, transposed);
  if (!one && !other) return UnavailableError(fmt::format("no measured product is near {} x {} x {}", shape.m, shape.n, shape.k));
  const double log_efficiency = one && other ? (*one + *other) / 2 : one ? *one : *other;
  const double epilogue = shape.adds ? sum_exposed_ * shape.extra_bytes_written / facts.bytes_per_second : 0.0;
  return IdealProductSeconds(facts, padded) / std::exp(log_efficiency) * AlignmentSlowdown(shape.alignment_bytes) + epilogue;
}

}  // namespace helm::cost
