#include "importer/kineto_rows.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "formats/foreign_numbers.h"
#include "importer/collective_times.h"
#include "importer/device_work.h"
#include "importer/kineto_op_rows.h"

namespace helm::importer {
namespace {

using formats::KinetoCollective;
using formats::KinetoEvent;
using formats::KinetoTrace;

// c10::toString of the element types that a program's tensors can have.
constexpr std::array<std::pair<std::string_view, ir::DataType>, 7> kCollectiveTypes = {{{"Float", ir::DataType::kFloat32},
                                                                                        {"BFloat16", ir::DataType::kBFloat16},
                                                                                        {"Half", ir::DataType::kFloat16},
                                                                                        {"Long", ir::DataType::kInt64},
                                                                                        {"Int", ir::DataType::kInt32},
                                                                                        {"Byte", ir::DataType::kUInt8},
                                                                                        {"Bool", ir::DataType::kBool}}};

constexpr std::array<std::string_view, 5> kKinds = {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast"};

struct Placement {
  int64_t ranks_per_node = 1;
  int64_t nodes = 1;
};

Placement PlacementOf(const std::vector<int64_t>& ranks, int64_t devices_per_node) {
  std::map<int64_t, int64_t> on_node;
  for (const int64_t rank : ranks) ++on_node[rank / devices_per_node];
  Placement placement;
  placement.nodes = std::ssize(on_node);
  for (const auto& [node, count] : on_node) placement.ranks_per_node = std::max(placement.ranks_per_node, count);
  return placement;
}

class TraceImporter {
 public:
  TraceImporter(const KinetoTrace& trace, int64_t devices_per_node, CollectiveTimes& times, ImportedRows& rows)
      : trace_(trace), devices_per_node_(devices_per_node), times_(times), rows_(rows) {}

  void Import() {
    for (const KinetoEvent& event : trace_.events) {
      if (event.kind == KinetoEvent::Kind::kOperator && event.collective >= 0) operators_.try_emplace(event.external_id, event.collective);
    }
    for (const KinetoEvent& event : trace_.events) {
      if (event.kind != KinetoEvent::Kind::kKernel) continue;
      if (const KinetoCollective* collective = CollectiveOf(event)) {
        if (const auto signature = SignatureOf(*collective)) AddTime(event, *collective, *signature);
      }
    }
  }

 private:
  // The operator knows more of it than its kernel: which of its group it is.
  const KinetoCollective* CollectiveOf(const KinetoEvent& kernel) const {
    const auto found = kernel.external_id == 0 ? operators_.end() : operators_.find(kernel.external_id);
    const int32_t index = found != operators_.end() ? found->second : kernel.collective;
    return index >= 0 ? &trace_.collectives[static_cast<size_t>(index)] : nullptr;
  }

  std::optional<ir::CollectiveSignature> SignatureOf(const KinetoCollective& collective) {
    constexpr std::string_view kPrefix = "c10d.";
    ir::CollectiveSignature signature;
    signature.kind = CollectiveTarget(collective.name).substr(kPrefix.size());
    if (std::ranges::find(kKinds, signature.kind) == kKinds.end()) {
      return LeaveOut(fmt::format("kernels of '{}', which is no collective of a cost table", collective.name));
    }
    const auto* type = std::ranges::find(kCollectiveTypes, collective.dtype, &std::pair<std::string_view, ir::DataType>::first);
    if (type == kCollectiveTypes.end()) return LeaveOut(fmt::format("collectives of element type '{}'", collective.dtype));
    if (collective.group_ranks.size() < 2) return LeaveOut("collectives whose ranks the trace does not list");
    const int64_t elements = std::max(collective.elements_in, collective.elements_out);
    if (elements <= 0 || elements > formats::kBytesMost / ir::ElementBytes(type->second)) return LeaveOut("collectives of no size");
    const Placement placement = PlacementOf(collective.group_ranks, devices_per_node_);
    signature.dtype = type->second;
    signature.bytes = Bytes(elements * ir::ElementBytes(type->second));
    signature.ranks = std::ssize(collective.group_ranks);
    signature.ranks_per_node = placement.ranks_per_node;
    if (placement.nodes > 1) signature.groups_per_node = std::max<int64_t>(1, devices_per_node_ / placement.ranks_per_node);
    return signature;
  }

  std::nullopt_t LeaveOut(const std::string& reason) {
    rows_.omissions.Add(reason);
    return std::nullopt;
  }

  // Runs of one collective on several ranks have the same number in the same group. Without a number each run stands alone.
  void AddTime(const KinetoEvent& event, const KinetoCollective& collective, const ir::CollectiveSignature& signature) {
    const int64_t rank = trace_.rank.value_or(collective.group_ranks.front());
    const std::string run = collective.sequence >= 0 ? fmt::format("{} {} {}", fmt::join(collective.group_ranks, ","),
                                                                   collective.group_name, collective.sequence)
                                                     : fmt::format("rank {} at {}", rank, event.start_ns);
    times_.Add(run + " " + collective.name, rank, signature, Duration::Nanoseconds(event.duration_ns));
  }

  const KinetoTrace& trace_;
  int64_t devices_per_node_;
  CollectiveTimes& times_;
  ImportedRows& rows_;
  std::map<int64_t, int32_t> operators_;  // external id -> index of its collective
};

// Of the trace's kernels; empty: the trace does not say.
std::string DeviceOf(const KinetoTrace& trace) {
  for (const KinetoEvent& event : trace.events) {
    if (event.kind != KinetoEvent::Kind::kKernel) continue;
    const auto device = std::ranges::find(trace.devices, event.device, &formats::KinetoDevice::id);
    return device == trace.devices.end() ? "" : device->name;
  }
  return "";
}

}  // namespace

Result<ImportedRows> RowsOf(const std::vector<KinetoTrace>& traces, const ImportHints& hints) {
  if (!hints.devices_per_node) {
    return InvalidError(
        "error: a trace of torch.profiler does not tell which ranks share a node\n"
        "  fix: give a run configuration too, whose cluster says how many GPUs a node has");
  }
  ImportedRows rows;
  CollectiveTimes times;
  for (const KinetoTrace& trace : traces) {
    HELM_RETURN_IF_ERROR(Add(rows, {.device = DeviceOf(trace), .omissions = trace.omissions}));
    TraceImporter(trace, *hints.devices_per_node, times, rows).Import();
    AddProducts(trace, rows);
  }
  times.AddTo(rows);
  return rows;
}

}  // namespace helm::importer
