// Chunk: the consecutive layers of the model that one stage runs as one action: of all stages times virtual stages, numbered from embedding
// to head. Chunk c lies on the rank class c modulo `pipeline` (Megatron-LM's interleaving).
#pragma once

#include <cstdint>
#include <vector>

#include "ir/strategy.h"
#include "model/model_spec.h"

namespace helm::model {

struct Chunk {
  int64_t index = 0;  // the stage in the actions of a schedule
  int64_t layer_begin = 0;
  int64_t layer_end = 0;   // one past the last
  bool embedding = false;  // the first chunk
  bool head = false;       // the last chunk
};

// As `strategy.stages` says, else equally many layers each. REQUIRES: CheckStrategy is ok.
std::vector<Chunk> ChunksOf(const ModelSpec& model, const ir::Strategy& strategy);
std::vector<Chunk> ChunksOfStage(const ModelSpec& model, const ir::Strategy& strategy, int64_t stage);

}  // namespace helm::model
