#include "sim/price_book.h"

#include "core/check.h"

namespace helm::sim {
namespace {

Price PriceOf(const Result<cost::Estimate>& answer) {
  return answer.ok() ? Price{*answer, ""} : Price{cost::Estimate(), answer.status().message()};
}

}  // namespace

PriceBook::PriceBook(const cost::Estimator& estimator, int64_t ranks_per_node) : estimator_(estimator), ranks_per_node_(ranks_per_node) {
  HELM_CHECK(ranks_per_node >= 1, "a node holds ranks");
}

const Price& PriceBook::OfOp(const ir::Program& program, const ir::Op& op) {
  const auto [entry, is_new] = ops_.try_emplace(ir::FingerprintOf(program, op));
  if (is_new) entry->second = PriceOf(estimator_.EstimateOp(ir::SignatureOf(program, op)));
  return entry->second;
}

const Price& PriceBook::OfRegion(const ir::OpSignature& region) {
  const auto [entry, is_new] = regions_.try_emplace(ir::ToText(region));
  if (is_new) entry->second = PriceOf(estimator_.EstimateOp(region));
  return entry->second;
}

const Price& PriceBook::OfCollective(const ir::CollectiveSignature& collective) {
  const auto [entry, is_new] = collectives_.try_emplace(ir::ToText(collective));
  if (is_new) entry->second = PriceOf(estimator_.EstimateCollective(collective));
  return entry->second;
}

}  // namespace helm::sim
