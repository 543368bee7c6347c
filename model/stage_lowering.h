// StageLowering: writes the program of one stage: its inputs and tables, then the actions of its schedule in order, with the sends and
// receives between them, then the optimizer. Internal to model/.
//
// An action that needs another stage's tensor receives it right before it runs; its own result is sent right behind it. Activations and
// gradients travel in groups of their own, and on the way up and down a V too: with virtual stages a receiver may want them in another
// order than they were sent. A send is waited for before the next one of its group to the same peer, at the latest before the optimizer;
// until then its tensor lives.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "core/cancellation.h"
#include "core/status.h"
#include "model/chunks.h"
#include "model/layer_excerpt.h"
#include "model/step.h"
#include "model/unit_gathers.h"

namespace helm::model {

class StageLowering {
 public:
  StageLowering(Step& step, const ir::Software& software, const LayerExcerpt& excerpt);
  Status Run(const Cancellation& cancellation);  // fails only when it is cancelled

 private:
  struct MicroBatchInput {
    ir::TensorId tokens, labels;
  };
  // What a forward leaves for the backward of the same chunk and micro-batch.
  struct Saved {
    LocalTokens tokens;
    std::vector<BlockSaved> blocks;
    LossSaved loss;
    ir::TensorId output;                                  // of the forward, to be sent
    std::vector<std::function<void()>> weight_gradients;  // postponed
  };
  using Key = std::pair<int64_t, int32_t>;  // chunk, micro-batch
  // A tensor that crosses the boundary between two chunks, as its sender sees it.
  struct Message {
    int64_t offset = 0;  // of the receiver along the pipeline
    int64_t tag = 0;
    ir::GroupId group;
  };

  void AddInputs();
  void MakeTables();
  void RunAction(size_t index);
  void Forward(const Chunk& chunk, int32_t micro_batch);
  void Backward(const Chunk& chunk, int32_t micro_batch, bool postpone);
  void WriteWeightGradients(const Chunk& chunk, int32_t micro_batch);
  void AddLoss(ir::TensorId share, int32_t micro_batch);
  bool LeavesOut(int64_t layer, int32_t micro_batch) const;

  const Chunk& ChunkOf(int64_t index) const;
  std::optional<Message> Outgoing(const ir::Action& action) const;
  std::optional<Message> Between(int64_t from, int64_t to, const ir::Action& action) const;
  // What the chunk before (or, in backward, behind) the action's made.
  ir::TensorId Take(const ir::Action& action);
  void Send(ir::TensorId tensor, const Message& message);
  bool Scatters() const;  // what crosses stages is split over the tensor ranks
  void MakeOwnRows(ir::TensorId like);
  void EndSends();

  Step& step_;
  const LayerExcerpt& excerpt_;
  UnitGathers gathers_;
  std::vector<Chunk> chunks_;
  int64_t chunk_count_;
  std::vector<MicroBatchInput> inputs_;
  std::map<Key, Saved> saved_;
  std::map<ir::GroupId, Pending> sends_;  // by group (each has one direction): the last one, if it was not waited for
  ir::TensorId loss_;
  ir::TensorId own_rows_;  // the numbers of the rows that this rank sends
};

}  // namespace helm::model
