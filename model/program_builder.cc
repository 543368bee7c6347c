#include "model/program_builder.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/check.h"

namespace helm::model {

using ir::Argument;
using ir::DataType;
using ir::OpKind;
using ir::Shape;
using ir::TensorId;

namespace {

// NumPy's broadcasting rule, as in ATen.
Shape Broadcast(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < result.size(); ++i) {
    const int64_t from_a = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t from_b = i < b.size() ? b[b.size() - 1 - i] : 1;
    HELM_CHECK(from_a == from_b || from_a == 1 || from_b == 1, "shapes do not broadcast");
    result[result.size() - 1 - i] = std::max(from_a, from_b);
  }
  return result;
}

// ATen's promotion between tensors of at least one dimension, for the types used here: floating point wins over whole numbers, and two
// different floating-point types give f32 (bf16 with f16 too).
DataType Promote(DataType a, DataType b) {
  if (a == b) return a;
  if (IsFloatingPoint(a) != IsFloatingPoint(b)) return IsFloatingPoint(a) ? a : b;
  if (IsFloatingPoint(a)) return DataType::kFloat32;
  return ElementBytes(a) >= ElementBytes(b) ? a : b;
}

// The strides of a view of `shape` on a tensor, by ATen's rule: every run of old dimensions that a run of new ones replaces must be
// evenly strided (at::detail::computeStride).
Shape ViewStrides(const Shape& old_shape, const Shape& old_strides, const Shape& shape) {
  HELM_CHECK(ir::ElementCount(old_shape) == ir::ElementCount(shape), "a view keeps the number of elements");
  if (old_shape.empty()) return Shape(shape.size(), 1);
  Shape strides(shape.size());
  int64_t at = static_cast<int64_t>(shape.size()) - 1;
  int64_t chunk_stride = old_strides.empty() ? 1 : old_strides.back();
  int64_t old_count = 1;
  int64_t new_count = 1;
  for (int64_t i = static_cast<int64_t>(old_shape.size()) - 1; i >= 0; --i) {
    const auto k = static_cast<size_t>(i);
    old_count *= old_shape[k];
    if (i > 0 && (old_shape[k - 1] == 1 || old_strides[k - 1] == old_count * chunk_stride)) continue;
    for (; at >= 0 && (new_count < old_count || shape[static_cast<size_t>(at)] == 1); --at) {
      strides[static_cast<size_t>(at)] = new_count * chunk_stride;
      new_count *= shape[static_cast<size_t>(at)];
    }
    HELM_CHECK(new_count == old_count, "this tensor cannot be viewed so without a copy");
    if (i > 0) chunk_stride = old_strides[k - 1];
    old_count = new_count = 1;
  }
  HELM_CHECK(at < 0, "this tensor cannot be viewed so");
  return strides;
}

bool IsInPlaceName(const std::string& target) { return target.back() == '_'; }

}  // namespace

ProgramBuilder::ProgramBuilder(std::string name, ir::DeviceKind device, std::vector<ir::MeshDimension> mesh) {
  program_.name = std::move(name);
  program_.device = device;
  program_.mesh = std::move(mesh);
}

void ProgramBuilder::At(ir::Phase phase, int32_t layer, int32_t micro_batch) {
  phase_ = phase;
  layer_ = layer;
  micro_batch_ = micro_batch;
}

void ProgramBuilder::At(const Place& place) {
  At(place.phase, place.layer, place.micro_batch);
  label_ = place.label;
}

ir::GroupId ProgramBuilder::AddGroup(const std::string& dimension) { return AddGroup(dimension, dimension, {}); }

ir::GroupId ProgramBuilder::AddGroup(const std::string& name, const std::string& dimension, std::vector<int64_t> coordinates) {
  program_.groups.push_back({name, {dimension}, std::move(coordinates)});
  return ir::GroupId(program_.groups.size() - 1);
}

ir::GroupId ProgramBuilder::AddGroup(const std::string& name, std::vector<std::string> dimensions) {
  program_.groups.push_back({name, std::move(dimensions), {}});
  return ir::GroupId(program_.groups.size() - 1);
}

ir::StorageId ProgramBuilder::AddStorage(std::string name, int64_t bytes, ir::StorageRole role) {
  program_.storages.push_back({std::move(name), Bytes(bytes), role, true});
  return ir::StorageId(program_.storages.size() - 1);
}

TensorId ProgramBuilder::AddPersistent(std::string name, DataType dtype, Shape shape, ir::StorageId storage, int64_t offset) {
  Shape strides = ir::ContiguousStrides(shape);
  HELM_CHECK((offset + ir::ElementCount(shape)) * ElementBytes(dtype) <= program_.storage(storage).bytes.count(),
             "tensor within its storage");
  program_.tensors.push_back({std::move(name), dtype, std::move(shape), std::move(strides), offset, storage, {}});
  return TensorId(program_.tensors.size() - 1);
}

// --- pieces that the operators are made of ---

std::string ProgramBuilder::TensorName() const {
  // Without a formatter, which took a twelfth of the time to price a plan.
  std::string name;
  const auto append = [&name](char letter, int32_t number) {
    if (number < 0) return;
    name += letter;
    name += std::to_string(number);
    name += '.';
  };
  append('m', micro_batch_);
  append('l', layer_);
  name += label_;
  name += '.';
  name += std::to_string(program_.tensors.size());
  return name;
}

ir::OpId ProgramBuilder::Push(OpKind kind, const std::string& target, std::vector<Argument> arguments) {
  ir::Op op;
  op.kind = kind;
  op.target = target;
  op.arguments = std::move(arguments);
  op.phase = phase_;
  op.layer = layer_;
  op.micro_batch = micro_batch_;
  op.action = action_;
  op.region = region_;
  op.label = label_;
  program_.ops.push_back(std::move(op));
  return ir::OpId(program_.ops.size() - 1);
}

TensorId ProgramBuilder::NewTensor(ir::OpId producer, DataType dtype, Shape shape, Shape strides, int64_t offset, ir::StorageId storage) {
  return NewTensor(TensorName(), producer, dtype, std::move(shape), std::move(strides), offset, storage);
}

TensorId ProgramBuilder::NewTensor(std::string name, ir::OpId producer, DataType dtype, Shape shape, Shape strides, int64_t offset,
                                   ir::StorageId storage) {
  program_.tensors.push_back({std::move(name), dtype, std::move(shape), std::move(strides), offset, storage, producer});
  const TensorId id(program_.tensors.size() - 1);
  program_.ops[producer.index()].results.push_back(id);
  return id;
}

TensorId ProgramBuilder::NewResult(ir::OpId producer, const ResultSpec& spec, ir::StorageRole role) {
  std::string name = TensorName();
  program_.storages.push_back({name, Bytes(ir::ElementCount(spec.shape) * ElementBytes(spec.dtype)), role, false});
  const ir::StorageId storage(program_.storages.size() - 1);
  return NewTensor(std::move(name), producer, spec.dtype, spec.shape,
                   spec.strides.empty() ? ir::ContiguousStrides(spec.shape) : spec.strides, 0, storage);
}

TensorId ProgramBuilder::NewVersion(ir::OpId producer, TensorId of) {
  const ir::Tensor& old = tensor(of);
  return NewTensor(producer, old.dtype, Shape(old.shape), Shape(old.strides), old.offset, old.storage);
}

TensorId ProgramBuilder::ViewOf(const std::string& target, std::vector<Argument> arguments, TensorId x, Shape shape, Shape strides,
                                int64_t offset) {
  const DataType type = dtype(x);
  const ir::StorageId storage = tensor(x).storage;
  const ir::OpId op = Push(OpKind::kView, target, std::move(arguments));
  return NewTensor(op, type, std::move(shape), std::move(strides), offset, storage);
}

std::vector<TensorId> ProgramBuilder::Compute(const std::string& target, std::vector<Argument> arguments,
                                              const std::vector<std::optional<ResultSpec>>& results) {
  const ir::OpId op = Push(OpKind::kCompute, target, std::move(arguments));
  std::vector<TensorId> ids;
  for (const std::optional<ResultSpec>& result : results) {
    if (result) {
      ids.push_back(NewResult(op, *result, ir::StorageRole::kActivation));
    } else {
      program_.ops[op.index()].results.emplace_back();
      ids.emplace_back();
    }
  }
  return ids;
}

std::vector<TensorId> ProgramBuilder::Write(const std::string& target, std::vector<Argument> arguments,
                                            const std::vector<TensorId>& written) {
  const ir::OpId op = Push(OpKind::kCompute, target, std::move(arguments));
  std::vector<TensorId> ids;
  for (const TensorId id : written) ids.push_back(NewVersion(op, id));
  return ids;
}

TensorId ProgramBuilder::Fresh(const std::string& target, std::vector<Argument> arguments, DataType dtype, Shape shape) {
  return Compute(target, std::move(arguments), {ResultSpec{dtype, std::move(shape), {}}})[0];
}

TensorId ProgramBuilder::InPlace(const std::string& target, std::vector<Argument> arguments, TensorId written) {
  return Write(target, std::move(arguments), {written})[0];
}

TensorId ProgramBuilder::Binary(const std::string& target, TensorId a, TensorId b) {
  return Fresh(target, {a, b}, Promote(dtype(a), dtype(b)), Broadcast(shape(a), shape(b)));
}

// --- views ---

TensorId ProgramBuilder::View(TensorId x, Shape shape) {
  if (shape == this->shape(x)) return x;
  Shape strides = ViewStrides(this->shape(x), tensor(x).strides, shape);
  return ViewOf("aten.view", {x, shape}, x, shape, std::move(strides), tensor(x).offset);
}

TensorId ProgramBuilder::T(TensorId x) {
  const ir::Tensor& old = tensor(x);
  HELM_CHECK(old.shape.size() == 2, "t() takes a matrix");
  return ViewOf("aten.t", {x}, x, {old.shape[1], old.shape[0]}, {old.strides[1], old.strides[0]}, old.offset);
}

TensorId ProgramBuilder::Transpose(TensorId x, int64_t dimension0, int64_t dimension1) {
  Shape shape = tensor(x).shape;
  Shape strides = tensor(x).strides;
  std::swap(shape[static_cast<size_t>(dimension0)], shape[static_cast<size_t>(dimension1)]);
  std::swap(strides[static_cast<size_t>(dimension0)], strides[static_cast<size_t>(dimension1)]);
  return ViewOf("aten.transpose.int", {x, dimension0, dimension1}, x, std::move(shape), std::move(strides), tensor(x).offset);
}

TensorId ProgramBuilder::Slice(TensorId x, int64_t dimension, int64_t start, int64_t end) {
  Shape shape = tensor(x).shape;
  const auto d = static_cast<size_t>(dimension);
  HELM_CHECK(0 <= start && start < end && end <= shape[d], "slice within the tensor");
  if (start == 0 && end == shape[d]) return x;
  shape[d] = end - start;
  const int64_t offset = tensor(x).offset + start * tensor(x).strides[d];
  return ViewOf("aten.slice.Tensor", {x, dimension, start, end}, x, std::move(shape), tensor(x).strides, offset);
}

TensorId ProgramBuilder::Unsqueeze(TensorId x, int64_t dimension) {
  Shape shape = tensor(x).shape;
  Shape strides = tensor(x).strides;
  const bool last = dimension == static_cast<int64_t>(shape.size());
  const auto d = static_cast<size_t>(dimension);
  strides.insert(strides.begin() + dimension, last ? 1 : shape[d] * strides[d]);
  shape.insert(shape.begin() + dimension, 1);
  return ViewOf("aten.unsqueeze", {x, dimension}, x, std::move(shape), std::move(strides), tensor(x).offset);
}

TensorId ProgramBuilder::AsStrided(TensorId x, Shape shape, Shape strides, int64_t offset) {
  return ViewOf("aten.as_strided", {x, shape, strides, offset}, x, shape, strides, offset);
}

TensorId ProgramBuilder::Restride(TensorId x, const TensorId& like) {
  HELM_CHECK(tensor(x).storage == tensor(like).storage, "as_strided stays on its storage");
  return AsStrided(x, tensor(like).shape, tensor(like).strides, tensor(like).offset);
}

// --- matrix products ---

TensorId ProgramBuilder::Mm(TensorId a, TensorId b) {
  HELM_CHECK(shape(a)[1] == shape(b)[0] && dtype(a) == dtype(b), "matrix product of fitting matrices");
  return Fresh("aten.mm", {a, b}, dtype(a), {shape(a)[0], shape(b)[1]});
}

TensorId ProgramBuilder::MmOut(TensorId a, TensorId b, TensorId out) {
  HELM_CHECK(shape(a)[1] == shape(b)[0] && dtype(a) == dtype(out), "matrix product of fitting matrices");
  HELM_CHECK(shape(out) == (Shape{shape(a)[0], shape(b)[1]}), "out has the shape of the product");
  return InPlace("aten.mm.out", {a, b, out}, out);
}

TensorId ProgramBuilder::Addmm(TensorId bias, TensorId a, TensorId b) {
  HELM_CHECK(shape(a)[1] == shape(b)[0] && shape(bias)[0] == shape(b)[1], "matrix product of fitting matrices");
  return Fresh("aten.addmm", {bias, a, b}, dtype(a), {shape(a)[0], shape(b)[1]});
}

TensorId ProgramBuilder::Addmm_(TensorId self, TensorId a, TensorId b) {
  HELM_CHECK(shape(self) == (Shape{shape(a)[0], shape(b)[1]}) && dtype(a) == dtype(self), "matrix product of fitting matrices");
  return InPlace("aten.addmm_", {self, a, b}, self);
}

TensorId ProgramBuilder::Matmul(TensorId a, TensorId b) {
  Shape left = shape(a), right = shape(b);
  HELM_CHECK(left.size() == right.size() && left.size() > 2 && dtype(a) == dtype(b), "a batched product of fitting operands");
  HELM_CHECK(left.back() == right[right.size() - 2], "a batched product of fitting matrices");
  const int64_t columns = right.back();
  left.back() = right.back() = right[right.size() - 2] = 1;
  Shape product = Broadcast(left, right);
  HELM_CHECK(product == left, "the left operand has all of the batch");
  product.back() = columns;
  return Fresh("aten.matmul", {a, b}, dtype(a), std::move(product));
}

TensorId ProgramBuilder::Bmm(TensorId a, TensorId b) {
  const Shape left = shape(a), right = shape(b);
  HELM_CHECK(left.size() == 3 && right.size() == 3 && left[0] == right[0] && left[2] == right[1], "a batch of fitting matrices");
  HELM_CHECK(dtype(a) == dtype(b), "matrices of one type");
  return Fresh("aten.bmm", {a, b}, dtype(a), {left[0], left[1], right[2]});
}

TensorId ProgramBuilder::BmmOut(TensorId a, TensorId b, TensorId out) {
  HELM_CHECK(shape(out) == (Shape{shape(a)[0], shape(a)[1], shape(b)[2]}) && dtype(a) == dtype(out), "out has the shape of the product");
  return InPlace("aten.bmm.out", {a, b, out}, out);
}

TensorId ProgramBuilder::Baddbmm_(TensorId self, TensorId a, TensorId b) {
  HELM_CHECK(shape(self) == (Shape{shape(a)[0], shape(a)[1], shape(b)[2]}) && dtype(a) == dtype(self), "self has the product's shape");
  return InPlace("aten.baddbmm_", {self, a, b}, self);
}

TensorId ProgramBuilder::Dot(TensorId a, TensorId b) { return Fresh("aten.dot", {a, b}, dtype(a), {}); }

// --- element by element ---

TensorId ProgramBuilder::Add(TensorId a, TensorId b) { return Binary("aten.add.Tensor", a, b); }
TensorId ProgramBuilder::Add_(TensorId a, TensorId b) { return InPlace("aten.add_.Tensor", {a, b}, a); }
TensorId ProgramBuilder::AddScalar(TensorId a, Argument scalar) {
  return Fresh("aten.add.Scalar", {a, std::move(scalar)}, dtype(a), shape(a));
}
TensorId ProgramBuilder::AddScalar_(TensorId a, Argument scalar) { return InPlace("aten.add_.Scalar", {a, std::move(scalar)}, a); }
TensorId ProgramBuilder::Sub(TensorId a, TensorId b) { return Binary("aten.sub.Tensor", a, b); }
TensorId ProgramBuilder::Sub_(TensorId a, TensorId b) { return InPlace("aten.sub_.Tensor", {a, b}, a); }
TensorId ProgramBuilder::SubScalar(TensorId a, Argument scalar) {
  return Fresh("aten.sub.Scalar", {a, std::move(scalar)}, dtype(a), shape(a));
}
TensorId ProgramBuilder::Mul(TensorId a, TensorId b) { return Binary("aten.mul.Tensor", a, b); }
TensorId ProgramBuilder::Mul_(TensorId a, TensorId b) { return InPlace("aten.mul_.Tensor", {a, b}, a); }
TensorId ProgramBuilder::MulOut(TensorId a, TensorId b, TensorId out) {
  HELM_CHECK(Broadcast(shape(a), shape(b)) == shape(out), "out has the shape of the product");
  return InPlace("aten.mul.out", {a, b, out}, out);
}
TensorId ProgramBuilder::MulScalar_(TensorId a, double scalar) { return InPlace("aten.mul_.Scalar", {a, scalar}, a); }
TensorId ProgramBuilder::Div(TensorId a, TensorId b) { return Binary("aten.div.Tensor", a, b); }
TensorId ProgramBuilder::Div_(TensorId a, TensorId b) { return InPlace("aten.div_.Tensor", {a, b}, a); }
TensorId ProgramBuilder::DivScalar_(TensorId a, double scalar) { return InPlace("aten.div_.Scalar", {a, scalar}, a); }
TensorId ProgramBuilder::Addcmul_(TensorId self, TensorId a, TensorId b, double value) {
  return InPlace("aten.addcmul_", {self, a, b, value}, self);
}
TensorId ProgramBuilder::Lerp_(TensorId self, TensorId end, TensorId weight) {
  HELM_CHECK(shape(self) == shape(end) && dtype(self) == dtype(end) && dtype(self) == dtype(weight), "two ends of one kind");
  return InPlace("aten.lerp_.Tensor", {self, end, weight}, self);
}
TensorId ProgramBuilder::Logaddexp(TensorId a, TensorId b) { return Binary("aten.logaddexp", a, b); }
TensorId ProgramBuilder::RemainderScalar_(TensorId a, int64_t divisor) { return InPlace("aten.remainder_.Scalar", {a, divisor}, a); }
TensorId ProgramBuilder::PowScalar(double base, TensorId exponent) {
  return Fresh("aten.pow.Scalar", {base, exponent}, dtype(exponent), shape(exponent));
}
TensorId ProgramBuilder::LtScalar(TensorId a, int64_t scalar) { return Fresh("aten.lt.Scalar", {a, scalar}, DataType::kBool, shape(a)); }
TensorId ProgramBuilder::GeScalar(TensorId a, int64_t scalar) { return Fresh("aten.ge.Scalar", {a, scalar}, DataType::kBool, shape(a)); }
TensorId ProgramBuilder::Gt(TensorId a, TensorId b) {
  return Fresh("aten.gt.Tensor", {a, b}, DataType::kBool, Broadcast(shape(a), shape(b)));
}
TensorId ProgramBuilder::BitwiseOr_(TensorId a, TensorId b) { return InPlace("aten.bitwise_or_.Tensor", {a, b}, a); }
TensorId ProgramBuilder::Clamp(TensorId a, double least, double most) { return Fresh("aten.clamp", {a, least, most}, dtype(a), shape(a)); }
TensorId ProgramBuilder::MaximumOut(TensorId a, TensorId b, TensorId out) { return InPlace("aten.maximum.out", {a, b, out}, out); }
TensorId ProgramBuilder::EqScalar(TensorId a, double scalar) { return Fresh("aten.eq.Scalar", {a, scalar}, DataType::kBool, shape(a)); }
TensorId ProgramBuilder::ClampMax_(TensorId a, double maximum) { return InPlace("aten.clamp_max_", {a, maximum}, a); }

TensorId ProgramBuilder::Unary(const std::string& target, TensorId x) {
  return IsInPlaceName(target) ? InPlace(target, {x}, x) : Fresh(target, {x}, dtype(x), shape(x));
}

TensorId ProgramBuilder::Gelu(TensorId x) { return Fresh("aten.gelu", {x, std::string("tanh")}, dtype(x), shape(x)); }
TensorId ProgramBuilder::GeluBackward(TensorId gradient, TensorId x) {
  return Fresh("aten.gelu_backward", {gradient, x, std::string("tanh")}, dtype(x), shape(x));
}
TensorId ProgramBuilder::GeluBackwardOut(TensorId gradient, TensorId x, TensorId out) {
  return InPlace("aten.gelu_backward.grad_input", {gradient, x, std::string("tanh"), out}, out);
}
TensorId ProgramBuilder::SiluBackwardOut(TensorId gradient, TensorId x, TensorId out) {
  return InPlace("aten.silu_backward.grad_input", {gradient, x, out}, out);
}

TensorId ProgramBuilder::Softmax(TensorId x) { return Fresh("aten._softmax", {x, int64_t{-1}, false}, dtype(x), shape(x)); }
TensorId ProgramBuilder::SoftmaxBackward(TensorId gradient, TensorId probabilities) {
  return Fresh("aten._softmax_backward_data", {gradient, probabilities, int64_t{-1}, dtype(probabilities)}, dtype(probabilities),
               shape(probabilities));
}

ProgramBuilder::Dropped ProgramBuilder::NativeDropout(TensorId x, double probability) {
  const auto results =
      Compute("aten.native_dropout", {x, probability, true}, {{{dtype(x), shape(x), {}}}, {{DataType::kBool, shape(x), {}}}});
  return {results[0], results[1]};
}
TensorId ProgramBuilder::NativeDropoutBackward(TensorId gradient, TensorId mask, double probability) {
  return Fresh("aten.native_dropout_backward", {gradient, mask, 1.0 / (1.0 - probability)}, dtype(gradient), shape(gradient));
}

TensorId ProgramBuilder::MaskedFill(TensorId x, TensorId mask, Argument value) {
  return Fresh("aten.masked_fill.Scalar", {x, mask, std::move(value)}, dtype(x), shape(x));
}
TensorId ProgramBuilder::MaskedFill_(TensorId x, TensorId mask, Argument value) {
  return InPlace("aten.masked_fill_.Scalar", {x, mask, std::move(value)}, x);
}
TensorId ProgramBuilder::Copy_(TensorId to, TensorId from) { return InPlace("aten.copy_", {to, from}, to); }

TensorId ProgramBuilder::ToType(TensorId x, DataType type) {
  if (dtype(x) == type) return x;
  return Fresh("aten._to_copy", {x, type}, type, shape(x));
}

// --- new tensors ---

TensorId ProgramBuilder::NewEmpty(TensorId like, Shape shape, DataType dtype) {
  return Fresh("aten.new_empty", {like, shape, dtype}, dtype, shape);
}
TensorId ProgramBuilder::NewOnes(TensorId like, Shape shape, DataType dtype) {
  return Fresh("aten.new_ones", {like, shape, dtype}, dtype, shape);
}

TensorId ProgramBuilder::NewZeros(TensorId like, Shape shape, DataType dtype) {
  return Fresh("aten.new_zeros", {like, shape, dtype}, dtype, shape);
}

TensorId ProgramBuilder::Cat(const std::vector<TensorId>& parts, int64_t dimension) {
  Shape shape = this->shape(parts[0]);
  auto& size = shape[static_cast<size_t>(dimension)];
  for (size_t i = 1; i < parts.size(); ++i) size += this->shape(parts[i])[static_cast<size_t>(dimension)];
  return Fresh("aten.cat", {parts, dimension}, dtype(parts[0]), shape);
}

// --- reductions ---

namespace {
Shape Reduced(Shape shape, int64_t dimension, bool keep) {
  if (keep) {
    shape[static_cast<size_t>(dimension)] = 1;
  } else {
    shape.erase(shape.begin() + dimension);
  }
  return shape;
}
}  // namespace

TensorId ProgramBuilder::Sum(TensorId x, int64_t dimension, bool keep, DataType dtype) {
  return Fresh("aten.sum.dim_IntList", {x, std::vector<int64_t>{dimension}, keep, dtype}, dtype, Reduced(shape(x), dimension, keep));
}
TensorId ProgramBuilder::SumOut(TensorId x, int64_t dimension, DataType dtype, TensorId out) {
  HELM_CHECK(Reduced(shape(x), dimension, false) == shape(out), "out has the shape of the sum");
  return InPlace("aten.sum.IntList_out", {x, std::vector<int64_t>{dimension}, false, dtype, out}, out);
}
TensorId ProgramBuilder::Mean(TensorId x, int64_t dimension) {
  return Fresh("aten.mean.dim", {x, std::vector<int64_t>{dimension}, true}, dtype(x), Reduced(shape(x), dimension, true));
}
TensorId ProgramBuilder::Amax(TensorId x, int64_t dimension) {
  return Fresh("aten.amax", {x, std::vector<int64_t>{dimension}, true}, dtype(x), Reduced(shape(x), dimension, true));
}
TensorId ProgramBuilder::Max(TensorId x) { return Fresh("aten.max", {x}, dtype(x), {}); }
TensorId ProgramBuilder::Cumsum(TensorId x, int64_t dimension) { return Fresh("aten.cumsum", {x, dimension}, dtype(x), shape(x)); }
TensorId ProgramBuilder::VectorNorm(TensorId x, int64_t dimension) {
  return Fresh("aten.linalg_vector_norm", {x, 2.0, std::vector<int64_t>{dimension}}, dtype(x), Reduced(shape(x), dimension, false));
}

// --- tables and indices ---

TensorId ProgramBuilder::Embedding(TensorId table, TensorId indices) {
  Shape shape = this->shape(indices);
  shape.push_back(this->shape(table)[1]);
  return Fresh("aten.embedding", {table, indices}, dtype(table), shape);
}
TensorId ProgramBuilder::EmbeddingDenseBackward(TensorId gradient, TensorId indices, int64_t rows) {
  return Fresh("aten.embedding_dense_backward", {gradient, indices, rows, int64_t{-1}, false}, dtype(gradient),
               {rows, shape(gradient).back()});
}
TensorId ProgramBuilder::Gather(TensorId x, int64_t dimension, TensorId index) {
  return Fresh("aten.gather", {x, dimension, index}, dtype(x), shape(index));
}
TensorId ProgramBuilder::Scatter_(TensorId x, int64_t dimension, TensorId index, TensorId source) {
  return InPlace("aten.scatter_.src", {x, dimension, index, source}, x);
}
TensorId ProgramBuilder::IndexSelect(TensorId x, int64_t dimension, TensorId index) {
  Shape selected = shape(x);
  selected[static_cast<size_t>(dimension)] = shape(index)[0];
  return Fresh("aten.index_select", {x, dimension, index}, dtype(x), selected);
}
TensorId ProgramBuilder::IndexAdd_(TensorId x, int64_t dimension, TensorId index, TensorId source) {
  const bool fits = shape(index)[0] == shape(source)[static_cast<size_t>(dimension)] && dtype(x) == dtype(source);
  HELM_CHECK(fits, "a place for each row of the source");
  return InPlace("aten.index_add_", {x, dimension, index, source}, x);
}
TensorId ProgramBuilder::IndexCopy_(TensorId x, int64_t dimension, TensorId index, TensorId source) {
  const bool fits = shape(index)[0] == shape(source)[static_cast<size_t>(dimension)] && dtype(x) == dtype(source);
  HELM_CHECK(fits, "a place for each row of the source");
  return InPlace("aten.index_copy_", {x, dimension, index, source}, x);
}
ProgramBuilder::Largest ProgramBuilder::Topk(TensorId x, int64_t count) {
  Shape kept = shape(x);
  HELM_CHECK(1 <= count && count <= kept.back(), "as many as there are, at most");
  kept.back() = count;
  const auto results = Compute("aten.topk", {x, count}, {{{dtype(x), kept, {}}}, {{DataType::kInt64, kept, {}}}});
  return {results[0], results[1]};
}
TensorId ProgramBuilder::ScatterAdd_(TensorId x, int64_t dimension, TensorId index, TensorId source) {
  return InPlace("aten.scatter_add_", {x, dimension, index, source}, x);
}

// --- collectives ---

Pending ProgramBuilder::AllReduce(TensorId x, ir::GroupId group, const std::string& operation) {
  const ir::OpId op = Push(OpKind::kCollectiveStart, "c10d.all_reduce", {x, operation});
  program_.ops[op.index()].group = group;
  return {NewVersion(op, x), op, group};
}

Pending ProgramBuilder::AllGather(TensorId x, ir::GroupId group) {
  Shape shape = this->shape(x);
  shape[0] *= Size(group);
  const ir::OpId op = Push(OpKind::kCollectiveStart, "c10d.all_gather", {x});
  program_.ops[op.index()].group = group;
  return {NewResult(op, {dtype(x), shape, {}}, ir::StorageRole::kCommunicationBuffer), op, group};
}

Pending ProgramBuilder::ReduceScatter(TensorId x, ir::GroupId group) {
  Shape shape = this->shape(x);
  HELM_CHECK(shape[0] % Size(group) == 0, "reduce-scatter needs an even split");
  shape[0] /= Size(group);
  const ir::OpId op = Push(OpKind::kCollectiveStart, "c10d.reduce_scatter", {x, std::string("sum")});
  program_.ops[op.index()].group = group;
  return {NewResult(op, {dtype(x), shape, {}}, ir::StorageRole::kCommunicationBuffer), op, group};
}

Pending ProgramBuilder::AllToAll(TensorId x, ir::GroupId group) {
  HELM_CHECK(shape(x)[0] % Size(group) == 0, "an all-to-all needs an even split");
  const ir::OpId op = Push(OpKind::kCollectiveStart, "c10d.all_to_all", {x});
  program_.ops[op.index()].group = group;
  return {NewResult(op, {dtype(x), shape(x), {}}, ir::StorageRole::kCommunicationBuffer), op, group};
}

Pending ProgramBuilder::AllGatherInto(TensorId x, TensorId into, ir::GroupId group) {
  HELM_CHECK(shape(into)[0] == shape(x)[0] * Size(group), "the parts fill what they are gathered into");
  const ir::OpId op = Push(OpKind::kCollectiveStart, "c10d.all_gather", {x, into});
  program_.ops[op.index()].group = group;
  return {NewVersion(op, into), op, group};
}

Pending ProgramBuilder::Send(TensorId x, ir::GroupId group, const Peer& peer) {
  const ir::OpId op = Push(OpKind::kCollectiveStart, "c10d.send", {x, peer.offset, peer.tag});
  program_.ops[op.index()].group = group;
  program_.ops[op.index()].batch = peer.batch;
  return {TensorId(), op, group};
}

Pending ProgramBuilder::Receive(Shape shape, DataType dtype, ir::GroupId group, const Peer& peer) {
  const ir::OpId op = Push(OpKind::kCollectiveStart, "c10d.recv", {peer.offset, peer.tag});
  program_.ops[op.index()].group = group;
  program_.ops[op.index()].batch = peer.batch;
  return {NewResult(op, {dtype, std::move(shape), {}}, ir::StorageRole::kCommunicationBuffer), op, group};
}

TensorId ProgramBuilder::Wait(const Pending& pending) {
  const ir::OpId op = Push(OpKind::kWait, "c10d.wait", {pending.start});
  program_.ops[op.index()].group = pending.group;
  return pending.result;
}

}  // namespace helm::model
