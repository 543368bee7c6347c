#include "sim/rank_classes.h"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <utility>

#include "core/check.h"

namespace helm::sim {
namespace {

using Words = std::vector<uint32_t>;

struct WordsHash {
  size_t operator()(const Words& words) const {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a over words; collisions only cost time
    for (const uint32_t word : words) hash = (hash ^ word) * 0x100000001b3;
    return hash ^ hash >> 32;
  }
};

// Gives equal word lists equal numbers, counted from 0 in the order in which they first come.
class Numbering {
 public:
  uint32_t Of(const Words& words) {
    const auto [found, is_new] = numbers_.try_emplace(words, static_cast<uint32_t>(numbers_.size()));
    return found->second;
  }
  size_t size() const { return numbers_.size(); }

 private:
  std::unordered_map<Words, uint32_t, WordsHash> numbers_;
};

// The classes of a group's members, as far as they matter to it.
void ClassesOf(const RankGroup& group, const std::vector<uint32_t>& class_of_rank, Words& classes) {
  const size_t begin = classes.size();
  for (const uint32_t rank : group.members) classes.push_back(class_of_rank[rank]);
  if (group.symmetry == GroupSymmetry::kSequence) return;
  const auto first = classes.begin() + static_cast<std::ptrdiff_t>(begin);
  std::sort(first, classes.end());
  if (group.symmetry == GroupSymmetry::kSet) classes.erase(std::unique(first, classes.end()), classes.end());
}

// By group a number that is equal for groups that look alike.
std::vector<uint32_t> NumberGroups(const std::vector<RankGroup>& groups, const std::vector<uint32_t>& class_of_rank) {
  Numbering numbering;
  std::vector<uint32_t> numbers;
  numbers.reserve(groups.size());
  Words words;
  for (const RankGroup& group : groups) {
    words = {group.kind, group.placement, static_cast<uint32_t>(group.symmetry), static_cast<uint32_t>(group.members.size())};
    ClassesOf(group, class_of_rank, words);
    numbers.push_back(numbering.Of(words));
  }
  return numbers;
}

// A rank's membership of a group; place: its place in it where that matters, otherwise 0.
struct Membership {
  uint32_t group = 0;
  uint32_t place = 0;
};

std::vector<std::vector<Membership>> MembershipsOf(size_t ranks, const std::vector<RankGroup>& groups) {
  std::vector<std::vector<Membership>> memberships(ranks);
  for (uint32_t group = 0; group < groups.size(); ++group) {
    HELM_CHECK(!groups[group].members.empty(), "a group has members");
    for (uint32_t place = 0; place < groups[group].members.size(); ++place) {
      const uint32_t rank = groups[group].members[place];
      HELM_CHECK(rank < ranks, "members are ranks");
      memberships[rank].push_back({group, groups[group].symmetry == GroupSymmetry::kSequence ? place : 0});
    }
  }
  return memberships;
}

// One round: a rank's new class is its old one with what its groups look like now. Splits classes, never joins them.
size_t Refine(const std::vector<std::vector<Membership>>& memberships, const std::vector<uint32_t>& group_numbers,
              std::vector<uint32_t>& class_of_rank) {
  Numbering numbering;
  Words words;
  std::vector<std::pair<uint32_t, uint32_t>> seen;
  for (size_t rank = 0; rank < class_of_rank.size(); ++rank) {
    seen.clear();
    for (const Membership& membership : memberships[rank]) seen.emplace_back(group_numbers[membership.group], membership.place);
    std::sort(seen.begin(), seen.end());
    words = {class_of_rank[rank]};
    for (const auto& [number, place] : seen) {
      words.push_back(number);
      words.push_back(place);
    }
    class_of_rank[rank] = numbering.Of(words);
  }
  return numbering.size();
}

void Describe(const std::vector<RankGroup>& groups, size_t count, const std::vector<uint32_t>& group_numbers, RankClasses& result) {
  result.representatives.assign(count, std::numeric_limits<uint32_t>::max());
  result.sizes.assign(count, 0);
  for (uint32_t rank = 0; rank < result.class_of_rank.size(); ++rank) {
    const uint32_t its_class = result.class_of_rank[rank];
    if (result.sizes[its_class]++ == 0) result.representatives[its_class] = rank;
  }
  for (uint32_t group = 0; group < groups.size(); ++group) {
    if (group_numbers[group] < result.groups.size()) continue;  // numbers count up with first appearance
    FoldedGroup folded{.kind = groups[group].kind,
                       .placement = groups[group].placement,
                       .size = static_cast<uint32_t>(groups[group].members.size()),
                       .example = group,
                       .classes = {}};
    ClassesOf(groups[group], result.class_of_rank, folded.classes);
    result.groups.push_back(std::move(folded));
  }
  result.folded_group = group_numbers;
}

}  // namespace

RankClasses FoldRanks(const std::vector<uint32_t>& colors, const std::vector<RankGroup>& groups) {
  const std::vector<std::vector<Membership>> memberships = MembershipsOf(colors.size(), groups);
  RankClasses result;
  result.class_of_rank = colors;
  size_t count = Refine(std::vector<std::vector<Membership>>(colors.size()), {}, result.class_of_rank);  // colors as numbers from 0
  while (true) {
    const std::vector<uint32_t> group_numbers = NumberGroups(groups, result.class_of_rank);
    const size_t refined = Refine(memberships, group_numbers, result.class_of_rank);
    if (refined == count) break;
    count = refined;
  }
  // Refined to as many classes as before: the same ones, possibly under other numbers.
  Describe(groups, count, NumberGroups(groups, result.class_of_rank), result);
  return result;
}

}  // namespace helm::sim
