// Which data-parallel ranks share what is sharded, and whether parameters are (ZeRO, FSDP): what a strategy's `zero` and `fsdp` mean.
//
// `fsdp` gives shards and copies (HSDP); without it `zero` 3 shards over all data-parallel ranks, and with `zero` 2 each of them keeps all
// parameters.
#pragma once

#include <cstdint>

#include "ir/strategy.h"

namespace helm::ir {

// Neighbouring data-parallel ranks that share what is sharded: all of them without HSDP.
inline int64_t DataShards(const Strategy& strategy) { return strategy.data / (strategy.fsdp_shard > 0 ? strategy.fsdp_replicate : 1); }

// Whether ranks keep only shards of the parameters and gather them layer by layer.
inline bool ShardsParameters(const Strategy& strategy) {
  return (strategy.zero == 3 || strategy.fsdp_shard > 0) && DataShards(strategy) > 1;
}

}  // namespace helm::ir
