#include "exec/parameter_box.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace helm::exec {
namespace {

// Cuts the elements from `begin` to `end` of a row-major box, counted from its own first element, into boxes.
class Cutter {
 public:
  explicit Cutter(const ir::Shape& shape) : shape_(shape), strides_(ir::ContiguousStrides(shape)) {}

  std::vector<ParameterBox> Cut(int64_t begin, int64_t end) {
    if (begin < end) Cut(0, begin, end);
    return std::move(boxes_);
  }

 private:
  // Within the rows that prefix_ names, from dimension `d` on.
  void Cut(size_t d, int64_t begin, int64_t end) {
    if (d == shape_.size()) return Add(d, 0, 1);
    const int64_t row = strides_[d];
    int64_t first = begin / row;
    const int64_t last = end / row;  // the first row that is not whole
    if (begin % row != 0) {
      CutRow(d, first, begin % row, first == last ? end % row : row);
      if (first++ == last) return;
    }
    if (first < last) Add(d, first, last);
    if (end % row != 0) CutRow(d, last, 0, end % row);
  }

  void CutRow(size_t d, int64_t row, int64_t begin, int64_t end) {
    prefix_.push_back(row);
    Cut(d + 1, begin, end);
    prefix_.pop_back();
  }

  // Rows `first` to `last` of dimension d, whole.
  void Add(size_t d, int64_t first, int64_t last) {
    ParameterBox box{prefix_, ir::Shape(prefix_.size(), 1)};
    for (size_t i = d; i < shape_.size(); ++i) {
      box.offset.push_back(i == d ? first : 0);
      box.shape.push_back(i == d ? last - first : shape_[i]);
    }
    boxes_.push_back(std::move(box));
  }

  const ir::Shape& shape_;
  const ir::Shape strides_;
  ir::Shape prefix_;
  std::vector<ParameterBox> boxes_;
};

ir::Shape OffsetOf(const ir::ParameterPiece& piece, const std::vector<ir::MeshDimension>& mesh, const std::vector<int64_t>& coordinates) {
  ir::Shape offset;
  for (const ir::RankExpression& expression : piece.box_offset) offset.push_back(ir::Evaluate(expression, mesh, coordinates));
  return offset;
}

ir::Shape Reversed(ir::Shape shape) {
  std::ranges::reverse(shape);
  return shape;
}

// The next row (all dimensions but the last) of the box; false behind the last.
bool Advance(const ParameterBox& box, ir::Shape& element) {
  for (size_t d = element.size() - 1; d-- > 0;) {
    if (++element[d] < box.offset[d] + box.shape[d]) return true;
    element[d] = box.offset[d];
  }
  return false;
}

}  // namespace

std::vector<ParameterBox> BoxesOf(const ir::ParameterPiece& piece, const std::vector<ir::MeshDimension>& mesh,
                                  const std::vector<int64_t>& coordinates, ElementRange range) {
  const int64_t elements = ir::ElementCount(piece.box_shape);
  const int64_t begin = std::clamp<int64_t>(range.begin - piece.offset, 0, elements);
  const int64_t end = std::clamp<int64_t>(range.end - piece.offset, 0, elements);
  const ir::Shape offset = OffsetOf(piece, mesh, coordinates);
  const ParameterBox whole{ir::Shape(piece.global_shape.size(), 0), piece.global_shape};
  std::vector<ParameterBox> boxes;
  for (ParameterBox& box : Cutter(piece.box_shape).Cut(begin, end)) {
    for (size_t d = 0; d < offset.size(); ++d) box.offset[d] += offset[d];
    if (auto inside = Intersection(box, whole)) boxes.push_back(std::move(*inside));
  }
  return boxes;
}

std::optional<ParameterBox> Intersection(const ParameterBox& a, const ParameterBox& b) {
  HELM_CHECK(a.offset.size() == b.offset.size(), "boxes of one parameter");
  ParameterBox both;
  for (size_t d = 0; d < a.offset.size(); ++d) {
    const int64_t begin = std::max(a.offset[d], b.offset[d]);
    const int64_t end = std::min(a.offset[d] + a.shape[d], b.offset[d] + b.shape[d]);
    if (begin >= end) return std::nullopt;
    both.offset.push_back(begin);
    both.shape.push_back(end - begin);
  }
  return both;
}

ParameterBox Turned(const ParameterBox& box, bool transposed) {
  if (!transposed) return box;
  return {Reversed(box.offset), Reversed(box.shape)};
}

ElementPlaces ElementPlaces::InFile(const ParameterBox& box, bool transposed) {
  ElementPlaces places;
  places.origin_ = box.offset;
  places.strides_ = transposed ? Reversed(ir::ContiguousStrides(Reversed(box.shape))) : ir::ContiguousStrides(box.shape);
  return places;
}

ElementPlaces ElementPlaces::InSegment(const ir::ParameterPiece& piece, const std::vector<ir::MeshDimension>& mesh,
                                       const std::vector<int64_t>& coordinates, int64_t first) {
  ElementPlaces places;
  places.origin_ = OffsetOf(piece, mesh, coordinates);
  places.strides_ = ir::ContiguousStrides(piece.box_shape);
  places.base_ = piece.offset - first;
  return places;
}

int64_t ElementPlaces::Of(const ir::Shape& element) const {
  int64_t place = base_;
  for (size_t d = 0; d < element.size(); ++d) place += (element[d] - origin_[d]) * strides_[d];
  return place;
}

void CopyBox(const ParameterBox& box, const ElementPlaces& from_places, std::span<const float> from, const ElementPlaces& to_places,
             std::span<float> to) {
  const int64_t count = box.shape.empty() ? 1 : box.shape.back();
  const int64_t from_stride = from_places.last_stride(), to_stride = to_places.last_stride();
  ir::Shape element = box.offset;
  do {
    const int64_t source = from_places.Of(element), target = to_places.Of(element);
    HELM_CHECK(source >= 0 && source + (count - 1) * from_stride < static_cast<int64_t>(from.size()), "the box is in the source");
    HELM_CHECK(target >= 0 && target + (count - 1) * to_stride < static_cast<int64_t>(to.size()), "the box is in the target");
    for (int64_t i = 0; i < count; ++i) {
      to[static_cast<size_t>(target + i * to_stride)] = from[static_cast<size_t>(source + i * from_stride)];
    }
  } while (!element.empty() && Advance(box, element));
}

}  // namespace helm::exec
