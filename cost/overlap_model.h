// OverlapLosses: what kernels of a GPU lose while collectives run beside them, and collectives beside kernels that fill the memory's
// bandwidth.
//
// From facts, nothing fitted (techniques.md 5.6): a collective occupies one multiprocessor for each of its channels, which products then
// lack, and reads and writes memory, which memory-bound kernels then lack. Not power: a clock that falls when everything runs is not
// modelled. Messages between two GPUs take two channels, under 2 % of a GPU, and are left out.
#pragma once

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
  bool operator==(const OverlapLosses&) const = default;
};

// No losses for a CPU (whose ranks share cores otherwise: sim/step_graph.h), and none of a kind whose facts the description lacks.
OverlapLosses OverlapLossesOf(const cluster::Cluster& cluster);

}  // namespace helm::cost
