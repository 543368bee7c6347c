// PriceBook: what an estimator has answered, by content, so that the ops of many programs are asked for once and then cost a look-up.
//
// Not an estimator: it knows programs, keeps refusals beside prices, and makes no signature of an op that it knows (ir::FingerprintOf).
// Holds for one estimator and one layout of ranks on nodes; WithLayout shares what was answered with other layouts. Not safe for concurrent
// use; references stay valid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "cluster/rank_layout.h"
#include "core/fingerprint.h"
#include "core/status.h"
#include "cost/estimator.h"
#include "ir/program.h"
#include "ir/signature.h"

namespace helm::sim {

struct Price {
  cost::Estimate estimate;
  std::string refusal;  // why there is none; empty: there is one
};

class PriceBook {
 public:
  // REQUIRES: `estimator` outlives the book.
  PriceBook(const cost::Estimator& estimator, cluster::RankLayout layout);
  // The same answers for ranks that lie otherwise.
  PriceBook WithLayout(cluster::RankLayout layout) const;

  // On ranks in these groups of a cluster of several kinds of nodes (cost::Estimator::Among); 0: there are none.
  // REQUIRES: a compute op of the program.
  const Price& OfOp(const ir::Program& program, const ir::Op& op, cluster::GroupSet groups = 0);
  // Of a fused kernel (ir/region.h).
  const Price& OfRegion(const ir::OpSignature& region, cluster::GroupSet groups = 0);
  const Price& OfCollective(const ir::CollectiveSignature& collective, cluster::GroupSet groups = 0);
  // `modelled`, with what was measured in its place.
  cost::OverlapLosses OfOverlap(const cost::OverlapLosses& modelled, cluster::GroupSet groups = 0) const {
    return Of(groups).estimator->EstimateOverlap(modelled);
  }
  Result<cost::HostCosts> OfHost(cluster::GroupSet groups = 0) const { return Of(groups).estimator->EstimateHost(); }
  const cluster::RankLayout& layout() const { return layout_; }

 private:
  // What was answered for ranks in one set of groups.
  struct Answers {
    const cost::Estimator* estimator = nullptr;
    std::unordered_map<Fingerprint, Price, FingerprintHash> ops;  // only looked up, never iterated
    std::unordered_map<std::string, Price> collectives, regions;
  };
  struct AllAnswers {
    Answers anywhere;                                             // of no group
    std::map<cluster::GroupSet, std::unique_ptr<Answers>> among;  // by groups
  };
  Answers& Of(cluster::GroupSet groups) const;

  std::shared_ptr<AllAnswers> answers_;
  cluster::RankLayout layout_;
};

}  // namespace helm::sim
