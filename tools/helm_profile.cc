// helm-profile: measures on this machine the ops and collectives that a configuration's search needs (or a standard sweep) into a cost
// table.
#include <cstdint>
#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "core/counted.h"
#include "core/file.h"
#include "core/stamp.h"
#include "core/text.h"
#include "profiler/profile.h"
#include "runtime/interpreter.h"
#include "runtime/scheduling.h"
#include "tools/command_line.h"
#include "tools/import_measurements.h"
#include "tools/pricing.h"
#include "tools/profile_work.h"
#include "tools/rank_processes.h"
#include "tools/terminal.h"

namespace helm {
namespace {

constexpr int64_t kPairsLimit = 32;  // half a minute, and a handful of each kind

struct Arguments {
  tools::ConfigArguments config;
  tools::ImportArguments import;
  std::string device;  // empty: what the configuration runs on
  std::string out = "cost_table.json";
  std::optional<int64_t> rounds;
  bool describe = false;
  bool pairs = false;
  int64_t pairs_limit = kPairsLimit;
};

// The speed of a CPU that other work shares changes within seconds; a GPU is one's own, and its clock is recorded.
constexpr int64_t kRoundsOnCpu = 3;
constexpr int64_t kRoundsOnGpu = 1;

ir::DeviceKind KindOf(const std::string& device) { return device == "cuda" ? ir::DeviceKind::kCuda : ir::DeviceKind::kCpu; }

Result<std::unique_ptr<runtime::World>> JoinWorld(const tools::RankRole& role) {
  if (KindOf(role.device) == ir::DeviceKind::kCpu) {
    runtime::SetThreadsPerRank(role.threads);
    runtime::BindToCores(role.rank, role.ranks, role.threads);
  }
  runtime::Rendezvous rendezvous;
  rendezvous.port = role.port;
  rendezvous.rank = role.rank;
  rendezvous.world_size = role.ranks;
  rendezvous.external_store = true;
  rendezvous.network = role.network;
  return runtime::World::Join(rendezvous, KindOf(role.device));
}

Status RunOtherRank(const tools::RankRole& role) {
  HELM_ASSIGN_OR_RETURN(const auto world, JoinWorld(role));
  profiler::ProfileOptions options;
  options.device = KindOf(role.device);
  return profiler::Profile({}, {}, *world, options).status();
}

Result<cost::CostTable> TableToExtend(const Arguments& arguments, const cost::DeviceKey& device) {
  cost::CostTable table;
  table.device = device;
  if (!FileExists(arguments.out)) return table;
  HELM_ASSIGN_OR_RETURN(table, cost::ReadCostTable(arguments.out));
  if (table.device != device) {
    return InvalidError(fmt::format("{}: error: this table is of another device: {}\n  this run measures: {}\n  fix: choose another --out",
                                    arguments.out, cost::ToText(table.device), cost::ToText(device)));
  }
  return table;
}

Status Measure(const Arguments& arguments, const tools::ProfileWork& work) {
  HELM_ASSIGN_OR_RETURN(cost::CostTable table, TableToExtend(arguments, work.device));
  table.stamp = MakeStamp({});
  const auto rows_of = [](const cost::CostTable& of) { return of.ops.size() + of.collectives.size() + of.pairs.size(); };
  const size_t rows_before = rows_of(table);
  HELM_ASSIGN_OR_RETURN(const auto server, runtime::StoreServer::Start());
  const tools::RankRole role{0, work.ranks, server->port(), work.device.threads_per_rank, work.device.kind, work.network};
  HELM_ASSIGN_OR_RETURN(const auto others, tools::RankProcesses::Start(role));
  HELM_ASSIGN_OR_RETURN(const auto world, JoinWorld(role));

  tools::Progress progress("measuring");
  profiler::ProfileOptions options;
  options.device = KindOf(work.device.kind);
  options.rounds = arguments.rounds.value_or(options.device == ir::DeviceKind::kCpu ? kRoundsOnCpu : kRoundsOnGpu);
  options.gpu_pci_bus_id = work.gpu_pci_bus_id;
  options.interrupted = tools::WatchInterrupt();
  options.progress = [&](int64_t done, int64_t total, const std::string& key) { progress.Update(done, total, key); };
  options.checkpoint = [&](const cost::CostTable& so_far) { return cost::ExtendCostTable(so_far, arguments.out); };
  HELM_ASSIGN_OR_RETURN(profiler::ProfileResult result, profiler::Profile(work.list, std::move(table), *world, options));
  progress.Clear();

  if (!result.kernels_unknown.empty()) tools::PrintNote("note: the rows do not say which kernels ran: " + result.kernels_unknown);
  if (!result.gpu_states.empty()) result.table.stamp["gpu"] = profiler::Summary(result.gpu_states);
  HELM_RETURN_IF_ERROR(cost::ExtendCostTable(result.table, arguments.out));
  const size_t rows = rows_of(result.table);
  tools::PrintResult(fmt::format("{}: {}, {} of them new; {}\n", arguments.out, Counted(static_cast<int64_t>(rows), "row"),
                                 rows - rows_before, cost::ToText(work.device)));
  if (result.interrupted) return {StatusCode::kInterrupted, "error: interrupted; the same command goes on where it stopped"};
  return OkStatus();
}

Status Run(const Arguments& arguments) {
  if (!arguments.import.files.empty()) return tools::ImportMeasurements(arguments.import, arguments.config, arguments.out);
  if (arguments.describe) {
    HELM_ASSIGN_OR_RETURN(const std::string file, tools::ClusterFileOfThisMachine());
    tools::PrintResult(file);
    return OkStatus();
  }
  HELM_ASSIGN_OR_RETURN(
      const tools::ProfileWork work,
      tools::WorkFor(arguments.config, arguments.device, arguments.pairs ? std::optional(arguments.pairs_limit) : std::nullopt));
  for (const std::string& note : work.notes) tools::PrintNote(note);
  return Measure(arguments, work);
}

}  // namespace
}  // namespace helm

int main(int argc, char** argv) {
  if (const auto role = helm::tools::RoleFromEnvironment()) {
    const helm::Status status = helm::RunOtherRank(*role);
    return status.ok() ? 0 : helm::tools::Fail(status);
  }
  CLI::App app("Measures this machine's operators and collectives into a cost table.", "helm-profile");
  helm::Arguments arguments;
  app.add_option("config", arguments.config.path, "run configuration: measure what its search needs (default: a standard sweep)");
  app.add_option("--device", arguments.device, "what to measure (default: what the configuration runs on)")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--out", arguments.out, "cost table to write, or to extend when it is there");
  app.add_option("--set", arguments.config.overrides, "key=value over the configuration; may be repeated");
  app.add_option("--rounds", arguments.rounds,
                 "walk the list so many times, a share of each row's samples in each: rows then hold the same mixture of the\n"
                 "machine's speeds (default: 3 on a CPU, 1 on a GPU)")
      ->check(CLI::Range(1, 100));
  CLI::Option* pairs = app.add_flag("--pairs", arguments.pairs,
                                    "also measure ops and collectives that the configuration's plans run at once, alone and together");
  app.add_option("--pairs-limit", arguments.pairs_limit, "the most pairs to measure, those of each kind with most to save first")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str()
      ->needs(pairs);
  app.add_flag("--describe", arguments.describe, "print the cluster file of this machine and end");
  helm::tools::AddImportOptions(app, arguments.import);
  if (const auto code = helm::tools::Parse(app, argc, argv)) return *code;
  return helm::tools::ExitCodeOf([&] { return helm::Run(arguments); });
}
