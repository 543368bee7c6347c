// MaxMinShares: how fast tasks run that share resources (links, NICs, memory bandwidth), by max-min fairness: no task's flow can be raised
// without lowering that of a task that has no more (progressive filling; Bertsekas and Gallager, Data Networks, 6.5.2).
//
// A task at rate 1 has a flow, in the units of the resources (say bytes a second), and takes flow x multiplicity of each resource that it
// uses; at rate r it takes r times that. Fairness evens out the flows, as it does for transfers on links. Tasks that shall suffer the same
// slowdown whatever they move are given the same flow and different multiplicities. A task never runs faster than its ceiling.
//
// Rates are whole numbers of 1 / kFullRate. kFullRate is the least common multiple of 1 ... 40, so that up to 40 equal tasks share without
// any rounding; otherwise rates are rounded down, by less than 2e-16. So no resource is ever above its capacity.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace helm::sim {

using Rate = int64_t;  // in units of 1 / kFullRate
inline constexpr Rate kFullRate = 5342931457063200;

struct ResourceUse {
  uint32_t resource = 0;
  uint32_t multiplicity = 1;
};

struct SharedFlow {
  int64_t flow = 1;          // at full rate
  Rate ceiling = kFullRate;  // 0 ... kFullRate
  std::span<const ResourceUse> uses;
};

inline constexpr int64_t kFlowMost = int64_t{1} << 40;  // flows and capacities: 1.1e12 (units of your choice)
inline constexpr uint32_t kMultiplicityMost = uint32_t{1} << 20;

// Holds the scratch arrays between calls; the result depends on the arguments alone, and not on the order of `flows`.
class MaxMinShares {
 public:
  // REQUIRES: 0 <= capacity <= kFlowMost.
  explicit MaxMinShares(std::span<const int64_t> capacities);

  // Fills rates[i] for flows[i]. Every user of a resource on which the flows together exceed the capacity must be among `flows`.
  // REQUIRES: 1 <= flow <= kFlowMost, multiplicities 1 ... kMultiplicityMost, a resource at most once in a task's uses.
  void Solve(std::span<const SharedFlow> flows, std::span<Rate> rates);

 private:
  using Wide = __int128;  // a flow in units of 1 / kFullRate
  struct Resource {
    int64_t capacity = 0;
    Wide load = 0;       // of all flows at full rate
    Wide remaining = 0;  // capacity that frozen flows leave
    int64_t open = 0;    // multiplicities of the flows that are not frozen
    std::vector<uint32_t> users;
  };

  void FindBinding(std::span<const SharedFlow> flows);
  Wide Level() const;
  void Freeze(const SharedFlow& flow, uint32_t index, Wide level, std::span<Rate> rates);
  void FreezeBinding(std::span<const SharedFlow> flows, Wide level, std::span<Rate> rates);

  std::vector<Resource> resources_;
  std::vector<uint32_t> touched_;     // resources of this call
  std::vector<uint32_t> binding_;     // those whose capacity does not suffice
  std::vector<uint32_t> by_ceiling_;  // flows, those with the lowest ceiling first
  std::vector<uint8_t> frozen_;
};

}  // namespace helm::sim
