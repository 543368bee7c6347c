// Strand pairing: what of one strand runs beside what of the other, by dynamic programming over pairs of pieces (DHeLlam, arXiv 2411.15871;
// techniques.md 2.1).
//
// A strand is cut into pieces: single computations, and exchanges, which reach from a collective's start to the last wait of what is open
// meanwhile, with what the strand itself computes in between. D[i][j], the time in which i pieces of the one and j of the other can be
// done, is the smallest of
//     D[i-1][j] + t(a),   D[i][j-1] + t(b),                        a piece alone
//     D[i-1][j-k] + t(a beside b_1 ... b_k)  and the reverse,      an exchange over a run of computations
//     D[i-1][j-1] + t(a beside b),                                 two exchanges
// where t(x beside y) = t(x) + t(y) - efficiency * (what is saved where neither slows the other down). Every pair ends before the next
// piece begins: so the times add up, and the search is O(pieces of a x pieces of b x longest run), where the original tries all ways to cut
// the strands into groups. The lattice (schedule/lattice.h) has no such barrier, but knows no efficiency.
//
// Knows nothing of programs (schedule/strands.h does). Invariant: the result is a legal order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "schedule/lattice.h"

namespace helm::schedule {

// The share of what an exchange and computation beside it could save together that they do save, 0 ... 1: the overlap-efficiency factor.
struct OverlapEfficiency {
  double product = 1;       // beside matrix products and attention
  double memory_bound = 1;  // beside all other kernels
};

struct StrandStep {
  LatticeStep step;
  bool is_product = false;  // of computation
};

struct StrandPairing {
  std::vector<bool> from_b;  // of each next step
  int64_t duration = 0;      // picoseconds, D of all pieces
  int64_t alone = 0;         // picoseconds, of all pieces one after the other
};

// `efficiencies`: by channel, one for each that a step names. REQUIRES: pieces alone can be put into an order
// that respects every `after`.
StrandPairing PairStrands(const std::vector<StrandStep>& a, const std::vector<StrandStep>& b,
                          const std::vector<OverlapEfficiency>& efficiencies);

}  // namespace helm::schedule
