// ParameterSegment, ParameterPiece: where each parameter of the model lies in a rank's flat buffers.
//
// A segment is a flat run of elements that the optimizer treats alike; its parameter, gradient, master and moment storages all have the
// same element layout. A piece is the box of one named (Hugging Face) parameter that this rank holds, at an element offset of the segment.
// Fused weights (query/key/value; gate/up) are several pieces in one matrix. Invariant: pieces of a segment do not overlap.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/id.h"
#include "ir/rank_expression.h"

namespace helm::ir {

struct StorageTag;

enum class Initialization : uint8_t { kNormal, kZeros, kOnes };
std::string_view Name(Initialization initialization);  // "normal", "zeros", "ones"

struct ParameterPiece {
  std::string name;                        // Hugging Face name, e.g. "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> global_shape;       // of the unsplit parameter, without vocabulary padding
  bool transposed = false;                 // the named file format stores [in, out] (GPT-2's Conv1D) where the program stores [out, in]
  std::vector<RankExpression> box_offset;  // where this rank's box begins in the unsplit parameter (in the program's orientation)
  std::vector<int64_t> box_shape;          // may reach past global_shape: the excess is padding, initialised to zero and never dumped
  int64_t offset = 0;                      // of the box's first element in the segment; the box is contiguous, row-major
  Initialization initialization = Initialization::kNormal;
  double standard_deviation = 0.0;  // for kNormal
};

struct ParameterSegment {
  std::string name;      // "bucket0.sharded.decay"
  int64_t elements = 0;  // with the padding that makes equal shards
  // Mesh dimensions, in mesh order, over whose ranks the optimizer state is sharded (ZeRO); empty: every rank holds all of it. A rank's
  // master and moment storages then hold as many-th part of the elements as there are such ranks, the one at its own place among them.
  std::vector<std::string> sharded_over;
  // `gradient` holds only this rank's shard too, from its first reduction to the end of the step (ZeRO-2 and higher stages). `parameter` is
  // sharded likewise where it equals `master` (ZeRO-3): the program gathers it into tensors of its own.
  bool gradient_sharded = false;
  bool weight_decay = true;
  bool tensor_replicated = false;  // the same on all ranks of the tensor group (counted once in the gradient norm)
  Id<StorageTag> parameter;        // in the compute dtype
  Id<StorageTag> gradient;
  Id<StorageTag> master;        // fp32; equals `parameter` when the parameters are fp32
  Id<StorageTag> moment_first;  // Adam's exponential averages, fp32
  Id<StorageTag> moment_second;
  int64_t gradient_offset = 0;  // elements from the start of the gradient storage (a bucket may hold several segments)
  std::vector<ParameterPiece> pieces;
};

}  // namespace helm::ir
