// Chunk: the consecutive layers of the model that one stage runs as one action: of all stages times virtual stages, numbered from embedding
// to head. StageOfChunk says on which stage of the pipeline each lies.
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
  bool head = false;       // final norm and head: the last chunk, or that of `strategy.head_stage`
  bool loss = false;       // the last chunk
};

// Whether the chunks go up the stages and down again (a V), so that the first stage has the first chunk and the last: zb-v, dualpipev, or
// a schedule of the user's own that runs them there.
bool IsFolded(const ir::Strategy& strategy);
// The stage of the pipeline that has this chunk: chunk modulo pipeline (Megatron-LM's interleaving), or folded.
int64_t StageOfChunk(const ir::Strategy& strategy, int64_t chunk);
// The chunk with final norm and head. Between it and the last, which has the loss, logits travel.
int64_t HeadChunk(const ir::Strategy& strategy);
// As `strategy.stages` says, else equally many layers each. REQUIRES: CheckStrategy is ok.
std::vector<Chunk> ChunksOf(const ModelSpec& model, const ir::Strategy& strategy);
std::vector<Chunk> ChunksOfStage(const ModelSpec& model, const ir::Strategy& strategy, int64_t stage);

}  // namespace helm::model
