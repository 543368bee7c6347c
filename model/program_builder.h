// ProgramBuilder: writes a program op by op, giving every result the dtype, shape and strides that ATen gives it.
//
// One method per ATen operator that the lowering uses; the method's name is the operator's. It knows nothing of models. In-place methods
// end in an underscore, as in ATen, methods that write into a given tensor in Out; both return the new version of what they wrote. Restride
// is as_strided: it re-reads a storage after some part of it was written through another view, so that no stale version is ever read.
//
// Invariants: methods CHECK their shape rules; results of compute ops are contiguous on a storage of their own unless said otherwise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/program.h"

namespace helm::model {

// A collective that has been started and not waited for.
struct Pending {
  ir::TensorId result;
  ir::OpId start;
  ir::GroupId group;
};

class ProgramBuilder {
 public:
  ProgramBuilder(std::string name, ir::DeviceKind device, std::vector<ir::MeshDimension> mesh);

  // Where the ops that follow belong.
  void At(ir::Phase phase, int32_t layer, int32_t micro_batch);
  void SetPhase(ir::Phase phase) { phase_ = phase; }
  void SetAction(int32_t action) { action_ = action; }
  // The place of the ops that follow, to come back to it later.
  struct Place {
    ir::Phase phase = ir::Phase::kForward;
    int32_t layer = -1;
    int32_t micro_batch = -1;
    std::string label;
  };
  Place place() const { return {phase_, layer_, micro_batch_, label_}; }
  ir::Phase phase() const { return phase_; }
  int32_t layer() const { return layer_; }
  void At(const Place& place);
  void Label(std::string label) { label_ = std::move(label); }
  // The compute and view ops between the two are one region (ir/region.h). Regions do not nest: FusedKernel, below, takes care.
  void OpenRegion() { region_ = next_region_++; }
  void CloseRegion() { region_ = -1; }
  bool in_region() const { return region_ >= 0; }
  const std::string& label() const { return label_; }

  ir::GroupId AddGroup(const std::string& dimension);
  ir::GroupId AddGroup(const std::string& name, const std::string& dimension, std::vector<int64_t> coordinates);
  ir::GroupId AddGroup(const std::string& name, std::vector<std::string> dimensions);
  ir::StorageId AddStorage(std::string name, int64_t bytes, ir::StorageRole role);  // persistent
  ir::TensorId AddPersistent(std::string name, ir::DataType dtype, ir::Shape shape, ir::StorageId storage, int64_t offset = 0);

  // Views.
  ir::TensorId View(ir::TensorId x, ir::Shape shape);
  ir::TensorId T(ir::TensorId x);
  ir::TensorId Transpose(ir::TensorId x, int64_t dimension0, int64_t dimension1);
  ir::TensorId Slice(ir::TensorId x, int64_t dimension, int64_t start, int64_t end);
  ir::TensorId Unsqueeze(ir::TensorId x, int64_t dimension);
  ir::TensorId Restride(ir::TensorId x, const ir::TensorId& like);  // as_strided with another tensor's shape, strides and offset
  ir::TensorId AsStrided(ir::TensorId x, ir::Shape shape, ir::Shape strides, int64_t offset);

  // Matrix products.
  ir::TensorId Mm(ir::TensorId a, ir::TensorId b);
  ir::TensorId MmOut(ir::TensorId a, ir::TensorId b, ir::TensorId out);
  ir::TensorId Addmm(ir::TensorId bias, ir::TensorId a, ir::TensorId b);
  ir::TensorId Addmm_(ir::TensorId self, ir::TensorId a, ir::TensorId b);
  ir::TensorId Dot(ir::TensorId a, ir::TensorId b);
  // [batch, m, k] x [batch, k, n].
  ir::TensorId Bmm(ir::TensorId a, ir::TensorId b);
  ir::TensorId BmmOut(ir::TensorId a, ir::TensorId b, ir::TensorId out);
  ir::TensorId Baddbmm_(ir::TensorId self, ir::TensorId a, ir::TensorId b);
  // [batch.., m, k] x [batch.., k, n] of equal rank > 2; a batch dimension of 1 on the right is broadcast.
  ir::TensorId Matmul(ir::TensorId a, ir::TensorId b);

  // Element by element, with broadcasting and ATen's type promotion.
  ir::TensorId Add(ir::TensorId a, ir::TensorId b);
  ir::TensorId Add_(ir::TensorId a, ir::TensorId b);
  ir::TensorId AddScalar(ir::TensorId a, ir::Argument scalar);
  ir::TensorId AddScalar_(ir::TensorId a, ir::Argument scalar);
  ir::TensorId Sub(ir::TensorId a, ir::TensorId b);
  ir::TensorId Sub_(ir::TensorId a, ir::TensorId b);
  ir::TensorId SubScalar(ir::TensorId a, ir::Argument scalar);
  ir::TensorId Mul(ir::TensorId a, ir::TensorId b);
  ir::TensorId Mul_(ir::TensorId a, ir::TensorId b);
  ir::TensorId MulOut(ir::TensorId a, ir::TensorId b, ir::TensorId out);
  ir::TensorId MulScalar_(ir::TensorId a, double scalar);
  ir::TensorId Div(ir::TensorId a, ir::TensorId b);
  ir::TensorId Div_(ir::TensorId a, ir::TensorId b);
  ir::TensorId DivScalar_(ir::TensorId a, double scalar);
  ir::TensorId Addcmul_(ir::TensorId self, ir::TensorId a, ir::TensorId b, double value);
  ir::TensorId Lerp_(ir::TensorId self, ir::TensorId end, ir::TensorId weight);  // self + weight x (end - self)
  ir::TensorId Logaddexp(ir::TensorId a, ir::TensorId b);
  ir::TensorId RemainderScalar_(ir::TensorId a, int64_t divisor);
  ir::TensorId PowScalar(double base, ir::TensorId exponent);
  ir::TensorId LtScalar(ir::TensorId a, int64_t scalar);
  ir::TensorId GeScalar(ir::TensorId a, int64_t scalar);
  ir::TensorId Gt(ir::TensorId a, ir::TensorId b);
  ir::TensorId BitwiseOr_(ir::TensorId a, ir::TensorId b);
  ir::TensorId ClampMax_(ir::TensorId a, double maximum);
  ir::TensorId Clamp(ir::TensorId a, double least, double most);
  ir::TensorId MaximumOut(ir::TensorId a, ir::TensorId b, ir::TensorId out);
  ir::TensorId EqScalar(ir::TensorId a, double scalar);
  // The operators of one tensor without further arguments: "aten.silu", "aten.exp_", ...; a trailing underscore means in place.
  ir::TensorId Unary(const std::string& target, ir::TensorId x);
  ir::TensorId Gelu(ir::TensorId x);  // tanh approximation, as the two below
  ir::TensorId GeluBackward(ir::TensorId gradient, ir::TensorId x);
  ir::TensorId GeluBackwardOut(ir::TensorId gradient, ir::TensorId x, ir::TensorId out);
  ir::TensorId SiluBackwardOut(ir::TensorId gradient, ir::TensorId x, ir::TensorId out);
  ir::TensorId Softmax(ir::TensorId x);  // over the last dimension
  ir::TensorId SoftmaxBackward(ir::TensorId gradient, ir::TensorId probabilities);
  // x with elements dropped with this probability and the others scaled up, and the mask of those that stay.
  struct Dropped {
    ir::TensorId output, mask;
  };
  Dropped NativeDropout(ir::TensorId x, double probability);
  ir::TensorId NativeDropoutBackward(ir::TensorId gradient, ir::TensorId mask, double probability);
  ir::TensorId MaskedFill(ir::TensorId x, ir::TensorId mask, ir::Argument value);
  ir::TensorId MaskedFill_(ir::TensorId x, ir::TensorId mask, ir::Argument value);
  ir::TensorId Copy_(ir::TensorId to, ir::TensorId from);
  ir::TensorId ToType(ir::TensorId x, ir::DataType dtype);  // x itself when it has the type already

  // New tensors on the device of `like`.
  ir::TensorId NewEmpty(ir::TensorId like, ir::Shape shape, ir::DataType dtype);
  ir::TensorId NewOnes(ir::TensorId like, ir::Shape shape, ir::DataType dtype);
  ir::TensorId NewZeros(ir::TensorId like, ir::Shape shape, ir::DataType dtype);
  ir::TensorId Cat(const std::vector<ir::TensorId>& parts, int64_t dimension);

  // Reductions.
  ir::TensorId Sum(ir::TensorId x, int64_t dimension, bool keep, ir::DataType dtype);
  ir::TensorId SumOut(ir::TensorId x, int64_t dimension, ir::DataType dtype, ir::TensorId out);
  ir::TensorId Mean(ir::TensorId x, int64_t dimension);  // keeps the dimension
  ir::TensorId Amax(ir::TensorId x, int64_t dimension);  // keeps the dimension
  ir::TensorId Max(ir::TensorId x);                      // of all elements; no dimension
  ir::TensorId Cumsum(ir::TensorId x, int64_t dimension);
  ir::TensorId VectorNorm(ir::TensorId x, int64_t dimension);  // Euclidean

  // Tables and indices.
  ir::TensorId Embedding(ir::TensorId table, ir::TensorId indices);
  ir::TensorId EmbeddingDenseBackward(ir::TensorId gradient, ir::TensorId indices, int64_t rows);
  ir::TensorId Gather(ir::TensorId x, int64_t dimension, ir::TensorId index);
  ir::TensorId Scatter_(ir::TensorId x, int64_t dimension, ir::TensorId index, ir::TensorId source);
  ir::TensorId ScatterAdd_(ir::TensorId x, int64_t dimension, ir::TensorId index, ir::TensorId source);
  ir::TensorId IndexSelect(ir::TensorId x, int64_t dimension, ir::TensorId index);
  ir::TensorId IndexAdd_(ir::TensorId x, int64_t dimension, ir::TensorId index, ir::TensorId source);
  ir::TensorId IndexCopy_(ir::TensorId x, int64_t dimension, ir::TensorId index, ir::TensorId source);
  // The largest `count` along the last dimension, in descending order.
  struct Largest {
    ir::TensorId values, indices;
  };
  Largest Topk(ir::TensorId x, int64_t count);

  // Anything else: results given by the caller. A none dtype entry of `results` leaves that result out.
  struct ResultSpec {
    ir::DataType dtype = ir::DataType::kFloat32;
    ir::Shape shape;
    ir::Shape strides;  // empty: contiguous
  };
  std::vector<ir::TensorId> Compute(const std::string& target, std::vector<ir::Argument> arguments,
                                    const std::vector<std::optional<ResultSpec>>& results);
  // An op that writes `written` in place, in the order of its schema.
  std::vector<ir::TensorId> Write(const std::string& target, std::vector<ir::Argument> arguments, const std::vector<ir::TensorId>& written);

  // Collectives. The result may be read only after Wait.
  Pending AllReduce(ir::TensorId x, ir::GroupId group, const std::string& operation = "sum");
  Pending AllGather(ir::TensorId x, ir::GroupId group);
  Pending AllGatherInto(ir::TensorId x, ir::TensorId into, ir::GroupId group);  // the result is the new version of `into`
  Pending ReduceScatter(ir::TensorId x, ir::GroupId group);
  Pending AllToAll(ir::TensorId x, ir::GroupId group);  // equal parts of dimension 0
  // To and from the rank at this offset along the group; ops of one batch (-1: none) end together. A send has no result.
  struct Peer {
    int64_t offset = 1;
    int64_t tag = 0;
    int32_t batch = -1;
  };
  Pending Send(ir::TensorId x, ir::GroupId group, const Peer& peer);
  Pending Receive(ir::Shape shape, ir::DataType dtype, ir::GroupId group, const Peer& peer);
  int32_t NewBatch() { return next_batch_++; }
  ir::TensorId Wait(const Pending& pending);
  int64_t Size(ir::GroupId group) const { return GroupSize(program_, group); }

  const ir::Tensor& tensor(ir::TensorId id) const { return program_.tensor(id); }
  const ir::Shape& shape(ir::TensorId id) const { return program_.tensor(id).shape; }
  ir::DataType dtype(ir::TensorId id) const { return program_.tensor(id).dtype; }
  ir::Program& program() { return program_; }
  ir::Program Finish() && { return std::move(program_); }

 private:
  ir::OpId Push(ir::OpKind kind, const std::string& target, std::vector<ir::Argument> arguments);
  ir::TensorId NewTensor(ir::OpId producer, ir::DataType dtype, ir::Shape shape, ir::Shape strides, int64_t offset, ir::StorageId storage);
  ir::TensorId NewTensor(std::string name, ir::OpId producer, ir::DataType dtype, ir::Shape shape, ir::Shape strides, int64_t offset,
                         ir::StorageId storage);
  ir::TensorId NewResult(ir::OpId producer, const ResultSpec& spec, ir::StorageRole role);
  ir::TensorId NewVersion(ir::OpId producer, ir::TensorId of);
  ir::TensorId ViewOf(const std::string& target, std::vector<ir::Argument> arguments, ir::TensorId x, ir::Shape shape, ir::Shape strides,
                      int64_t offset);
  ir::TensorId Fresh(const std::string& target, std::vector<ir::Argument> arguments, ir::DataType dtype, ir::Shape shape);
  ir::TensorId Binary(const std::string& target, ir::TensorId a, ir::TensorId b);
  ir::TensorId InPlace(const std::string& target, std::vector<ir::Argument> arguments, ir::TensorId written);
  std::string TensorName() const;

  ir::Program program_;
  ir::Phase phase_ = ir::Phase::kForward;
  int32_t layer_ = -1;
  int32_t micro_batch_ = -1;
  int32_t action_ = -1;
  int32_t region_ = -1;
  int32_t next_region_ = 0;
  int32_t next_batch_ = 0;
  std::string label_ = "step";
};

// While it lives, what is written is one fused kernel; nothing special where `fused` is false or another one is alive. Not for collectives.
class FusedKernel {
 public:
  FusedKernel(ProgramBuilder& builder, bool fused) : builder_(builder), opened_(fused && !builder.in_region()) {
    if (opened_) builder_.OpenRegion();
  }
  ~FusedKernel() {
    if (opened_) builder_.CloseRegion();
  }
  FusedKernel(const FusedKernel&) = delete;
  FusedKernel& operator=(const FusedKernel&) = delete;

 private:
  ProgramBuilder& builder_;
  const bool opened_;
};

}  // namespace helm::model
