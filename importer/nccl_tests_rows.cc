#include "importer/nccl_tests_rows.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace helm::importer {
namespace {

using formats::NcclTestsRanks;
using formats::NcclTestsRow;
using formats::NcclTestsRun;
using formats::NcclTestsTime;

struct Test {
  std::string_view program;
  std::string_view kind;  // of HELM's collectives; empty: there is none
};
constexpr std::array<Test, 11> kTests = {{{"all_reduce_perf", "all_reduce"},
                                          {"all_gather_perf", "all_gather"},
                                          {"reduce_scatter_perf", "reduce_scatter"},
                                          {"alltoall_perf", "all_to_all"},
                                          {"broadcast_perf", "broadcast"},
                                          {"sendrecv_perf", "send"},
                                          {"reduce_perf", ""},
                                          {"gather_perf", ""},
                                          {"scatter_perf", ""},
                                          {"hypercube_perf", ""},
                                          {"alltoallv_perf", ""}}};

// The element types of ncclDataType_t that a program's tensors can have, as nccl-tests writes them.
constexpr std::array<std::pair<std::string_view, ir::DataType>, 6> kNcclTypes = {{{"float", ir::DataType::kFloat32},
                                                                                  {"bfloat16", ir::DataType::kBFloat16},
                                                                                  {"half", ir::DataType::kFloat16},
                                                                                  {"int64", ir::DataType::kInt64},
                                                                                  {"int32", ir::DataType::kInt32},
                                                                                  {"uint8", ir::DataType::kUInt8}}};

std::optional<ir::DataType> TypeOf(std::string_view name) {
  for (const auto& [known, type] : kNcclTypes) {
    if (known == name) return type;
  }
  return std::nullopt;
}

// The kind that HELM calls a run's collective; empty: HELM has none.
Result<std::string> KindOf(const NcclTestsRun& run, const ImportHints& hints, const std::string& file) {
  if (run.program.empty() && hints.collective.empty()) {
    return InvalidError(
        fmt::format("{}: error: this output of nccl-tests does not name its test, as those of before June 2025 do not\n"
                    "  fix: say which it was with --collective",
                    file));
  }
  if (run.program.empty()) return hints.collective;
  // A build may add to the name: "all_reduce_perf_mpi".
  for (const Test& test : kTests) {
    if (run.program == test.program || run.program.starts_with(std::string(test.program) + "_")) return std::string(test.kind);
  }
  return std::string();
}

Result<std::string> DeviceOf(const NcclTestsRun& run, const std::string& file) {
  if (run.ranks.empty()) {
    return InvalidError(
        fmt::format("{}: error: this output of nccl-tests lists no ranks, so nobody knows how many there were\n"
                    "  fix: keep the lines from `# Using devices` on",
                    file));
  }
  for (const NcclTestsRanks& ranks : run.ranks) {
    if (ranks.device == run.ranks.front().device) continue;
    return InvalidError(fmt::format("{}: error: the ranks of this run are on two devices, '{}' and '{}'; a cost table is of one", file,
                                    run.ranks.front().device, ranks.device));
  }
  return run.ranks.front().device;
}

// Where the groups of a run lie. NCCL_TESTS_SPLIT makes several, which run at the same time.
struct NcclTestsPlacement {
  int64_t ranks = 0;
  int64_t ranks_per_node = 0;
  int64_t nodes = 0;
  int64_t groups_per_node = 1;
  bool operator==(const NcclTestsPlacement&) const = default;
};

// None: the groups lie differently, so that one time is of several collectives.
std::optional<NcclTestsPlacement> PlacementOf(const std::vector<NcclTestsRanks>& all) {
  std::map<int64_t, std::map<std::string, int64_t>> groups;  // group -> host -> ranks
  std::map<std::string, std::map<int64_t, int64_t>> hosts;
  for (const NcclTestsRanks& ranks : all) {
    groups[ranks.group][ranks.host] += ranks.count;
    hosts[ranks.host][ranks.group] += ranks.count;
  }
  size_t groups_per_node = 1;
  for (const auto& [host, on_host] : hosts) groups_per_node = std::max(groups_per_node, on_host.size());
  std::optional<NcclTestsPlacement> found;
  for (const auto& [group, by_host] : groups) {
    NcclTestsPlacement placement;
    for (const auto& [host, count] : by_host) {
      placement.ranks += count;
      placement.ranks_per_node = std::max(placement.ranks_per_node, count);
    }
    placement.nodes = std::ssize(by_host);
    placement.groups_per_node = placement.nodes > 1 ? static_cast<int64_t>(groups_per_node) : 1;
    if (found && *found != placement) return std::nullopt;
    found = placement;
  }
  return found;
}

class RunImporter {
 public:
  RunImporter(const NcclTestsRun& run, std::string kind, const NcclTestsPlacement& placement, ImportedRows& rows)
      : run_(run), kind_(std::move(kind)), placement_(placement), rows_(rows) {}

  void Import() {
    for (const NcclTestsRow& row : run_.rows) ImportRow(row);
  }

 private:
  void ImportRow(const NcclTestsRow& row) {
    const auto type = TypeOf(row.type);
    if (!type) return Omit(fmt::format("results of element type '{}', which no tensor of a program has", row.type), row);
    const bool reduces = kind_ == "all_reduce" || kind_ == "reduce_scatter";
    if (reduces && row.reduction != "sum" && row.reduction != "avg" && !row.reduction.empty()) {
      return Omit(fmt::format("results of reduction '{}'; a training step takes sums", row.reduction), row);
    }
    const bool in_place_first = kind_ == "all_reduce" || kind_ == "broadcast";
    const auto& preferred = in_place_first ? row.in_place : row.out_of_place;
    const NcclTestsTime& time = preferred ? *preferred : in_place_first ? *row.out_of_place : *row.in_place;
    if (time.wrong_elements > 0) return Omit("results that nccl-tests found to be wrong", row);
    if (row.bytes <= Bytes() || time.time <= Duration()) return Omit("results of no bytes or no time", row);
    AddTimes(SignatureOf(row, *type), time);
  }

  ir::CollectiveSignature SignatureOf(const NcclTestsRow& row, ir::DataType type) const {
    ir::CollectiveSignature signature;
    signature.kind = kind_;
    signature.dtype = type;
    signature.bytes = row.bytes;
    signature.ranks = placement_.ranks;
    signature.ranks_per_node = placement_.ranks_per_node;
    signature.groups_per_node = placement_.groups_per_node;
    if (kind_ == "send") {
      signature.ranks = 2;
      signature.ranks_per_node = placement_.nodes > 1 ? 1 : 2;
      signature.groups_per_node = 1;  // of a ring one pair leaves each node
    }
    return signature;
  }

  void AddTimes(const ir::CollectiveSignature& signature, const NcclTestsTime& time) {
    if (time.iterations.empty()) return AddSample(rows_, signature, time.time, run_.iterations);
    for (const Duration iteration : time.iterations) AddSample(rows_, signature, iteration, 1);
  }

  void Omit(const std::string& reason, const NcclTestsRow& row) { rows_.omissions.Add(reason, row.where); }

  const NcclTestsRun& run_;
  std::string kind_;
  NcclTestsPlacement placement_;
  ImportedRows& rows_;
};

Status ImportRun(const NcclTestsRun& run, const ImportHints& hints, const std::string& file, ImportedRows& rows) {
  HELM_ASSIGN_OR_RETURN(std::string kind, KindOf(run, hints, file));
  HELM_ASSIGN_OR_RETURN(const std::string device, DeviceOf(run, file));
  if (!rows.device.empty() && rows.device != device) {
    return InvalidError(fmt::format("{}: error: this file holds runs on two devices, '{}' and '{}'; import them into two tables", file,
                                    rows.device, device));
  }
  rows.device = device;
  const auto omit = [&](const std::string& reason) { rows.omissions.Add(reason, file, std::ssize(run.rows)); };
  const auto placement = PlacementOf(run.ranks);
  if (kind.empty()) {
    omit(fmt::format("results of {}, a collective that no program has", run.program));
  } else if (run.host_time) {
    omit("results with the time of the launching thread (-C 1), not of the collective");
  } else if (!placement) {
    omit("results of groups that lie differently on the nodes");
  } else if (placement->ranks < 2) {
    omit("results of a single rank");
  } else {
    RunImporter(run, std::move(kind), *placement, rows).Import();
  }
  return OkStatus();
}

}  // namespace

Result<ImportedRows> RowsOf(const formats::NcclTestsFile& measured, const ImportHints& hints, const std::string& file) {
  ImportedRows rows;
  rows.omissions = measured.omissions;
  for (const NcclTestsRun& run : measured.runs) HELM_RETURN_IF_ERROR(ImportRun(run, hints, file, rows));
  return rows;
}

}  // namespace helm::importer
