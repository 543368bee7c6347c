// Which ranks share what is sharded, and whether parameters are (ZeRO, FSDP), and which hold different experts: what a strategy's `zero`,
// `fsdp`, `expert` and `expert_tensor` mean.
//
// `fsdp` gives shards and copies (HSDP); without it `zero` 3 shards over all data-parallel ranks, and with `zero` 2 each of them keeps all
// parameters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/strategy.h"

namespace helm::ir {

// Ranks that hold the same parameters and work on different tokens: other sequences, or with context parallelism other positions of them.
inline int64_t BatchRanks(const Strategy& strategy) { return strategy.data * strategy.context; }

// Neighbouring ones of these that share what is sharded: all of them without HSDP.
inline int64_t DataShards(const Strategy& strategy) {
  return BatchRanks(strategy) / (strategy.fsdp_shard > 0 ? strategy.fsdp_replicate : 1);
}

// Data-parallel ranks among the strategy.expert x strategy.expert_tensor neighbours that hold all experts once: the tensor and context
// ranks fill these first. 1 without expert parallelism. REQUIRES: that product is divisible by tensor x context where expert > 1.
inline int64_t ExpertDataRanks(const Strategy& strategy) {
  return strategy.expert > 1 ? strategy.expert * strategy.expert_tensor / (strategy.tensor * strategy.context) : 1;
}

// The mesh dimensions along which ranks hold different experts; none without expert parallelism.
inline std::vector<std::string> ExpertDimensions(const Strategy& strategy) {
  if (strategy.expert == 1) return {};
  std::vector<std::string> dimensions;
  if (strategy.expert_tensor == 1 && strategy.tensor > 1) dimensions.emplace_back("tensor");
  if (strategy.context > 1) dimensions.emplace_back("context");
  dimensions.emplace_back("expert");
  return dimensions;
}

// Ranks that share what is sharded of experts: those that hold the same ones.
inline int64_t ExpertShards(const Strategy& strategy) {
  return strategy.expert > 1 ? DataShards(strategy) / (strategy.context * ExpertDataRanks(strategy)) : DataShards(strategy);
}

// The mesh dimensions of DataShards, in mesh order.
inline std::vector<std::string> DataDimensions(const Strategy& strategy) {
  std::vector<std::string> dimensions;
  if (strategy.context > 1) dimensions.emplace_back("context");
  if (strategy.expert > 1) dimensions.emplace_back("expert");
  dimensions.emplace_back("data");
  return dimensions;
}

// Whether ranks keep only shards of the parameters and gather them layer by layer.
inline bool ShardsParameters(const Strategy& strategy) {
  return (strategy.zero == 3 || strategy.fsdp_shard > 0) && DataShards(strategy) > 1;
}

}  // namespace helm::ir
