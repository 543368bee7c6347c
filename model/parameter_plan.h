// ParameterPlan: which parameters a rank holds, of which boxes of the unsplit model's parameters they are made, and where they lie in flat
// segments and gradient buckets.
//
// Not the values (exec fills them, by name) and not the operators. Pure: a function of model, strategy, dtype and bucket size.
// Tensor parallelism splits as Megatron does: query/key/value by heads, gate/up by rows, the two projections back by columns, embedding and
// head by vocabulary rows. Fused matrices hold their parts one after the other, e.g. all local query rows, then key rows, then value rows.
//
// Invariants: parameters are listed in the order in which the backward pass completes their gradients, which is also their order in the
// buckets; a bucket is one gradient storage and holds at most two segments, the one with weight decay first. Parameters that all ranks of
// the tensor group hold alike (norms, biases added after a reduction, positions) form buckets of their own, the last, when tensor > 1:
// "replicated" and "partial". Norms of heads are always partial, since a rank has only some heads; with sequence parallelism all are.
// With expert parallelism the experts' matrices are in buckets of their own ("experts0"), since other ranks hold the same ones.
// Where the parameters themselves are sharded (ir::ShardsParameters), a bucket is what is gathered at once: the matrices of a layer
// ("layer3"), or a part of the root: embedding, positions, head and matrices that all tensor ranks hold ("root"), norms and biases of all
// layers ("root_no_decay"). These small ones are with the root, since weight decay needs runs of their own, and a second gather for each
// layer would cost more than their bytes.
// With adapters (model/lora.h) all else is frozen and lies in buckets of its own, "frozen" and, what all tensor ranks hold alike,
// "frozen_replicated", or one for each layer as above: no gradients, no optimizer state. An adapter's A [rank, in] and B [out, rank] are
// split as the weight beside them: B by rows where its rows are split, A by columns where its columns are; the other is whole on every
// rank, and partial, since the inner product is then a sum over the tensor group, in forward or in backward. Where parameters are sharded
// the adapters of all layers are with the root.
#pragma once

#include <string>
#include <vector>

#include "ir/parameter_layout.h"
#include "ir/program.h"
#include "ir/software.h"
#include "ir/strategy.h"
#include "model/model_spec.h"

namespace helm::model {

// Index into ParameterPlan::parameters; -1: the model has no such parameter.
using ParameterIndex = int32_t;

// How the ranks of a tensor group hold a parameter.
enum class Share : uint8_t {
  kSharded,     // each rank has its own box (or there is only one rank)
  kReplicated,  // all ranks have all of it and compute the same gradient
  kPartial,     // all ranks have all of it, each computes a part of the gradient: the sum over the group is the gradient
};

struct Parameter {
  std::string name;  // "layers.3.attention.qkv.weight"
  ir::Shape shape;   // on one rank, as the program computes with it: [out, in]
  Share share = Share::kSharded;
  std::vector<ir::ParameterPiece> pieces;  // `offset` counts from the start of the parameter
  size_t segment = 0;
  int64_t offset = 0;    // in the segment, elements
  int64_t writes = 1;    // of its gradient, each micro-batch: two where embedding and head share the parameter
  bool tied = false;     // held by the first and the last stage of a pipeline: the sum of both gradients is the gradient
  bool experts = false;  // of experts that are split over ranks: those that differ in the dimension "data" alone hold the same
  bool frozen = false;   // computes, and is not trained
  bool weight_decay() const { return shape.size() > 1; }
};

// Beside a linear layer of the program, which may hold several of the model's (query, key, value): their A one above the other in `a`, a B
// each. None where no part of it is a target.
struct AdapterParameters {
  struct Part {
    ParameterIndex b = -1;
    int64_t out_begin = 0;  // columns of the layer's output that B's go to
    int64_t out_end = 0;
  };
  ParameterIndex a = -1;
  std::vector<Part> parts;
  bool none() const { return a < 0; }
};

// A feed-forward network: of a dense layer, or the shared experts of a layer with experts.
struct MlpParameters {
  ParameterIndex up_weight = -1, up_bias = -1;  // gate and up in one where the activation is gated
  ParameterIndex down_weight = -1, down_bias = -1;
  AdapterParameters up_adapter, down_adapter;
};

// Routed experts: the router [experts, hidden]; of this rank's experts gate and up [experts, 2 x ffn, hidden], down [experts, hidden, ffn].
struct ExpertParameters {
  ParameterIndex router = -1, up_weight = -1, down_weight = -1;
};

// Latent attention: the projections to the compressed vectors, which every rank of the tensor group holds, their norms, and those from
// there to the heads. Without `q_lora` the heads' queries come from the layer's input by q_up.
struct LatentParameters {
  ParameterIndex q_down = -1, q_norm = -1, q_up = -1;
  ParameterIndex kv_down = -1, kv_norm = -1, kv_up = -1;
};

struct LayerParameters {
  ParameterIndex norm1_weight = -1, norm1_bias = -1;
  ParameterIndex qkv_weight = -1, qkv_bias = -1, query_norm = -1, key_norm = -1;
  ParameterIndex out_weight = -1, out_bias = -1;
  AdapterParameters qkv_adapter, out_adapter;
  ParameterIndex norm2_weight = -1, norm2_bias = -1;
  LatentParameters latent;   // in place of qkv
  MlpParameters mlp;         // none in a layer with experts
  ExpertParameters experts;  // none in a dense layer
  MlpParameters shared;
};

// Those that the layer has, in no particular order.
std::vector<ParameterIndex> ParametersOf(const LayerParameters& layer);

struct Bucket {
  std::string name;              // "bucket0", "replicated", "partial", "tied"; with ZeRO also "bucket0.no_decay", ...
  std::vector<size_t> segments;  // consecutive in the gradient storage
  int64_t elements = 0;
  Share share = Share::kSharded;
  bool tied = false;
  bool sharded = false;    // over the data-parallel ranks (ZeRO): one segment, padded to equal shards
  bool scattered = false;  // and so are the gradients, as soon as they are complete (ZeRO-2 and higher stages)
  bool gathered = false;   // and so are the parameters (ZeRO-3, FSDP)
  bool experts = false;    // of experts that are split over ranks (Parameter::experts)
  bool frozen = false;     // Parameter::frozen; one segment
  std::vector<ParameterIndex> parameters;
};

// The parameters of one stage of a pipeline.
struct ParameterPlan {
  std::vector<Parameter> parameters;
  std::vector<LayerParameters> layers;  // by layer of the model; those of other stages have none
  ParameterIndex embedding = -1, position = -1, final_norm_weight = -1, final_norm_bias = -1;
  ParameterIndex head = -1;                    // equals `embedding` when tied and on the same stage
  std::vector<ir::ParameterSegment> segments;  // without storages
  std::vector<Bucket> buckets;
  std::vector<size_t> bucket_of;  // by parameter
  // Only where parameters are sharded:
  std::vector<size_t> layer_buckets;  // by layer of the model; those of other stages have 0
  std::vector<size_t> root_buckets;   // the others, ascending
};

// Whether a bucket is gathered for one layer alone.
bool IsOfOneLayer(const ParameterPlan& plan, size_t bucket);

// How far buckets are sharded over the data-parallel ranks: optimizer state, then gradients, then parameters.
struct Sharding {
  bool optimizer_state = false;
  bool gradients = false;
  bool parameters = false;
};
Sharding ShardingOf(const ir::Strategy& strategy);

// Of the stage with this pipeline coordinate. REQUIRES: CheckStrategy is ok.
ParameterPlan PlanParameters(const ModelSpec& model, const ir::Strategy& strategy, int64_t bucket_bytes, int64_t stage);

// The size at which a bucket closes, as bytes of gradients in fp32, however wide they are kept.
int64_t BucketBytes(const ir::Software& software, const ir::Strategy& strategy);

bool IsGated(Activation activation);

}  // namespace helm::model
