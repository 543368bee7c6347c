#include "cost/table_estimator.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cost/op_features.h"
#include "cost/pair_losses.h"

namespace helm::cost {
namespace {

std::string CurveKey(const ir::CollectiveSignature& collective) {
  return fmt::format("{} {} ranks={} per_node={} groups={}", collective.kind, ir::Name(collective.dtype), collective.ranks,
                     collective.ranks_per_node, collective.groups_per_node);
}

Status NotInTable(const std::string& key) { return UnavailableError(fmt::format("{}: no measured row is near it", key)); }

}  // namespace

Result<TableEstimator> TableEstimator::Create(CostTable table) {
  TableEstimator estimator(std::move(table));
  for (const auto& [key, measurement] : estimator.table_.ops) HELM_RETURN_IF_ERROR(estimator.AddOp(key, measurement));
  for (const auto& [key, measurement] : estimator.table_.collectives) HELM_RETURN_IF_ERROR(estimator.AddCollective(key, measurement));
  for (auto& [key, curve] : estimator.curves_) std::ranges::sort(curve, {}, &TransferPoint::bytes);
  return estimator;
}

Status TableEstimator::AddOp(const std::string& key, const Measurement& measurement) {
  HELM_ASSIGN_OR_RETURN(const ir::OpSignature op, ir::ParseOpSignature(key));
  const double seconds = measurement.median.seconds();
  OpFeatures features = FeaturesOf(op);
  if (seconds <= 0 || features.work <= 0) return OkStatus();  // no efficiency; still found by its exact key
  Family& family = families_[features.family];
  family.points.push_back({std::move(features.coordinates), std::log(features.work / seconds)});
  const double wait = measurement.ranks_wait.value_or(Duration()).seconds() / seconds;
  family.rows.push_back({features.work, features.bytes, measurement.workspace, measurement.launch, wait});
  return OkStatus();
}

Status TableEstimator::AddCollective(const std::string& key, const Measurement& measurement) {
  HELM_ASSIGN_OR_RETURN(const ir::CollectiveSignature collective, ir::ParseCollectiveSignature(key));
  const TransferPoint point{static_cast<double>(collective.bytes.count()), measurement.mean.seconds()};
  if (point.bytes > 0 && point.seconds > 0) curves_[CurveKey(collective)].push_back(point);
  return OkStatus();
}

Result<Estimate> TableEstimator::EstimateOp(const ir::OpSignature& op) const {
  const std::string key = ir::ToText(op);
  if (const auto row = table_.ops.find(key); row != table_.ops.end()) {
    const Measurement& measured = row->second;
    return Estimate{measured.median, Source::kMeasured, measured.workspace, measured.launch, measured.ranks_wait.value_or(Duration())};
  }
  const OpFeatures features = FeaturesOf(op);
  const auto found = families_.find(features.family);
  if (found == families_.end() || features.work <= 0) return NotInTable(key);
  const Family& family = found->second;
  const auto [least, most] = std::ranges::minmax_element(family.rows, {}, &Row::work);
  if (features.work * kExtrapolationFactor < least->work || features.work > most->work * kExtrapolationFactor) return NotInTable(key);
  const auto log_efficiency = InterpolateScattered(family.points, features.coordinates);
  if (!log_efficiency) return NotInTable(key);
  // A workspace grows with the operands (packed copies, partial sums): scaled from the relative whose size is closest.
  const Row& closest =
      *std::ranges::min_element(family.rows, {}, [&](const Row& row) { return std::abs(std::log(row.bytes / features.bytes)); });
  const double workspace = static_cast<double>(closest.workspace.count()) * features.bytes / closest.bytes;
  const double seconds = features.work / std::exp(*log_efficiency);
  return Estimate{Duration::Seconds(seconds), Source::kInterpolated, Bytes(std::llround(workspace)), closest.launch,
                  Duration::Seconds(seconds * closest.wait_over_duration)};
}

Result<Estimate> TableEstimator::EstimateCollective(const ir::CollectiveSignature& collective) const {
  const std::string key = ir::ToText(collective);
  if (const auto row = table_.collectives.find(key); row != table_.collectives.end()) {
    return Estimate{row->second.mean, Source::kMeasured, row->second.workspace};
  }
  const auto curve = curves_.find(CurveKey(collective));
  if (curve == curves_.end() || collective.bytes.count() <= 0) return NotInTable(key);
  const auto time = InterpolateTransfer(curve->second, static_cast<double>(collective.bytes.count()));
  if (!time) return NotInTable(key);
  return Estimate{Duration::Seconds(time->seconds), time->within_range ? Source::kInterpolated : Source::kAnalytic, Bytes()};
}

Duration TableEstimator::MedianLaunch() const {
  std::vector<Duration> launches;
  for (const auto& [key, row] : table_.ops) {
    if (row.launch) launches.push_back(*row.launch);
  }
  if (launches.empty()) return {};
  std::ranges::nth_element(launches, launches.begin() + static_cast<std::ptrdiff_t>(launches.size() / 2));
  return launches[launches.size() / 2];
}

Result<HostCosts> TableEstimator::EstimateHost() const {
  if (!table_.host) return UnavailableError("the cost table holds no launch costs of the host thread");
  HostCosts costs{table_.host->per_op, table_.host->per_collective, table_.host->per_wait, Source::kMeasured};
  costs.per_call = MedianLaunch();
  return costs;
}

OverlapLosses TableEstimator::EstimateOverlap(const OverlapLosses& modelled) const { return WithMeasured(modelled, table_.pairs); }

}  // namespace helm::cost
