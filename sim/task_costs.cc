#include "sim/task_costs.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include <fmt/format.h>

#include "core/check.h"

namespace helm::sim {
namespace {

constexpr std::string_view kCollectivePrefix = "c10d.";

// Asks the estimator once for each distinct key; keeps what failed, in the order of the programs.
class Pricer {
 public:
  Pricer(const cost::Estimator& estimator, int64_t ranks_per_node) : estimator_(estimator), ranks_per_node_(ranks_per_node) {}

  cost::Estimate Price(const ir::Program& program, const ir::Op& op, int64_t rank) {
    if (op.kind == ir::OpKind::kCompute) {
      const ir::OpSignature signature = ir::SignatureOf(program, op);
      return Once(ir::ToText(signature), [&] { return estimator_.EstimateOp(signature); });
    }
    if (op.kind == ir::OpKind::kCollectiveStart && op.target != "c10d.recv") {
      const ir::CollectiveSignature signature = CollectiveSignatureOf(program, op, rank, ranks_per_node_);
      return Once(ir::ToText(signature), [&] { return estimator_.EstimateCollective(signature); });
    }
    return {};
  }

  void Fail(std::string reason) { failures_.push_back(std::move(reason)); }

  Status ToStatus(const std::string& name) const {
    if (failures_.empty()) return OkStatus();
    return UnavailableError(
        fmt::format("error: {} of the costs that program '{}' needs are not known; helm-profile measures them into a cost table:\n  {}",
                    failures_.size(), name, fmt::join(failures_, "\n  ")));
  }

 private:
  template <typename Ask>
  cost::Estimate Once(const std::string& key, const Ask& ask) {
    if (const auto known = known_.find(key); known != known_.end()) return known->second;
    const Result<cost::Estimate> answer = ask();
    if (!answer.ok()) Fail(answer.status().message());
    return known_.emplace(key, answer.ok() ? *answer : cost::Estimate()).first->second;
  }

  const cost::Estimator& estimator_;
  const int64_t ranks_per_node_;
  std::unordered_map<std::string, cost::Estimate> known_;  // only looked up, never iterated
  std::vector<std::string> failures_;
};

}  // namespace

Result<std::vector<TaskCosts>> PriceStep(const ir::StepPrograms& step, const cost::Estimator& estimator, int64_t ranks_per_node) {
  HELM_CHECK(ranks_per_node >= 1, "a node holds ranks");
  Pricer pricer(estimator, ranks_per_node);
  std::vector<TaskCosts> costs(step.classes.size());
  for (size_t c = 0; c < costs.size(); ++c) {
    const ir::Program& program = step.classes[c];
    const int64_t rank = RepresentativeRank(step, c);
    costs[c].ops.reserve(program.ops.size());
    for (const ir::Op& op : program.ops) costs[c].ops.push_back(pricer.Price(program, op, rank));
  }
  const auto host = estimator.EstimateHost();
  if (!host.ok()) pricer.Fail(host.status().message());
  HELM_RETURN_IF_ERROR(pricer.ToStatus(step.classes.front().name));
  for (size_t c = 0; c < costs.size(); ++c) {
    costs[c].host = *host;
    for (size_t i = 0; i < costs[c].ops.size(); ++i) {
      const ir::Op& op = step.classes[c].ops[i];
      const bool free = op.kind == ir::OpKind::kView || op.kind == ir::OpKind::kWait || op.target == "c10d.recv";
      if (free) costs[c].ops[i].source = host->source;
    }
  }
  return costs;
}

ir::CollectiveSignature CollectiveSignatureOf(const ir::Program& program, const ir::Op& op, int64_t rank, int64_t ranks_per_node) {
  HELM_CHECK(op.kind == ir::OpKind::kCollectiveStart && op.target.starts_with(kCollectivePrefix), "only a collective has this signature");
  const auto tensors = ir::TensorArguments(op);
  HELM_CHECK(!tensors.empty(), "a collective reads a tensor");
  std::vector<int64_t> members = ir::GroupMembers(program, op.group, rank);
  if (ir::IsPointToPoint(op)) {
    const auto own = std::ranges::find(members, rank) - members.begin();
    const auto peer = static_cast<size_t>((own + ir::PeerOffset(program, op)) % static_cast<int64_t>(members.size()));
    members = {rank, members[peer]};
  }
  const int64_t node = rank / ranks_per_node;
  ir::CollectiveSignature signature;
  signature.kind = op.target.substr(kCollectivePrefix.size());
  signature.dtype = program.tensor(tensors.front()).dtype;
  signature.ranks = static_cast<int64_t>(members.size());
  signature.ranks_per_node = std::ranges::count_if(members, [&](int64_t member) { return member / ranks_per_node == node; });
  signature.bytes = ir::CollectiveBytes(program, op);
  return signature;
}

}  // namespace helm::sim
