// Strategy, Workload, Software: the decisions that turn a model into programs. Plain values; reading them from YAML and checking their
// meaning is the run configuration's job (config/).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/data_type.h"
#include "ir/program.h"

namespace helm::ir {

// Degrees of parallelism and the rest of DESIGN section 4's `strategy` mapping.
struct Strategy {
  int64_t data = 1;
  int64_t tensor = 1;
  bool sequence_parallel = false;
  int64_t context = 1;
  int64_t pipeline = 1;
  int64_t virtual_pipeline = 1;
  int64_t expert = 1;
  int64_t expert_tensor = 1;
  int64_t zero = 0;
  int64_t micro_batch = 1;         // sequences of one forward pass of one data-parallel rank
  std::string recompute = "none";  // none | selective | full
  std::string schedule = "none";   // none at pipeline 1
  std::string overlap = "none";    // serial | none | ...
  bool operator==(const Strategy&) const = default;

  int64_t world_size() const { return data * tensor * context * pipeline; }
};

// "data 2, tensor 4, sequence_parallel, micro_batch 1": what differs from the defaults, with data, tensor and micro_batch always.
std::string Describe(const Strategy& strategy);

// The mesh of a strategy, fastest first: tensor, context, data, pipeline; dimensions of size 1 included, so that groups always exist.
std::vector<MeshDimension> MeshOf(const Strategy& strategy);

enum class OptimizerKind : uint8_t { kAdamW };

struct Optimizer {
  OptimizerKind kind = OptimizerKind::kAdamW;
  double learning_rate = 3e-4;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;
  double clip_norm = 1.0;  // global gradient norm; 0: no clipping
  bool operator==(const Optimizer&) const = default;
};

struct Workload {
  std::string kind = "training";
  int64_t global_batch = 1;  // sequences a step
  int64_t sequence_length = 0;
  DataType dtype = DataType::kFloat32;  // of compute; fp32 master weights where it is narrower
  Optimizer optimizer;
  uint64_t seed = 1234;
  bool operator==(const Workload&) const = default;
};

// Micro-batches of a step on one data-parallel rank. REQUIRES: global_batch is divisible by micro_batch x data.
inline int64_t MicroBatches(const Workload& workload, const Strategy& strategy) {
  return workload.global_batch / (strategy.micro_batch * strategy.data);
}

struct Software {
  std::string framework;  // a file in configs/frameworks/; "helm" is HELM's own executor
  bool flash_attention = true;
  bool compile = false;
  int64_t gradient_bucket_bytes =
      25 * 1024 * 1024;  // gradients are reduced in buckets of at least this size (PyTorch DDP's default, 25 MiB)
  bool operator==(const Software&) const = default;
};

struct Tolerance {
  double step_time = 0.0;  // fractions; 0: none asked for
  double peak_memory = 0.0;
  bool operator==(const Tolerance&) const = default;
};

}  // namespace helm::ir
