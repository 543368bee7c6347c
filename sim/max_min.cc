#include "sim/max_min.h"

#include <algorithm>
#include <numeric>

#include "core/check.h"

namespace helm::sim {
namespace {

constexpr int64_t LeastCommonMultipleUpTo(int64_t last) {
  int64_t result = 1;
  for (int64_t factor = 2; factor <= last; ++factor) result = std::lcm(result, factor);
  return result;
}
static_assert(kFullRate == LeastCommonMultipleUpTo(40));

// The flow of a task at its ceiling, in units of 1 / kFullRate.
__int128 CeilingFlow(const SharedFlow& flow) { return static_cast<__int128>(flow.flow) * flow.ceiling; }

}  // namespace

MaxMinShares::MaxMinShares(std::span<const int64_t> capacities) : resources_(capacities.size()) {
  for (size_t i = 0; i < capacities.size(); ++i) {
    HELM_CHECK(capacities[i] >= 0 && capacities[i] <= kFlowMost, "a capacity is 0 ... kFlowMost");
    resources_[i].capacity = capacities[i];
  }
}

// Finds the resources whose capacity does not suffice for all flows at full rate. The others slow nobody down.
void MaxMinShares::FindBinding(std::span<const SharedFlow> flows) {
  touched_.clear();
  binding_.clear();
  for (const SharedFlow& flow : flows) {
    for (const ResourceUse& use : flow.uses) {
      Resource& resource = resources_[use.resource];
      if (resource.load == 0) touched_.push_back(use.resource);
      resource.load += static_cast<Wide>(flow.flow) * use.multiplicity;
    }
  }
  for (const uint32_t index : touched_) {
    Resource& resource = resources_[index];
    if (resource.load <= resource.capacity) continue;
    binding_.push_back(index);
    resource.remaining = static_cast<Wide>(resource.capacity) * kFullRate;
    resource.open = 0;
    resource.users.clear();
  }
  for (uint32_t i = 0; i < flows.size(); ++i) {
    for (const ResourceUse& use : flows[i].uses) {
      Resource& resource = resources_[use.resource];
      if (resource.load <= resource.capacity) continue;
      resource.open += use.multiplicity;
      resource.users.push_back(i);
    }
  }
}

// The flow at which the first resource fills up when all open flows grow together.
MaxMinShares::Wide MaxMinShares::Level() const {
  Wide level = static_cast<Wide>(kFlowMost) * kFullRate;  // above every ceiling
  for (const uint32_t index : binding_) {
    const Resource& resource = resources_[index];
    if (resource.open > 0) level = std::min(level, resource.remaining / resource.open);
  }
  return level;
}

void MaxMinShares::Freeze(const SharedFlow& flow, uint32_t index, Wide level, std::span<Rate> rates) {
  frozen_[index] = 1;
  rates[index] = static_cast<Rate>(level / flow.flow);
  for (const ResourceUse& use : flow.uses) {
    Resource& resource = resources_[use.resource];
    if (resource.load <= resource.capacity) continue;
    resource.remaining -= level * use.multiplicity;
    resource.open -= use.multiplicity;
    HELM_CHECK(resource.remaining >= 0, "no resource may be above its capacity");
  }
}

// Freezes all open flows on the resources that are full at `level`.
void MaxMinShares::FreezeBinding(std::span<const SharedFlow> flows, Wide level, std::span<Rate> rates) {
  std::vector<uint32_t> full;
  for (const uint32_t index : binding_) {
    const Resource& resource = resources_[index];
    if (resource.open > 0 && resource.remaining / resource.open == level) full.push_back(index);
  }
  for (const uint32_t index : full) {
    for (const uint32_t user : resources_[index].users) {
      if (frozen_[user] == 0) Freeze(flows[user], user, level, rates);
    }
  }
}

void MaxMinShares::Solve(std::span<const SharedFlow> flows, std::span<Rate> rates) {
  HELM_CHECK(flows.size() == rates.size(), "one rate for each flow");
  FindBinding(flows);
  by_ceiling_.resize(flows.size());
  std::iota(by_ceiling_.begin(), by_ceiling_.end(), 0U);
  std::sort(by_ceiling_.begin(), by_ceiling_.end(), [&](uint32_t a, uint32_t b) { return CeilingFlow(flows[a]) < CeilingFlow(flows[b]); });
  frozen_.assign(flows.size(), 0);
  size_t next = 0;  // the first of by_ceiling_ that may be open
  while (next < by_ceiling_.size()) {
    const uint32_t lowest = by_ceiling_[next];
    if (frozen_[lowest] != 0) {
      ++next;
      continue;
    }
    const Wide level = Level();
    if (CeilingFlow(flows[lowest]) > level) {
      FreezeBinding(flows, level, rates);
      continue;
    }
    // The level only rises when flows below it are frozen, so all with ceilings up to it go at once.
    for (; next < by_ceiling_.size() && CeilingFlow(flows[by_ceiling_[next]]) <= level; ++next) {
      const uint32_t index = by_ceiling_[next];
      if (frozen_[index] == 0) Freeze(flows[index], index, CeilingFlow(flows[index]), rates);
    }
  }
  for (const uint32_t index : touched_) resources_[index].load = 0;
}

}  // namespace helm::sim
