#include "cost/chain.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/check.h"
#include "cost/analytic.h"
#include "cost/collective_estimator.h"
#include "cost/gpu_estimator.h"
#include "cost/pair_losses.h"
#include "cost/table_estimator.h"

namespace helm::cost {
namespace {

constexpr std::string_view kHostKey = "launch costs of the host thread";

std::string FileOf(const CostTable& table) { return table.file.empty() ? "cost table" : table.file; }

Status CheckDevice(const CostTable& table, const DeviceKey& wanted) {
  if (SameDevice(table.device, wanted)) return OkStatus();
  return InvalidError(
      fmt::format("{}:1:1: error: the table was measured on {}, the cluster is {}; a table holds for its own device only: measure this one "
                  "with helm-profile",
                  FileOf(table), ToText(table.device), ToText(wanted)));
}

Status NotMeasured(const std::string& key) {
  return UnavailableError(fmt::format("{}: not measured, and only measured costs are allowed", key));
}

// c10d's ProcessGroupGloo gathers into a flat tensor of its own, from which it copies, and scatters by reducing a copy of all of the input
// (torch 2.11, ProcessGroupGloo.cpp: newLikeFlat in allgather, clone in _reduce_scatter_base). No row of a table counts them.
Bytes CopiedByGloo(const ir::CollectiveSignature& collective) {
  return collective.kind == "all_gather" || collective.kind == "reduce_scatter" ? collective.bytes : Bytes();
}

// What a prediction rests on when there are no tables.
std::string WithoutTables(const cluster::Cluster& cluster) {
  if (cluster.device.is_cpu) return "every time is a data-sheet bound that no real kernel reaches";
  const cluster::Device& device = cluster.device;
  const KernelTable* table = ProductTablesFor(device.name, device.architecture);
  if (table == nullptr) return "its kernels are taken to be as efficient as an H100's";
  if (table->device == device.name)
    return "its products and attention come from published kernel measurements, the rest from its data sheet";
  return fmt::format("its kernels are taken to be as efficient as those of '{}', the rest comes from its data sheet", table->device);
}

}  // namespace

DeviceKey DeviceKeyOf(const cluster::Cluster& cluster) {
  if (!cluster.device.is_cpu) return {"cuda", cluster.device.name, 1, 1};
  return {"cpu", cluster.device.name, cluster::ThreadsPerRank(cluster), cluster.devices_per_node,
          cluster.emulated_network ? cluster::Describe(*cluster.emulated_network) : ""};
}

ChainOptions ChainOptionsOf(const ir::Software& software) {
  const auto kernel_of = [](ir::AttentionKernel kernel) {
    if (kernel == ir::AttentionKernel::kTriton) return AttentionKernel::kTriton;
    return kernel == ir::AttentionKernel::kCudnn ? AttentionKernel::kNative : AttentionKernel::kFlash2;
  };
  return {.host = HostThreadOf(software),
          .launch_blocking = software.launch_blocking,
          // Megatron's batch_p2p_sync is of batch_p2p_comm alone, which overlap_p2p_comm excludes (megatron/core/pipeline_parallel/
          // p2p_communication.py). Its other pipelines, which are not interleaved, do wait: not told apart here.
          .pipeline_sync = software.pipeline_sync && software.pipeline_overlap == ir::PipelineOverlap::kNone,
          .gradient_norm_sync = software.gradient_norm_sync,
          .attention = kernel_of(software.attention_kernel),
          .deterministic = software.deterministic};
}

int64_t Coverage::Count(Source source) const {
  return std::ranges::count_if(answered, [source](const auto& entry) { return entry.second == source; });
}

template <typename Ask>
Result<Estimate> ChainEstimator::Remember(const std::string& key, const Ask& ask) const {
  if (const auto known = remembered_.find(key); known != remembered_.end()) return known->second;
  Result<Estimate> answer = InternalError("no estimator in the chain");
  for (const auto& link : links_) {
    answer = ask(*link);
    if (answer.ok()) break;
  }
  if (answer.ok()) {
    coverage_.answered.emplace(key, answer->source);
    if (options_.require_measured && answer->source != Source::kMeasured) answer = NotMeasured(key);
  } else {
    coverage_.missing.emplace(key, answer.status().message());
  }
  return remembered_.emplace(key, std::move(answer)).first->second;
}

Result<Estimate> ChainEstimator::EstimateOp(const ir::OpSignature& op) const {
  return Remember(ir::ToText(op), [&](const Estimator& link) { return link.EstimateOp(op); });
}

Result<Estimate> ChainEstimator::EstimateCollective(const ir::CollectiveSignature& collective) const {
  return Remember(ir::ToText(collective), [&](const Estimator& link) {
    Result<Estimate> estimate = link.EstimateCollective(collective);
    if (gloo_ && estimate.ok()) estimate->workspace = std::max(estimate->workspace, CopiedByGloo(collective));
    return estimate;
  });
}

Result<HostCosts> ChainEstimator::EstimateHost() const {
  Result<HostCosts> answer = InternalError("no estimator in the chain");
  for (const auto& link : links_) {
    answer = link->EstimateHost();
    if (answer.ok()) break;
  }
  const std::string key(kHostKey);
  if (!answer.ok()) {
    coverage_.missing.emplace(key, answer.status().message());
    return answer;
  }
  coverage_.answered.emplace(key, answer->source);
  if (options_.require_measured && answer->source != Source::kMeasured) return NotMeasured(key);
  answer->blocking = options_.launch_blocking;
  answer->waits_for_messages = options_.pipeline_sync;
  answer->waits_for_norm = options_.gradient_norm_sync;
  return answer;
}

OverlapLosses ChainEstimator::EstimateOverlap(const OverlapLosses& modelled) const {
  OverlapLosses losses = modelled;
  for (const auto& link : links_) losses = link->EstimateOverlap(losses);
  return losses;
}

Status ChainEstimator::CheckMeasured() const {
  std::vector<std::string> keys;
  for (const auto& [key, source] : coverage_.answered) {
    if (source != Source::kMeasured) keys.push_back(fmt::format("{} ({})", key, Name(source)));
  }
  for (const auto& [key, reason] : coverage_.missing) keys.push_back(fmt::format("{} (unknown)", key));
  if (keys.empty()) return OkStatus();
  return UnavailableError(
      fmt::format("error: {} costs are not measured; measure them with helm-profile:\n  {}", keys.size(), fmt::join(keys, "\n  ")));
}

Result<std::unique_ptr<ChainEstimator>> MakeEstimator(const cluster::Cluster& cluster, const std::vector<CostTable>& tables,
                                                      const ChainOptions& options) {
  HELM_CHECK(cluster.groups.empty(), "each group has an estimator of its own");
  const DeviceKey wanted = DeviceKeyOf(cluster);
  std::vector<std::unique_ptr<Estimator>> links;
  CostTable all;
  all.device = wanted;
  for (const CostTable& table : tables) {
    HELM_RETURN_IF_ERROR(CheckDevice(table, wanted));
    HELM_RETURN_IF_ERROR(Merge(all, table));
  }
  if (!tables.empty()) {
    if (options.host != HostThread::kInterpreter) all.host.reset();  // helm-profile measures HELM's own host thread
    HELM_ASSIGN_OR_RETURN(TableEstimator estimator, TableEstimator::Create(std::move(all)));
    links.push_back(std::make_unique<TableEstimator>(std::move(estimator)));
  }
  if (!cluster.device.is_cpu) {
    links.push_back(std::make_unique<GpuEstimator>(cluster.device, options.attention, options.constants, options.deterministic));
    links.push_back(std::make_unique<CollectiveEstimator>(cluster));
  }
  links.push_back(std::make_unique<AnalyticEstimator>(cluster, options.host, options.constants));
  return std::make_unique<ChainEstimator>(std::move(links), options, cluster.device.is_cpu);
}

std::vector<std::string> Warnings(const cluster::Cluster& cluster, const std::vector<CostTable>& tables) {
  std::vector<std::string> warnings;
  const auto empty = [](const CostTable& table) { return table.ops.empty() && table.collectives.empty(); };
  if (std::ranges::all_of(tables, empty)) {
    warnings.push_back(fmt::format("nothing was measured on {}: {}; measure with helm-profile and give the table with --cost-table",
                                   ToText(DeviceKeyOf(cluster)), WithoutTables(cluster)));
  } else if (std::ranges::none_of(tables, [](const CostTable& table) { return table.host.has_value(); })) {
    warnings.push_back("no cost table holds the launch costs of the host thread: they are published lower bounds");
  }
  PairTable pairs;
  for (const CostTable& table : tables) {
    for (const auto& [key, pair] : table.pairs) pairs[key] = pair;
  }
  for (std::string& line : DescribeMeasured(pairs)) warnings.push_back(std::move(line));
  return warnings;
}

}  // namespace helm::cost
