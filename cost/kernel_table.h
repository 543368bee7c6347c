// KernelTable: measured times of single kernels of one GPU over a grid of sizes: matrix products by element type and m, n, k, attention by
// batch, length, heads and head size. For shapes that nobody has profiled; not a cost table (cost/cost_table.h), whose rows are whole ops
// with their exact signature.
//
// On disk JSON, `format: helm-kernel-table/1` (docs/formats/kernel_table.md). The tables of traces/kernels/ are compiled in, so that a
// prediction needs no file. Invariants: axes ascend strictly; every grid has one cell for each combination; times are positive, absent
// cells are 0.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/units.h"

namespace helm::cost {

// Times of [m, k] x [k, n]. All sizes in elements.
struct ProductTable {
  std::string dtype;  // as in ir::Name; "fp8" where the programs have no such type
  std::vector<int64_t> m, n, k;
  std::vector<int64_t> nanoseconds;  // [m][n][k]; 0: not measured
};

// One causal self-attention, forward, bf16.
struct AttentionRow {
  int64_t batch = 0, length = 0, heads = 0, kv_heads = 0, head_size = 0;
  int64_t nanoseconds = 0;
};

struct KernelTable {
  std::string device;        // the preset of configs/gpus/ that was measured
  std::string architecture;  // "ampere"; what other devices may use the table scaled
  // The data sheet of the measured device: what efficiencies refer to.
  std::map<std::string, FlopsPerSecond> peak;
  BytesPerSecond memory_bandwidth;
  int64_t multiprocessors = 0;
  std::vector<std::string> sources;
  std::vector<ProductTable> products;
  std::vector<AttentionRow> attention_forward;  // may be empty
  // The efficiency of kernels that train against those of the rows (which read keys and values from a paged cache, for serving).
  double attention_level = 1.0;
};

// Strict: unknown and missing keys, wrong types, grids of the wrong size, an unknown version.
Result<KernelTable> ParseKernelTable(std::string_view text, const std::string& file);

// The tables that are compiled in, sorted by device. Parsed at the first call, once for each process.
const std::vector<KernelTable>& BuiltinKernelTables();

// The table to price a device's products by, and the one for its attention: its own where it has one, otherwise the first of its
// architecture that does; nullptr when there is none.
const KernelTable* ProductTablesFor(std::string_view device, std::string_view architecture);
const KernelTable* AttentionTableFor(std::string_view device, std::string_view architecture);

}  // namespace helm::cost
