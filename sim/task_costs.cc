#include "sim/task_costs.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include <fmt/format.h>

#include "core/check.h"

namespace helm::sim {
namespace {

constexpr std::string_view kCollectivePrefix = "c10d.";

// Asks the estimator once for each distinct key; keeps what failed, in the order of the program.
class Pricer {
 public:
  Pricer(const ir::Program& program, const cost::Estimator& estimator, int64_t ranks_per_node)
      : program_(program), estimator_(estimator), ranks_per_node_(ranks_per_node) {}

  cost::Estimate Price(const ir::Op& op) {
    if (op.kind == ir::OpKind::kCompute) {
      const ir::OpSignature signature = ir::SignatureOf(program_, op);
      return Once(ir::ToText(signature), [&] { return estimator_.EstimateOp(signature); });
    }
    if (op.kind == ir::OpKind::kCollectiveStart) {
      const ir::CollectiveSignature signature = CollectiveSignatureOf(program_, op, ranks_per_node_);
      return Once(ir::ToText(signature), [&] { return estimator_.EstimateCollective(signature); });
    }
    return {};
  }

  void Fail(std::string reason) { failures_.push_back(std::move(reason)); }

  Status ToStatus() const {
    if (failures_.empty()) return OkStatus();
    return UnavailableError(
        fmt::format("error: {} of the costs that program '{}' needs are not known; helm-profile measures them into a cost table:\n  {}",
                    failures_.size(), program_.name, fmt::join(failures_, "\n  ")));
  }

 private:
  template <typename Ask>
  cost::Estimate Once(const std::string& key, const Ask& ask) {
    if (const auto known = known_.find(key); known != known_.end()) return known->second;
    const Result<cost::Estimate> answer = ask();
    if (!answer.ok()) Fail(answer.status().message());
    return known_.emplace(key, answer.ok() ? *answer : cost::Estimate()).first->second;
  }

  const ir::Program& program_;
  const cost::Estimator& estimator_;
  const int64_t ranks_per_node_;
  std::unordered_map<std::string, cost::Estimate> known_;  // only looked up, never iterated
  std::vector<std::string> failures_;
};

}  // namespace

Result<TaskCosts> PriceOps(const ir::Program& program, const cost::Estimator& estimator, int64_t ranks_per_node) {
  HELM_CHECK(ranks_per_node >= 1, "a node holds ranks");
  Pricer pricer(program, estimator, ranks_per_node);
  TaskCosts costs;
  costs.ops.reserve(program.ops.size());
  for (const ir::Op& op : program.ops) costs.ops.push_back(pricer.Price(op));
  if (const auto host = estimator.EstimateHost(); host.ok()) {
    costs.host = *host;
  } else {
    pricer.Fail(host.status().message());
  }
  HELM_RETURN_IF_ERROR(pricer.ToStatus());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::OpKind kind = program.ops[i].kind;
    if (kind == ir::OpKind::kView || kind == ir::OpKind::kWait) costs.ops[i].source = costs.host.source;
  }
  return costs;
}

ir::CollectiveSignature CollectiveSignatureOf(const ir::Program& program, const ir::Op& op, int64_t ranks_per_node) {
  HELM_CHECK(op.kind == ir::OpKind::kCollectiveStart && op.target.starts_with(kCollectivePrefix), "only a collective has this signature");
  const auto tensors = ir::TensorArguments(op);
  HELM_CHECK(!tensors.empty(), "a collective reads a tensor");
  const std::vector<int64_t> members = ir::GroupMembers(program, op.group, 0);
  const int64_t first_node = members.front() / ranks_per_node;
  ir::CollectiveSignature signature;
  signature.kind = op.target.substr(kCollectivePrefix.size());
  signature.dtype = program.tensor(tensors.front()).dtype;
  signature.ranks = static_cast<int64_t>(members.size());
  signature.ranks_per_node = std::ranges::count_if(members, [&](int64_t rank) { return rank / ranks_per_node == first_node; });
  signature.bytes = ir::CollectiveBytes(program, op);
  return signature;
}

}  // namespace helm::sim
