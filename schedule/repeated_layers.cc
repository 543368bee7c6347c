#include "schedule/repeated_layers.h"

#include <algorithm>
#include <array>

namespace helm::schedule {
namespace {

constexpr size_t kCellsMost = 400'000;  // of a grid that is searched whole: well under a second

// Runs of equal layers, of one side.
struct Block {
  size_t begin = 0, end = 0;
  size_t size() const { return end - begin; }
};

std::vector<Block> BlocksOf(const std::vector<int32_t>& layers) {
  std::vector<Block> blocks;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i] < 0) continue;
    const bool goes_on = !blocks.empty() && blocks.back().end == i && layers[i] == layers[i - 1];
    if (goes_on) {
      blocks.back().end = i + 1;
    } else {
      blocks.push_back({i, i + 1});
    }
  }
  return blocks;
}

// A step number as seen from a block: one that moves along with the blocks is the same from each.
bool SameFrom(size_t x, size_t begin_x, size_t y, size_t begin_y) { return x == y || x + begin_y == y + begin_x; }

// Whether the blocks number k and k + 1 do the same. `other`: the blocks of the other side.
bool Alike(const std::vector<LatticeStep>& steps, const std::vector<Block>& blocks, const std::vector<Block>& other, size_t k) {
  const Block &x = blocks[k], &y = blocks[k + 1];
  if (x.size() != y.size() || x.end != y.begin || other[k].end != other[k + 1].begin) return false;
  for (size_t i = 0; i < x.size(); ++i) {
    const LatticeStep &s = steps[x.begin + i], &t = steps[y.begin + i];
    if (s.kind != t.kind || s.duration != t.duration || s.channel != t.channel) return false;
    if (!SameFrom(s.start, x.begin, t.start, y.begin)) return false;
    if (s.after == 0 && t.after == 0) continue;
    if (s.after + other[k + 1].begin != t.after + other[k].begin) return false;
  }
  return true;
}

// The longest run of alike blocks: [first, first + count).
struct Run {
  size_t first = 0, count = 0;
};

class LayerSearch {
 public:
  LayerSearch(const LayeredSteps& a, const LayeredSteps& b, size_t channels, const LatticeOptions& options)
      : sides_{a, b}, channels_(channels), options_(options), blocks_{BlocksOf(*a.layers), BlocksOf(*b.layers)} {}

  std::optional<std::vector<bool>> Search() const {
    const Run run = LongestRun();
    if (run.count > kLayersSearched) {
      if (auto path = SearchShortened(run); path && IsLegal(*path)) return path;
    }
    return SearchAll();
  }

 private:
  Run LongestRun() const {
    if (blocks_[0].size() != blocks_[1].size()) return {};
    Run longest, run;
    for (size_t k = 0; k + 1 < blocks_[0].size(); ++k) {
      const bool alike = Alike(*sides_[0].steps, blocks_[0], blocks_[1], k) && Alike(*sides_[1].steps, blocks_[1], blocks_[0], k);
      if (!alike) {
        run = {};
        continue;
      }
      if (run.count == 0) run = {k, 1};
      ++run.count;
      if (run.count > longest.count) longest = run;
    }
    return longest;
  }

  bool IsLegal(const std::vector<bool>& path) const {
    std::array<size_t, 2> gone = {0, 0};
    for (const bool from_b : path) {
      const size_t side = from_b ? 1 : 0;
      const std::vector<LatticeStep>& steps = *sides_[side].steps;
      if (gone[side] == steps.size() || gone[1 - side] < steps[gone[side]].after) return false;
      ++gone[side];
    }
    return gone[0] == sides_[0].steps->size() && gone[1] == sides_[1].steps->size();
  }

  std::optional<std::vector<bool>> SearchAll() const {
    LatticeOptions options = options_;
    const size_t n = sides_[0].steps->size(), m = sides_[1].steps->size();
    if (n * m > kCellsMost) options.window = std::max<size_t>(64, kCellsMost / (2 * (n + 1)));
    const auto found = FastestInterleaving(*sides_[0].steps, *sides_[1].steps, channels_, options);
    if (!found) return std::nullopt;
    return found->from_b;
  }

  // The steps without the run's layers beyond the first kLayersSearched / 2 and the last as many.
  std::vector<LatticeStep> Shortened(size_t side, const Run& run) const {
    const Gap own = GapOf(side, run), other = GapOf(1 - side, run);
    std::vector<LatticeStep> steps;
    for (size_t i = 0; i < sides_[side].steps->size(); ++i) {
      if (i >= own.begin && i < own.end) continue;
      LatticeStep step = (*sides_[side].steps)[i];
      if (i >= own.end) {
        if (step.start != kNoStep) step.start = own.Without(step.start);
        if (step.after > 0) step.after = other.Without(step.after);
      }
      steps.push_back(step);
    }
    return steps;
  }

  struct Gap {
    size_t begin = 0, end = 0;
    // Numbers behind the gap's begin move with the blocks that do.
    size_t Without(size_t number) const { return number < end - begin + begin_of_run ? std::min(number, begin) : number - (end - begin); }
    size_t begin_of_run = 0;
  };
  Gap GapOf(size_t side, const Run& run) const {
    const size_t half = kLayersSearched / 2;
    const std::vector<Block>& blocks = blocks_[side];
    return {blocks[run.first + half].begin, blocks[run.first + run.count - half].begin, blocks[run.first].begin};
  }

  std::optional<std::vector<bool>> SearchShortened(const Run& run) const {
    const std::vector<LatticeStep> a = Shortened(0, run), b = Shortened(1, run);
    const auto found = FastestInterleaving(a, b, channels_, options_);
    if (!found) return std::nullopt;
    return Lengthened(found->from_b, run);
  }

  // Repeats a stretch from one border of A's layers to the next in which B advances by one layer too.
  std::optional<std::vector<bool>> Lengthened(const std::vector<bool>& path, const Run& run) const {
    const size_t first = blocks_[0][run.first].begin;
    const size_t layer_a = blocks_[0][run.first].size(), layer_b = blocks_[1][run.first].size();
    std::vector<std::array<size_t, 2>> borders;  // place in the path, steps of B before it
    size_t i = 0, j = 0;
    for (size_t place = 0; place <= path.size(); ++place) {
      if (borders.size() <= kLayersSearched && i == first + borders.size() * layer_a) borders.push_back({place, j});
      if (place < path.size()) ++(path[place] ? j : i);
    }
    for (const size_t k : {kLayersSearched / 2 - 1, kLayersSearched / 2, kLayersSearched / 2 + 1, kLayersSearched / 2 - 2}) {
      if (k + 1 >= borders.size() || borders[k + 1][1] != borders[k][1] + layer_b) continue;
      const auto begin = path.begin() + static_cast<std::ptrdiff_t>(borders[k][0]);
      const auto end = path.begin() + static_cast<std::ptrdiff_t>(borders[k + 1][0]);
      std::vector<bool> whole(path.begin(), end);
      for (size_t repeat = kLayersSearched; repeat < run.count; ++repeat) whole.insert(whole.end(), begin, end);
      whole.insert(whole.end(), end, path.end());
      return whole;
    }
    return std::nullopt;
  }

  const std::array<LayeredSteps, 2> sides_;
  const size_t channels_;
  const LatticeOptions& options_;
  const std::array<std::vector<Block>, 2> blocks_;
};

}  // namespace

std::optional<std::vector<bool>> InterleaveLayers(const LayeredSteps& a, const LayeredSteps& b, size_t channels,
                                                  const LatticeOptions& options) {
  return LayerSearch(a, b, channels, options).Search();
}

}  // namespace helm::schedule
