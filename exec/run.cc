#include "exec/run.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "cluster/cluster.h"
#include "cluster/gpu_facts.h"
#include "core/atomic_file.h"
#include "core/counted.h"
#include "core/file.h"
#include "core/stamp.h"
#include "exec/checkpoint_folder.h"
#include "exec/checkpoint_reader.h"
#include "exec/data_loader.h"
#include "exec/in_process.h"
#include "exec/launch_environment.h"
#include "exec/private_folder.h"
#include "exec/rank_pool.h"
#include "exec/recorder.h"
#include "exec/resume.h"
#include "exec/runs.h"
#include "exec/session.h"
#include "ir/program_text.h"
#include "ir/strategy_text.h"
#include "schedule/executable.h"
#include "schedule/materialise.h"

namespace helm::exec {
namespace {

constexpr int64_t kWarmUpStepsMost = 5;

struct Request {
  const RunOptions& options;
  schedule::PlanParts parts;
  Job job;                   // of the plan itself
  std::string program_hash;  // of the plan as it was given
};

Status CheckGpuOptions(const ir::Plan& plan, const cluster::Device& device, const RunOptions& options) {
  const std::string_view option = options.cuda_graph ? "--cuda-graph" : options.memory_snapshot.empty() ? "" : "--memory-snapshot";
  if (!option.empty() && device.is_cpu) {
    return InvalidError(fmt::format("{}: error: {} is for plans that run on a GPU, and this one runs on a CPU\nfix: leave it out",
                                    options.plan_path, option));
  }
  if (options.cuda_graph && plan.strategy.world_size() > 1) {
    return InvalidError(fmt::format(
        "{}: error: --cuda-graph is for plans of one rank, and this one has {}: collectives cannot be recorded yet\nfix: leave it out",
        options.plan_path, plan.strategy.world_size()));
  }
  return OkStatus();
}

Status CheckGraphSteps(const Job& job) {
  if (!job.cuda_graph || job.steps >= kStepsBeforeGraph + 2) return OkStatus();
  return InvalidError(
      fmt::format("error: --cuda-graph needs at least {} steps: {} that are recorded, one that makes the graph, one that runs it",
                  kStepsBeforeGraph + 2, kStepsBeforeGraph));
}

// The checkpoint that the training goes on from, with all its files; it is one of this training and has steps left to run.
Result<CheckpointReader> OpenResumed(const ir::Plan& plan, const RunOptions& options, const DataLoader& loader) {
  HELM_ASSIGN_OR_RETURN(const std::string path, FindCheckpoint(options.checkpoint.resume));
  HELM_ASSIGN_OR_RETURN(CheckpointReader checkpoint, CheckpointReader::Open(path));
  HELM_RETURN_IF_ERROR(CheckSameTraining(checkpoint, plan, loader, options.plan_path));
  HELM_RETURN_IF_ERROR(checkpoint.CheckFiles());
  if (checkpoint.index().step < options.steps) return checkpoint;
  return InvalidError(
      fmt::format("error: --steps {} leaves nothing to do: {} was written after step {}\nfix: --steps is the number of steps "
                  "in all; give more than {}",
                  options.steps, path, checkpoint.index().step, checkpoint.index().step));
}

// What is wrong with checkpoints that are there, up to the newest, beside which a run would write.
Status RefuseBeside(const CheckpointOptions& checkpoint, const std::string& newest) {
  std::error_code ignored;
  if (!checkpoint.resume.empty() && std::filesystem::equivalent(FolderOf(checkpoint.resume), checkpoint.folder, ignored)) {
    return InvalidError(fmt::format(
        "{}: error: --checkpoint would write beside checkpoints behind {}, up to {}\nfix: remove the later ones or move them elsewhere, or "
        "give another folder",
        checkpoint.folder, checkpoint.resume, newest));
  }
  return InvalidError(
      fmt::format("{}: error: --checkpoint would write beside checkpoints of {}, up to {}\nfix: give another folder, or go on from the "
                  "newest with --resume {}",
                  checkpoint.folder, checkpoint.resume.empty() ? "a training" : "another training", newest, checkpoint.folder));
}

// Checkpoints of two trainings in one folder could not be told apart: it has none, or the newest is what training goes on from. Makes the
// folder, and finds out now whether it can be written, not after hours of training.
Status CheckFolder(const CheckpointOptions& checkpoint) {
  if (checkpoint.folder.empty()) return OkStatus();
  if (IsCheckpoint(checkpoint.folder)) {
    return InvalidError(
        fmt::format("{}: error: --checkpoint is itself a checkpoint\nfix: give the folder in which it lies: --checkpoint {}",
                    checkpoint.folder, FolderOf(checkpoint.folder)));
  }
  HELM_RETURN_IF_ERROR(CheckNoneIsCutShort(checkpoint.folder));
  if (checkpoint.keep < 1) return InvalidError(fmt::format("error: --checkpoint-keep is {}; at least 1 is needed", checkpoint.keep));
  const std::vector<int64_t> there = CompleteCheckpoints(checkpoint.folder);
  if (there.empty()) {
    HELM_RETURN_IF_ERROR(MakeFolders(checkpoint.folder));
    return AtomicFile::Create(checkpoint.folder + "/.writable").status();
  }
  const std::string newest = CheckpointPath(checkpoint.folder, there.back());
  std::error_code ignored;
  if (!checkpoint.resume.empty() && std::filesystem::equivalent(checkpoint.resume, newest, ignored)) return OkStatus();
  return RefuseBeside(checkpoint, newest);
}

// Steps and checkpoints of the job.
Status PrepareSteps(const ir::Plan& plan, const RunOptions& options, const DataLoader& loader, Job& job) {
  job.checkpoint = options.checkpoint;
  if (!options.checkpoint.resume.empty()) {
    HELM_ASSIGN_OR_RETURN(const CheckpointReader checkpoint, OpenResumed(plan, options, loader));
    job.checkpoint.resume = checkpoint.path();
    job.first_step = checkpoint.index().step;
  }
  HELM_RETURN_IF_ERROR(CheckFolder(job.checkpoint));
  job.steps = options.steps - job.first_step;
  job.warm_up_steps = WarmUpSteps(job.steps);
  return OkStatus();
}

// Checks what can be checked before any process starts. The plan's hash is checked on the plan as it is; comparisons then change AdamW's
// epsilon.
Result<Request> Prepare(const ir::Plan& plan, const RunOptions& options) {
  if (options.steps < 1) return InvalidError(fmt::format("error: --steps is {}; at least 1 is needed", options.steps));
  HELM_ASSIGN_OR_RETURN(schedule::PlanParts parts, schedule::ReadParts(plan));
  HELM_RETURN_IF_ERROR(schedule::CheckExecutable(plan, parts.model, options.plan_path));
  HELM_RETURN_IF_ERROR(CheckGpuOptions(plan, parts.cluster.device, options));
  if (options.verify) HELM_RETURN_IF_ERROR(schedule::CheckVerifiable(plan, parts.model, options.plan_path));
  HELM_ASSIGN_OR_RETURN(const ir::StepPrograms step, schedule::Materialise(plan));
  HELM_ASSIGN_OR_RETURN(const DataLoader loader, DataLoader::Open(options.data, parts.model.vocab, plan.workload));
  Request request{options, std::move(parts), {}, ir::ProgramHash(step)};
  request.job.plan = plan;
  request.job.plan.program_hash.clear();
  if (options.verify) request.job.plan.workload.optimizer.epsilon = VerifyEpsilon(plan.workload.dtype, request.parts.model.lora.rank > 0);
  request.job.plan_path = options.plan_path;
  request.job.data = options.data;
  HELM_RETURN_IF_ERROR(PrepareSteps(plan, options, loader, request.job));
  request.job.keep_state = options.verify || !options.dump_state.empty();
  request.job.verify = options.verify;
  request.job.tag = "split";
  request.job.op_times = options.op_times;
  request.job.cuda_graph = options.cuda_graph;
  HELM_RETURN_IF_ERROR(CheckGraphSteps(request.job));
  request.job.memory_snapshot = options.memory_snapshot;
  request.job.fault = options.fault;
  const cluster::Cluster& cluster = request.parts.cluster;
  if (cluster.device.is_cpu) request.job.threads_per_rank = cluster::ThreadsPerRank(cluster);
  return request;
}

Job UnsplitJob(Job job) {
  job.plan = schedule::UnsplitPlan(std::move(job.plan));
  job.tag = "unsplit";
  job.checkpoint.folder.clear();  // it begins where the split run began
  job.cuda_graph = false;
  job.memory_snapshot.clear();
  job.fault.reset();
  return job;
}

StepObserver StepsTo(const RunOptions& options, bool unsplit) {
  return [&options, unsplit](int64_t step, double loss) {
    if (!options.observer) return;
    options.observer({.kind = RunEvent::Kind::kStep, .step = step, .steps = options.steps, .loss = loss, .unsplit = unsplit});
  };
}

// What the caller gets of the split run's record.
RunResult ResultOf(const Request& request, const JobRecord& record) {
  RunResult result;
  result.data = record.data;
  result.first_step = request.job.first_step;
  result.resumed_from = request.job.checkpoint.resume;
  const std::string& folder = request.job.checkpoint.folder;
  if (!folder.empty()) result.checkpoint = CheckpointPath(folder, AllSteps(request.job));
  result.losses = record.losses;
  result.warm_up_steps = request.job.warm_up_steps;
  result.memory_bytes_peak = record.memory_bytes_peak;
  result.timeline = record.timeline;
  // With --verify another epsilon ran; the ops are the plan's, and so are its predictions.
  result.timeline.program_hash = request.program_hash;
  result.timeline.device = request.parts.cluster.device.name;
  result.timeline.stamp = MakeStamp({.seed = request.job.plan.workload.seed, .hashes = {{"program", request.program_hash}}});
  const std::vector<Duration>& measured = record.timeline.steps;
  result.step_time = measured[MedianIndex(measured)];
  return result;
}

// Runs the unsplit model where it is asked for, compares, dumps. `run` runs a job of one rank.
Result<RunResult> Finish(const Request& request, const JobRecord& record, const std::function<Result<JobRecord>(const Job&)>& run) {
  RunResult result = ResultOf(request, record);
  const FinishedJob split{request.job, record};
  if (request.options.verify) {
    if (request.options.observer) request.options.observer({.kind = RunEvent::Kind::kVerifying, .steps = request.options.steps});
    const Job job = UnsplitJob(request.job);
    HELM_ASSIGN_OR_RETURN(const JobRecord unsplit, run(job));
    HELM_ASSIGN_OR_RETURN(result.verify, CompareRuns(split, {job, unsplit}, BoundsFor(job.plan.workload.dtype)));
  }
  if (!request.options.dump_state.empty()) {
    HELM_ASSIGN_OR_RETURN(const StateDump dump, CollectDump(split));
    HELM_ASSIGN_OR_RETURN(const DataLoader loader,
                          DataLoader::Open(request.job.data, request.parts.model.vocab, request.job.plan.workload));
    HELM_RETURN_IF_ERROR(WriteStateDump(request.options.dump_state, dump, loader, request.job.plan));
  }
  const CheckpointOptions& checkpoint = request.job.checkpoint;  // that which was spared for all this may go now
  if (!checkpoint.folder.empty()) HELM_RETURN_IF_ERROR(RemoveOld(checkpoint.folder, checkpoint.keep, std::nullopt, {}));
  return result;
}

// Where a GPU is planned for: that this machine has it, and one for each rank that wants its own.
Status CheckGpus(const Request& request) {
  const cluster::Device& device = request.parts.cluster.device;
  if (device.is_cpu) return OkStatus();
  const std::vector<cluster::GpuFacts> gpus = cluster::ReadGpuFacts();
  const int64_t needed = request.options.in_process ? 1 : request.job.plan.strategy.world_size();
  if (static_cast<int64_t>(gpus.size()) < needed) {
    return UnavailableError(fmt::format(
        "{}: error: the plan needs {}, this machine has {} that can be used\nfix: run it on a machine with an NVIDIA driver and {}{}",
        request.job.plan_path, Counted(needed, "GPU"), gpus.size(), Counted(needed, "GPU"),
        gpus.empty() ? "" : ", or with --in-process on one"));
  }
  for (int64_t i = 0; i < needed && !device.driver_name.empty(); ++i) {
    const std::string& name = gpus[static_cast<size_t>(i)].name;
    if (name == device.driver_name) continue;
    return UnavailableError(fmt::format(
        "{}: error: the plan is for the GPU '{}', this machine's GPU {} is '{}'\nfix: make a plan with cluster: {{local: {}}} here",
        request.job.plan_path, device.driver_name, i, name, needed));
  }
  return OkStatus();
}

Status CheckLocal(const Request& request) {
  if (request.parts.cluster.local) return CheckGpus(request);
  return InvalidError(
      fmt::format("{}: error: the plan is for the cluster '{}', not for this machine alone\nfix: start it there with torchrun "
                  "--no-python, mpirun or srun, or make a plan with cluster: {{local: N}}",
                  request.job.plan_path, request.parts.cluster.name));
}

Result<RunResult> RunAsParent(Request request) {
  HELM_RETURN_IF_ERROR(CheckLocal(request));
  const RunOptions& options = request.options;
  HELM_ASSIGN_OR_RETURN(const auto folder, PrivateFolder::Make());
  request.job.folder = folder->path();
  HELM_ASSIGN_OR_RETURN(const auto pool, RankPool::Start({.ranks = request.job.plan.strategy.world_size(),
                                                          .executable = options.executable,
                                                          .timeout = options.timeout,
                                                          .log = options.log,
                                                          .interrupted = options.interrupted}));
  if (options.observer) options.observer({.kind = RunEvent::Kind::kStarted, .processes = pool->processes(), .steps = options.steps});
  HELM_ASSIGN_OR_RETURN(const JobRecord record, pool->Run(request.job, StepsTo(options, false)));
  return Finish(request, record, [&](const Job& job) { return pool->Run(job, StepsTo(options, true)); });
}

Result<RunResult> RunAsThreads(Request request) {
  HELM_RETURN_IF_ERROR(CheckLocal(request));
  HELM_ASSIGN_OR_RETURN(const auto folder, PrivateFolder::Make());
  request.job.folder = folder->path();
  const auto run = [&](const Job& job, bool unsplit) {
    return RunInProcess(job, {.ranks = job.plan.strategy.world_size(),
                              .timeout = request.options.timeout,
                              .interrupted = request.options.interrupted,
                              .on_step = StepsTo(request.options, unsplit)});
  };
  HELM_ASSIGN_OR_RETURN(const JobRecord record, run(request.job, false));
  return Finish(request, record, [&](const Job& job) { return run(job, true); });
}

Status CheckWorldSize(const Request& request, const LaunchEnvironment& environment) {
  const int64_t needed = request.job.plan.strategy.world_size();
  if (needed == environment.world_size) return OkStatus();
  return InvalidError(
      fmt::format("{}: error: the plan is for {} ({}), but {} started {}\nfix: start {}, for example torchrun "
                  "--nproc-per-node {} on one machine",
                  request.job.plan_path, Counted(needed, "rank"), ir::Describe(request.job.plan.strategy), Name(environment.launcher),
                  environment.world_size, needed, needed));
}

// A folder that all ranks see, made by rank 0. Collective.
Result<std::unique_ptr<PrivateFolder>> AgreeOnFolder(runtime::World& world, std::string* path) {
  std::unique_ptr<PrivateFolder> folder;
  if (world.rank() == 0) {
    HELM_ASSIGN_OR_RETURN(folder, PrivateFolder::Make());
  }
  HELM_ASSIGN_OR_RETURN(const std::vector<std::string> paths, world.AllGatherText(folder == nullptr ? "" : folder->path()));
  *path = paths[0];
  if (!FolderExists(*path)) {
    return InvalidError(
        fmt::format("error: rank {} does not see the folder '{}' of rank 0, which --verify and --dump-state need\nfix: set TMPDIR to a "
                    "folder on a file system that all machines share",
                    world.rank(), *path));
  }
  return folder;
}

Result<RunResult> RunAsLaunchedRank(Request request, const LaunchEnvironment& environment) {
  HELM_RETURN_IF_ERROR(CheckWorldSize(request, environment));
  const runtime::Rendezvous rendezvous{.host = environment.host,
                                       .port = environment.port,
                                       .rank = environment.rank,
                                       .world_size = environment.world_size,
                                       .external_store = environment.launcher_serves_store,
                                       .timeout = request.options.timeout,
                                       .network = request.parts.cluster.emulated_network};
  const ir::DeviceKind device = request.parts.cluster.device.is_cpu ? ir::DeviceKind::kCpu : ir::DeviceKind::kCuda;
  HELM_ASSIGN_OR_RETURN(const auto world, runtime::World::Join(rendezvous, device));
  std::unique_ptr<PrivateFolder> folder;
  if (request.job.keep_state) {
    HELM_ASSIGN_OR_RETURN(folder, AgreeOnFolder(*world, &request.job.folder));
  }
  const SessionContext context{.world = environment.world_size > 1 ? world.get() : nullptr,
                               .on_step = StepsTo(request.options, false),
                               .timeout = request.options.timeout};
  HELM_ASSIGN_OR_RETURN(const std::optional<JobRecord> record, RunSession(request.job, context));
  HELM_RETURN_IF_ERROR(world->Barrier());  // all ranks' files are there
  if (!record) return RunResult{.is_reporter = false};
  return Finish(request, *record, [&](const Job& job) -> Result<JobRecord> {
    HELM_ASSIGN_OR_RETURN(std::optional<JobRecord> unsplit, RunSession(job, {.on_step = StepsTo(request.options, true)}));
    return std::move(*unsplit);
  });
}

Status CheckOptions(const Request& request, const std::optional<LaunchEnvironment>& environment) {
  const RunOptions& options = request.options;
  if (options.in_process && environment) {
    return InvalidError(
        fmt::format("error: --in-process runs all ranks here, but {} started this one of {}\nfix: run helm-exec without a launcher",
                    Name(environment->launcher), environment->world_size));
  }
  if (options.in_process && request.parts.cluster.emulated_network) {
    return InvalidError(
        "error: --in-process has no network to emulate: its ranks are threads of one process\nfix: run helm-exec without --in-process, or "
        "plan without cluster.emulated_network");
  }
  if (options.op_times == runtime::OpTimes::kActivities && request.job.plan.strategy.world_size() > 1) {
    return InvalidError(
        "error: --op-times activities is for one rank: CUPTI's records say nothing of waits for other ranks\nfix: use --op-times events");
  }
  return OkStatus();
}

}  // namespace

int64_t WarmUpSteps(int64_t steps) { return steps < 2 ? 0 : std::clamp<int64_t>(steps / 4, 1, kWarmUpStepsMost); }

Result<RunResult> Run(const ir::Plan& plan, const RunOptions& options) {
  HELM_ASSIGN_OR_RETURN(const std::optional<LaunchEnvironment> environment,
                        ReadLaunchEnvironment([](const char* name) { return static_cast<const char*>(std::getenv(name)); }));
  const std::string& checkpoints = options.checkpoint.folder;
  const bool writes = !checkpoints.empty() && (!environment || environment->rank == 0);
  std::optional<FileLock> lock;  // until all is written; before it is looked at what is there
  if (writes && FolderExists(checkpoints)) {
    HELM_ASSIGN_OR_RETURN(FileLock taken, LockFolder(checkpoints));
    lock.emplace(std::move(taken));
  }
  HELM_ASSIGN_OR_RETURN(Request request, Prepare(plan, options));
  HELM_RETURN_IF_ERROR(CheckOptions(request, environment));
  if (writes && !lock) {  // the folder was made just now
    HELM_ASSIGN_OR_RETURN(FileLock taken, LockFolder(checkpoints));
    lock.emplace(std::move(taken));
  }
  if (environment) return RunAsLaunchedRank(std::move(request), *environment);
  if (options.in_process) return RunAsThreads(std::move(request));
  return RunAsParent(std::move(request));
}

}  // namespace helm::exec
