// OpPlaces: to which action of its schedule and to which layer each op of a program belongs, and where the actions begin.
//
// As each op says, but for a wait that a pass has moved right behind its start, which belongs where that does, and for the gather of
// another layer's parameters between two ops of a layer, which belongs to the layer it lies in. Ops of no action within an action belong to
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ir/program.h"

namespace helm::sim {

struct OpPlaces {
  std::vector<int32_t> action, layer;  // by op; -1: none
  // What lies before the first action, by action, and behind the last: the first op of each, and the number of ops.
  std::vector<size_t> first;
};

OpPlaces PlacesOf(const ir::Program& program);

}  // namespace helm::sim
