// Program: the work of one class of ranks for one training step: the operators in launch order, the tensors they read and write, the
// collectives they start and the waits that end them. Simulator, executor, profiler and report all read this one structure.
//
// Not a plan (which decisions were taken: ir/plan.h) and not a timeline (when things happened: ir/timeline.h).
//
// A program names no rank: a group is a set of mesh dimensions, and a number that differs between ranks is a RankExpression of the
// rank's mesh coordinates. Invariants (checked by Verify, ir/verify.h):
//  * `ops` is the launch order of the one host thread; an op reads only tensors that exist before it (persistent ones or results of
//    earlier ops), and the result of a collective start only after a wait that ends it;
//  * every tensor is produced by at most one op; one without a producer must lie on a persistent storage;
//  * an in-place op produces a new Tensor (version) on the storage it wrote; reading an older version afterwards is an error;
//  * every collective start is ended by a wait. A wait names one start: it ends that one and every collective started before it on the
//    same group, and no later one. Point-to-point ops (send, recv) are apart from the group's other collectives: from each rank of a group
//    to each other one there is a channel whose messages are in order. Those with the same batch id are launched together and end together.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/id.h"
#include "core/units.h"
#include "ir/data_type.h"
#include "ir/parameter_layout.h"
#include "ir/rank_expression.h"
#include "ir/schedule.h"

namespace helm::ir {

enum class DeviceKind : uint8_t { kCpu, kCuda };

struct OpTag;
struct TensorTag;
struct StorageTag;
struct GroupTag;
using OpId = Id<OpTag>;            // index into Program::ops
using TensorId = Id<TensorTag>;    // index into Program::tensors
using StorageId = Id<StorageTag>;  // index into Program::storages
using GroupId = Id<GroupTag>;      // index into Program::groups

// A dimension of a shape. Non-negative: the size. (Negative values are reserved for bounded symbols.)
using Shape = std::vector<int64_t>;

enum class StorageRole : uint8_t { kParameter, kGradient, kOptimizerState, kActivation, kInput, kCommunicationBuffer };

// A block of memory. Persistent storages (parameters, gradients, optimizer state, inputs) exist before and after the step; the others
// are allocated by the op that produces their first tensor and freed after their last use in launch order (ir/lifetime.h).
struct Storage {
  std::string name;  // unique in the program; by convention that of its first tensor
  Bytes bytes;
  StorageRole role = StorageRole::kActivation;
  bool persistent = false;
};

// A value: a strided view of a storage, in one version.
struct Tensor {
  std::string name;  // unique in the program; [A-Za-z0-9_.]+
  DataType dtype = DataType::kFloat32;
  Shape shape;
  Shape strides;       // in elements; as ATen would give them
  int64_t offset = 0;  // in elements, from the start of the storage
  StorageId storage;
  OpId producer;  // none: bound before the step to a persistent storage
};

enum class OpKind : uint8_t {
  kCompute,          // an ATen operator that runs on a compute stream
  kView,             // an ATen operator that only makes a view: no device work, host time only
  kCollectiveStart,  // c10d.*: asynchronous
  kWait,             // c10d.wait: the compute stream goes on only when the collective has ended
};

enum class Phase : uint8_t { kForward, kInputGradient, kWeightGradient, kRecompute, kOptimizer };

// One argument of an op, in the order of the ATen schema (trailing defaults may be left out). `Start` is the argument of a wait.
struct NoneArgument {
  bool operator==(const NoneArgument&) const = default;
};
using Argument = std::variant<NoneArgument, TensorId, std::vector<TensorId>, bool, int64_t, double, std::vector<int64_t>, std::vector<bool>,
                              std::string, DataType, RankExpression, OpId>;

// The set of ranks that differ only in the named mesh dimensions.
struct Group {
  std::string name;                     // e.g. "tensor", "data"; unique
  std::vector<std::string> dimensions;  // names of mesh dimensions
  // Not empty: only the ranks with these coordinates of the one dimension, ascending (first and last pipeline stage, which share tied
  // embeddings). A rank with another coordinate is in no group of this name.
  std::vector<int64_t> coordinates;
  bool operator==(const Group&) const = default;
};

struct Op {
  OpKind kind = OpKind::kCompute;
  std::string target;  // "aten.mm", "aten.add.Tensor" (overload after the second dot, none for the default), "c10d.all_reduce", "c10d.wait"
  std::vector<Argument> arguments;
  // Results in schema order. An in-place or out= op lists the new version(s) of what it wrote. An unused result is a none id.
  std::vector<TensorId> results;
  GroupId group;        // collectives and waits
  int32_t batch = -1;   // point-to-point ops with the same non-negative batch follow each other and end together
  int32_t action = -1;  // index into Program::schedule; -1: before the first or behind the last action (tables, optimizer)
  Phase phase = Phase::kForward;
  int32_t layer = -1;        // transformer layer, -1 outside (embedding, head, optimizer)
  int32_t micro_batch = -1;  // -1 for work done once a step
  int32_t tile = 0;
  int32_t strand = 0;
  int32_t compute_stream = 0;
  // Compute and view ops with the same non-negative region follow each other: one fused kernel of a framework (ir/region.h). Priced as one;
  // run op by op.
  int32_t region = -1;
  std::string label;  // what it is in the model: "attention.qkv", "mlp.up", "loss", "gradients.bucket2"
};

// A mesh dimension. Program::mesh lists them from fastest- to slowest-varying in the rank number: rank = sum coordinate_i * prod_{j<i}
// size_j.
struct MeshDimension {
  std::string name;  // "tensor", "data", ...
  int64_t size = 1;
  bool operator==(const MeshDimension&) const = default;
};

struct Program {
  std::string name;
  DeviceKind device = DeviceKind::kCpu;
  std::vector<MeshDimension> mesh;
  std::vector<Group> groups;
  Schedule schedule;  // the actions of this rank class, in order; their ops follow each other in the same order
  std::vector<Storage> storages;
  std::vector<Tensor> tensors;
  std::vector<Op> ops;
  // Persistent tensors that the outside fills before each step ("tokens.0", "labels.0": int64 [micro_batch, sequence] of micro-batch 0,
  // this data-parallel rank's share; "learning_rate"...) and tensors that it reads after it ("loss", "gradient_norm"): name -> tensor.
  std::map<std::string, TensorId> inputs;
  std::map<std::string, TensorId> outputs;  // kept alive to the end of the step
  std::vector<ParameterSegment> segments;   // where each model parameter lies (ir/parameter_layout.h)

  const Op& op(OpId id) const { return ops[id.index()]; }
  const Tensor& tensor(TensorId id) const { return tensors[id.index()]; }
  const Storage& storage(StorageId id) const { return storages[id.index()]; }
  const Group& group(GroupId id) const { return groups[id.index()]; }
};

std::string_view Name(DeviceKind kind);   // "cpu", "cuda"
std::string_view Name(Phase phase);       // "forward", "input_gradient", "weight_gradient", "recompute", "optimizer"
std::string_view Name(StorageRole role);  // "parameter", "gradient", "optimizer_state", "activation", "input", "communication_buffer"
std::string_view Name(OpKind kind);       // "compute", "view", "collective", "wait"

// "#12 aten.mm 'attention.qkv' layer 3 micro-batch 0": how messages name an op. REQUIRES: op is in the program.
std::string Describe(const Program& program, OpId op);

// Strides of a contiguous tensor of this shape; number of elements.
Shape ContiguousStrides(const Shape& shape);
int64_t ElementCount(const Shape& shape);

// Bytes of the elements (not of the storage that they lie on).
Bytes TensorBytes(const Tensor& tensor);
bool IsContiguous(const Tensor& tensor);

// The bytes of the storage from a tensor's first element to the end of its last: [begin, end). Empty when it has no elements.
struct Extent {
  int64_t begin = 0;
  int64_t end = 0;
  bool operator==(const Extent&) const = default;
};
Extent ExtentOf(const Tensor& tensor);

// All tensors that the op reads, in argument order (tensor lists flattened).
std::vector<TensorId> TensorArguments(const Op& op);

// The results that are new versions of a storage an argument lies on: what an in-place, out= or all_reduce op wrote. The others are fresh
// (or, of a view op, views).
std::vector<TensorId> WrittenTensors(const Program& program, const Op& op);

// The start that a wait names; none when it names none.
OpId StartOf(const Op& wait);

// c10d.send(tensor, offset, tag) and c10d.recv(offset, tag): the peer's coordinate is `offset` from the own one along the group, around the
// ring. A send and a recv meet when they name each other and the same tag.
bool IsPointToPoint(const Op& op);
// The offset of the peer, 0 <= offset < ranks in the group; the tag. REQUIRES: IsPointToPoint(op), and arguments that Verify accepts.
int64_t PeerOffset(const Program& program, const Op& op);
int64_t TagOf(const Op& op);

// Ranks in the group: product of the sizes of its dimensions, or the number of its coordinates.
int64_t GroupSize(const Program& program, GroupId group);
// The ranks that differ in these dimensions of the mesh only: how many, and the place of the rank with these coordinates among them, in
// mesh order.
struct RankPlace {
  int64_t ranks = 1;
  int64_t place = 0;
};
RankPlace PlaceAlong(const std::vector<MeshDimension>& mesh, const std::vector<int64_t>& coordinates,
                     const std::vector<std::string>& dimensions);
// Product of all mesh dimensions.
int64_t WorldSize(const std::vector<MeshDimension>& mesh);
// Coordinates of a rank on the mesh, in mesh order. REQUIRES: 0 <= rank < WorldSize.
std::vector<int64_t> Coordinates(const std::vector<MeshDimension>& mesh, int64_t rank);
// The global ranks in the same group instance as `rank`, ascending in the group's own order (mesh order). Empty when a group with
// coordinates does not hold the rank's.
std::vector<int64_t> GroupMembers(const Program& program, GroupId group, int64_t rank);
std::vector<int64_t> GroupMembers(const std::vector<MeshDimension>& mesh, const Group& group, int64_t rank);

// Bytes that a collective's price is keyed by: the full tensor (all_gather: the output; reduce_scatter, all_reduce, broadcast, send,
// recv, all_to_all: the input). REQUIRES: kind is kCollectiveStart.
Bytes CollectiveBytes(const Program& program, const Op& op);

}  // namespace helm::ir
