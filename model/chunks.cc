#include "model/chunks.h"

#include "ir/schedule_check.h"

namespace helm::model {

bool IsFolded(const ir::Strategy& strategy) {
  if (strategy.schedule != "csv") return strategy.schedule == "zb-v" || strategy.schedule == "dualpipev";
  return strategy.virtual_pipeline == 2 && ir::RowOfStage(strategy.schedule_rows, strategy.pipeline) == strategy.pipeline - 1;
}

int64_t StageOfChunk(const ir::Strategy& strategy, int64_t chunk) {
  if (!IsFolded(strategy)) return chunk % strategy.pipeline;
  return chunk < strategy.pipeline ? chunk : 2 * strategy.pipeline - 1 - chunk;
}

int64_t HeadChunk(const ir::Strategy& strategy) {
  return strategy.head_stage >= 0 ? strategy.head_stage : strategy.pipeline * strategy.virtual_pipeline - 1;
}

std::vector<Chunk> ChunksOf(const ModelSpec& model, const ir::Strategy& strategy) {
  const int64_t count = strategy.pipeline * strategy.virtual_pipeline;
  const int64_t head = HeadChunk(strategy);
  std::vector<Chunk> chunks;
  const auto add = [&](int64_t begin, int64_t end) {
    const auto c = static_cast<int64_t>(chunks.size());
    chunks.push_back({c, begin, end, c == 0, c == head, c + 1 == count});
  };
  for (const ir::Stage& stage : strategy.stages) add(stage.layer_first, stage.layer_end);
  if (!chunks.empty()) return chunks;
  const int64_t layers = model.layers / count;
  for (int64_t c = 0; c < count; ++c) add(c * layers, (c + 1) * layers);
  return chunks;
}

std::vector<Chunk> ChunksOfStage(const ModelSpec& model, const ir::Strategy& strategy, int64_t stage) {
  std::vector<Chunk> own;
  for (const Chunk& chunk : ChunksOf(model, strategy)) {
    if (StageOfChunk(strategy, chunk.index) == stage) own.push_back(chunk);
  }
  return own;
}

}  // namespace helm::model
