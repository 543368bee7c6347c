#include "model/unit_gathers.h"

#include <algorithm>

namespace helm::model {

UnitGathers::UnitGathers(Step& step, const ir::Software& software, const LayerExcerpt& excerpt)
    : step_(step), gathered_(step.gradients.gathered()), software_(software), excerpt_(excerpt), pipelined_(step.strategy.pipeline > 1) {}

void UnitGathers::ListLayers(const Chunk& chunk, int32_t micro_batch) {
  const bool in_last = micro_batch + 1 == step_.sizes.micro_batches;
  layers_.clear();
  for (int64_t layer = chunk.layer_begin; layer < chunk.layer_end; ++layer) {
    if (!excerpt_.LeavesOut(layer, in_last)) layers_.push_back(layer);
  }
}

int64_t UnitGathers::PlaceOf(int64_t layer) const { return std::ranges::find(layers_, layer) - layers_.begin(); }

void UnitGathers::Start(int64_t place) {
  if (place < 0 || place >= std::ssize(layers_)) return;
  const int64_t layer = layers_[static_cast<size_t>(place)];
  const ProgramBuilder::Place here = step_.b.place();
  step_.b.At(here.phase, static_cast<int32_t>(layer), here.micro_batch);
  gathered_.Start(step_.plan.layer_buckets[static_cast<size_t>(layer)]);
  step_.b.At(here);
}

void UnitGathers::StartRoot() {
  for (const size_t bucket : step_.plan.root_buckets) gathered_.Start(bucket);
}

void UnitGathers::FinishRoot() {
  for (const size_t bucket : step_.plan.root_buckets) gathered_.Finish(bucket);
}

void UnitGathers::DropRoot() {
  for (const size_t bucket : step_.plan.root_buckets) gathered_.Drop(bucket);
}

void UnitGathers::BeginForward(const Chunk& chunk, int32_t micro_batch) {
  if (!active()) return;
  ListLayers(chunk, micro_batch);
  StartRoot();
  for (int64_t i = 0; i < software_.fsdp_prefetch; ++i) Start(i);
}

void UnitGathers::EndForward() {
  if (active() && !software_.fsdp_root_kept && !pipelined_) DropRoot();
}

void UnitGathers::BeforeForward(int64_t layer) {
  if (!active()) return;
  gathered_.Finish(step_.plan.layer_buckets[static_cast<size_t>(layer)]);
  for (int64_t i = 1; i <= software_.fsdp_prefetch; ++i) Start(PlaceOf(layer) + i);
}

void UnitGathers::AfterForward(int64_t layer) {
  if (!active() || step_.strategy.zero < 3) return;
  // The last layer's backward comes next.
  const bool kept = software_.fsdp_last_kept && !pipelined_ && layer == layers_.back();
  if (!kept) gathered_.Drop(step_.plan.layer_buckets[static_cast<size_t>(layer)]);
}

void UnitGathers::BeginBackward(const Chunk& chunk, int32_t micro_batch) {
  if (!active()) return;
  ListLayers(chunk, micro_batch);
  StartRoot();
  if (software_.fsdp_backward_prefetch == ir::BackwardPrefetch::kNone) return;
  for (int64_t i = 1; i <= software_.fsdp_prefetch; ++i) Start(std::ssize(layers_) - i);
}

void UnitGathers::BeforeBackward(int64_t layer) {
  if (!active()) return;
  gathered_.Finish(step_.plan.layer_buckets[static_cast<size_t>(layer)]);
  if (software_.fsdp_backward_prefetch != ir::BackwardPrefetch::kPre) return;
  for (int64_t i = 1; i <= software_.fsdp_prefetch; ++i) Start(PlaceOf(layer) - i);
}

void UnitGathers::AfterBackward(int64_t layer) {
  if (!active()) return;
  if (software_.fsdp_backward_prefetch == ir::BackwardPrefetch::kPost) {
    for (int64_t i = 1; i <= software_.fsdp_prefetch; ++i) Start(PlaceOf(layer) - i);
  }
  if (!pipelined_ || step_.strategy.zero == 3) gathered_.Drop(step_.plan.layer_buckets[static_cast<size_t>(layer)]);
}

void UnitGathers::EndBackward() {
  if (active() && !pipelined_) DropRoot();
}

}  // namespace helm::model
