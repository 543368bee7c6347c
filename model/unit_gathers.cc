#include "model/unit_gathers.h"

namespace helm::model {

UnitGathers::UnitGathers(Step& step, const ir::Software& software)
    : step_(step), gathered_(step.gradients.gathered()), software_(software), pipelined_(step.strategy.pipeline > 1) {}

void UnitGathers::Start(const Chunk& chunk, int64_t layer) {
  if (!Holds(chunk, layer)) return;
  const ProgramBuilder::Place place = step_.b.place();
  step_.b.At(place.phase, static_cast<int32_t>(layer), place.micro_batch);
  gathered_.Start(step_.plan.layer_buckets[static_cast<size_t>(layer)]);
  step_.b.At(place);
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

void UnitGathers::BeginForward(const Chunk& chunk) {
  if (!active()) return;
  StartRoot();
  for (int64_t i = 0; i < software_.fsdp_prefetch; ++i) Start(chunk, chunk.layer_begin + i);
}

void UnitGathers::EndForward() {
  if (active() && !software_.fsdp_root_kept && !pipelined_) DropRoot();
}

void UnitGathers::BeforeForward(const Chunk& chunk, int64_t layer) {
  if (!active()) return;
  gathered_.Finish(step_.plan.layer_buckets[static_cast<size_t>(layer)]);
  for (int64_t i = 1; i <= software_.fsdp_prefetch; ++i) Start(chunk, layer + i);
}

void UnitGathers::AfterForward(const Chunk& chunk, int64_t layer) {
  if (!active() || step_.strategy.zero < 3) return;
  // The last layer's backward comes next.
  const bool kept = software_.fsdp_last_kept && !pipelined_ && layer + 1 == chunk.layer_end;
  if (!kept) gathered_.Drop(step_.plan.layer_buckets[static_cast<size_t>(layer)]);
}

void UnitGathers::BeginBackward(const Chunk& chunk) {
  if (!active()) return;
  StartRoot();
  if (software_.fsdp_backward_prefetch == ir::BackwardPrefetch::kNone) return;
  for (int64_t i = 1; i <= software_.fsdp_prefetch; ++i) Start(chunk, chunk.layer_end - i);
}

void UnitGathers::BeforeBackward(const Chunk& chunk, int64_t layer) {
  if (!active()) return;
  gathered_.Finish(step_.plan.layer_buckets[static_cast<size_t>(layer)]);
  if (software_.fsdp_backward_prefetch != ir::BackwardPrefetch::kPre) return;
  for (int64_t i = 1; i <= software_.fsdp_prefetch; ++i) Start(chunk, layer - i);
}

void UnitGathers::AfterBackward(const Chunk& chunk, int64_t layer) {
  if (!active()) return;
  if (software_.fsdp_backward_prefetch == ir::BackwardPrefetch::kPost) {
    for (int64_t i = 1; i <= software_.fsdp_prefetch; ++i) Start(chunk, layer - i);
  }
  if (!pipelined_ || step_.strategy.zero == 3) gathered_.Drop(step_.plan.layer_buckets[static_cast<size_t>(layer)]);
}

void UnitGathers::EndBackward() {
  if (active() && !pipelined_) DropRoot();
}

}  // namespace helm::model
