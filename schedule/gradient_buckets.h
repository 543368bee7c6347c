// GradientBuckets: which reductions of gradients, and which gathers of updated parameters, go as one (techniques.md 1.6).
//
// A collective of few bytes takes hardly less time than one of many, but many bytes are ready later, and what is reduced by scattering must
// be copied together. Dynamic programming over each chain of collectives that may be joined (schedule/joined_collectives.h): a prefix of
// the chain is cut into buckets, and of the ways to do so those are kept that no other is ahead of: when the channel is free, how much
// later the compute stream is by the copies, what must be copied behind the last wait, and the bytes that are allocated for it. Times are
// those of ops alone, as in the lattice; ready is when the compute stream gets to the start. The result is kept where, by the same times of
// all ops of the program, it ends earlier.
//
// Buckets of the lowering (software.gradient_bucket_bytes) are joined, not cut. Layers' gathers and scatters of sharded parameters (FSDP,
// ZeRO 2 and 3) stay apart, since their waits lie between their starts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/units.h"
#include "ir/program.h"
#include "sim/price_book.h"

namespace helm::schedule {

struct GradientBuckets {
  ir::Program program;
  std::vector<std::string> reasons;  // what was joined and what it takes, or why nothing was
};

// `memory_more`: bytes that may be allocated for it beside what the program has; none: any. Fails where an op has no price. REQUIRES:
// Verify(program) is ok. The result is verified by the caller.
Result<GradientBuckets> JoinGradientBuckets(const ir::Program& program, sim::PriceBook& prices, std::optional<Bytes> memory_more = {});

}  // namespace helm::schedule
