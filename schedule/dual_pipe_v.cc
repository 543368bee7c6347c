#include "schedule/dual_pipe_v.h"

#include <array>
#include <deque>

namespace helm::schedule {
namespace {

using ir::Action;
using ir::ActionKind;

// Writes the actions of one stage. Side 0 is its chunk on the way up, side 1 the one on the way down; micro-batches run in order on each.
class Writer {
 public:
  Writer(int64_t stages, int64_t stage) : chunks_{static_cast<int32_t>(stage), static_cast<int32_t>(2 * stages - 1 - stage)} {}

  void Forward(size_t side) { Push(side, ActionKind::kForward, forwards_[side]++); }
  void Backward(size_t side) { Push(side, ActionKind::kFullBackward, backwards_[side]++); }
  void InputGradient(size_t side) {
    weights_.emplace_back(side, backwards_[side]);
    Push(side, ActionKind::kInputGradient, backwards_[side]++);
  }
  void Pair(size_t forward, size_t backward) {
    Forward(forward);
    Backward(backward);
  }
  // The oldest that is left.
  void WeightGradient() {
    const auto [side, micro_batch] = weights_.front();
    weights_.pop_front();
    Push(side, ActionKind::kWeightGradient, micro_batch);
  }

  ir::Schedule Take() { return std::move(schedule_); }

 private:
  void Push(size_t side, ActionKind kind, int32_t micro_batch) { schedule_.push_back({chunks_[side], kind, micro_batch, {}}); }

  std::array<int32_t, 2> chunks_;
  std::array<int32_t, 2> forwards_{};
  std::array<int32_t, 2> backwards_{};
  std::deque<std::pair<size_t, int32_t>> weights_;
  ir::Schedule schedule_;
};

template <typename Part>
void Repeat(int64_t times, Part part) {
  for (int64_t i = 0; i < times; ++i) part(i);
}

ir::Schedule DualPipeVStage(int64_t p, int64_t micro_batches, int64_t stage) {
  Writer w(p, stage);
  const int64_t above = p - stage - 1;
  const auto both_forward = [&](int64_t) { w.Forward(0), w.Forward(1); };
  const auto start_down = [&](int64_t) { w.InputGradient(1), w.WeightGradient(), w.Forward(1); };
  const auto both_pairs = [&](int64_t) { w.Pair(0, 1), w.Pair(1, 0); };
  const auto end_up = [&](int64_t) { w.Backward(1), w.Pair(1, 0); };
  // From the middle on weight gradients are put off, to fill what would be bubbles.
  const auto both_backward = [&](int64_t i) {
    const int64_t middle = (stage + 1) / 2;
    const bool odd = stage % 2 == 1;
    const bool apart_down = odd ? i >= middle : i > middle;
    if (apart_down) w.InputGradient(1);
    if (!apart_down) w.Backward(1);
    if (i >= middle) w.InputGradient(0);
    if (i < middle) w.Backward(0);
  };
  Repeat(2 * above, [&](int64_t) { w.Forward(0); });
  Repeat(stage + 1, both_forward);
  Repeat(above, start_down);
  Repeat(micro_batches - 2 * p + stage + 1, both_pairs);
  Repeat(above, end_up);
  Repeat(stage + 1, both_backward);
  Repeat(above, [&](int64_t) { w.WeightGradient(), w.InputGradient(0); });
  Repeat(stage + 1, [&](int64_t) { w.WeightGradient(); });
  return w.Take();
}

}  // namespace

std::vector<ir::Schedule> DualPipeVSchedules(int64_t stages, int64_t micro_batches) {
  std::vector<ir::Schedule> schedules;
  for (int64_t stage = 0; stage < stages; ++stage) schedules.push_back(DualPipeVStage(stages, micro_batches, stage));
  return schedules;
}

}  // namespace helm::schedule
