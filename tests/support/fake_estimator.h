// FakeEstimator: an estimator whose prices are what a test says, by target ("aten.relu") or kind of collective ("all_reduce").
#pragma once

#include <map>
#include <string>
#include <utility>

#include "cost/estimator.h"

namespace helm::test {

class FakeEstimator : public cost::Estimator {
 public:
  FakeEstimator& Set(const std::string& name, Duration duration, Bytes workspace = Bytes(), cost::Source source = cost::Source::kMeasured) {
    prices_[name] = {duration, source, workspace};
    return *this;
  }
  FakeEstimator& SetHost(Duration per_op, Duration per_collective, Duration per_wait) {
    host_ = {per_op, per_collective, per_wait, cost::Source::kMeasured};
    return *this;
  }
  // Views and room for tensors then take no launch of their own.
  FakeEstimator& LaunchKernelsOnly() {
    host_.for_each_kernel = true;
    return *this;
  }
  FakeEstimator& BlockLaunches() {
    host_.blocking = true;
    return *this;
  }
  FakeEstimator& WaitForMessages() {
    host_.waits_for_messages = true;
    return *this;
  }
  FakeEstimator& ReadTheNorm() {
    host_.waits_for_norm = true;
    return *this;
  }

  Result<cost::Estimate> EstimateOp(const ir::OpSignature& op) const override { return Find(op.target); }
  Result<cost::Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override { return Find(collective.kind); }
  Result<cost::HostCosts> EstimateHost() const override { return host_; }

  // How often each name was asked for.
  const std::map<std::string, int>& asked() const { return asked_; }

 private:
  Result<cost::Estimate> Find(const std::string& name) const {
    ++asked_[name];
    const auto price = prices_.find(name);
    if (price == prices_.end()) return UnavailableError(name + ": no price");
    return price->second;
  }

  std::map<std::string, cost::Estimate> prices_;
  cost::HostCosts host_{Duration(), Duration(), Duration(), cost::Source::kMeasured};
  mutable std::map<std::string, int> asked_;
};

}  // namespace helm::test
