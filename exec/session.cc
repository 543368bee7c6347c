#include "exec/session.h"

#include <signal.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "core/check.h"
#include "core/counted.h"
#include "core/file.h"
#include "core/json.h"
#include "core/stamp.h"
#include "core/text.h"
#include "exec/checkpoint_reader.h"
#include "exec/checkpoint_saver.h"
#include "exec/data_loader.h"
#include "exec/gradient_pass.h"
#include "exec/initial_state.h"
#include "exec/recorder.h"
#include "exec/resume.h"
#include "ir/program_text.h"
#include "ir/strategy_text.h"
#include "runtime/interpreter.h"
#include "runtime/scheduling.h"
#include "schedule/materialise.h"

namespace helm::exec {
namespace {

using nlohmann::ordered_json;

constexpr int64_t kRecordsKept = 100;  // steps

struct StepRange {
  int64_t from = 0, to = 0;
  bool Contains(int64_t step) const { return from <= step && step < to; }
};

// The steps whose ops are recorded. On a CPU all: it costs two looks at the clock. On a GPU it slows the step, so that the last few steps
// are recorded for the timeline and those before them, untouched, are the measured step time. With a CUDA graph those before it are
// recorded: its memory leaves no room for a step beside it.
StepRange RecordedSteps(const Job& job, ir::DeviceKind device) {
  constexpr int64_t kRecordedSteps = 3;
  if (device == ir::DeviceKind::kCpu) return {0, job.steps};
  if (job.cuda_graph) return {1, kStepsBeforeGraph};
  return {std::max(job.steps - kRecordedSteps, std::min(job.warm_up_steps + 1, job.steps - 1)), job.steps};
}

// The steps whose times are the measured ones: behind the warm-up, and not recorded where there are such.
StepRange MeasuredSteps(const Job& job, const StepRange& recorded) {
  if (job.cuda_graph) return {std::max(job.warm_up_steps, recorded.to + 1), job.steps};  // the first one makes the graph
  return {job.warm_up_steps, recorded.from > job.warm_up_steps ? recorded.from : job.steps};
}

// The tokens of one step, as the program's inputs of one rank.
class Feeder {
 public:
  Feeder(const Job& job, const ir::Program& program, const DataLoader& loader, int64_t rank)
      : job_(job), program_(program), loader_(loader) {
    data_rank_ = ir::PlaceAlong(program.mesh, ir::Coordinates(program.mesh, rank), {"expert", "data", "replicate"}).place;
  }

  Status Feed(int64_t step, runtime::Interpreter& interpreter) const {
    const Batch batch = loader_.Load(step);
    for (int64_t i = 0; i < ir::MicroBatchesOf(job_.plan.workload, job_.plan.strategy, data_rank_); ++i) {
      const Batch share = ShareOf(batch, job_.plan.workload, job_.plan.strategy, data_rank_, i);
      HELM_RETURN_IF_ERROR(Write(fmt::format("tokens.{}", i), share.tokens, interpreter));
      HELM_RETURN_IF_ERROR(Write(fmt::format("labels.{}", i), share.labels, interpreter));
    }
    return OkStatus();
  }

 private:
  // A stage of a pipeline has only those inputs that it reads.
  Status Write(const std::string& input, const std::vector<int64_t>& values, runtime::Interpreter& interpreter) const {
    if (!program_.inputs.contains(input)) return OkStatus();
    return interpreter.WriteInput(input, std::as_bytes(std::span(values)));
  }

  const Job& job_;
  const ir::Program& program_;
  const DataLoader& loader_;
  int64_t data_rank_ = 0;
};

class Session {
 public:
  Session(const Job& job, const SessionContext& context, ir::StepPrograms step, DataLoader loader)
      : job_(job),
        context_(context),
        rank_(context.world == nullptr ? 0 : context.world->rank()),
        step_(std::move(step)),
        program_(step_.OfRank(rank_)),
        recorded_(RecordedSteps(job, program_.device)),
        loader_(std::move(loader)),
        feeder_(job_, program_, loader_, rank_) {}

  Result<std::optional<JobRecord>> Run() {
    HELM_RETURN_IF_ERROR(CheckAgreement());
    HELM_RETURN_IF_ERROR(CheckBeginning());
    Enter(RankStage::kInitialising);
    if (job_.keep_state) HELM_RETURN_IF_ERROR(WriteGradients());
    HELM_RETURN_IF_ERROR(Train());
    return Gather();
  }

 private:
  void Enter(RankStage stage) {
    if (context_.progress != nullptr) context_.progress->Enter(stage);
  }

  // What every rank says, by rank.
  Result<std::vector<std::string>> Exchange(const std::string& text) {
    if (context_.world == nullptr) return std::vector<std::string>{text};
    return context_.world->AllGatherText(text);
  }

  // All ranks begin with the same state: they may see other files.
  Status CheckBeginning() {
    HELM_ASSIGN_OR_RETURN(const std::vector<std::string> all, Exchange(job_.checkpoint.resume));
    for (size_t rank = 1; rank < all.size(); ++rank) {
      if (all[rank] == all[0]) continue;
      return InvalidError(
          fmt::format("error: rank {} would resume from '{}', rank 0 from '{}'\nfix: name one checkpoint: --resume "
                      "FOLDER/step-...",
                      rank, all[rank], all[0]));
    }
    return OkStatus();
  }

  // All ranks run the same program: they may have been started from different files or versions.
  Status CheckAgreement() {
    HELM_ASSIGN_OR_RETURN(const std::vector<std::string> hashes, Exchange(ir::ProgramHash(step_)));
    for (size_t rank = 1; rank < hashes.size(); ++rank) {
      if (hashes[rank] == hashes[0]) continue;
      return InvalidError(fmt::format("{}: error: rank {} has program {}, rank 0 has {}: they run different plans or versions of HELM",
                                      job_.plan_path, rank, hashes[rank], hashes[0]));
    }
    return OkStatus();
  }

  // A rank of a GPU has its share of this machine's cores, as if all ranks were here: no more than its share anywhere.
  int64_t ThreadsToPrepare() const {
    if (job_.threads_per_rank > 0) return job_.threads_per_rank;
    return std::max<int64_t>(1, std::thread::hardware_concurrency() / ir::WorldSize(step_.mesh()));
  }

  std::optional<runtime::Fault> FaultOfRank() const {
    return job_.fault && job_.fault->rank == rank_ ? std::optional(job_.fault->fault) : std::nullopt;
  }

  Result<std::unique_ptr<runtime::Interpreter>> Prepare(const ir::Program& program, runtime::InterpreterOptions options = {}) {
    options.op_times = job_.op_times;
    if (context_.progress != nullptr) options.current_op = &context_.progress->op;
    HELM_ASSIGN_OR_RETURN(auto interpreter, runtime::Interpreter::Create(program, context_.world, rank_, options));
    const auto beat = [this] {
      if (context_.progress != nullptr) context_.progress->Beat();
    };
    HELM_RETURN_IF_ERROR(WriteFirstState(program, beat, *interpreter));
    return interpreter;
  }

  // The state before the first step that is run.
  Status WriteFirstState(const ir::Program& program, const std::function<void()>& beat, runtime::Interpreter& interpreter) {
    if (job_.checkpoint.resume.empty()) {
      return WriteInitialState(program, rank_, job_.plan.workload.seed, ThreadsToPrepare(), beat, interpreter);
    }
    HELM_ASSIGN_OR_RETURN(CheckpointReader checkpoint, CheckpointReader::Open(job_.checkpoint.resume));
    return LoadCheckpoint(checkpoint, program, rank_, ir::Describe(job_.plan.strategy), beat, interpreter);
  }

  // None: the job writes no checkpoints.
  std::unique_ptr<CheckpointSaver> MakeSaver() {
    if (job_.checkpoint.folder.empty()) return nullptr;
    formats::CheckpointIndex content{.model = job_.plan.model,
                                     .dtype = ir::DataTypeWord(job_.plan.workload),
                                     .strategy = ir::Describe(job_.plan.strategy),
                                     .ranks = ir::WorldSize(step_.mesh())};
    if (rank_ == 0) content.data = loader_.Order();
    content.stamp = MakeStamp({.seed = job_.plan.workload.seed, .hashes = {{"program", ir::ProgramHash(step_)}}});
    SaverOptions options{.folder = job_.checkpoint.folder, .keep = job_.checkpoint.keep, .rank = rank_};
    if (job_.keep_state) options.spared = job_.first_step;
    options.sign_of_life = context_.timeout / 4;
    options.exchange = [this](const std::string& text) { return Exchange(text); };
    options.beat = [this] {
      if (context_.progress != nullptr) context_.progress->Beat();
    };
    if (const auto& fault = job_.checkpoint.fault; fault && fault->rank == rank_) {
      options.reach = [this, fault = *fault](CheckpointMoment moment) {
        if (moment != fault.moment || saving_ != fault.steps) return;
        if (fault.delay.count() == 0) raise(SIGKILL);
        std::this_thread::sleep_for(fault.delay);
      };
    }
    return std::make_unique<CheckpointSaver>(std::move(options), step_, std::move(content));
  }

  // After the step of this number, where one is due.
  Status SaveAfter(int64_t step, const runtime::Interpreter& interpreter) {
    const int64_t steps = step + 1, every = job_.checkpoint.every;
    if (saver_ == nullptr || !(steps == AllSteps(job_) || (every > 0 && steps % every == 0))) return OkStatus();
    Enter(RankStage::kCheckpointing);
    saving_ = steps;
    HELM_RETURN_IF_ERROR(saver_->Save(steps, interpreter));
    Enter(RankStage::kTraining);
    return OkStatus();
  }

  Status WriteGradients() {
    HELM_ASSIGN_OR_RETURN(const ir::Program gradient_pass, GradientPass(program_));
    HELM_ASSIGN_OR_RETURN(const auto interpreter, Prepare(gradient_pass));
    Enter(RankStage::kGradients);
    HELM_RETURN_IF_ERROR(feeder_.Feed(job_.first_step, *interpreter));
    HELM_RETURN_IF_ERROR(interpreter->RunStep().status());
    HELM_ASSIGN_OR_RETURN(const RankState gradients, ReadGradients(gradient_pass, rank_, *interpreter));
    return Write(VerifyKind::kGradient, gradients);
  }

  Status Write(VerifyKind kind, const RankState& state) {
    Enter(kind == VerifyKind::kGradient ? RankStage::kWritingGradients : RankStage::kWriting);
    return formats::WriteSafetensors(ToTensorFile(program_, state), StatePath(job_, kind, rank_));
  }

  Status Train() {
    Enter(RankStage::kInitialising);
    runtime::InterpreterOptions options;
    options.fault = FaultOfRank();
    options.graph = job_.cuda_graph;
    options.memory_history = !job_.memory_snapshot.empty();
    HELM_ASSIGN_OR_RETURN(const auto interpreter, Prepare(program_, options));
    saver_ = MakeSaver();
    Enter(RankStage::kTraining);
    for (int64_t step = 0; step < job_.steps; ++step) {  // counted from the first one that is run
      const int64_t number = job_.first_step + step;
      if (context_.progress != nullptr) context_.progress->EnterStep(number);
      if (context_.interrupted != nullptr && context_.interrupted->load()) return {StatusCode::kInterrupted, "error: interrupted"};
      HELM_RETURN_IF_ERROR(feeder_.Feed(number, *interpreter));
      if (context_.world != nullptr) HELM_RETURN_IF_ERROR(context_.world->Barrier());
      HELM_ASSIGN_OR_RETURN(runtime::StepRecord record, interpreter->RunStep(recorded_.Contains(step)));
      HELM_RETURN_IF_ERROR(CheckLoss(number, *interpreter));
      if (context_.shares_process) record.memory_bytes_peak = Bytes();
      memory_bytes_peak_ = std::max(memory_bytes_peak_, record.memory_bytes_peak);
      makespans_.push_back(record.makespan);
      Keep(step, std::move(record));
      HELM_RETURN_IF_ERROR(SaveAfter(number, *interpreter));
      if (context_.on_step) context_.on_step(number, losses_.back());
    }
    if (!job_.memory_snapshot.empty()) HELM_RETURN_IF_ERROR(WriteMemorySnapshot(*interpreter));
    if (!job_.keep_state) return OkStatus();
    HELM_ASSIGN_OR_RETURN(const RankState parameters, ReadParameters(program_, rank_, *interpreter));
    return Write(VerifyKind::kParameter, parameters);
  }

  Status WriteMemorySnapshot(const runtime::Interpreter& interpreter) const {
    const bool alone = ir::WorldSize(step_.mesh()) == 1;
    return WriteFileAtomically(alone ? job_.memory_snapshot : fmt::format("{}.{}", job_.memory_snapshot, rank_),
                               interpreter.MemorySnapshot());
  }

  // In a pipeline only the ranks of the last stage have a loss; all of them the same one.
  Status CheckLoss(int64_t step, const runtime::Interpreter& interpreter) {
    std::string own;
    if (program_.outputs.contains("loss")) {
      HELM_ASSIGN_OR_RETURN(const std::vector<double> loss, interpreter.ReadOutput("loss"));
      HELM_CHECK(loss.size() == 1, "the loss is one number");
      own = FormatDouble(loss[0]);
    }
    HELM_ASSIGN_OR_RETURN(const std::vector<std::string> all, Exchange(own));
    const size_t first =
        static_cast<size_t>(std::ranges::find_if(all, [](const std::string& text) { return !text.empty(); }) - all.begin());
    HELM_CHECK(first < all.size(), "some rank has the loss");
    const double value = std::strtod(all[first].c_str(), nullptr);  // it may be infinite, or no number
    losses_.push_back(value);
    if (!std::isfinite(value)) return RankFailedError(fmt::format("{}the loss of step {} is {}", kDiverged, step, value));
    for (size_t rank = first + 1; rank < all.size(); ++rank) {
      if (all[rank].empty() || all[rank] == all[first]) continue;
      return RankFailedError(
          fmt::format("{}rank {} has the loss {} after step {}, rank {} has {}", kDiverged, rank, all[rank], step, first, all[first]));
    }
    return OkStatus();
  }

  // A record has a few numbers for each op: a long run keeps those of its last steps.
  void Keep(int64_t step, runtime::StepRecord record) {
    if (!recorded_.Contains(step)) return;
    records_.emplace(step, std::move(record));
    if (static_cast<int64_t>(records_.size()) > kRecordsKept) records_.erase(records_.begin());
  }

  // Rank 0's record, of all ranks. Collective.
  Result<std::optional<JobRecord>> Gather() {
    JobRecord record{.data = loader_.description(), .losses = losses_};
    HELM_ASSIGN_OR_RETURN(record.makespans, SlowestMakespans());
    const int64_t kept_from = std::max(job_.cuda_graph ? 0 : job_.warm_up_steps, records_.begin()->first);
    const std::vector<Duration> kept(record.makespans.begin() + kept_from, record.makespans.begin() + recorded_.to);
    const int64_t median = kept_from + static_cast<int64_t>(MedianIndex(kept));

    ir::Timeline own = TimelineOf(step_, rank_, records_.at(median), memory_bytes_peak_);
    if (context_.shares_process) {
      own.memory.clear();
      own.ranks.front().memory_bytes_reserved.reset();
      own.ranks.front().memory_bytes_outside.reset();
    }
    HELM_ASSIGN_OR_RETURN(const std::vector<std::string> texts, Exchange(ir::ToJson(own).dump()));
    if (rank_ != 0) return std::optional<JobRecord>();
    std::vector<ir::Timeline> timelines;
    for (size_t rank = 0; rank < texts.size(); ++rank) {
      const std::string name = fmt::format("timeline of rank {}", rank);
      HELM_ASSIGN_OR_RETURN(const ordered_json document, ParseJson(texts[rank], name));
      HELM_ASSIGN_OR_RETURN(timelines.emplace_back(), ir::TimelineFromJson(document, name));
    }
    record.timeline = Merge(timelines);
    const StepRange measured = MeasuredSteps(job_, recorded_);
    record.timeline.steps.assign(record.makespans.begin() + measured.from, record.makespans.begin() + measured.to);
    record.timeline.makespan = record.makespans[static_cast<size_t>(median)];
    record.timeline.plan = ir::Describe(job_.plan.strategy);
    record.timeline.program_hash = ir::ProgramHash(step_);
    record.memory_bytes_peak = ir::PeakBytes(record.timeline);
    return std::optional<JobRecord>(std::move(record));
  }

  Result<std::vector<Duration>> SlowestMakespans() {
    std::vector<int64_t> own;
    for (const Duration makespan : makespans_) own.push_back(makespan.picoseconds());
    HELM_ASSIGN_OR_RETURN(const std::vector<std::string> texts, Exchange(ordered_json(own).dump()));
    std::vector<Duration> slowest(own.size());
    for (const std::string& text : texts) {
      HELM_ASSIGN_OR_RETURN(const ordered_json makespans, ParseJson(text, "makespans of a rank"));
      for (size_t step = 0; step < slowest.size(); ++step) {
        slowest[step] = std::max(slowest[step], Duration::Picoseconds(makespans.at(step).get<int64_t>()));
      }
    }
    return slowest;
  }

  const Job& job_;
  const SessionContext& context_;
  const int64_t rank_;
  const ir::StepPrograms step_;
  const ir::Program& program_;  // this rank's
  const StepRange recorded_;
  const DataLoader loader_;
  const Feeder feeder_;
  std::unique_ptr<CheckpointSaver> saver_;
  int64_t saving_ = 0;  // steps of the checkpoint that was begun last
  std::vector<double> losses_;
  std::vector<Duration> makespans_;                 // by step, of this rank
  std::map<int64_t, runtime::StepRecord> records_;  // by step, the last ones
  Bytes memory_bytes_peak_;
};

Status CheckWorldSize(const Job& job, const ir::StepPrograms& step, const runtime::World* world) {
  const int64_t needed = ir::WorldSize(step.mesh());
  const int64_t found = world == nullptr ? 1 : world->size();
  if (needed == found) return OkStatus();
  return InvalidError(
      fmt::format("{}: error: the plan is for {} ({}), but {} were started\nfix: start as many processes as the plan has ranks, or "
                  "run helm-exec without a launcher",
                  job.plan_path, Counted(needed, "rank"), ir::Describe(job.plan.strategy), found));
}

// All ranks of a local cluster are on this machine, so the rank is the local rank.
void UseCores(const Job& job, const SessionContext& context) {
  runtime::SetThreadsPerRank(job.threads_per_rank);
  if (context.shares_process) return;  // binding is of the whole process
  const runtime::World* world = context.world;
  runtime::BindToCores(world == nullptr ? 0 : world->rank(), world == nullptr ? 1 : world->size(), job.threads_per_rank);
}

}  // namespace

Result<std::optional<JobRecord>> RunSession(const Job& job, const SessionContext& context) {
  if (context.progress != nullptr) context.progress->Enter(RankStage::kPreparing);
  if (job.threads_per_rank > 0) UseCores(job, context);
  HELM_ASSIGN_OR_RETURN(const schedule::PlanParts parts, schedule::ReadParts(job.plan));
  HELM_ASSIGN_OR_RETURN(ir::StepPrograms step, ProgramsOf(job));
  HELM_RETURN_IF_ERROR(CheckWorldSize(job, step, context.world));
  HELM_ASSIGN_OR_RETURN(DataLoader loader, DataLoader::Open(job.data, parts.model.vocab, job.plan.workload));
  return Session(job, context, std::move(step), std::move(loader)).Run();
}

}  // namespace helm::exec
