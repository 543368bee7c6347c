// RankClasses: which ranks run in step, so that one of each class need be simulated (the representative).
//
// Two ranks are of one class when they start equal (same program, hardware and whatever else the caller numbers as their color) and, for
// each of their groups, the other's group is of the same kind, size and placement and holds the same classes. Found by partition
// refinement: classes by color are split by what their groups look like until nothing changes; that is the coarsest such partition, so a
// homogeneous cluster gives as many classes as the caller gives colors, whatever its size, and one slow rank splits off just those that
// wait for it differently.
//
// Why one of each class is enough: in a simulation where a rank depends on others only through the groups given here, all ranks of a class
// have the same times (by induction over time: equal programs, and each group's start is the latest of the same classes). What else ranks
// share, a NIC or a link, has to be given as a group too. Outside of this: randomness per rank, and streams that choose among tasks that
// become ready at the same time by their numbers (kEarliestReady of sim/event_graph.h), since equal ranks may then choose differently.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace helm::sim {

// What about its members matters to those who are in a group.
enum class GroupSymmetry : uint8_t {
  kSet,       // which classes are in it: a collective starts when the last of them is there
  kMultiset,  // and how many of each: members share a capacity
  kSequence,  // and who stands where: pipeline neighbours, roots
};

struct RankGroup {
  uint32_t kind = 0;       // its role: the mesh dimension. Groups of one kind have one symmetry
  uint32_t placement = 0;  // color of where it lies: ranks per node, shared NICs, whatever its cost depends on
  GroupSymmetry symmetry = GroupSymmetry::kSet;
  std::vector<uint32_t> members;  // ranks
};

// A group as its classes see it: stands for all groups that are equal in kind, placement, size and classes.
struct FoldedGroup {
  uint32_t kind = 0;
  uint32_t placement = 0;
  uint32_t size = 0;              // ranks in each of the groups
  uint32_t example = 0;           // one of them, the first in the caller's list
  std::vector<uint32_t> classes;  // kSet: in order, once each; kMultiset: in order; kSequence: by place
};

struct RankClasses {
  std::vector<uint32_t> class_of_rank;    // numbered in the order of their first ranks
  std::vector<uint32_t> representatives;  // by class: its first rank
  std::vector<uint32_t> sizes;            // by class: how many ranks
  std::vector<FoldedGroup> groups;
  std::vector<uint32_t> folded_group;  // by group of the caller: place in `groups`

  size_t size() const { return representatives.size(); }
};

// `colors`: by rank. REQUIRES: members are ranks, at least one in each group. O(rounds x (members of all groups, with their sorting));
// rounds is the length of the longest chain of groups along which a difference spreads, plus one.
RankClasses FoldRanks(const std::vector<uint32_t>& colors, const std::vector<RankGroup>& groups);

}  // namespace helm::sim
