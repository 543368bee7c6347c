// Memory-bound kernels of a GPU: how many bytes an op moves, and how long that takes.
//
// Elementwise ops, norms, softmax, lookups, reductions, the optimizer: their FLOPs do not matter, the bytes that pass between
// multiprocessors and memory do. A fused kernel (helm.region) is priced the same way, once, from the bytes its inputs and outputs have.
#pragma once

#include <string>

#include "cluster/cluster.h"
#include "core/status.h"
#include "core/units.h"
#include "ir/signature.h"

namespace helm::cost {

// Bytes an op reads and writes in memory. Sources: what each ATen kernel has to touch (docs/cost_model.md); for an op that is not listed
// its arguments, and as much written as the largest of them.
struct Traffic {
  Bytes read;
  Bytes written;
};
Traffic TrafficOf(const ir::OpSignature& op);

// Seconds to move the bytes on the device in one kernel: launch latency, then the bytes at the rate that large copies reach.
// Fails when the device has no memory bandwidth.
Result<double> TransferSeconds(const cluster::Device& device, Bytes bytes);

// A fused kernel with a body of ops: the longer of its bytes and its FLOPs at the peak rate of `dtype` outside the tensor cores ("f32").
Result<double> FusedKernelSeconds(const cluster::Device& device, const Traffic& traffic, Flops flops);

}  // namespace helm::cost
