// OutsideMemory: what a training process holds on its GPU beside the caching allocator's memory: what nvidia-smi shows on top of what
// PyTorch counts as reserved.
//
// Round figures of published measurements (techniques.md 9.3), by category; not the allocator's own fragmentation, which is in `reserved`
// (sim/allocator_replay.h). None for a CPU.
#pragma once

#include <cstdint>

#include "cluster/cluster.h"
#include "cluster/rank_layout.h"
#include "core/units.h"
#include "ir/software.h"
#include "ir/step_programs.h"

namespace helm::planner {

struct OutsideMemory {
  Bytes cuda_context;  // primary context, loaded kernels
  Bytes nccl_buffers;  // of all communicators
  Bytes total() const { return cuda_context + nccl_buffers; }
};

// Of a rank of the class, on nodes of this kind. `layout`: of all ranks; where all nodes are alike, those of the cluster.
OutsideMemory OutsideMemoryOf(const ir::StepPrograms& step, size_t rank_class, const cluster::Cluster& nodes,
                              const cluster::RankLayout& layout);
OutsideMemory OutsideMemoryOf(const ir::StepPrograms& step, size_t rank_class, const cluster::Cluster& cluster);

// The workspaces that PyTorch allocates for cuBLAS with the first matrix product of a thread and keeps, and Transformer Engine's own:
// allocated memory, on every GPU.
Bytes CublasWorkspaces(const cluster::Device& device, const ir::Software& software);

}  // namespace helm::planner
