// Software: what the training framework does that changes time or memory, apart from the strategy: which kernels it fuses, in which dtype
// it keeps and reduces gradients, what it overlaps by default, when the host waits.
//
// Switches and quantities only, each readable in a framework's code or documents (configs/frameworks/, docs/formats/framework.md); never an
// efficiency or a multiplier. The defaults are what HELM's own executor does, so `Software()` with framework "helm" is `framework: helm`.
// Plain values; ir/software_text.h names them for files. What the lowering does not do yet, model/supported.h says.
#pragma once

#include <cstdint>
#include <string>

namespace helm::ir {

// "compute": the dtype of the forward pass (`workload.dtype`; bf16 where that is fp8).
enum class Precision : uint8_t { kCompute, kFloat32 };

// Chains of operations that run as one kernel, forward and backward, where plain PyTorch launches one kernel an operation and keeps what
// lies between them.
struct FusedKernels {
  bool norm = true;               // layer norm, RMS norm
  bool norm_linear = false;       // norm and the product that follows as one module (Transformer Engine's LayerNormLinear)
  bool linear_bias = true;        // the product of a linear layer adds its bias itself
  bool bias_activation = false;   // bias + GELU; keeps the biased input's operands only
  bool gated_activation = false;  // SiLU or GELU of the gate, times the other half
  bool bias_dropout_add = false;  // bias + dropout + residual
  bool masked_softmax = false;    // scale + causal mask + softmax of attention without flash, in the compute dtype
  bool rope = false;              // rotary positions of query and key
  bool rope_latent = true;        // ... of latent attention, too; false: there they are written out
  bool cross_entropy = false;  // vocabulary-parallel cross-entropy: joins its passes; over the fp32 copy of the logits, where there is one
  bool elementwise = false;    // a compiler joins chains of pointwise operations, norms and reductions (model/fuse_elementwise.h)
  bool operator==(const FusedKernels&) const = default;
};

// Which library's kernels run where attention is fused.
enum class AttentionKernel : uint8_t {
  kFlash,   // FlashAttention-2, as a package or in PyTorch
  kCudnn,   // cuDNN's from Hopper on, which Transformer Engine prefers there; before it FlashAttention-2
  kTriton,  // FlashAttention written in Triton for Ampere (flash_attn_triton.py)
};

// How the optimizer's update is launched.
enum class OptimizerKernel : uint8_t {
  kFused,       // one kernel for many tensors (multi-tensor apply, torch fused=True)
  kForeach,     // one kernel an operation for many tensors
  kEachTensor,  // one kernel an operation and tensor
};

enum class GradientReduction : uint8_t { kAllReduce, kReduceScatter };
// kUserBuffers: products in chunks over Transformer Engine's user buffers. kOwnShard: the product of the own shard runs while the others
// are gathered (nanotron's tp_linear_async_communication).
enum class TensorOverlap : uint8_t { kNone, kUserBuffers, kOwnShard };
// When backward gathers the next layer: with it (kNone), after this layer's gradients are computed and before they are reduced (kPost),
// before they are computed (kPre): PyTorch's BackwardPrefetch.
enum class BackwardPrefetch : uint8_t { kNone, kPost, kPre };
enum class ContextCommunication : uint8_t { kRing, kAllGather, kAllToAll };
// Whether sends and receives between stages run beside computation: never (the computing stream waits for each exchange), in interleaved
// schedules only (Megatron's overlap_p2p_comm), in every schedule.
enum class PipelineOverlap : uint8_t { kNone, kInterleaved, kAlways };
enum class ExpertDispatch : uint8_t { kAllGather, kAllToAll, kFused };  // kFused: DeepEP, HybridEP
enum class Fp8Recipe : uint8_t { kDelayed, kCurrent, kBlockwise, kMx };

struct Software {
  std::string framework;  // a file in configs/frameworks/; "helm" is HELM's own executor

  // --- kernels ---
  bool flash_attention = true;  // flash or cuDNN fused attention; false: the score matrix is kept
  AttentionKernel attention_kernel = AttentionKernel::kFlash;
  bool compile = false;  // torch.compile, XLA or another compiler over whole blocks
  FusedKernels fused;
  Precision attention_softmax = Precision::kCompute;  // dtype of the scores and probabilities without flash attention
  Precision logits = Precision::kFloat32;             // dtype in which cross-entropy reads the logits; fp32: a copy is made
  double attention_dropout = 0;                       // probabilities; above 0 there is a mask to make, keep and apply
  double hidden_dropout = 0;                          // of each branch before its residual, and of the embedding
  // The activation of a gate is computed again in backward; false: kept beside gate, other half and product, as plain autograd does.
  bool activation_recomputed = true;
  int64_t qkv_copies = 0;  // times that query, key and value are copied before attention (layouts, joins), and their gradients behind it
  int64_t layer_kernels =
      0;  // small kernels that a layer launches besides, forward and again backward: tables of lengths, parts of products
  // Likewise of a layer with experts, for its router, its balancing loss and the lists of who sends how many tokens to whom.
  int64_t expert_layer_kernels = 0;
  bool cross_entropy_in_place = true;  // the maximum is subtracted from the fp32 logits in place; false: into a tensor of its own
  // Recomputation repeats all of what it covers, also what backward does not need (reentrant checkpointing); false: it stops early.
  bool recompute_whole = false;

  // --- gradients ---
  Precision gradients = Precision::kFloat32;          // dtype in which gradients are kept and accumulated over micro-batches
  Precision gradients_reduced = Precision::kFloat32;  // dtype in which they are reduced over the data-parallel ranks
  bool gradient_accumulation_fusion = false;          // the weight gradient's product adds into the gradient buffer itself
  bool gradient_buffer =
      true;  // one buffer that lives through the step; false: gradients are made in backward and freed after the optimizer
  // Buckets that are reduced are tensors of their own, in the compute dtype, beside the gradients (PyTorch's DistributedDataParallel).
  bool gradient_bucket_copies = false;
  bool gradient_reduce_overlap = true;                                       // buckets are reduced during backward; false: after it
  bool gradient_reduce_each_micro_batch = false;                             // false: with the last micro-batch only
  GradientReduction gradient_reduction = GradientReduction::kReduceScatter;  // how ZeRO-1 reduces; higher stages always scatter
  // A bucket closes at this size: bytes of gradients as reduced; or, where one of the two counts is not 0, so many elements: the larger of
  // gradient_bucket_elements and gradient_bucket_elements_per_rank x data-parallel ranks (Megatron Core's rule).
  int64_t gradient_bucket_bytes = 25 * 1024 * 1024;  // PyTorch DDP's default, 25 MiB
  int64_t gradient_bucket_elements = 0;
  int64_t gradient_bucket_elements_per_rank = 0;
  bool gradient_norm_sync = false;  // the host waits for the gradient norm (or the overflow flag) before the update

  // --- optimizer and parameters ---
  OptimizerKernel optimizer_kernel = OptimizerKernel::kFused;
  bool main_parameters = true;  // fp32 copies beside the parameters that compute; false: the update is on the computing ones
  Precision optimizer_state = Precision::kFloat32;  // moments
  bool gradient_copy = false;                       // the optimizer makes fp32 copies of gradients that are kept narrower
  bool parameter_gather_overlap = false;            // ZeRO-1: parameters are gathered bucket by bucket under the next forward pass
  bool parameter_gather_fp8 = false;                // fp8: parameters are kept and gathered in fp8

  // --- fully sharded data parallelism ---
  bool fsdp_forward_prefetch = false;  // the host issues the next layer's gather before this layer's forward pass, not behind it
  BackwardPrefetch fsdp_backward_prefetch = BackwardPrefetch::kPre;
  int64_t fsdp_prefetch = 1;           // layers that are gathered while another one computes; 0: each is gathered when it is needed
  bool fsdp_limit_all_gathers = true;  // the host runs ahead by at most two gathered layers
  bool fsdp_root_kept = true;          // embedding, final norm and head stay gathered from the start of forward to the end of backward
  bool fsdp_last_kept = true;          // so does the last layer, whose backward comes next
  bool fsdp_no_sync = false;           // gradients are added up whole and reduced with the last micro-batch only; false: with each
  bool fsdp_gather_copied = false;     // gathered parameters are copied out of the gathered buffer (FSDP2), not used in it (FSDP1)
  bool fsdp_gradient_divided = false;  // gradients are divided before and after the reduction, in kernels of their own (FSDP1)

  // --- tensor and context parallelism ---
  bool tensor_backward_overlap = true;  // the input gradient's collective runs under the weight gradient's product
  TensorOverlap tensor_overlap = TensorOverlap::kNone;
  bool sequence_gather_kept = false;  // sequence parallelism: gathered inputs are kept for backward; false: gathered again
  int64_t vocabulary_multiple = 0;    // the vocabulary is padded to this x tensor; 0: only where tensor does not divide it, to 128 x tensor
  ContextCommunication context_communication = ContextCommunication::kRing;

  // --- pipeline ---
  PipelineOverlap pipeline_overlap = PipelineOverlap::kNone;
  bool pipeline_sync = false;              // the host waits for the device after each exchange
  bool pipeline_outputs_freed = false;     // a stage's output is freed when it has been sent
  bool pipeline_scatter = false;           // activations cross stages split over the tensor ranks and are gathered there
  bool optimizer_post_validation = false;  // the update goes ahead without the global norm and is rolled back if that was wrong

  // --- experts ---
  bool expert_grouped_gemm = true;  // all experts of a rank in one grouped product; false: one after the other
  ExpertDispatch expert_dispatch = ExpertDispatch::kAllToAll;
  bool expert_overlap = false;  // the exchange of tokens runs under another micro-batch's computation

  // --- fp8 ---
  Fp8Recipe fp8_recipe = Fp8Recipe::kDelayed;

  // --- host ---
  bool cuda_graphs = false;       // layers are replayed: kernels cost what they do in a compiled program
  bool launch_blocking = false;   // CUDA_LAUNCH_BLOCKING=1: every launch waits for its kernel; nothing overlaps
  bool deterministic = false;     // deterministic kernels only
  int64_t micro_batch_syncs = 0;  // times that the host waits for the device in each micro-batch
  int64_t step_syncs = 0;         // ... in each step, beside gradient_norm_sync

  bool operator==(const Software&) const = default;
};

}  // namespace helm::ir
