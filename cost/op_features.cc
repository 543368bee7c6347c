#include "cost/op_features.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <variant>

#include <fmt/format.h>

namespace helm::cost {
namespace {

using ir::TensorSignature;

// Scalars below this are options (a dimension number, a flag), never sizes.
constexpr int64_t kSmallestSize = 8;

// The dimensions from the largest stride to the smallest and whether the memory has gaps: "01" row-major, "10" transposed, "10gaps".
std::string LayoutOf(const TensorSignature& tensor) {
  std::vector<size_t> order(tensor.shape.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) {
    const auto key = [&](size_t axis) { return tensor.shape[axis] == 1 ? 0 : tensor.strides[axis]; };  // the stride of a size of 1 is moot
    return key(a) > key(b);
  });
  std::string layout;
  int64_t span = 1;
  for (const size_t axis : order) {
    layout += static_cast<char>('0' + axis);
    if (tensor.shape[axis] > 1 && tensor.strides[axis] == 0) layout += '*';  // expanded
    span += (tensor.shape[axis] - 1) * tensor.strides[axis];
  }
  if (span != ir::ElementCount(tensor.shape)) layout += "gaps";
  return layout;
}

class FeatureReader {
 public:
  explicit FeatureReader(const ir::OpSignature& op) {
    for (const auto& argument : op.arguments) {
      if (const auto* tensor = std::get_if<TensorSignature>(&argument)) tensors_.push_back(tensor);
      if (const auto* list = std::get_if<std::vector<TensorSignature>>(&argument)) {
        for (const TensorSignature& tensor : *list) tensors_.push_back(&tensor);
      }
    }
    for (const TensorSignature* tensor : tensors_) sizes_.insert(sizes_.end(), tensor->shape.begin(), tensor->shape.end());
    features_.family = op.target;
    for (const auto& argument : op.arguments) {
      features_.family += '|';
      std::visit([this](const auto& value) { Describe(value); }, argument);
    }
    Measure(op);
  }

  OpFeatures Take() { return std::move(features_); }

 private:
  template <typename... Values>
  void Append(fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(features_.family), format, std::forward<Values>(values)...);
  }

  void Describe(const ir::NoneArgument&) { Append("none"); }
  void Describe(bool value) { Append("{}", value); }
  void Describe(double value) { Append("{}", value); }
  void Describe(const std::string& value) { Append("'{}'", value); }
  void Describe(ir::DataType value) { Append("{}", ir::Name(value)); }
  void Describe(int64_t value) {
    const auto same = value < kSmallestSize ? sizes_.end() : std::ranges::find(sizes_, value);
    if (same == sizes_.end()) {
      Append("{}", value);
    } else {
      Append("size{}", same - sizes_.begin());
    }
  }
  void Describe(const TensorSignature& tensor) {
    Append("{}{}:{}:", tensor.persistent ? "@" : "", ir::Name(tensor.dtype), LayoutOf(tensor));
    for (const int64_t size : tensor.shape) Append("{}", size == 1 ? '1' : 'n');
    if (tensor.index_bound > 0) Append("<");
  }
  template <typename T>
  void Describe(const std::vector<T>& list) {
    Append("[");
    for (const auto& value : list) {
      Describe(static_cast<const T&>(value));
      Append(",");
    }
    Append("]");
  }

  void Measure(const ir::OpSignature& op) {
    const double flops = ir::FlopsOf(op).count();
    features_.bytes = static_cast<double>(ir::BytesRead(op).count());
    features_.work = flops > 0 ? flops : features_.bytes;
    const bool one_shape = std::ranges::all_of(tensors_, [this](const auto* tensor) { return tensor->shape == tensors_.front()->shape; });
    if (flops == 0 && one_shape) {
      if (features_.bytes > 0) features_.coordinates.push_back(std::log(features_.bytes));
      return;
    }
    for (const int64_t size : sizes_) features_.coordinates.push_back(std::log(static_cast<double>(std::max<int64_t>(size, 1))));
  }

  std::vector<const TensorSignature*> tensors_;
  std::vector<int64_t> sizes_;
  OpFeatures features_;
};

}  // namespace

OpFeatures FeaturesOf(const ir::OpSignature& op) { return FeatureReader(op).Take(); }

}  // namespace helm::cost
