// FittedConstants: the numbers of the cost model of GPUs that were fitted to measurements, in one place. What they were fitted on, and what
// predictions become when a source is left out of the fit: docs/validation.md, scripts/leave_one_out.py. Nothing that stands in a data
// sheet, a document or a framework's code belongs here.
#pragma once

#include <compare>
#include <string_view>

#include "core/status.h"

namespace helm::cost {

struct FittedConstants {
  // A training framework in Python: microseconds from one kernel to the next, module code, views, autograd and launch together. Small
  // layers of Megatron-DeepSpeed take 3.3 to 3.7 ms forward, again forward (recomputation) and backward, some 70 kernels, whatever their
  // size (vTrain's single-node runs with hidden sizes of 1024 and 2048); those of nanotron without recomputation 3.9 to 4.5 ms.
  double python_kernel_us = 46.0;
  // Efficiency of attention's backward kernels against that of forward at twice the number of heads (it splits the keys, not the queries,
  // and has more work for each block, so that few heads hurt it less): 31 kernels on A100 and B200 (SimuMax), which it leaves a median
  // error of about 10 % (tests/cost/kernel_oracle_test.cc).
  double attention_backward = 0.82;
  // A factor on what was fitted of `attention_level` (the kernel tables): 1 takes it as it is, 0 takes the rows of the tables for kernels
  // that train.
  double attention_level = 1.0;
  // A product that adds to a wider sum reads and writes it behind the last step of each tile, when its tensor cores have nothing to do: the
  // share of that traffic's time by which the products of gradients that SimuMax measured take longer than forward and backward products of
  // the same sizes (bf16 into fp32; medians 0.59 of 40 on A100 PCIe, 0.57 of 73 of 1 TFLOP and more on B200).
  double sum_exposed = 0.58;
  // A factor on `sustained_clock` (configs/gpus/) of every GPU.
  double clock = 1.0;
  auto operator<=>(const FittedConstants&) const = default;
};

// `constants` with the one of that name replaced. Fails for an unknown name, naming those that exist, and for a value that is no positive
// number (attention_level: none below 0).
Status SetFittedConstant(std::string_view name, double value, FittedConstants& constants);

}  // namespace helm::cost
