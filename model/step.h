// Step: what the parts of the lowering share while one training step is written: sizes on one rank, the builder, parameters and gradients.
// Internal to model/; the entrance is model/lower.h.
//
// Activations are matrices [tokens, features], tokens ordered by sequence, then position. Sequence parallelism gives each rank of the
// tensor group an equal run of rows wherever the work is row by row (norms, residuals, embedding): gathering along rows restores the whole,
// so no tensor is ever transposed for it.
//
// What is kept for backward is what PyTorch eager with fused SwiGLU keeps (techniques.md 4.5): inputs and outputs of norms, query/key/value
// (rotated in place), attention output and its log-sum-exp, gate and up, their product. SiLU and GELU of the gate are computed again.
// Without flash attention also scores' probabilities, and with dropout its masks (one byte an element) and the dropped probabilities.
// Recomputation keeps less and computes it again in backward (model/recompute.h): `selective` what lies between query, key, value and the
// attention output, `full` everything but a layer's input.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/software.h"
#include "ir/strategy.h"
#include "model/gradients.h"
#include "model/model_spec.h"
#include "model/parameter_plan.h"
#include "model/program_builder.h"
#include "model/recompute.h"

namespace helm::model {

// Sizes on one rank.
struct Sizes {
  int64_t sequences = 0;   // of a micro-batch
  int64_t positions = 0;   // of a sequence; with context parallelism those that a rank has
  int64_t tokens = 0;      // sequences x positions
  int64_t row_tokens = 0;  // rows of row-by-row activations: tokens, or tokens / tensor with sequence parallelism
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t vocabulary = 0;  // rows of the embedding, padding included
  int64_t experts = 0;     // of a layer
  int64_t capacity = 0;    // slots that each rank has for its tokens at each expert
  int64_t micro_batches = 0;
};

// Groups of the messages between stages: activations, gradients.
struct PipelineGroups {
  ir::GroupId forward, backward;
};

// Made once a step where the positions of a sequence are split over ranks (lower_context.cc).
struct ContextTables {
  ir::TensorId positions;  // [positions]: which of the sequence's this rank has
  // By step of the exchange, 1 to context - 1: the half of the own positions that have work with the one half of the positions that came,
  // besides the later half with the earlier one; counted from the first own position. [positions / 2]
  std::vector<ir::TensorId> chosen;
  std::vector<ir::TensorId> source;  // all-gather: by step, from 0: the coordinate of the rank whose turn it is, [1]
  ir::TensorId reversed;             // all-to-all: the ranks from the last to the first, [context]
};

// A matrix in 8 bits: its rows, itself transposed, and the number by which both are multiplied to get it back, fp32 [1].
struct EightBits {
  ir::TensorId rows, columns, inverse;
};

// Of products with 8-bit operands (lower_fp8.cc).
struct Fp8State {
  bool on = false;
  std::map<ir::TensorId, EightBits> inputs;     // by what was cast
  std::map<ParameterIndex, EightBits> weights;  // cast once a step
  ir::TensorId scales, inverses;                // delayed scaling: of this step, fp32 [slots]
  ir::TensorId largest;                         // the newest version of the largest magnitudes so far, for the next step
};

struct Step {
  const ModelSpec& model;
  const ir::Workload& workload;
  const ir::Strategy& strategy;
  Sizes sizes;
  ProgramBuilder& b;
  const ParameterPlan& plan;
  Gradients& gradients;
  ir::GroupId tensor_group;
  ir::GroupId data_group;               // that shards are spread over
  ir::GroupId batch_group;              // that have different tokens: data_group, and its copies with HSDP
  ir::GroupId context_group;            // that have other positions of the same sequences
  ir::GroupId expert_group;             // that hold different experts of the same split; none without expert parallelism, as the next two
  ir::GroupId expert_model_group;       // with the tensor ranks: what differs in any part of any expert
  ir::GroupId expert_data_group;        // that hold the same experts
  ir::GroupId pipeline_group;           // all stages
  PipelineGroups pipeline_groups;       // likewise, for messages
  PipelineGroups pipeline_groups_down;  // on the way down a V
  int64_t stage = 0;                    // pipeline coordinate of the program
  bool tensor_parallel = false;         // tensor > 1
  bool sequence_parallel = false;       // and sequence_parallel
  bool cuda = false;
  ir::Software software;               // its fused kernels only where they exist: on GPUs
  std::vector<Recomputed> recomputed;  // by layer of the model
  // Whether backward goes no further than the first adapters of layer 0, behind which all is frozen. Not where layer 0 and the embedding
  // are of different chunks: that of the embedding is sent a gradient whatever it does with it.
  bool ends_in_first_layer = false;
  // Not null while only input gradients are computed: what the weight gradients are, for a later action.
  std::vector<std::function<void()>>* postponed = nullptr;
  // Made once a step: RoPE's tables [positions, 1, 1, head_dim / 2], rows of the position table [row_tokens], column mask of padded logits.
  ir::TensorId rope_cos, rope_sin, position_rows, padding_mask;
  // One persistent element each that the small kernels of a layer write (software.layer_kernels, expert_layer_kernels).
  ir::TensorId scratch_forward, scratch_backward;
  ContextTables context;
  Fp8State fp8;
  // Without flash attention: [positions, positions], true where the key is behind the query; ALiBi's bias of this rank's heads [heads, 1,
  // positions].
  ir::TensorId causal_mask, alibi;
};

// Of the layer that is lowered.
const Recomputed& RecomputedHere(const Step& step);

// Runs `write`, which computes and writes gradients of weights, under phase weight_gradient, now or when the action comes that computes
// weight gradients apart. `write` must not refer to what the caller's frame holds. Leaves the builder at phase input_gradient.
void WeightGradient(Step& step, std::function<void()> write);

// --- norms (lower_norm.cc) ---

struct NormSaved {
  ir::TensorId input, output, mean, rstd;  // mean: LayerNorm only
  ir::TensorId wide, normalized;           // RMSNorm written out: the input in fp32, the result before the weight
  ir::TensorId scale;                      // where the weight is stored less one: one more than it
};
NormSaved NormForward(Step& step, ir::TensorId input, ParameterIndex weight, ParameterIndex bias);
// Writes the gradients of weight and bias; returns the gradient of the input.
ir::TensorId NormBackward(Step& step, const NormSaved& saved, ir::TensorId gradient, ParameterIndex weight, ParameterIndex bias);

// --- linear layers split over the tensor group (lower_linear.cc) ---

struct LinearParameters {
  ParameterIndex weight = -1, bias = -1;
  const AdapterParameters* adapter = nullptr;  // none where it is null or says so
};
// What an adapter keeps for backward: alpha / rank A x, [tokens, rank x parts].
struct LinearSaved {
  ir::TensorId low;
};
// Output features split: gathers rows first under sequence parallelism. `rows` is the layer's input as saved.
// Sets `saved` where there is an adapter.
ir::TensorId ColumnForward(Step& step, ir::TensorId rows, const LinearParameters& linear, LinearSaved* saved = nullptr);
// Input gradient, reduced (and scattered) over the group; weight and bias gradients are written while the reduction is under way (where the
// framework overlaps the two), or postponed. None where `input_needed` is false.
ir::TensorId ColumnBackward(Step& step, ir::TensorId rows, ir::TensorId gradient, const LinearParameters& linear,
                            const LinearSaved& saved = {}, bool input_needed = true);
// Input features split: the output is reduced (and scattered) over the group. The bias is for AddBranch.
ir::TensorId RowForward(Step& step, ir::TensorId input, const LinearParameters& linear, LinearSaved* saved = nullptr);
// Without saved.low where forward was repeated only up to `input`.
ir::TensorId RowBackward(Step& step, ir::TensorId input, ir::TensorId gradient, const LinearParameters& linear,
                         const LinearSaved& saved = {}, bool input_needed = true);
// Whether something before this layer of the model is trained: `first`, of the linear layers with adapters in a transformer layer it is the
// first.
bool NeedsInputGradient(const Step& step, bool first);
// All rows of a row-split activation; itself without sequence parallelism.
ir::TensorId GatherRows(Step& step, ir::TensorId rows);
// Sum over the tensor group of a partial activation: all-reduce, or reduce-scatter of rows with sequence parallelism. x itself on one rank.
struct PendingRows {
  ir::TensorId value;
  bool pending = false;
  Pending collective;
};
PendingRows StartReduceRows(Step& step, ir::TensorId partial);
ir::TensorId FinishReduceRows(Step& step, const PendingRows& rows);

// --- low-rank adapters beside them (lower_adapter.cc) ---

bool HasAdapter(const LinearParameters& linear);
// alpha / rank A x of a linear layer's input: all rows of it, or its columns, of which it is then a part of a sum over the tensor group.
ir::TensorId AdapterDown(Step& step, ir::TensorId input, const AdapterParameters& adapter);
// The output with B times that added in place.
ir::TensorId AddAdapter(Step& step, ir::TensorId output, ir::TensorId low, const AdapterParameters& adapter);
// The gradient of A x: alpha / rank B^T times that of the output.
ir::TensorId AdapterGradient(Step& step, ir::TensorId gradient, const AdapterParameters& adapter);
// The gradients of all B and of A.
void WriteAdapterGradients(Step& step, const AdapterParameters& adapter, ir::TensorId input, ir::TensorId low, ir::TensorId gradient,
                           ir::TensorId of_low);

// --- the same with 8-bit operands (lower_fp8.cc) ---

// Scales and weights, before the first action; the largest magnitudes of all ranks, behind the last. Nothing without fp8.
void BeginFp8(Step& step);
void EndFp8(Step& step);
// The input of the product with `weight`, before it is asked for: in one kernel with the norm before it, where the framework has that.
bool CastsWithNorm(const Step& step);
void CastInput(Step& step, ir::TensorId input, ParameterIndex weight);
ir::TensorId Fp8ColumnForward(Step& step, ir::TensorId rows, ParameterIndex weight, ParameterIndex bias);
ir::TensorId Fp8ColumnBackward(Step& step, ir::TensorId rows, ir::TensorId gradient, ParameterIndex weight, ParameterIndex bias);
ir::TensorId Fp8RowForward(Step& step, ir::TensorId input, ParameterIndex weight);
ir::TensorId Fp8RowBackward(Step& step, ir::TensorId input, ir::TensorId gradient, ParameterIndex weight, ParameterIndex bias);
// Of all experts of the rank, [experts, slots, features].
ir::TensorId Fp8ExpertsForward(Step& step, ir::TensorId input, ParameterIndex weight);
ir::TensorId Fp8ExpertsBackward(Step& step, ir::TensorId input, ir::TensorId gradient, ParameterIndex weight);

// --- the end of a residual branch (lower_residual.cc) ---

// x + bias, dropped by `software.hidden_dropout` (its mask goes to `mask`), plus the residual. `bias` may be -1.
ir::TensorId AddBranch(Step& step, ir::TensorId x, ParameterIndex bias, ir::TensorId residual, const char* residual_label,
                       ir::TensorId& mask);
// The gradient of x from that of the sum.
ir::TensorId BranchGradient(Step& step, ir::TensorId gradient, ir::TensorId mask);

// --- attention (lower_attention.cc, lower_scores.cc, lower_rope.cc) ---

// Of latent attention: the compressed vectors before and after their norms; none for queries that are not compressed.
struct LatentSaved {
  NormSaved query, key_value;
  ir::TensorId shared_key;  // rotated
};
struct AttentionSaved {
  ir::TensorId qkv;
  LinearSaved qkv_linear, out_linear;
  LatentSaved latent;               // in its place
  NormSaved query_norm, key_norm;   // qk_norm only
  ir::TensorId query, key, value;   // [sequences, heads, positions, head_dim]
  ir::TensorId output;              // likewise
  std::vector<ir::Argument> extra;  // results of the forward kernel that its backward reads, in the order of device_ops.h
  ir::TensorId log_sums;            // context parallelism by ring or all-gather, in their place: [sequences, positions, heads], fp32
  ir::TensorId exchanged;           // by all-to-all: the output of this rank's share of the heads, at all positions
  // Without flash attention: [sequences, kv_heads, heads / kv_heads, positions, positions], or without the third where it is 1.
  ir::TensorId probabilities, dropped, dropout_mask;
  ir::TensorId output_rows;  // [tokens, heads x head_dim]
};
void MakeRopeTables(Step& step, ir::TensorId like);
// Rotates x [sequences, positions, heads, head_dim] in place; returns a view of the same shape on the newest version.
ir::TensorId RotateInPlace(Step& step, ir::TensorId x);
// The transposed rotation of `gradient`, written to `out` (a view of the same shape), or to a new tensor if out is none. Returns the newest
// version.
ir::TensorId RotateBack(Step& step, ir::TensorId gradient, ir::TensorId out);
// Latent attention (lower_latent.cc): sets saved.query, .key and .value; the gradient of the layer's input from theirs.
void LatentForward(Step& step, const LatentParameters& latent, ir::TensorId rows, AttentionSaved& saved);
// The same from the compressed vectors, which are kept, with their norms.
void RepeatLatentUp(Step& step, const LatentParameters& latent, ir::TensorId rows, AttentionSaved& saved);
struct AttentionGradients;
ir::TensorId LatentBackward(Step& step, const LatentParameters& latent, ir::TensorId rows, const AttentionSaved& saved,
                            const AttentionGradients& from);
// Width of a head's output.
int64_t ValueWidth(const ModelSpec& model);
// [.., width] with zeros behind the last dimension: kernels that want heads of one width.
ir::TensorId Padded(Step& step, ir::TensorId x, int64_t width);
ir::TensorId AttentionForward(Step& step, const LayerParameters& layer, ir::TensorId rows, AttentionSaved& saved);
// What backward computes again between the norm's output `rows` and the output projection.
void RepeatAttention(Step& step, const LayerParameters& layer, ir::TensorId rows, AttentionSaved& saved);
// The attention kernels alone: from saved.query, .key, .value to .output_rows and what backward needs of them.
void AttentionCore(Step& step, AttentionSaved& saved);
struct AttentionGradients {
  ir::TensorId query, key, value;  // [sequences, heads, positions, head_dim]
};
// With context parallelism (lower_context.cc): attention over all positions of the sequence, by software.context_communication. With an
// all-to-all query, key and value become those that backward reads. `done_again`: for backward the same is done once more, from the same
// query, key and value, or there is none.
void MakeContextTables(Step& step, ir::TensorId like);
// The rank's own positions, for tokens, labels and what turns positions into numbers; a stage without these has no use for them.
void MakeContextPositions(Step& step, ir::TensorId like);
// The own positions of [sequences, positions of the whole sequence]; `whole` itself without context parallelism.
ir::TensorId OwnPositions(Step& step, ir::TensorId whole);
void ContextForward(Step& step, AttentionSaved& saved, bool done_again);
AttentionGradients ContextBackward(Step& step, const AttentionSaved& saved, ir::TensorId gradient);
// Without flash attention (lower_scores.cc).
void MakeScoreTables(Step& step, ir::TensorId like);
void ScoresForward(Step& step, AttentionSaved& saved);
void ScoresOutput(Step& step, AttentionSaved& saved);  // from the probabilities to .output_rows
// `gradient`: of the output, [sequences, heads, positions, head_dim].
AttentionGradients ScoresBackward(Step& step, const AttentionSaved& saved, ir::TensorId gradient);
// None where nothing before attention is trained (NeedsInputGradient).
ir::TensorId AttentionBackward(Step& step, const LayerParameters& layer, ir::TensorId rows, AttentionSaved& saved, ir::TensorId gradient);

// --- feed-forward layer (lower_mlp.cc) ---

struct MlpSaved {
  ir::TensorId up;         // gate and up, or up alone: before the activation; before the bias where one kernel adds it
  ir::TensorId activated;  // of the gate, where it is kept
  ir::TensorId product;    // input of the down projection
  LinearSaved up_linear, down_linear;
};
// Without the bias of the down projection, which is for AddBranch; so is that of attention's output projection. The ops are labelled
// "LABEL.up", "LABEL.activation", "LABEL.down".
ir::TensorId MlpForward(Step& step, const MlpParameters& mlp, const std::string& label, ir::TensorId rows, MlpSaved& saved);
// The part that backward needs again: everything before the down projection, or `parts` of it.
struct MlpParts {
  bool up = true, activation = true;
};
void MlpInner(Step& step, const MlpParameters& mlp, const std::string& label, ir::TensorId rows, MlpSaved& saved, MlpParts parts = {});
// None where nothing before the network is trained, which of attention the caller knows (NeedsInputGradient).
ir::TensorId MlpBackward(Step& step, const MlpParameters& mlp, const std::string& label, ir::TensorId rows, const MlpSaved& saved,
                         ir::TensorId gradient, bool attention_trained = true);
// From saved.up to the input of the down projection, and from the gradient of that to the gradient of saved.up.
ir::TensorId ActivationForward(Step& step, const MlpParameters& mlp, MlpSaved& saved);
ir::TensorId ActivationBackward(Step& step, const MlpParameters& mlp, const MlpSaved& saved, ir::TensorId gradient);

// --- experts (lower_router.cc, lower_experts.cc) ---

struct RouterSaved {
  ir::TensorId probabilities;  // [rows, experts], fp32: softmax over the router's logits
  ir::TensorId chosen;         // [rows, top_k]: the experts of each token
  ir::TensorId total;          // [rows, 1]: the sum of their probabilities; none with one expert a token
  ir::TensorId weights;        // [rows, top_k], fp32: what their outputs are multiplied by
  ir::TensorId slots;          // [experts x capacity]: the rows that go to each expert
  ir::TensorId gates;          // [experts x capacity, 1]: their weights, in the compute type; 0 where a slot stays empty
};
void RouterForward(Step& step, const ExpertParameters& experts, ir::TensorId rows, RouterSaved& saved);
// `of_gates`: [experts, capacity], fp32. Writes the router's gradient; adds to `of_rows`, returns its newest version.
ir::TensorId RouterBackward(Step& step, const ExpertParameters& experts, ir::TensorId rows, const RouterSaved& saved, ir::TensorId of_gates,
                            ir::TensorId of_rows);

struct MoeSaved {
  RouterSaved router;
  ir::TensorId input;      // of this rank's experts: [experts, slots, hidden]
  MlpSaved mlp;            // of the experts: [experts x slots, features]
  ir::TensorId by_expert;  // mlp.product by expert
  ir::TensorId returned;   // the experts' output for this rank's tokens: [experts x capacity, hidden]
  MlpSaved shared;
};
ir::TensorId MoeForward(Step& step, const LayerParameters& layer, ir::TensorId rows, MoeSaved& saved);
// The part that backward needs again, or what it computes again of that.
void MoeInner(Step& step, const LayerParameters& layer, ir::TensorId rows, MoeSaved& saved);
void RepeatMoe(Step& step, const LayerParameters& layer, ir::TensorId rows, MoeSaved& saved);
ir::TensorId MoeBackward(Step& step, const LayerParameters& layer, ir::TensorId rows, const MoeSaved& saved, ir::TensorId gradient);

// --- a layer (lower_block.cc) ---

struct BlockSaved {
  NormSaved norm1, norm2;
  AttentionSaved attention;
  MlpSaved mlp;
  MoeSaved moe;                           // in its place in a layer with experts
  ir::TensorId attention_mask, mlp_mask;  // of hidden dropout
};
// BlockBackward: none where nothing before the layer is trained. `saved` is what backward needs; with full recomputation only the input,
// the rest is computed again by BlockBackward.
ir::TensorId BlockForward(Step& step, int64_t layer, int32_t micro_batch, ir::TensorId rows, BlockSaved& saved);
ir::TensorId BlockBackward(Step& step, int64_t layer, int32_t micro_batch, BlockSaved& saved, ir::TensorId gradient);

// --- embedding (lower_embedding.cc) ---

// Token numbers as rows of this rank's part of the vocabulary: those of other ranks are row 0 and marked in `absent` (none on one rank).
struct LocalTokens {
  ir::TensorId rows, absent;
  ir::TensorId dropout_mask;  // of the embedded rows
};
LocalTokens LocalizeTokens(Step& step, ir::TensorId tokens);
void MakePositionRows(Step& step, ir::TensorId like);
ir::TensorId EmbeddingForward(Step& step, ir::TensorId tokens, LocalTokens& saved);
void EmbeddingBackward(Step& step, const LocalTokens& saved, ir::TensorId gradient);

// --- head and loss (lower_loss.cc) ---

void MakePaddingMask(Step& step, ir::TensorId like);
// Of final norm, head and cross-entropy.
struct LossSaved {
  NormSaved norm;
  ir::TensorId input;           // of the head, all rows
  ir::TensorId exponentials;    // of the logits, less their maximum, fp32; their gradient is computed in the same buffer
  ir::TensorId total;           // sum of the exponentials over the vocabulary
  ir::TensorId target_columns;  // [tokens, 1]
  ir::TensorId absent;          // targets that other ranks hold
  // In place of the exponentials, where kernels read the logits as they are: the logits and their maximum over the vocabulary.
  ir::TensorId logits, maximum;
};
// Logits [tokens, vocabulary] from rows.
ir::TensorId HeadForward(Step& step, int32_t micro_batch, ir::TensorId rows, LossSaved& saved);
// The micro-batch's share of the step's mean loss [1].
ir::TensorId LossForward(Step& step, int32_t micro_batch, ir::TensorId logits, ir::TensorId labels, LossSaved& saved);
// The gradient of the logits, in the compute type; of the rows.
ir::TensorId LossBackward(Step& step, int32_t micro_batch, const LossSaved& saved);
ir::TensorId HeadBackward(Step& step, int32_t micro_batch, const LossSaved& saved, ir::TensorId gradient);

// --- optimizer (lower_optimizer.cc) ---

// Global norm, clipping, AdamW, copies to parameters (with ZeRO an all-gather); adds the outputs "gradient_norm" and "clip_coefficient".
void LowerOptimizer(Step& step);

}  // namespace helm::model
