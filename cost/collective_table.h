// CollectiveTable: measured times of NCCL collectives and messages of one kind of GPU, by kind, ranks and bytes. For groups that nobody has
// profiled on the machine at hand; not a cost table (cost/cost_table.h), whose rows are exact signatures of one's own machine.
//
// On disk JSON, `format: helm-collective-table/1` (docs/formats/collective_table.md). The tables of traces/collectives/ are compiled in.
// Invariants: a curve has two points or more, ascending in bytes, with positive times; at most one curve for each kind, ranks and ranks per
// node.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/cluster.h"
#include "core/status.h"
#include "core/units.h"
#include "cost/interpolation.h"

namespace helm::cost {

struct CollectiveCurve {
  std::string kind;  // as in ir::CollectiveSignature
  int64_t ranks = 0;
  int64_t ranks_per_node = 0;         // ranks, or 1: one on each node
  std::vector<TransferPoint> points;  // bytes as ir::CollectiveBytes counts them
};

struct CollectiveTable {
  std::string device;        // the preset of configs/gpus/ that was measured
  std::string architecture;  // what other devices may use the table
  // The machine that was measured, as far as it matters: eight GPUs behind NVLink switches, one network card a GPU.
  cluster::Cluster reference;
  std::vector<std::string> sources;
  std::vector<CollectiveCurve> curves;
};

// Strict: unknown and missing keys, wrong types, curves that do not ascend, an unknown version.
Result<CollectiveTable> ParseCollectiveTable(std::string_view text, const std::string& file);

// The tables that are compiled in, sorted by device. Parsed at the first call, once for each process.
const std::vector<CollectiveTable>& BuiltinCollectiveTables();

}  // namespace helm::cost
