// TrainingAttention: how fast the attention kernels that train run on Hopper, by length. The kernel tables there hold serving kernels,
// which are slower than these the shorter the sequences are.
//
// Source: FlashAttention-3 (arXiv 2407.08608), figure 5: forward on an H100 SXM5 with heads of 128, a hidden size of 2048 and 16384 tokens
// in a batch, FLOPs of what the mask leaves; FlashAttention-2 and cuDNN 9. Its figure 6, backward without a mask, is what
// FittedConstants::attention_backward is held against (tests/cost/kernel_oracle_test.cc). Nothing is fitted.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace helm::cost {

struct TrainingAttention {
  double flops_per_second = 0;
  int64_t length = 0;  // the asked one, moved into the published range
  int64_t heads = 0;   // of all sequences, each with key-value heads of its own
};

// Forward, between the published lengths by their logarithm. `cudnn`: cuDNN's kernel, else FlashAttention-2. None where nothing is
// published for the architecture.
std::optional<TrainingAttention> PublishedTrainingAttention(std::string_view architecture, bool cudnn, bool causal, int64_t length);

}  // namespace helm::cost
