// UnitGathers: when sharded parameters are gathered and dropped around the layers of forward and backward (ZeRO-3, FSDP). Does nothing
// where parameters are not sharded.
//
// A unit is a layer, or the root: all that is not a layer's matrix. As PyTorch's FSDP: while a unit computes, the next one is gathered
// (`fsdp_prefetch`: how many), in backward as `fsdp_backward_prefetch` says; a layer is dropped after its forward (zero 3) and gathered
// again for its backward, the root stays from the start of forward to the end of backward. With a pipeline several micro-batches are
// under way at once: the root then stays for the whole step, and so do layers with zero 2. A gather is before the computation that hides it
// in launch order; PyTorch's host issues it behind, well ahead of the device. Layers that an excerpt leaves out (model/layer_excerpt.h) are
// passed over: the next one is the next that is written. Internal to model/.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/software.h"
#include "model/chunks.h"
#include "model/layer_excerpt.h"
#include "model/step.h"

namespace helm::model {

class UnitGathers {
 public:
  UnitGathers(Step& step, const ir::Software& software, const LayerExcerpt& excerpt);

  // Around the forward, or the backward, of a chunk for one micro-batch. Begin is before anything is received from another stage.
  void BeginForward(const Chunk& chunk, int32_t micro_batch);
  void EndForward();
  void BeginBackward(const Chunk& chunk, int32_t micro_batch);
  void EndBackward();
  // Waits for the root, which embedding, loss and norms need.
  void FinishRoot();
  // Around each layer, in the order of the pass.
  void BeforeForward(int64_t layer);
  void AfterForward(int64_t layer);
  void BeforeBackward(int64_t layer);
  void AfterBackward(int64_t layer);

 private:
  bool active() const { return !step_.plan.root_buckets.empty(); }
  void ListLayers(const Chunk& chunk, int32_t micro_batch);
  int64_t PlaceOf(int64_t layer) const;
  void Start(int64_t place);  // nothing where the chunk has no such layer
  void StartRoot();
  void DropRoot();

  Step& step_;
  GatheredParameters& gathered_;
  const ir::Software& software_;
  const LayerExcerpt& excerpt_;
  const bool pipelined_;
  std::vector<int64_t> layers_;  // of the chunk, those that are written, in order
};

}  // namespace helm::model
