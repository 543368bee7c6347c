#include "exec/shard_layout.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

namespace helm::exec {
namespace {

// The parameters that stages before this one hold.
std::set<std::string> NamesBefore(const ir::StepPrograms& step, size_t stage) {
  std::set<std::string> names;
  for (size_t c = 0; c < stage; ++c) {
    for (const ir::ParameterSegment& segment : step.classes[c].segments) {
      for (const ir::ParameterPiece& piece : segment.pieces) names.insert(piece.name);
    }
  }
  return names;
}

using BoxKey = std::tuple<size_t, size_t, ParameterBox>;  // segment, piece, box
using Holders = std::map<BoxKey, std::vector<int64_t>>;   // ranks, ascending

void AddBoxes(const ir::Program& program, int64_t rank, const std::set<std::string>& others, Holders& holders) {
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  for (size_t s = 0; s < program.segments.size(); ++s) {
    const ir::ParameterSegment& segment = program.segments[s];
    const ElementRange own = OwnRange(segment, program.mesh, coordinates);
    for (size_t p = 0; p < segment.pieces.size(); ++p) {
      if (others.contains(segment.pieces[p].name)) continue;
      for (ParameterBox& box : BoxesOf(segment.pieces[p], program.mesh, coordinates, own)) {
        holders[{s, p, std::move(box)}].push_back(rank);
      }
    }
  }
}

}  // namespace

std::vector<OwnedBox> OwnedBoxes(const ir::StepPrograms& step, int64_t rank) {
  const auto stage_of = [&step](int64_t of) { return ir::StageOfClass(step, ir::ClassOfRank(step, of)); };
  const size_t stage = stage_of(rank);
  const std::set<std::string> others = NamesBefore(step, stage);
  Holders holders;
  for (int64_t r = 0; r < ir::WorldSize(step.mesh()); ++r) {
    if (stage_of(r) == stage) AddBoxes(step.classes[stage], r, others, holders);
  }
  std::vector<OwnedBox> owned;
  std::map<int64_t, int64_t> elements;  // by rank, given so far
  for (const auto& [key, ranks] : holders) {
    const int64_t writer = *std::ranges::min_element(ranks, {}, [&](int64_t r) { return elements[r]; });
    const auto& [segment, piece, box] = key;
    elements[writer] += ir::ElementCount(box.shape);
    if (writer == rank) owned.push_back({segment, piece, box});
  }
  return owned;
}

}  // namespace helm::exec
