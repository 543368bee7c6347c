#include "sim/price_book.h"

#include <utility>

namespace helm::sim {
namespace {

Price PriceOf(const Result<cost::Estimate>& answer) {
  return answer.ok() ? Price{*answer, ""} : Price{cost::Estimate(), answer.status().message()};
}

}  // namespace

PriceBook::PriceBook(const cost::Estimator& estimator, cluster::RankLayout layout)
    : answers_(std::make_shared<AllAnswers>()), layout_(std::move(layout)) {
  answers_->anywhere.estimator = &estimator;
}

PriceBook PriceBook::WithLayout(cluster::RankLayout layout) const {
  PriceBook other = *this;
  other.layout_ = std::move(layout);
  return other;
}

PriceBook::Answers& PriceBook::Of(cluster::GroupSet groups) const {
  if (groups == 0) return answers_->anywhere;
  std::unique_ptr<Answers>& among = answers_->among[groups];
  if (among == nullptr) {
    among = std::make_unique<Answers>();
    among->estimator = &answers_->anywhere.estimator->Among(groups);
  }
  return *among;
}

const Price& PriceBook::OfOp(const ir::Program& program, const ir::Op& op, cluster::GroupSet groups) {
  Answers& answers = Of(groups);
  const auto [entry, is_new] = answers.ops.try_emplace(ir::FingerprintOf(program, op));
  if (is_new) entry->second = PriceOf(answers.estimator->EstimateOp(ir::SignatureOf(program, op)));
  return entry->second;
}

const Price& PriceBook::OfRegion(const ir::OpSignature& region, cluster::GroupSet groups) {
  Answers& answers = Of(groups);
  const auto [entry, is_new] = answers.regions.try_emplace(ir::ToText(region));
  if (is_new) entry->second = PriceOf(answers.estimator->EstimateOp(region));
  return entry->second;
}

const Price& PriceBook::OfCollective(const ir::CollectiveSignature& collective, cluster::GroupSet groups) {
  Answers& answers = Of(groups);
  const auto [entry, is_new] = answers.collectives.try_emplace(ir::ToText(collective));
  if (is_new) entry->second = PriceOf(answers.estimator->EstimateCollective(collective));
  return entry->second;
}

}  // namespace helm::sim
