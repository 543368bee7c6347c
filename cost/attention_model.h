// AttentionModel: the time of fused (flash) attention on a GPU from the measured attention kernels of a kernel table.
//
// The efficiency (FLOPs at the peak rate / measured time, causal work counted half) is interpolated between measured rows in the logarithms
// of length, batch x heads, sharing of key-value heads, and head size; outside the measured box it keeps the value of the edge. Where the
// rate of kernels that train is published (cost/training_attention.h), the rows only say how it depends on heads and their sharing. Not for
// attention that writes its score matrix: that is products and a softmax (cost/product_model.h, cost/memory_model.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "core/status.h"
#include "cost/fitted_constants.h"
#include "cost/interpolation.h"
#include "cost/kernel_table.h"
#include "cost/training_attention.h"

namespace helm::cost {

// Which library's kernel runs. FlashAttention-2 (also PyTorch's own flash attention) uses the instructions of Ampere on every chip;
// cuDNN's, which Transformer Engine prefers from Hopper on, FlashAttention-3 and TensorRT-LLM's use those of the chip. kTriton: the
// FlashAttention of 2022 in Triton, which also uses those of Ampere.
enum class AttentionKernel : uint8_t { kFlash2, kNative, kTriton };

struct AttentionShape {
  int64_t batch = 1, heads = 1, kv_heads = 1;
  int64_t query_length = 1, key_length = 1;
  int64_t head_size = 1;  // of query and key; `value_size` of value and output
  int64_t value_size = 1;
  bool causal = true;
  bool backward = false;
  std::string dtype = "bf16";
  AttentionKernel kernel = AttentionKernel::kNative;
  bool deterministic = false;  // backward adds to the gradient of the queries in a fixed order
};

class AttentionModel {
 public:
  // `table` has attention rows; it is read once, here.
  AttentionModel(const KernelTable& table, cluster::Device device, const FittedConstants& constants = {});

  Result<double> Seconds(const AttentionShape& shape) const;
  bool own_table() const { return own_table_; }

 private:
  double OfRows(std::vector<double> coordinates) const;
  double Efficiency(const AttentionShape& shape) const;
  std::optional<TrainingAttention> PublishedOf(const AttentionShape& shape) const;
  double TritonLevel(const AttentionShape& shape) const;  // of FlashAttention in Triton, against the rows; else 1
  double DeterministicSlowdown(const AttentionShape& shape) const;

  cluster::Device device_;
  double backward_;  // FittedConstants::attention_backward
  bool own_table_ = false;
  std::string architecture_;            // of the table
  double table_peak_ = 0;               // FLOP/s
  std::vector<ScatteredPoint> points_;  // logarithms of length, batch x heads, heads / kv_heads, head size
  std::vector<double> low_, high_;      // the box of the points
};

}  // namespace helm::cost
