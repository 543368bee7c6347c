// InterleaveLayers: the lattice (schedule/lattice.h) for streams of many layers, most of them alike.
//
// A run of alike layers is shortened to kLayersSearched of them. In the path found, a stretch in which each stream advances by just one
// layer is repeated for those that were left out; the system is max-plus linear, so after a start-up such a stretch takes the same time
// again and again. Where the path has none, or the layers are not alike, all are searched, within a window around the diagonal where the
// grid is large.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "schedule/lattice.h"

namespace helm::schedule {

inline constexpr size_t kLayersSearched = 6;

struct LayeredSteps {
  const std::vector<LatticeStep>* steps = nullptr;
  const std::vector<int32_t>* layers = nullptr;  // by step; -1: outside all layers
};

// Of each next step whether it is B's. None where no order meets the budget.
std::optional<std::vector<bool>> InterleaveLayers(const LayeredSteps& a, const LayeredSteps& b, size_t channels,
                                                  const LatticeOptions& options);

}  // namespace helm::schedule
