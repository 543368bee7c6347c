// ParameterBox: a box of one parameter of the model: what a rank holds of it in one segment, or a part of that. What checkpoints are cut
// into and put together from, whatever the split that wrote them and the split that reads them.
//
// Beside ElementRun (exec/parameter_state.h), which is finer: the columns of a matrix that is split over tensor ranks are one box, and one
// run for each row. Boxes are in the program's orientation; plain arithmetic, no torch.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "exec/parameter_state.h"
#include "ir/program.h"

namespace helm::exec {

struct ParameterBox {
  ir::Shape offset;  // of its first element in the unsplit parameter
  ir::Shape shape;   // no size is 0
  auto operator<=>(const ParameterBox&) const = default;
};

// The boxes that make up the piece's elements in `range` of the segment, for the rank with these coordinates, without padding. They do not
// overlap; a range cuts a box of n dimensions into 2 n - 1 at most: a beginning, whole rows, an end.
std::vector<ParameterBox> BoxesOf(const ir::ParameterPiece& piece, const std::vector<ir::MeshDimension>& mesh,
                                  const std::vector<int64_t>& coordinates, ElementRange range);

std::optional<ParameterBox> Intersection(const ParameterBox& a, const ParameterBox& b);

// The same box of the tensor as files have it (ParameterPiece::transposed), and the other way round.
ParameterBox Turned(const ParameterBox& box, bool transposed);

// Elements of an array of these sizes: where a parameter's element lies in it.
class ElementPlaces {
 public:
  // Of a tensor that holds `box` and nothing else, row-major, as files have it.
  static ElementPlaces InFile(const ParameterBox& box, bool transposed);
  // Of a segment that holds the piece, from its element `first` on.
  static ElementPlaces InSegment(const ir::ParameterPiece& piece, const std::vector<ir::MeshDimension>& mesh,
                                 const std::vector<int64_t>& coordinates, int64_t first);

  int64_t Of(const ir::Shape& element) const;
  int64_t last_stride() const { return strides_.empty() ? 1 : strides_.back(); }

 private:
  ir::Shape origin_;
  ir::Shape strides_;
  int64_t base_ = 0;
};

// Copies the elements of `box`. REQUIRES: both arrays hold all of it.
void CopyBox(const ParameterBox& box, const ElementPlaces& from_places, std::span<const float> from, const ElementPlaces& to_places,
             std::span<float> to);

}  // namespace helm::exec
