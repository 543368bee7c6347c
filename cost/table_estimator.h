// TableEstimator: answers from one cost table: the measured row of an op or collective, otherwise interpolated between related rows.
//
// Interpolation is in efficiency (FLOPs or bytes a second), which varies slowly, never in time (techniques.md 6.2); an op further than a
// factor of kExtrapolationFactor (cost/interpolation.h) from every measured relative, in a size or in its work, is unknown: a Status. A
// collective beyond the measured sizes follows the latency and bandwidth of the two last points and counts as analytic.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cost/cost_table.h"
#include "cost/estimator.h"
#include "cost/interpolation.h"

namespace helm::cost {

class TableEstimator : public Estimator {
 public:
  // Fails when a key of the table is not a signature.
  static Result<TableEstimator> Create(CostTable table);

  Result<Estimate> EstimateOp(const ir::OpSignature& op) const override;
  Result<Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override;
  Result<HostCosts> EstimateHost() const override;
  OverlapLosses EstimateOverlap(const OverlapLosses& modelled) const override;

 private:
  struct Row {
    double work = 0;
    double bytes = 0;
    Bytes workspace;
    std::optional<Duration> launch;
    double wait_over_duration = 0;  // Estimate::ranks_wait
  };
  // Measured relatives of one op: rows[i] is the op at points[i]; the value of a point is its efficiency.
  struct Family {
    std::vector<ScatteredPoint> points;
    std::vector<Row> rows;
  };

  explicit TableEstimator(CostTable table) : table_(std::move(table)) {}
  Status AddOp(const std::string& key, const Measurement& measurement);
  Status AddCollective(const std::string& key, const Measurement& measurement);
  Duration MedianLaunch() const;  // zero where no row has one

  CostTable table_;
  std::map<std::string, Family> families_;
  std::map<std::string, std::vector<TransferPoint>> curves_;  // by kind, dtype and ranks; sorted by bytes
};

}  // namespace helm::cost
