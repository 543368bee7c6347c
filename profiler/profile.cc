#include "profiler/profile.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <sstream>
#include <type_traits>

#include "runtime/measure.h"

namespace helm::profiler {
namespace {

// What the ranks tell each other after a batch; the largest value wins.
constexpr double kDone = 0;
constexpr double kGoOn = 1;
constexpr double kStop = 2;  // rank 0 was interrupted

// Samples between two agreements of the ranks last about this long, so that agreeing costs little and they measure at the same time.
constexpr double kBatchSeconds = 0.02;
constexpr int64_t kBatchSamplesMaximum = 100;

// One thing to measure, on this rank. A rank outside a collective's group takes part in the agreements only.
struct Item {
  std::string key;
  std::function<Result<runtime::OpSample>()> run;  // empty outside the group
  StoppingRuleOptions stopping;
};

Duration Since(std::chrono::steady_clock::time_point start) {
  return Duration::Nanoseconds(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count());
}

Status AgreeOnStatus(runtime::World& world, const Status& mine) {
  HELM_ASSIGN_OR_RETURN(auto messages, world.AllGatherText(mine.message()));
  for (size_t rank = 0; rank < messages.size(); ++rank) {
    if (!messages[rank].empty()) return RankFailedError("rank " + std::to_string(rank) + ": " + messages[rank]);
  }
  return OkStatus();
}

struct Samples {
  std::vector<Duration> durations;
  std::vector<Duration> launches;  // as many, zero on a CPU
  Bytes workspace;
};

std::string Encode(const Samples& samples) {
  std::ostringstream text;
  text << samples.workspace.count();
  for (size_t i = 0; i < samples.durations.size(); ++i) {
    text << ' ' << samples.durations[i].picoseconds() << ' ' << samples.launches[i].picoseconds();
  }
  return text.str();
}

// Adds another rank's samples, as Encode wrote them.
void Decode(const std::string& text, Samples& into) {
  std::istringstream numbers(text);
  int64_t value = 0;
  if (numbers >> value) into.workspace = std::max(into.workspace, Bytes(value));
  for (int64_t launch = 0; numbers >> value >> launch;) {
    into.durations.push_back(Duration::Picoseconds(value));
    into.launches.push_back(Duration::Picoseconds(launch));
  }
}

std::vector<cost::KernelMeasurement> KernelsOf(const std::vector<runtime::KernelRun>& runs) {
  std::vector<cost::KernelMeasurement> kernels;
  for (const runtime::KernelRun& run : runs) kernels.push_back({run.name, run.blocks, run.duration});
  return kernels;
}

class ItemMeasurement {
 public:
  ItemMeasurement(const Item& item, runtime::World& world, const ProfileOptions& options)
      : item_(item), world_(world), options_(options), rule_(item.stopping) {}

  // None when interrupted.
  Result<std::optional<cost::Measurement>> Run() {
    HELM_ASSIGN_OR_RETURN(const int64_t batch, WarmUp());
    double agreed = kGoOn;
    while (agreed == kGoOn) {
      HELM_RETURN_IF_ERROR(world_.Barrier());
      HELM_RETURN_IF_ERROR(RunBatch(batch));
      HELM_ASSIGN_OR_RETURN(agreed, world_.AllReduceMaximum(Vote()));
    }
    if (agreed == kStop) return std::optional<cost::Measurement>();
    return Collect();
  }

 private:
  // Returns how many samples a batch has, the same on all ranks.
  Result<int64_t> WarmUp() {
    double seconds = 0;
    for (int64_t i = 0; i < options_.warm_up_samples && item_.run; ++i) {
      const auto start = std::chrono::steady_clock::now();
      HELM_RETURN_IF_ERROR(item_.run().status());
      seconds = Since(start).seconds();
    }
    HELM_ASSIGN_OR_RETURN(const double slowest, world_.AllReduceMaximum(seconds));
    const double fitting = kBatchSeconds / std::max(slowest, 1e-9);
    return std::clamp<int64_t>(std::llround(fitting), 1, kBatchSamplesMaximum);
  }

  Status RunBatch(int64_t count) {
    for (int64_t i = 0; i < count && item_.run; ++i) {
      const auto start = std::chrono::steady_clock::now();
      HELM_ASSIGN_OR_RETURN(const auto sample, item_.run());
      rule_.AddSample(sample.duration, Since(start));
      launches_.push_back(sample.launch);
      workspace_ = std::max(workspace_, sample.workspace);
    }
    return OkStatus();
  }

  double Vote() const {
    if (options_.interrupted != nullptr && options_.interrupted->load()) return kStop;
    return !item_.run || rule_.Finished() ? kDone : kGoOn;
  }

  Result<std::optional<cost::Measurement>> Collect() {
    HELM_ASSIGN_OR_RETURN(const auto texts, world_.AllGatherText(Encode({rule_.samples(), launches_, workspace_})));
    Samples all;
    for (const std::string& text : texts) Decode(text, all);
    if (all.durations.empty()) return InternalError("no rank measured " + item_.key);
    const Quartiles quartiles = QuartilesOf(all.durations);
    cost::Measurement measurement;
    measurement.median = quartiles.median;
    measurement.mean = quartiles.mean;
    measurement.quartile_lower = quartiles.lower;
    measurement.quartile_upper = quartiles.upper;
    measurement.samples = static_cast<int64_t>(all.durations.size());
    measurement.workspace = all.workspace;
    const Duration launch = QuartilesOf(all.launches).median;
    if (launch.picoseconds() > 0) measurement.launch = launch;
    return std::optional<cost::Measurement>(measurement);
  }

  const Item& item_;
  runtime::World& world_;
  const ProfileOptions& options_;
  StoppingRule rule_;
  std::vector<Duration> launches_;
  Bytes workspace_;
};

// Walks the items; what is common to ops and collectives.
class Session {
 public:
  Session(cost::CostTable table, runtime::World& world, const ProfileOptions& options, int64_t total)
      : world_(world), options_(options), total_(total) {
    result_.table = std::move(table);
  }

  Status MeasureOps(const std::vector<OpWork>& ops) {
    for (const auto& [op, load] : ops) {
      if (result_.interrupted) return OkStatus();
      auto bench = runtime::OpBench::Create(op, options_.device, world_.rank(), load);
      HELM_RETURN_IF_ERROR(AgreeOnStatus(world_, bench.status()));
      const Item item{ir::ToText(op), [&] { return (*bench)->RunOnce(); }, options_.stopping};
      HELM_RETURN_IF_ERROR(Measure(item, result_.table.ops));
      if (options_.device == ir::DeviceKind::kCuda && !result_.interrupted) HELM_RETURN_IF_ERROR(AddKernels(**bench, item.key));
    }
    return OkStatus();
  }

  Status MeasureCollectives(const std::vector<ir::CollectiveSignature>& collectives) {
    for (const ir::CollectiveSignature& collective : collectives) {
      if (result_.interrupted) return OkStatus();
      auto bench = runtime::CollectiveBench::Create(collective, world_, options_.device);
      HELM_RETURN_IF_ERROR(AgreeOnStatus(world_, bench.status()));
      Item item{ir::ToText(collective), nullptr, options_.stopping_collectives};
      if (world_.rank() < collective.ranks) item.run = [&] { return RunCollective(**bench); };
      HELM_RETURN_IF_ERROR(Measure(item, result_.table.collectives));
    }
    return OkStatus();
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

  static Result<runtime::OpSample> RunCollective(runtime::CollectiveBench& bench) {
    HELM_ASSIGN_OR_RETURN(const Duration duration, bench.RunOnce());
    return runtime::OpSample{.duration = duration};
  }

  Status Measure(const Item& item, std::map<std::string, cost::Measurement>& rows) {
    if (options_.progress) options_.progress(done_, total_, item.key);
    HELM_ASSIGN_OR_RETURN(const auto measurement, ItemMeasurement(item, world_, options_).Run());
    ++done_;
    if (const auto state = StateOfGpu()) result_.gpu_states.push_back(*state);
    if (measurement) {
      rows[item.key] = *measurement;
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
  int64_t total_;
  int64_t done_ = 0;
  std::chrono::steady_clock::time_point saved_ = std::chrono::steady_clock::now();
  ProfileResult result_;
};

// The items whose rows are not in the table yet.
template <typename Work>
std::vector<Work> Missing(const std::vector<Work>& wanted, const std::map<std::string, cost::Measurement>& known) {
  const auto key = [](const Work& work) {
    if constexpr (std::is_same_v<Work, OpWork>)
      return ir::ToText(work.op);
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
  const WorkList missing{Missing(work.ops, table.ops), Missing(work.collectives, table.collectives)};
  HELM_ASSIGN_OR_RETURN(const auto lists, world.AllGatherText(world.rank() == 0 ? ToText(missing) : std::string()));
  HELM_ASSIGN_OR_RETURN(const WorkList todo, ParseWorkList(lists.front()));
  const bool host_known = table.host.has_value();
  HELM_ASSIGN_OR_RETURN(const double host_needed, world.AllReduceMaximum(world.rank() == 0 && !host_known ? 1 : 0));

  Session session(std::move(table), world, options, static_cast<int64_t>(todo.ops.size() + todo.collectives.size()));
  HELM_RETURN_IF_ERROR(session.MeasureOps(todo.ops));
  HELM_RETURN_IF_ERROR(session.MeasureCollectives(todo.collectives));
  if (host_needed > 0) HELM_RETURN_IF_ERROR(session.MeasureHost());
  return session.Take();
}

}  // namespace helm::profiler
