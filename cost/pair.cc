#include "cost/pair.h"

#include <algorithm>

namespace helm::cost {
namespace {

constexpr std::string_view kBeside = " beside ";

}  // namespace

std::string ToText(const PairSignature& signature) {
  return ir::ToText(signature.op).append(kBeside).append(ir::ToText(signature.collective));
}

Result<PairSignature> ParsePairSignature(std::string_view text) {
  const size_t at = text.rfind(kBeside);  // a text among the op's arguments may hold the word too
  if (at == std::string_view::npos) return InvalidError("no pair: expected 'OP beside COLLECTIVE'");
  HELM_ASSIGN_OR_RETURN(ir::OpSignature op, ir::ParseOpSignature(text.substr(0, at)));
  HELM_ASSIGN_OR_RETURN(ir::CollectiveSignature collective, ir::ParseCollectiveSignature(text.substr(at + kBeside.size())));
  return PairSignature{std::move(op), std::move(collective)};
}

PairRates RatesOf(const PairMeasurement& pair) {
  const double op = pair.op_beside.seconds(), collective = pair.collective_beside.seconds();
  const double both = std::min(op, collective);  // how long both ran
  const auto rate = [both](Duration alone, double end) { return std::clamp((alone.seconds() - (end - both)) / both, 0.0, 1.0); };
  return {rate(pair.op_alone, op), rate(pair.collective_alone, collective)};
}

double EfficiencyOf(const PairMeasurement& pair) {
  const double op = pair.op_alone.seconds(), collective = pair.collective_alone.seconds();
  const double together = std::max(pair.op_beside, pair.collective_beside).seconds();
  return std::clamp((op + collective - together) / std::min(op, collective), 0.0, 1.0);
}

}  // namespace helm::cost
