#include "cost/collective_estimator.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "core/check.h"
#include "cost/gpu_collective_model.h"

namespace helm::cost {
namespace {

constexpr std::string_view kReferenceArchitecture = "hopper";  // of which most is measured

bool IsInside(const ir::CollectiveSignature& collective) { return collective.ranks == collective.ranks_per_node; }

// A received message is measured with the sent one.
std::string_view MeasuredKind(const ir::CollectiveSignature& collective) {
  return collective.kind == "recv" ? "send" : std::string_view(collective.kind);
}

bool HoldsFor(const CollectiveCurve& curve, const ir::CollectiveSignature& collective) {
  return curve.kind == MeasuredKind(collective) && (curve.ranks == curve.ranks_per_node) == IsInside(collective);
}

// Measured / modelled time on the machine of the table. Nothing when the size is out of the curve's reach.
std::optional<double> LogCorrection(const CollectiveTable& table, const CollectiveCurve& curve, Bytes bytes) {
  const auto measured = InterpolateTransfer(curve.points, static_cast<double>(bytes.count()));
  ir::CollectiveSignature same;
  same.kind = curve.kind;
  same.ranks = curve.ranks;
  same.ranks_per_node = curve.ranks_per_node;
  same.bytes = bytes;
  const auto modelled = GpuCollectiveTime(table.reference, same);
  if (!measured || !modelled.ok() || measured->seconds <= 0) return std::nullopt;
  return std::log(measured->seconds / modelled->seconds());
}

struct Correction {
  double log_factor = 0;
  bool within_ranks = false;  // not beyond the measured numbers of ranks
};

std::optional<Correction> CorrectionOf(const CollectiveTable& table, const ir::CollectiveSignature& collective) {
  const CollectiveCurve* below = nullptr;
  const CollectiveCurve* above = nullptr;
  for (const CollectiveCurve& curve : table.curves) {
    if (!HoldsFor(curve, collective)) continue;
    if (curve.ranks <= collective.ranks && (below == nullptr || curve.ranks > below->ranks)) below = &curve;
    if (curve.ranks >= collective.ranks && (above == nullptr || curve.ranks < above->ranks)) above = &curve;
  }
  const CollectiveCurve* nearest = below != nullptr ? below : above;
  if (nearest == nullptr) return std::nullopt;
  const auto low = LogCorrection(table, *nearest, collective.bytes);
  if (!low) return std::nullopt;
  if (below == nullptr || above == nullptr || below->ranks == above->ranks) return Correction{*low, below != nullptr && above != nullptr};
  const auto high = LogCorrection(table, *above, collective.bytes);
  if (!high) return std::nullopt;
  const double place = std::log2(static_cast<double>(collective.ranks) / static_cast<double>(below->ranks)) /
                       std::log2(static_cast<double>(above->ranks) / static_cast<double>(below->ranks));
  return Correction{std::lerp(*low, *high, place), true};
}

}  // namespace

const CollectiveTable* CollectiveEstimator::TableFor(const ir::CollectiveSignature& collective) const {
  const CollectiveTable* best = nullptr;
  int best_rank = 0;
  for (const CollectiveTable& table : tables_) {
    const bool has = std::ranges::any_of(table.curves, [&](const CollectiveCurve& curve) { return HoldsFor(curve, collective); });
    int rank = table.architecture == kReferenceArchitecture ? 1 : 0;
    if (table.architecture == cluster_.device.architecture) rank = 2;
    if (table.device == cluster_.device.name) rank = 3;
    if (has && rank > best_rank) {
      best = &table;
      best_rank = rank;
    }
  }
  return best;
}

Result<Estimate> CollectiveEstimator::EstimateCollective(const ir::CollectiveSignature& collective) const {
  const auto unknown = [&] { return UnavailableError(fmt::format("{}: nobody has measured its like", ir::ToText(collective))); };
  const bool switched = cluster_.intra_node && cluster_.intra_node->kind == "nvswitch";
  if (collective.ranks < 2 || collective.bytes.count() <= 0 || (IsInside(collective) && !switched)) return unknown();
  const CollectiveTable* table = TableFor(collective);
  if (table == nullptr) return unknown();
  const auto correction = CorrectionOf(*table, collective);
  if (!correction) return unknown();
  HELM_ASSIGN_OR_RETURN(const Duration modelled, GpuCollectiveTime(cluster_, collective));
  const bool own = table->device == cluster_.device.name && correction->within_ranks && IsInside(collective);
  return Estimate{Duration::Seconds(modelled.seconds() * std::exp(correction->log_factor)), own ? Source::kInterpolated : Source::kAnalytic,
                  Bytes()};
}

Result<Estimate> CollectiveEstimator::EstimateOp(const ir::OpSignature& op) const {
  return UnavailableError(fmt::format("{}: only collectives are known here", ir::ToText(op)));
}

Result<HostCosts> CollectiveEstimator::EstimateHost() const { return UnavailableError("launch costs are not known here"); }

}  // namespace helm::cost
