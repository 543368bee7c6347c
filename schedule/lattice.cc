#include "schedule/lattice.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>

#include "core/check.h"

namespace helm::schedule {
namespace {

// A label's numbers: [0] compute stream free, [1] peak of memory, [2, 2 + channels) channels free, then the ends of the open starts of A
// and of B, in their order.
using Number = int64_t;
constexpr size_t kCompute = 0, kPeak = 1, kFirstChannel = 2;

// One of the two streams, with what does not depend on the path.
struct Side {
  explicit Side(const std::vector<LatticeStep>& all) : steps(all), open(all.size() + 1), live(all.size() + 1, 0) {
    std::vector<size_t> last_wait(all.size(), kNoStep);
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].kind == StepKind::kWait && all[i].start != kNoStep) last_wait[all[i].start] = i;
    }
    for (size_t i = 0; i < all.size(); ++i) {
      for (const size_t start : open[i]) {
        if (last_wait[start] > i) open[i + 1].push_back(start);
      }
      if (all[i].kind == StepKind::kStart && last_wait[i] != kNoStep) open[i + 1].push_back(i);
      live[i + 1] = live[i] + all[i].allocates - all[i].frees;
    }
  }

  const std::vector<LatticeStep>& steps;
  std::vector<std::vector<size_t>> open;  // by number of steps gone: starts whose last wait is still to come
  std::vector<int64_t> live;              // bytes, likewise
};

// Appends a step to labels.
class Stepper {
 public:
  Stepper(const std::vector<LatticeStep>& a, const std::vector<LatticeStep>& b, size_t channels)
      : sides_{Side(a), Side(b)}, channels_(channels) {}

  const Side& side(size_t which) const { return sides_[which]; }
  size_t channels() const { return channels_; }
  size_t Width(std::array<size_t, 2> at) const {
    return kFirstChannel + channels_ + sides_[0].open[at[0]].size() + sides_[1].open[at[1]].size();
  }

  // Whether the next step of `which` may follow.
  bool MayStep(std::array<size_t, 2> at, size_t which) const {
    const std::vector<LatticeStep>& steps = sides_[which].steps;
    return at[which] < steps.size() && at[1 - which] >= steps[at[which]].after;
  }

  // The label behind the next step of `which`.
  void Step(std::array<size_t, 2> at, size_t which, std::span<const Number> label, std::vector<Number>& next) const {
    const Side& side = sides_[which];
    const LatticeStep& step = side.steps[at[which]];
    next.assign(label.begin(), label.begin() + static_cast<std::ptrdiff_t>(kFirstChannel + channels_));
    next[kPeak] = std::max(next[kPeak], side.live[at[which]] + sides_[1 - which].live[at[1 - which]] + step.allocates);
    Number ends = 0;
    if (step.kind == StepKind::kCompute) next[kCompute] += step.duration;
    if (step.kind == StepKind::kStart) {
      Number& channel = next[kFirstChannel + step.channel];
      ends = channel = std::max(channel, next[kCompute]) + step.duration;
    }
    if (step.kind == StepKind::kWait && step.start != kNoStep) {
      next[kCompute] = std::max(next[kCompute], EndOf(at, which, step.start, label));
    }
    for (size_t s = 0; s < 2; ++s) CopyOpen(at, s, s == which, label, ends, next);
  }

  // The label behind a merge. Nothing starts or ends in it, so that what is open stays as it is.
  void StepMerged(std::array<size_t, 2> at, const LatticeMerge& merge, std::span<const Number> label, std::vector<Number>& next) const {
    next.assign(label.begin(), label.end());
    next[kCompute] += merge.duration;
    int64_t peak = sides_[0].live[at[0]] + sides_[1].live[at[1]] + merge.allocates;  // nothing is taken to be freed within it
    for (size_t k = 0; k < merge.count; ++k) peak += sides_[0].steps[at[0] + k].allocates + sides_[1].steps[at[1] + k].allocates;
    next[kPeak] = std::max(next[kPeak], peak);
  }

  // Whether what its steps need of the other stream has been done, or is done in it.
  bool MayMerge(const LatticeMerge& merge) const {
    for (size_t k = 0; k < merge.count; ++k) {
      const LatticeStep &a = sides_[0].steps[merge.a + k], &b = sides_[1].steps[merge.b + k];
      if (a.kind != StepKind::kCompute || b.kind != StepKind::kCompute) return false;
      if (a.after > merge.b + k || b.after > merge.a + k + 1) return false;
    }
    return true;
  }

 private:
  size_t FirstOpen(std::array<size_t, 2> at, size_t which) const {
    return kFirstChannel + channels_ + (which == 0 ? 0 : sides_[0].open[at[0]].size());
  }

  Number EndOf(std::array<size_t, 2> at, size_t which, size_t start, std::span<const Number> label) const {
    const std::vector<size_t>& open = sides_[which].open[at[which]];
    const auto found = std::ranges::find(open, start);
    HELM_CHECK(found != open.end(), "a wait names an open start");
    return label[FirstOpen(at, which) + static_cast<size_t>(found - open.begin())];
  }

  void CopyOpen(std::array<size_t, 2> at, size_t which, bool steps, std::span<const Number> label, Number ends,
                std::vector<Number>& next) const {
    const std::vector<size_t>& open = sides_[which].open[at[which]];
    const size_t first = FirstOpen(at, which);
    if (!steps) {
      next.insert(next.end(), label.begin() + static_cast<std::ptrdiff_t>(first),
                  label.begin() + static_cast<std::ptrdiff_t>(first + open.size()));
      return;
    }
    for (const size_t start : sides_[which].open[at[which] + 1]) {
      const auto found = std::ranges::find(open, start);
      next.push_back(found == open.end() ? ends : label[first + static_cast<size_t>(found - open.begin())]);
    }
  }

  std::array<Side, 2> sides_;
  const size_t channels_;
};

constexpr uint32_t kNoMerge = UINT32_MAX;

struct Parent {
  uint32_t label = 0;  // in the cell before
  bool from_b = false;
  uint32_t merge = kNoMerge;  // the way here, instead of a step
};

struct Cell {
  std::vector<Number> numbers;  // of all labels, one after the other
  std::vector<Parent> parents;
};

class Grid {
 public:
  Grid(const Stepper& stepper, const LatticeOptions& options)
      : stepper_(stepper), options_(options), rows_(stepper.side(0).steps.size() + 1), columns_(stepper.side(1).steps.size() + 1) {
    for (size_t m = 0; m < options.merges.size(); ++m) {
      const LatticeMerge& merge = options.merges[m];
      if (!stepper.MayMerge(merge)) continue;
      merges_to_[{merge.a + merge.count, merge.b + merge.count}].push_back(m);
      rows_kept_ = std::max(rows_kept_, merge.count);
    }
  }

  std::optional<Interleaving> Run() {
    cells_.resize(rows_ * columns_);
    At({0, 0}).numbers.assign(stepper_.Width({0, 0}), 0);
    At({0, 0}).parents.emplace_back();
    for (size_t i = 0; i < rows_; ++i) {
      for (size_t j = 0; j < columns_; ++j) {
        if (i + j > 0 && Inside(i, j)) Fill({i, j});
      }
      if (i >= rows_kept_) Forget(i - rows_kept_);
    }
    return Best();
  }

 private:
  Cell& At(std::array<size_t, 2> at) { return cells_[at[0] * columns_ + at[1]]; }

  // The way back needs only the parents.
  void Forget(size_t row) {
    for (size_t j = 0; j < columns_; ++j) std::vector<Number>().swap(At({row, j}).numbers);
  }

  bool Inside(size_t i, size_t j) const {
    if (options_.window == SIZE_MAX || rows_ == 1) return true;
    const size_t diagonal = i * (columns_ - 1) / (rows_ - 1);
    return (j > diagonal ? j - diagonal : diagonal - j) <= options_.window;
  }

  std::span<const Number> LabelOf(const Cell& cell, size_t label, size_t width) const {
    return std::span<const Number>(cell.numbers).subspan(label * width, width);
  }

  void Fill(std::array<size_t, 2> at) {
    const size_t width = stepper_.Width(at);
    std::vector<Number> numbers, next;
    std::vector<Parent> parents;
    for (size_t which = 0; which < 2; ++which) {
      if (at[which] == 0) continue;
      std::array<size_t, 2> from = at;
      --from[which];
      if (!stepper_.MayStep(from, which)) continue;
      const Cell& before = At(from);
      const size_t width_before = stepper_.Width(from);
      for (size_t label = 0; label < before.parents.size(); ++label) {
        stepper_.Step(from, which, LabelOf(before, label, width_before), next);
        if (options_.memory_budget && next[kPeak] > options_.memory_budget->count()) continue;
        numbers.insert(numbers.end(), next.begin(), next.end());
        parents.push_back({static_cast<uint32_t>(label), which == 1});
      }
    }
    if (const auto merges = merges_to_.find(at); merges != merges_to_.end()) {
      for (const size_t merge : merges->second) AddMerged(at, merge, numbers, parents);
    }
    Keep(numbers, parents, width, At(at));
  }

  void AddMerged(std::array<size_t, 2> at, size_t index, std::vector<Number>& numbers, std::vector<Parent>& parents) {
    const LatticeMerge& merge = options_.merges[index];
    const std::array<size_t, 2> from = {at[0] - merge.count, at[1] - merge.count};
    const Cell& before = At(from);
    std::vector<Number> next;
    for (size_t label = 0; label < before.parents.size(); ++label) {
      stepper_.StepMerged(from, merge, LabelOf(before, label, stepper_.Width(from)), next);
      if (options_.memory_budget && next[kPeak] > options_.memory_budget->count()) continue;
      numbers.insert(numbers.end(), next.begin(), next.end());
      parents.push_back({static_cast<uint32_t>(label), false, static_cast<uint32_t>(index)});
    }
  }

  // The last of the times: what is left to do is the same for all labels of a cell.
  Number FreeAt(std::span<const Number> label) const {
    Number last = label[kCompute];
    for (size_t c = 0; c < stepper_.channels(); ++c) last = std::max(last, label[kFirstChannel + c]);
    return last;
  }

  bool Dominates(std::span<const Number> a, std::span<const Number> b) const {
    for (size_t i = 0; i < a.size(); ++i) {
      if (i != kPeak && a[i] > b[i]) return false;
    }
    return !options_.memory_budget || a[kPeak] <= b[kPeak];
  }

  // Those that no other dominates, of these the first `beam` by the last of their times, then by all of them and the peak.
  void Keep(const std::vector<Number>& numbers, const std::vector<Parent>& parents, size_t width, Cell& cell) const {
    const auto label = [&](size_t i) { return std::span<const Number>(numbers).subspan(i * width, width); };
    std::vector<std::array<Number, 4>> keys;
    for (size_t i = 0; i < parents.size(); ++i) {
      Number sum = 0;
      for (size_t n = 0; n < width; ++n) sum += n == kPeak ? 0 : label(i)[n];
      keys.push_back({FreeAt(label(i)), sum, label(i)[kPeak], static_cast<Number>(i)});
    }
    std::ranges::sort(keys);
    std::vector<size_t> kept;
    for (const auto& key : keys) {
      const auto i = static_cast<size_t>(key[3]);
      if (kept.size() == options_.beam) break;
      if (std::ranges::any_of(kept, [&](size_t other) { return Dominates(label(other), label(i)); })) continue;
      kept.push_back(i);
      cell.numbers.insert(cell.numbers.end(), label(i).begin(), label(i).end());
      cell.parents.push_back(parents[i]);
    }
  }

  std::optional<Interleaving> Best() {
    std::array<size_t, 2> at = {rows_ - 1, columns_ - 1};
    const Cell& last = At(at);
    if (last.parents.empty()) return std::nullopt;
    // Sorted by the last of the times.
    const std::span<const Number> best = LabelOf(last, 0, stepper_.Width(at));
    Interleaving result{{}, FreeAt(best), best[kPeak], {}};
    for (uint32_t label = 0; at[0] + at[1] > 0;) {
      const Parent parent = At(at).parents[label];
      label = parent.label;
      if (parent.merge == kNoMerge) {
        result.from_b.push_back(parent.from_b);
        --at[parent.from_b ? 1 : 0];
        continue;
      }
      const size_t count = options_.merges[parent.merge].count;
      result.merged.push_back(parent.merge);
      result.from_b.insert(result.from_b.end(), count, true);
      result.from_b.insert(result.from_b.end(), count, false);
      for (size_t& steps : at) steps -= count;
    }
    std::reverse(result.from_b.begin(), result.from_b.end());
    std::reverse(result.merged.begin(), result.merged.end());
    return result;
  }

  const Stepper& stepper_;
  const LatticeOptions& options_;
  const size_t rows_, columns_;
  std::vector<Cell> cells_;                                         // row by row
  std::map<std::array<size_t, 2>, std::vector<size_t>> merges_to_;  // by the cell where they end
  size_t rows_kept_ = 1;                                            // whose labels are still read
};

}  // namespace

std::optional<Interleaving> FastestInterleaving(const std::vector<LatticeStep>& a, const std::vector<LatticeStep>& b, size_t channels,
                                                const LatticeOptions& options) {
  const Stepper stepper(a, b, channels);
  return Grid(stepper, options).Run();
}

Interleaving Play(const std::vector<LatticeStep>& a, const std::vector<LatticeStep>& b, size_t channels, const std::vector<bool>& from_b) {
  const Stepper stepper(a, b, channels);
  std::vector<Number> label(stepper.Width({0, 0}), 0), next;
  std::array<size_t, 2> at = {0, 0};
  for (const bool second : from_b) {
    const size_t which = second ? 1 : 0;
    HELM_CHECK(stepper.MayStep(at, which), "an order respects what must come first");
    stepper.Step(at, which, label, next);
    label.swap(next);
    ++at[which];
  }
  Interleaving result{from_b, label[kCompute], label[kPeak], {}};
  for (size_t c = 0; c < channels; ++c) result.makespan = std::max(result.makespan, label[kFirstChannel + c]);
  return result;
}

}  // namespace helm::schedule
