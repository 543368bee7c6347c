// Estimator: how long an op or a collective takes alone, and on what that number rests.
//
// One of HELM's few virtual seams: measured tables, interpolation and analytic models are estimators that wrap one another
// (cost/chain.h). Invariant: an answer always carries its source; an estimator that does not know says so with a Status, never with a
// guess.
#pragma once

#include <optional>
#include <string_view>

#include "cluster/rank_layout.h"
#include "core/status.h"
#include "core/units.h"
#include "cost/overlap_model.h"
#include "ir/signature.h"

namespace helm::cost {

enum class Source : uint8_t { kMeasured, kInterpolated, kAnalytic };
std::string_view Name(Source source);  // "measured", "interpolated", "analytic"

struct Estimate {
  Duration duration;
  Source source = Source::kAnalytic;
  Bytes workspace;                 // allocated inside the op beyond its results, at its peak
  std::optional<Duration> launch;  // GPU: the host thread's time in the call, where it was measured
  Duration ranks_wait;             // CPU ranks of one machine for the slowest of them, when all do the op at the same moment, on average
};

// What launching costs the host thread, whatever the op: measured by helm-profile, or from the framework file.
struct HostCosts {
  Duration per_op;          // interpreter and dispatcher, for each op
  Duration per_collective;  // in addition, to start a collective
  Duration per_wait;        // in addition, to wait for one that has already ended
  Source source = Source::kAnalytic;
  // per_op is the whole time from one kernel to the next: launching a view, or making room for a tensor, is part of it.
  bool for_each_kernel = false;
  bool blocking = false;            // every launch waits until what was launched before it has ended (CUDA_LAUNCH_BLOCKING=1)
  bool waits_for_messages = false;  // the host waits until a message from or to another stage has ended
  bool waits_for_norm = false;      // the host reads the gradient norm (or the overflow flag) before it launches the update
  Duration per_call;                // GPU, in addition to per_op: in the call of an op whose own launch was not measured
};

class Estimator {
 public:
  virtual ~Estimator() = default;
  virtual Result<Estimate> EstimateOp(const ir::OpSignature& op) const = 0;
  virtual Result<Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const = 0;
  virtual Result<HostCosts> EstimateHost() const = 0;
  // What runs at the same time takes from each other: `modelled`, with what was measured in its place.
  virtual OverlapLosses EstimateOverlap(const OverlapLosses& modelled) const { return modelled; }
  // Of a cluster of several kinds of nodes: what ops take on ranks in these groups, and collectives among them (cost/group_estimator.h).
  // Lives as long as this one.
  virtual const Estimator& Among(cluster::GroupSet /*groups*/) const { return *this; }
};

}  // namespace helm::cost
