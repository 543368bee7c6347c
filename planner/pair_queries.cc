#include "planner/pair_queries.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "cost/chain.h"
#include "cost/overlap_model.h"
#include "schedule/materialise.h"
#include "sim/task_costs.h"

namespace helm::planner {
namespace {

struct PairCount {
  cost::PairSignature signature;
  int64_t count = 0;
};
using PairsByText = std::map<std::string, PairCount>;  // an order that does not depend on the plans'

// Walks a program in launch order.
class PairWalk {
 public:
  PairWalk(const ir::StepPrograms& step, size_t rank_class, const cluster::Cluster& cluster, PairsByText& pairs)
      : program_(step.classes[rank_class]),
        rank_(RepresentativeRank(step, rank_class)),
        layout_(cluster::DevicesPerDomain(cluster)),
        pairs_(pairs) {}

  void Run() {
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      const ir::Op& op = program_.ops[i];
      if (op.kind == ir::OpKind::kCollectiveStart && !ir::IsPointToPoint(op)) Open(ir::OpId(i), op);
      if (op.kind == ir::OpKind::kWait) Close(ir::StartOf(op));
      if (op.kind == ir::OpKind::kCompute && !open_.empty()) Count(op);
    }
  }

 private:
  struct OpenCollectives {
    ir::CollectiveSignature signature;
    int64_t count = 0;
  };

  void Open(ir::OpId id, const ir::Op& op) {
    const auto signature = sim::CollectiveSignatureOf(program_, op, rank_, layout_);
    const std::string text = ir::ToText(signature);
    started_[id] = text;
    OpenCollectives& open = open_[text];
    open.signature = signature;
    ++open.count;
  }

  void Close(ir::OpId start) {
    const auto found = started_.find(start);
    if (found == started_.end()) return;
    const auto open = open_.find(found->second);
    if (--open->second.count == 0) open_.erase(open);
    started_.erase(found);
  }

  void Count(const ir::Op& op) {
    const ir::OpSignature signature = ir::SignatureOf(program_, op);
    const std::string text = ir::ToText(signature);
    for (const auto& [collective, open] : open_) {
      PairCount& pair = pairs_[text + '\n' + collective];
      if (pair.count++ == 0) pair.signature = {signature, open.signature};
    }
  }

  const ir::Program& program_;
  const int64_t rank_;
  const cluster::RankLayout layout_;
  PairsByText& pairs_;
  std::map<ir::OpId, std::string> started_;      // by start; the text of its signature
  std::map<std::string, OpenCollectives> open_;  // by that text
};

struct RankedPair {
  double saving = 0;  // seconds over all plans, where neither slows the other down
  cost::PairSignature signature;
};

// By kind, those with most to save first. Left out is what takes no time, since it has nothing to save.
Result<std::map<std::string, std::vector<RankedPair>>> Ranked(const PairsByText& pairs, const cluster::Cluster& cluster) {
  HELM_ASSIGN_OR_RETURN(const auto estimator, cost::MakeEstimator(cluster, {}));
  std::map<std::string, std::vector<RankedPair>> by_kind;
  for (const auto& [key, pair] : pairs) {
    const auto op = estimator->EstimateOp(pair.signature.op);
    const auto collective = estimator->EstimateCollective(pair.signature.collective);
    if (!op.ok() || !collective.ok()) continue;
    const double saving = static_cast<double>(pair.count) * std::min(op->duration, collective->duration).seconds();
    if (saving <= 0) continue;
    const bool inside = pair.signature.collective.ranks <= pair.signature.collective.ranks_per_node;
    const std::string kind = pair.signature.collective.kind + (inside ? " inside" : " network") +
                             (cost::IsProduct(pair.signature.op.target) ? " product" : " other");
    by_kind[kind].push_back({saving, pair.signature});
  }
  for (auto& [kind, ranked] : by_kind) std::ranges::stable_sort(ranked, std::ranges::greater(), &RankedPair::saving);
  return by_kind;
}

}  // namespace

Result<PairQueries> PairQueriesOf(const std::vector<ir::Plan>& plans, const cluster::Cluster& cluster, int64_t limit) {
  PairsByText pairs;
  for (const ir::Plan& plan : plans) {
    HELM_ASSIGN_OR_RETURN(const ir::StepPrograms step, schedule::Materialise(plan));
    for (size_t c = 0; c < step.classes.size(); ++c) PairWalk(step, c, cluster, pairs).Run();
  }
  HELM_ASSIGN_OR_RETURN(const auto by_kind, Ranked(pairs, cluster));
  PairQueries queries;
  for (const auto& [kind, ranked] : by_kind) queries.distinct += static_cast<int64_t>(ranked.size());
  for (size_t place = 0; static_cast<int64_t>(queries.pairs.size()) < std::min(limit, queries.distinct); ++place) {
    for (const auto& [kind, ranked] : by_kind) {
      if (place < ranked.size() && static_cast<int64_t>(queries.pairs.size()) < limit) queries.pairs.push_back(ranked[place].signature);
    }
  }
  return queries;
}

}  // namespace helm::planner
