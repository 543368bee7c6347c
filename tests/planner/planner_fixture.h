// A small configuration built by hand, and an estimator whose prices can be worked out on paper.
#pragma once

#include <memory>

#include "config/run_config.h"
#include "cost/estimator.h"
#include "planner/search.h"

namespace helm::planner {

// Two layers of hidden 48 with 4 heads; 8 sequences of 12 tokens on `devices` ranks of a CPU with 1 GiB.
inline config::RunConfig SmallConfig(int64_t devices) {
  config::RunConfig config;
  config.model.name = "small";
  config.model.layers = 2;
  config.model.hidden = 48;
  config.model.ffn = 96;
  config.model.heads = 4;
  config.model.kv_heads = 4;
  config.model.head_dim = 12;
  config.model.vocab = 64;
  config.model.max_positions = 128;
  config.cluster.name = "test";
  config.cluster.device.name = "test";
  config.cluster.device.is_cpu = true;
  config.cluster.device.memory = Bytes::Gibibytes(1);
  config.cluster.devices_per_node = devices;
  config.cluster.devices_used = devices;
  config.cluster.local = true;
  config.cluster.cpu_cores = devices;
  config.software.framework = "helm";
  config.workload.global_batch = 8;
  config.workload.sequence_length = 12;
  config.search.memory_fraction = 1.0;
  config.path = "small.yaml";
  return config;
}

// Every op takes one picosecond per byte that it reads, every collective ten per byte of its tensor; launching is free.
class BytesEstimator : public cost::Estimator {
 public:
  Result<cost::Estimate> EstimateOp(const ir::OpSignature& op) const override {
    return cost::Estimate{Duration::Picoseconds(ir::BytesRead(op).count()), cost::Source::kAnalytic, Bytes()};
  }
  Result<cost::Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override {
    return cost::Estimate{Duration::Picoseconds(10 * collective.bytes.count()), cost::Source::kAnalytic, Bytes()};
  }
  Result<cost::HostCosts> EstimateHost() const override { return cost::HostCosts{}; }
};

inline EstimatorFactory BytesEstimatorFactory() {
  return []() -> Result<std::unique_ptr<cost::Estimator>> { return std::unique_ptr<cost::Estimator>(new BytesEstimator()); };
}

}  // namespace helm::planner
