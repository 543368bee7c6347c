// Strategy, Workload: the decisions that turn a model into programs (with Software, ir/software.h). Plain values; ir/strategy_text.h reads
// and writes them; checking their meaning is the run configuration's job (config/), and what the lowering can do is its own to say.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/data_type.h"
#include "ir/program.h"
#include "ir/software.h"

namespace helm::ir {

// Layers of one pipeline chunk: [first, end) in the model's order. A chunk may have none (only the embedding, only the head).
struct Stage {
  int64_t layer_first = 0;
  int64_t layer_end = 0;
  int64_t layers() const { return layer_end - layer_first; }
  bool operator==(const Stage&) const = default;
};

// Degrees of parallelism and the rest of DESIGN section 4's `strategy` mapping.
struct Strategy {
  int64_t data = 1;
  int64_t tensor = 1;
  bool sequence_parallel = false;
  int64_t context = 1;
  int64_t pipeline = 1;
  int64_t virtual_pipeline = 1;
  int64_t expert = 1;
  int64_t expert_tensor = 1;
  int64_t zero = 0;
  // Fully sharded data parallelism by layer (FSDP; `zero` 2: parameters stay gathered after forward, 3: they are dropped): shards over
  // `fsdp_shard` neighbouring ranks of data x context, `fsdp_replicate` copies. 0: not used.
  int64_t fsdp_shard = 0;
  int64_t fsdp_replicate = 1;
  int64_t micro_batch = 1;                 // sequences of one forward pass of one data-parallel rank
  std::vector<int64_t> micro_batches;      // how many of a step each data-parallel rank has, where not all have as many; or empty
  std::string recompute = "none";          // none | selective (core attention) | full | custom
  std::vector<std::string> recompute_ops;  // custom: parts of a layer, of RecomputeParts(); empty: the whole layer
  int64_t recompute_layers = 0;            // custom: only the first so many layers of a chunk; 0: all
  std::string schedule = "none";           // none at pipeline 1; csv: `schedule_rows`
  std::vector<Schedule> schedule_rows;     // csv: a schedule of the user's own, by rank of the pipeline (ir/schedule_csv.h)
  std::string overlap = "none";            // of OverlapWords(): which passes rewrite the program (schedule/pass.h)
  int64_t overlap_tiles = 2;               // parts of a micro-batch, where IsTiled
  // Chunks of the pipeline in the model's order where they are not all equal: pipeline x virtual_pipeline, or empty. Chunk i is on rank
  // i mod pipeline; with zb-v up the ranks and down again.
  std::vector<Stage> stages;
  // Of a cluster of several kinds of nodes: the names of its groups in the order in which the ranks, and so the stages, fill them; empty:
  // as the cluster lists them.
  std::vector<std::string> groups;
  int64_t head_stage = -1;  // rank of the pipeline with final norm and head; -1: the last. The loss is always on the last
  bool operator==(const Strategy&) const = default;

  int64_t world_size() const { return data * tensor * context * pipeline; }
};

// Parts of a layer that `recompute: {ops: [...]}` may name, each of which keeps only its input and is computed again in backward.
const std::vector<std::string>& RecomputeParts();

// The values of `overlap`.
const std::vector<std::string>& OverlapWords();
// Whether the overlap word stands for passes that run communication beside computation.
bool HidesCommunication(const Strategy& strategy);
// Whether it splits micro-batches into tiles.
bool IsTiled(const Strategy& strategy);

// "data 2, tensor 4, sequence_parallel, micro_batch 1": what differs from the defaults, with data, tensor and micro_batch always.
std::string Describe(const Strategy& strategy);

// The mesh of a strategy, fastest first: tensor, context, data, pipeline; dimensions of size 1 included, so that groups always exist. With
// expert > 1 the data-parallel ranks are two dimensions: "expert", neighbours that hold different experts (with the tensor and context
// ranks where `expert_tensor` leaves these apart), and "data", those that hold the same.
std::vector<MeshDimension> MeshOf(const Strategy& strategy);

enum class OptimizerKind : uint8_t { kAdamW };

struct Optimizer {
  OptimizerKind kind = OptimizerKind::kAdamW;
  double learning_rate = 3e-4;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;
  double clip_norm = 1.0;  // global gradient norm; 0: no clipping
  bool operator==(const Optimizer&) const = default;
};

// Matrix products whose operands are cast to 8 or 4 bits; everything else stays in `dtype`, bf16.
enum class Quantization : uint8_t { kNone, kFp8, kMxFp8, kNvFp4 };

struct Workload {
  std::string kind = "training";
  int64_t global_batch = 1;  // sequences a step
  int64_t sequence_length = 0;
  DataType dtype = DataType::kFloat32;  // of compute; fp32 master weights where it is narrower
  Quantization quantization = Quantization::kNone;
  Optimizer optimizer;
  uint64_t seed = 1234;
  double routing_imbalance = 1.0;  // tokens of the fullest expert over the mean
  bool operator==(const Workload&) const = default;
};

// Micro-batches of a step on one data-parallel rank; where not all have as many, on the one with the most. REQUIRES: global_batch is
// divisible by micro_batch x data, or is micro_batch x the sum of micro_batches.
int64_t MicroBatches(const Workload& workload, const Strategy& strategy);
int64_t MicroBatchesOf(const Workload& workload, const Strategy& strategy, int64_t data_rank);
// The first of its consecutive sequences, in the global batch.
int64_t FirstSequence(const Workload& workload, const Strategy& strategy, int64_t data_rank);

// Data-parallel ranks in shares: neighbours that have equally many micro-batches. How many ranks each share has, in order; one share where
// all have as many.
std::vector<int64_t> ShareRanks(const Strategy& strategy);

struct Tolerance {
  double step_time = 0.0;  // fractions; 0: none asked for
  double peak_memory = 0.0;
  bool operator==(const Tolerance&) const = default;
};

}  // namespace helm::ir
