#include "planner/prediction.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cluster/device_groups.h"
#include "core/text.h"
#include "cost/error_bands.h"

namespace helm::planner {
namespace {

// Twenty characters, filled in proportion to `share`; a share above one is marked.
std::string Bar(double share) {
  constexpr int kWidth = 20;
  const int filled = std::clamp(static_cast<int>(std::lround(share * kWidth)), 0, kWidth);
  return "[" + std::string(static_cast<size_t>(filled), '#') + std::string(static_cast<size_t>(kWidth - filled), '.') +
         (share > 1 ? ">" : "]");
}

std::string Share(Duration part, Duration whole) {
  const double fraction = whole.picoseconds() > 0 ? part.seconds() / whole.seconds() : 0;
  return fmt::format("{} ({:.1f} %)", FormatDuration(part), 100 * fraction);
}

std::optional<StepTimeBand> BandFor(Duration step_time, const ir::Workload& workload, const cluster::Cluster& cluster,
                                    const sim::SourceShares& sources) {
  if (!cluster::HasOneDevice(cluster)) return std::nullopt;
  const bool quantized = workload.quantization != ir::Quantization::kNone;
  const cost::ErrorBand* band = cost::BandOf(cost::BuiltInErrorBands(), cost::RunKindsOf(cluster.device, quantized, sources.measured));
  if (band == nullptr) return std::nullopt;
  return StepTimeBand{Duration::Seconds(step_time.seconds() * band->low), Duration::Seconds(step_time.seconds() * band->high), band->kind,
                      band->rows, band->sources};
}

// Of all devices together, a second; nothing when one's is not known.
std::optional<double> PeakRate(const cluster::Cluster& cluster, const std::string& dtype) {
  if (!cluster::HasGroups(cluster)) {
    const auto peak = cluster.device.peak.find(dtype);
    if (peak == cluster.device.peak.end()) return std::nullopt;
    return static_cast<double>(cluster.devices_used) * peak->second.value();
  }
  double sum = 0;
  for (const cluster::Cluster& group : cluster.groups) {
    const auto of_group = PeakRate(group, dtype);
    if (!of_group) return std::nullopt;
    sum += *of_group;
  }
  return sum;
}

}  // namespace

Bytes MemoryCapacity(const cluster::Cluster& cluster, double fraction) {
  if (cluster::HasGroups(cluster)) {
    Bytes most;
    for (const cluster::Cluster& group : cluster.groups) most = std::max(most, MemoryCapacity(group, fraction));
    return most;
  }
  const int64_t sharing = cluster.device.is_cpu ? cluster.devices_per_node : 1;
  return Bytes(std::llround(static_cast<double>(cluster.device.memory.count()) * fraction / static_cast<double>(sharing)));
}

Prediction MakePrediction(const sim::Simulation& simulation, const model::ModelSpec& model, const ir::Workload& workload,
                          const cluster::Cluster& cluster, double memory_fraction) {
  Prediction prediction;
  prediction.step_time = simulation.makespan;
  prediction.memory_bytes_peak = simulation.peak.bytes;
  prediction.memory_bytes_capacity = MemoryCapacity(cluster, memory_fraction);
  prediction.memory_bytes_device = MemoryCapacity(cluster, 1);
  prediction.fits = prediction.memory_bytes_peak <= prediction.memory_bytes_capacity;
  prediction.peak = simulation.peak;
  prediction.breakdown = simulation.breakdown;
  prediction.sources = simulation.shares;
  const bool trains = workload.kind == "training";
  if (trains) prediction.band = BandFor(prediction.step_time, workload, cluster, prediction.sources);
  const double devices = static_cast<double>(cluster.devices_used);
  const double tokens = static_cast<double>(workload.global_batch * workload.sequence_length);
  prediction.tokens_per_second_per_device = tokens / simulation.makespan.seconds() / devices;
  if (const auto peak = PeakRate(cluster, std::string(ir::Name(workload.dtype))); peak && trains) {
    const Flops flops = model::TrainingFlops(model, workload.global_batch, workload.sequence_length);
    prediction.model_flops_utilization = flops.count() / (simulation.makespan.seconds() * *peak);
  }
  return prediction;
}

std::optional<std::pair<double, double>> BandSecondsOf(const Prediction& prediction) {
  if (!prediction.band) return std::nullopt;
  return std::pair(prediction.band->low.seconds(), prediction.band->high.seconds());
}

bool IsTie(const Prediction& first, const Prediction& second, Compared compared) {
  if (compared == Compared::kOtherWork || !first.band || !second.band) return false;
  const bool published = first.band->kind != cost::kMeasuredRuns && second.band->kind != cost::kMeasuredRuns;
  const bool possible = first.step_time.picoseconds() > 0 && second.step_time.picoseconds() > 0;
  if (compared == Compared::kSameMachine && published && possible) {
    return cost::IsTie(cost::BuiltInErrorBands(), first.step_time.seconds(), second.step_time.seconds());
  }
  return first.band->low <= second.band->high && second.band->low <= first.band->high;
}

bool ReservesTooMuch(const Prediction& prediction) {
  return prediction.tightest && prediction.tightest->taken > prediction.tightest->device;
}

nlohmann::ordered_json MemoryJson(const Prediction& prediction, nlohmann::ordered_json by_category) {
  // Reserved memory and memory outside the allocator are not modelled on a CPU: null, not a copy of what is allocated.
  nlohmann::ordered_json reserved;
  nlohmann::ordered_json total;
  if (prediction.memory_bytes_reserved) {
    reserved = prediction.memory_bytes_reserved->count();
    total = (*prediction.memory_bytes_reserved + prediction.outside.total()).count();
    by_category["cuda_context"] = prediction.outside.cuda_context.count();
    by_category["nccl_buffers"] = prediction.outside.nccl_buffers.count();
  }
  nlohmann::ordered_json json = {{"allocated_bytes", prediction.memory_bytes_peak.count()},
                                 {"reserved_bytes", reserved},
                                 {"total_bytes", total},
                                 {"capacity_bytes", prediction.memory_bytes_capacity.count()},
                                 {"device_bytes", prediction.memory_bytes_device.count()},
                                 {"by_category", by_category},
                                 {"rank", prediction.rank_of_peak}};
  if (!prediction.group_of_peak.empty()) json["group"] = prediction.group_of_peak;
  return json;
}

nlohmann::ordered_json ToJson(const Prediction& prediction) {
  nlohmann::ordered_json by_category;
  for (size_t role = 0; role < ir::kStorageRoles; ++role) {
    by_category[std::string(ir::Name(static_cast<ir::StorageRole>(role)))] = prediction.peak.by_role[role];
  }
  by_category["workspace"] = prediction.peak.workspace.count();
  const sim::Breakdown& breakdown = prediction.breakdown;
  nlohmann::ordered_json json;
  json["fits"] = prediction.fits;
  json["step_time_s"] = prediction.step_time.seconds();
  // null: nobody has published runs of the kind; an invented band would be worse than none.
  const std::optional<StepTimeBand>& band = prediction.band;
  json["step_time_band_s"] = band ? nlohmann::ordered_json({band->low.seconds(), band->high.seconds()}) : nlohmann::ordered_json();
  json["tokens_per_s_per_gpu"] = prediction.tokens_per_second_per_device;
  json["model_flops_utilization"] =
      prediction.model_flops_utilization ? nlohmann::ordered_json(*prediction.model_flops_utilization) : nlohmann::ordered_json();
  json["peak_memory"] = MemoryJson(prediction, std::move(by_category));
  json["breakdown_s"] = {{"compute", breakdown.compute.seconds()},
                         {"exposed_communication", breakdown.exposed_communication.seconds()},
                         {"bubble", breakdown.bubble.seconds()},
                         {"optimizer", breakdown.optimizer.seconds()},
                         {"host", breakdown.host.seconds()}};
  json["sources"] = {{"measured", prediction.sources.measured},
                     {"interpolated", prediction.sources.interpolated},
                     {"analytic", prediction.sources.analytic}};
  if (band) json["step_time_band_from"] = {{"kind", band->kind}, {"rows", band->rows}, {"sources", band->sources}};
  return json;
}

ir::PlanPrediction Summary(const Prediction& prediction) {
  return {prediction.step_time.seconds(), prediction.memory_bytes_peak.count(), prediction.sources.measured,
          prediction.sources.interpolated, prediction.sources.analytic};
}

namespace {

std::string ReservedText(const Prediction& prediction) {
  if (!prediction.memory_bytes_reserved) return "";
  std::string text = fmt::format("               {} reserved by the allocator, and outside it {} CUDA context, {} NCCL buffers\n",
                                 FormatBytes(*prediction.memory_bytes_reserved), FormatBytes(prediction.outside.cuda_context),
                                 FormatBytes(prediction.outside.nccl_buffers));
  if (!prediction.fits || !ReservesTooMuch(prediction)) return text;
  return text + fmt::format("               MAY RUN OUT: rank {} takes {} of the device's {}; a lower search.memory_fraction leaves room\n",
                            prediction.tightest->rank, FormatBytes(prediction.tightest->taken), FormatBytes(prediction.tightest->device));
}

}  // namespace

std::string ToText(const Prediction& prediction) {
  const Duration step = prediction.step_time;
  const sim::Breakdown& breakdown = prediction.breakdown;
  const double memory_share =
      static_cast<double>(prediction.memory_bytes_peak.count()) / static_cast<double>(prediction.memory_bytes_capacity.count());
  std::string text =
      fmt::format("step time      {}, {:.0f} tokens/s per device", FormatDuration(step), prediction.tokens_per_second_per_device);
  if (prediction.model_flops_utilization) text += fmt::format(", MFU {:.1f} %", 100 * *prediction.model_flops_utilization);
  if (prediction.band) {
    text +=
        fmt::format("\n               {} to {} for four of five runs (by {} rows of {} sources, {})", FormatDuration(prediction.band->low),
                    FormatDuration(prediction.band->high), prediction.band->rows, prediction.band->sources, prediction.band->kind);
  }
  const std::string& group = prediction.group_of_peak;
  const std::string whose =
      group.empty() ? "per rank" : fmt::format("on rank {} of {}, which has least left", prediction.rank_of_peak, group);
  text += fmt::format("\npeak memory    {} {} of {} {}{}\n", Bar(memory_share), FormatBytes(prediction.memory_bytes_peak),
                      FormatBytes(prediction.memory_bytes_capacity), whose, prediction.fits ? "" : "  DOES NOT FIT");
  text += ReservedText(prediction);
  text += fmt::format("time goes to   compute {}, exposed communication {}, ", Share(breakdown.compute, step),
                      Share(breakdown.exposed_communication, step));
  if (breakdown.bubble.picoseconds() > 0) text += fmt::format("bubble {}, ", Share(breakdown.bubble, step));
  text += fmt::format("optimizer {}, launching {}{}\n", Share(breakdown.optimizer, step), Share(breakdown.host, step),
                      breakdown.bubble.picoseconds() > 0 ? "; the mean of all stages" : "");
  text += fmt::format("numbers rest on  {:.1f} % measured, {:.1f} % interpolated, {:.1f} % analytic costs\n",
                      100 * prediction.sources.measured, 100 * prediction.sources.interpolated, 100 * prediction.sources.analytic);
  return text;
}

}  // namespace helm::planner
