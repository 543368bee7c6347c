// Shard layout: which rank writes which boxes of the parameters into a checkpoint, so that each element is written once.
//
// A function of the programs alone: every rank computes the same without asking the others. Ranks that hold the same box (data-parallel
// replicas) share the writing: each box goes to the one with the fewest elements so far. Of a parameter that several pipeline stages hold
// (tied embeddings of the first and the last) the first stage writes all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "exec/parameter_box.h"
#include "ir/step_programs.h"

namespace helm::exec {

struct OwnedBox {
  size_t segment = 0;  // of the rank's program
  size_t piece = 0;    // of the segment
  ParameterBox box;    // within the rank's own range of the segment
  bool operator==(const OwnedBox&) const = default;
};

// By segment, then piece. REQUIRES: 0 <= rank < world size.
std::vector<OwnedBox> OwnedBoxes(const ir::StepPrograms& step, int64_t rank);

}  // namespace helm::exec
