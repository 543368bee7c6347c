#include "exec/rank_pool.h"

#include <poll.h>

#include <algorithm>
#include <fstream>

#include <fmt/format.h>

#include "core/check.h"
#include "core/json.h"
#include "exec/rank_process.h"
#include "runtime/communicator.h"

namespace helm::exec {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kLook{100};      // between two looks at the ranks' progress
constexpr milliseconds kGrace{1000};    // after the first failure, for the others to say what they saw
constexpr milliseconds kGoodbye{1000};  // for idle ranks to exit by themselves
// For a process to load its libraries, whatever --timeout says: from a slow disk, or on a busy machine, that has nothing to do with the
// job.
constexpr milliseconds kStartsWithin{60000};
constexpr milliseconds kLookAtStart{10};

constexpr const char* kOwnExecutable = "/proc/self/exe";

// State of a process as the kernel shows it: 'R', 'S', 'T' (stopped), ... (proc(5), /proc/pid/stat)
char ProcessState(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');
  return name_end == std::string::npos || name_end + 2 >= text.size() ? '?' : text[name_end + 2];
}

Status Interrupted() { return {StatusCode::kInterrupted, "interrupted: all ranks were stopped"}; }

}  // namespace

Result<std::unique_ptr<RankPool>> RankPool::Start(PoolOptions options) {
  HELM_CHECK(options.ranks > 0, "a pool has ranks");
  if (options.executable.empty()) options.executable = kOwnExecutable;
  std::unique_ptr<RankPool> pool(new RankPool(std::move(options)));
  HELM_ASSIGN_OR_RETURN(pool->board_, ProgressBoard::Make(pool->options_.ranks));
  for (int64_t rank = 0; rank < pool->options_.ranks; ++rank) {
    Rank& added = pool->ranks_.emplace_back();
    added.seen.rank = rank;
    HELM_ASSIGN_OR_RETURN(added.process,
                          ChildProcess::Spawn(pool->options_.executable, rank, pool->options_.ranks, pool->board_->file_descriptor()));
  }
  return pool;
}

RankPool::~RankPool() {
  if (failed_) return;  // the processes' destructors find them dead
  for (Rank& rank : ranks_) {
    if (rank.process != nullptr) rank.process->CloseTalk();
  }
  const auto deadline = Clock::now() + kGoodbye;
  const auto gone = [](Rank& rank) { return rank.process == nullptr || rank.process->Reap().has_value(); };
  while (Clock::now() < deadline && !std::all_of(ranks_.begin(), ranks_.end(), gone)) poll(nullptr, 0, 10);
}

std::vector<int> RankPool::processes() const {
  std::vector<int> pids;
  for (const Rank& rank : ranks_) pids.push_back(rank.process->pid());
  return pids;
}

Result<JobRecord> RankPool::Run(const Job& job, const StepObserver& observer) {
  HELM_CHECK(!failed_, "a pool whose ranks failed takes no more jobs");
  HELM_ASSIGN_OR_RETURN(const ir::StepPrograms step, ProgramsOf(job));
  const int64_t world_size = ir::WorldSize(step.mesh());
  HELM_CHECK(world_size <= options_.ranks, "the pool has enough ranks");
  HELM_ASSIGN_OR_RETURN(const auto store, runtime::StoreServer::Start());
  active_ = static_cast<size_t>(world_size);
  Status status = AwaitStart(step);
  if (status.ok()) status = Give(job, step, store->port());
  if (status.ok()) status = Supervise(step, observer);
  if (!status.ok()) {
    // Ranks that all answered have come to an end together and can take the next job.
    const auto answered = [](const Rank& rank) { return rank.seen.reported.has_value() && !rank.seen.ended; };
    if (!std::all_of(ranks_.begin(), ranks_.begin() + static_cast<std::ptrdiff_t>(active_), answered)) KillAll();
    return status;
  }
  const std::string path = RecordPath(job);
  HELM_ASSIGN_OR_RETURN(const nlohmann::ordered_json document, ReadJsonFile(path));
  return JobRecordFromJson(document, path);
}

Status RankPool::AwaitStart(const ir::StepPrograms& step) {
  const milliseconds limit = std::max(options_.timeout, kStartsWithin);
  const auto deadline = Clock::now() + limit;
  while (true) {
    Listen({});
    for (size_t i = 0; i < active_; ++i) Observe(ranks_[i]);
    const std::vector<RankObservation> seen = Observations();
    if (std::ranges::any_of(seen, [](const RankObservation& rank) { return rank.ended.has_value(); })) return Diagnose(step, seen, limit);
    if (std::ranges::none_of(seen, [](const RankObservation& rank) { return rank.stage == RankStage::kStarting; })) return OkStatus();
    if (Clock::now() >= deadline) return Diagnose(step, seen, limit);
    if (options_.interrupted != nullptr && options_.interrupted->load()) return Interrupted();
    poll(nullptr, 0, static_cast<int>(kLookAtStart.count()));
  }
}

Status RankPool::Give(const Job& job, const ir::StepPrograms& step, int port) {
  const RankRequest request{.job = job,
                            .world_size = ir::WorldSize(step.mesh()),
                            .device = step.classes.front().device,
                            .port = port,
                            .timeout = options_.timeout};
  const std::string path = fmt::format("{}/{}.job.json", job.folder, job.tag);
  HELM_RETURN_IF_ERROR(WriteJsonFile(path, ToJson(request)));
  for (size_t i = 0; i < active_; ++i) {
    ranks_[i].seen = {.rank = static_cast<int64_t>(i)};
    ranks_[i].progress.clear();
    if (!ranks_[i].process->Send(path + "\n")) Observe(ranks_[i]);
  }
  return OkStatus();
}

Status RankPool::Supervise(const ir::StepPrograms& step, const StepObserver& observer) {
  std::optional<Clock::time_point> give_up;
  while (true) {
    WaitForNews();
    Listen(observer);
    for (size_t i = 0; i < active_; ++i) Observe(ranks_[i]);
    const std::vector<RankObservation> seen = Observations();
    const auto ended = [](const RankObservation& rank) { return rank.reported.has_value() || rank.ended.has_value(); };
    const bool any_failed = std::any_of(seen.begin(), seen.end(), [](const auto& rank) { return rank.failed(); });
    const bool all_ended = std::all_of(seen.begin(), seen.end(), ended);
    if (all_ended && !any_failed) return OkStatus();
    if (options_.interrupted != nullptr && options_.interrupted->load()) return Interrupted();
    if (any_failed && !give_up) give_up = Clock::now() + kGrace;
    const bool hangs =
        std::any_of(seen.begin(), seen.end(), [&](const auto& rank) { return !ended(rank) && rank.since_progress >= options_.timeout; });
    if (hangs || (any_failed && (all_ended || Clock::now() >= *give_up))) return Diagnose(step, seen, options_.timeout);
  }
}

void RankPool::WaitForNews() const {
  std::vector<pollfd> descriptors;
  for (const Rank& rank : ranks_) {
    for (const int descriptor : {rank.process->talk(), rank.process->errors()}) {
      if (descriptor >= 0) descriptors.push_back({descriptor, POLLIN, 0});
    }
  }
  poll(descriptors.data(), descriptors.size(), static_cast<int>(kLook.count()));
}

void RankPool::Listen(const StepObserver& observer) {
  for (Rank& rank : ranks_) {
    for (const std::string& line : rank.process->ReadErrors()) {
      if (options_.log) options_.log(fmt::format("[rank {}] {}", rank.seen.rank, line));
    }
    for (const std::string& line : rank.process->ReadReplies()) HandleReply(rank, line, observer);
  }
}

void RankPool::HandleReply(Rank& rank, const std::string& line, const StepObserver& observer) {
  const Result<RankReply> reply = ParseReply(line);
  if (!reply.ok()) {
    rank.seen.reported = reply.status();
  } else if (reply->end.has_value()) {
    rank.seen.reported = reply->end;
  } else if (observer) {
    observer(reply->step, reply->loss);
  }
}

void RankPool::Observe(Rank& rank) {
  const RankProgress& progress = board_->of(rank.seen.rank);
  rank.seen.stage = static_cast<RankStage>(progress.stage.load());
  rank.seen.step = progress.step.load();
  rank.seen.op = progress.op.load();
  const std::vector<int64_t> now{progress.stage.load(), rank.seen.step, rank.seen.op, progress.beat.load()};
  if (now != rank.progress) {
    rank.progress = now;
    rank.progressed = Clock::now();
  }
  rank.seen.since_progress = std::chrono::duration_cast<milliseconds>(Clock::now() - rank.progressed);
  rank.seen.ended = rank.process->Reap();
  rank.seen.stopped = !rank.seen.ended && ProcessState(rank.process->pid()) == 'T';
}

std::vector<RankObservation> RankPool::Observations() const {
  std::vector<RankObservation> seen;
  for (size_t i = 0; i < active_; ++i) seen.push_back(ranks_[i].seen);
  return seen;
}

void RankPool::KillAll() {
  failed_ = true;
  for (Rank& rank : ranks_) rank.process->Kill();
  Listen({});  // what they still wrote
}

}  // namespace helm::exec
