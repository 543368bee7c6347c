#include "profiler/profile.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>
#include <type_traits>

#include "profiler/agreement.h"
#include "profiler/pair_measurement.h"
#include "profiler/visit.h"
#include "runtime/measure.h"

namespace helm::profiler {
namespace {

std::vector<cost::KernelMeasurement> KernelsOf(const std::vector<runtime::KernelRun>& runs) {
  std::vector<cost::KernelMeasurement> kernels;
  for (const runtime::KernelRun& run : runs) kernels.push_back({run.name, run.blocks, run.duration});
  return kernels;
}

// Walks the items; what is common to ops and collectives.
class Session {
 public:
  Session(cost::CostTable table, runtime::World& world, const ProfileOptions& options, int64_t rounds)
      : world_(world), options_(options), rounds_(rounds) {
    result_.table = std::move(table);
  }

  Status Measure(const WorkList& work) {
    visits_ = rounds_ * static_cast<int64_t>(work.ops.size() + work.collectives.size()) + static_cast<int64_t>(work.pairs.size());
    for (round_ = 1; round_ <= rounds_; ++round_) {
      HELM_RETURN_IF_ERROR(MeasureOps(work.ops));
      HELM_RETURN_IF_ERROR(MeasureCollectives(work.collectives));
    }
    return MeasurePairs(work.pairs);
  }

  // The interpreter's own cost: measured by every rank at once, the largest counts.
  Status MeasureHost() {
    if (result_.interrupted) return OkStatus();
    HELM_RETURN_IF_ERROR(world_.Barrier());
    auto costs = runtime::MeasureInterpreter(options_.device);
    HELM_RETURN_IF_ERROR(AgreeOnStatus(world_, costs.status()));
    HELM_ASSIGN_OR_RETURN(const double per_op, world_.AllReduceMaximum(costs->per_op.seconds()));
    HELM_ASSIGN_OR_RETURN(const double per_collective, world_.AllReduceMaximum(costs->per_collective.seconds()));
    HELM_ASSIGN_OR_RETURN(const double per_wait, world_.AllReduceMaximum(costs->per_wait.seconds()));
    result_.table.host = cost::HostMeasurement{Duration::Seconds(per_op), Duration::Seconds(per_collective), Duration::Seconds(per_wait)};
    return OkStatus();
  }

  ProfileResult Take() { return std::move(result_); }

 private:
  Status MeasureOps(const std::vector<OpWork>& ops) {
    for (const auto& [op, load] : ops) {
      if (result_.interrupted) return OkStatus();
      auto bench = runtime::OpBench::Create(op, options_.device, world_.rank(), load);
      HELM_RETURN_IF_ERROR(AgreeOnStatus(world_, bench.status()));
      const Item item{ir::ToText(op), [&](Slots& slots) { return RunOp(**bench, slots); }, options_.stopping,
                      options_.device == ir::DeviceKind::kCpu};
      HELM_RETURN_IF_ERROR(Visit(item, result_.table.ops));
      if (options_.device == ir::DeviceKind::kCuda && round_ == rounds_ && !result_.interrupted)
        HELM_RETURN_IF_ERROR(AddKernels(**bench, item.key));
    }
    return OkStatus();
  }

  Status MeasureCollectives(const std::vector<ir::CollectiveSignature>& collectives) {
    for (const ir::CollectiveSignature& collective : collectives) {
      if (result_.interrupted) return OkStatus();
      auto bench = runtime::CollectiveBench::Create(collective, world_, options_.device);
      HELM_RETURN_IF_ERROR(AgreeOnStatus(world_, bench.status()));
      Item item{ir::ToText(collective), nullptr, options_.stopping_collectives, false};
      if (world_.rank() < collective.ranks) item.run = [&](Slots&) { return RunCollective(**bench); };
      HELM_RETURN_IF_ERROR(Visit(item, result_.table.collectives));
    }
    return OkStatus();
  }

  // In one round: what is kept of their rates is of times that were taken side by side.
  Status MeasurePairs(const std::vector<PairWork>& pairs) {
    for (const PairWork& pair : pairs) {
      if (result_.interrupted) return OkStatus();
      const std::string key = KeyOf(pair);
      if (options_.progress) options_.progress(done_, visits_, key);
      HELM_ASSIGN_OR_RETURN(const auto row, MeasurePair(pair, world_, options_));
      HELM_RETURN_IF_ERROR(Keep(key, row, result_.table.pairs));
    }
    return OkStatus();
  }

  // An op that launches nothing (new_empty) takes no time on the device: what lies between two marks then is the marks' own.
  Status AddKernels(runtime::OpBench& bench, const std::string& key) {
    cost::Measurement& row = result_.table.ops.at(key);
    if (const auto clock = bench.ClockMegahertz()) row.clock_megahertz = std::round(*clock);
    const auto runs = bench.Kernels();
    const bool refused = runs.status().code() == StatusCode::kUnavailable;  // another tool has CUPTI, or the driver does not allow it
    HELM_RETURN_IF_ERROR(AgreeOnStatus(world_, refused ? OkStatus() : runs.status()));
    if (refused) result_.kernels_unknown = runs.status().message();
    if (runs.ok()) row.kernels = KernelsOf(*runs);
    const bool launches_nothing = runs.ok() ? runs->empty() : key.starts_with("aten.new_empty(");
    if (launches_nothing) row.median = row.mean = row.quartile_lower = row.quartile_upper = Duration();
    return OkStatus();
  }

  // A GPU's queue must not run empty between the two, and no other rank is on it.
  Result<runtime::OpSample> RunOp(runtime::OpBench& bench, Slots& slots) const {
    HELM_RETURN_IF_ERROR(bench.Prepare());
    if (options_.device == ir::DeviceKind::kCpu) slots.WaitForNext();
    return bench.Measure();
  }

  static Result<runtime::OpSample> RunCollective(runtime::CollectiveBench& bench) {
    HELM_ASSIGN_OR_RETURN(const Duration duration, bench.RunOnce());
    return runtime::OpSample{.duration = duration};
  }

  Status Visit(const Item& item, std::map<std::string, cost::Measurement>& rows) {
    if (options_.progress) options_.progress(done_, visits_, item.key);
    RankSamples& samples = samples_.try_emplace(item.key, RankSamples{StoppingRule(item.stopping), {}, Bytes()}).first->second;
    const double share = static_cast<double>(round_) / static_cast<double>(rounds_);
    HELM_ASSIGN_OR_RETURN(const auto measurement, profiler::Visit(item, samples, share, world_, options_));
    return Keep(item.key, measurement, rows);
  }

  // After each visit; `row`: none when interrupted.
  template <typename Row>
  Status Keep(const std::string& key, const std::optional<Row>& row, std::map<std::string, Row>& rows) {
    ++done_;
    if (const auto state = StateOfGpu()) result_.gpu_states.push_back(*state);
    if (row) {
      rows[key] = *row;
    } else {
      result_.interrupted = true;
    }
    return Checkpoint();
  }

  std::optional<runtime::GpuState> StateOfGpu() const {
    if (options_.gpu_pci_bus_id.empty()) return std::nullopt;
    return runtime::ReadGpuState(options_.gpu_pci_bus_id);
  }

  Status Checkpoint() {
    const auto now = std::chrono::steady_clock::now();
    if (!options_.checkpoint || now - saved_ < options_.checkpoint_interval) return OkStatus();
    saved_ = now;
    return options_.checkpoint(result_.table);
  }

  runtime::World& world_;
  const ProfileOptions& options_;
  int64_t rounds_;
  int64_t visits_ = 0;
  int64_t round_ = 1;
  std::map<std::string, RankSamples> samples_;
  int64_t done_ = 0;
  std::chrono::steady_clock::time_point saved_ = std::chrono::steady_clock::now();
  ProfileResult result_;
};

// The items whose rows are not in the table yet.
template <typename Work, typename Row>
std::vector<Work> Missing(const std::vector<Work>& wanted, const std::map<std::string, Row>& known) {
  const auto key = [](const Work& work) {
    if constexpr (std::is_same_v<Work, OpWork>)
      return ir::ToText(work.op);
    else if constexpr (std::is_same_v<Work, PairWork>)
      return KeyOf(work);
    else
      return ir::ToText(work);
  };
  std::vector<Work> missing;
  std::ranges::copy_if(wanted, std::back_inserter(missing), [&](const Work& work) { return !known.contains(key(work)); });
  return missing;
}

}  // namespace

nlohmann::ordered_json Summary(const std::vector<runtime::GpuState>& states) {
  if (states.empty()) return nullptr;
  nlohmann::ordered_json json;
  const auto range = [&](const char* name, auto member) {
    const auto [least, most] = std::ranges::minmax(states, {}, member);
    json[name] = {{"least", least.*member}, {"most", most.*member}};
  };
  range("sm_clock_mhz", &runtime::GpuState::sm_clock_mhz);
  range("memory_clock_mhz", &runtime::GpuState::memory_clock_mhz);
  range("power_watts", &runtime::GpuState::power_watts);
  range("temperature_celsius", &runtime::GpuState::temperature_celsius);
  uint64_t reasons = 0;
  for (const runtime::GpuState& state : states) reasons |= state.slowdown_reasons;
  json["slowdown_reasons"] = reasons;
  return json;
}

Result<ProfileResult> Profile(const WorkList& work, cost::CostTable table, runtime::World& world, const ProfileOptions& options) {
  // Rank 0's list of what is missing is everybody's, since only rank 0 has read the table.
  const WorkList missing{Missing(work.ops, table.ops), Missing(work.collectives, table.collectives), Missing(work.pairs, table.pairs)};
  HELM_ASSIGN_OR_RETURN(const auto lists, world.AllGatherText(world.rank() == 0 ? ToText(missing) : std::string()));
  HELM_ASSIGN_OR_RETURN(const WorkList todo, ParseWorkList(lists.front()));
  const bool host_known = table.host.has_value();
  HELM_ASSIGN_OR_RETURN(const double host_needed, world.AllReduceMaximum(world.rank() == 0 && !host_known ? 1 : 0));

  HELM_ASSIGN_OR_RETURN(const double rounds, world.AllReduceMaximum(world.rank() == 0 ? static_cast<double>(options.rounds) : 0));

  Session session(std::move(table), world, options, std::llround(rounds));
  HELM_RETURN_IF_ERROR(session.Measure(todo));
  if (host_needed > 0) HELM_RETURN_IF_ERROR(session.MeasureHost());
  return session.Take();
}

}  // namespace helm::profiler
