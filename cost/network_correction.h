// Where NCCL's own model of a group over several nodes is wrong, by measurements: which share of its bandwidth is reached, and what is lost
// while ranks synchronise.
//
// Source: nccl-tests on H100 nodes of eight with one 400 Gb/s card a GPU, 2 to 32 nodes, as tabulated by PyTorch's autoparallel
// (techniques.md 5.2). Against two sources that are not in it (docs/cost_model.md): SimAI's ratios from Alibaba's clusters, all-reduces on
// B200. All-reduces by rings and trees are left as NCCL has them: from 512 MB on both sources agree with NCCL to 13 % on up to 16 nodes.
#pragma once

#include "core/units.h"
#include "cost/nccl_tuner.h"

namespace helm::cost {

struct NetworkCorrection {
  double bandwidth_share = 1.0;  // of NCCL's own
  double latency_us = 0;         // in addition
};

// Nothing to correct on one node.
NetworkCorrection NetworkCorrectionOf(const NcclCommunicator& communicator, NcclCollective collective, NcclAlgorithm algorithm,
                                      Bytes bytes);

// An all-to-all over several nodes: time before the first byte, and the share of a rank's network rate. `bytes`: that one rank sends in
// all. REQUIRES: nodes >= 2.
NetworkCorrection AllToAllNetwork(int64_t nodes, Bytes bytes);

}  // namespace helm::cost
