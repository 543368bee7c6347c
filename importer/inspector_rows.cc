#include "importer/inspector_rows.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "formats/foreign_numbers.h"
#include "importer/collective_times.h"

namespace helm::importer {
namespace {

using formats::InspectorDump;
using formats::InspectorRecord;

struct Operation {
  std::string_view name;  // the Inspector's
  std::string_view kind;  // HELM's
  bool of_each_rank;      // its bytes are one rank's share of the full tensor
};
constexpr std::array<Operation, 5> kOperations = {{{"AllReduce", "all_reduce", false},
                                                   {"Broadcast", "broadcast", false},
                                                   {"AllGather", "all_gather", true},
                                                   {"ReduceScatter", "reduce_scatter", true},
                                                   {"All2All", "all_to_all", true}}};

// Communicators of one shape: they are taken for the groups of one kind.
using Shape = std::tuple<int64_t, int64_t>;  // ranks, nodes
Shape ShapeOf(const InspectorRecord& record) { return {record.ranks, record.nodes}; }

std::map<Shape, int64_t> GroupsPerNode(const std::vector<InspectorDump>& dumps) {
  std::map<std::pair<Shape, std::string>, std::set<std::string>> communicators;  // of a shape, on a host
  for (const InspectorDump& dump : dumps) {
    for (const InspectorRecord& record : dump.records) communicators[{ShapeOf(record), record.host}].insert(record.communicator);
  }
  std::map<Shape, int64_t> most;
  for (const auto& [key, ids] : communicators) most[key.first] = std::max<int64_t>(most[key.first], std::ssize(ids));
  return most;
}

// Why a record gives no row; empty: it does.
std::string ReasonToLeaveOut(const InspectorRecord& record, const Operation* operation) {
  if (record.message) return "messages (an all-to-all is made of them, so they do not stand alone)";
  if (operation == nullptr) return fmt::format("records of {}, a collective that no program has", record.operation);
  if (!record.timing.empty() && record.timing != "kernel_gpu") return "records whose time was not taken by the GPU";
  if (record.ranks < 2) return "records of a single rank";
  if (record.bytes <= Bytes() || record.time <= Duration()) return "records of no bytes or no time";
  if (record.bytes.count() > formats::kBytesMost / record.ranks) return "records of more bytes than there are";
  return "";
}

ir::CollectiveSignature SignatureOf(const InspectorRecord& record, const Operation& operation, ir::DataType dtype, int64_t groups) {
  ir::CollectiveSignature collective;
  collective.kind = operation.kind;
  collective.dtype = dtype;
  collective.ranks = record.ranks;
  collective.ranks_per_node = (record.ranks + record.nodes - 1) / record.nodes;
  collective.groups_per_node = record.nodes > 1 ? groups : 1;
  collective.bytes = record.bytes * (operation.of_each_rank ? record.ranks : 1);
  return collective;
}

}  // namespace

Result<ImportedRows> RowsOf(const std::vector<InspectorDump>& dumps, const ImportHints& hints) {
  if (!hints.dtype) {
    return InvalidError(
        "error: the NCCL Inspector counts bytes and does not tell their element type\n"
        "  fix: say with --dtype which it was");
  }
  const std::map<Shape, int64_t> groups_per_node = GroupsPerNode(dumps);
  ImportedRows rows;
  CollectiveTimes times;
  for (const InspectorDump& dump : dumps) {
    rows.omissions.Add(dump.omissions);
    for (const InspectorRecord& record : dump.records) {
      const auto* found = std::ranges::find(kOperations, record.operation, &Operation::name);
      const Operation* operation = found == kOperations.end() ? nullptr : found;
      if (const std::string reason = ReasonToLeaveOut(record, operation); !reason.empty()) {
        rows.omissions.Add(reason, record.where);
        continue;
      }
      times.Add(fmt::format("{} {} {}", record.communicator, record.operation, record.sequence), record.rank,
                SignatureOf(record, *operation, *hints.dtype, groups_per_node.at(ShapeOf(record))), record.time);
    }
  }
  times.AddTo(rows);
  return rows;
}

}  // namespace helm::importer
