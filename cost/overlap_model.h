// OverlapLosses: what kernels of a GPU lose while collectives run beside them, and collectives beside kernels that fill the memory's
// bandwidth.
//
// From facts, nothing fitted (techniques.md 5.6): a collective occupies one multiprocessor for each of its channels, which products then
// lack, and reads and writes memory, which memory-bound kernels then lack. Not power: a clock that falls when everything runs is not
// modelled. Messages between two GPUs take two channels, under 2 % of a GPU, and are left out. Where pairs were measured, those count
// instead (cost/pair_losses.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "cluster/cluster.h"

namespace helm::cost {

// Shares of the rate that is lost, 0 ... 1; of several collectives at once they add up.
struct OverlapLosses {
  struct Beside {
    double product = 0;       // of matrix products and attention
    double memory_bound = 0;  // of all other kernels
    bool operator==(const Beside&) const = default;
  };
  Beside inside;             // while a collective within a node runs
  Beside network;            // while one between nodes does
  double communication = 0;  // of a collective while memory-bound kernels run
  double communication_beside_products = 0;
  // Of what a kernel and a collective could save by running at once, the share that they do save; none: not measured.
  struct Saved {
    std::optional<double> product;
    std::optional<double> memory_bound;
    bool operator==(const Saved&) const = default;
  };
  Saved saved_inside;
  Saved saved_network;
  int64_t measured_pairs = 0;  // that stand behind some of these; 0: all come from the formulas
  bool operator==(const OverlapLosses&) const = default;
};

// Whether a kernel is bound by multiprocessors (matrix products, attention), not by memory. `target`: of an op.
bool IsProduct(std::string_view target);

// No losses for a CPU (whose ranks share cores otherwise: sim/step_graph.h), and none of a kind whose facts the description lacks.
OverlapLosses OverlapLossesOf(const cluster::Cluster& cluster);

}  // namespace helm::cost
