// PriceBook: what an estimator has answered, by content, so that the ops of many programs are asked for once and then cost a look-up.
//
// Not an estimator: it knows programs, keeps refusals beside prices, and makes no signature of an op that it knows (ir::FingerprintOf).
// Holds for one estimator and one number of ranks a node. Not safe for concurrent use; references stay valid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

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
  // `ranks_per_node` consecutive ranks share a node. REQUIRES: ranks_per_node >= 1; `estimator` outlives the book.
  PriceBook(const cost::Estimator& estimator, int64_t ranks_per_node);

  // REQUIRES: a compute op of the program.
  const Price& OfOp(const ir::Program& program, const ir::Op& op);
  // Of a fused kernel (ir/region.h).
  const Price& OfRegion(const ir::OpSignature& region);
  const Price& OfCollective(const ir::CollectiveSignature& collective);
  Result<cost::HostCosts> OfHost() const { return estimator_.EstimateHost(); }
  int64_t ranks_per_node() const { return ranks_per_node_; }

 private:
  const cost::Estimator& estimator_;
  const int64_t ranks_per_node_;
  std::unordered_map<Fingerprint, Price, FingerprintHash> ops_;  // only looked up, never iterated
  std::unordered_map<std::string, Price> collectives_, regions_;
};

}  // namespace helm::sim
