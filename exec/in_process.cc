#include "exec/in_process.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "exec/session.h"
#include "runtime/in_process.h"

namespace helm::exec {
namespace {

constexpr std::chrono::milliseconds kLook{50};  // between looks at the interruption

// The threads of the ranks and what became of them.
class RankThreads {
 public:
  RankThreads(const Job& job, const InProcessOptions& options)
      : job_(job), options_(options), ranks_(runtime::InProcessRanks::Make(options.ranks, options.timeout)) {}

  Result<JobRecord> Run() {
    std::vector<std::jthread> threads;
    for (int64_t rank = 0; rank < options_.ranks; ++rank) threads.emplace_back([this, rank] { RunRank(rank); });
    const bool interrupted = AwaitAll();
    threads.clear();  // joins
    if (interrupted) return Status{StatusCode::kInterrupted, "error: interrupted: all ranks were stopped"};
    if (failure_) return *failure_;
    return std::move(*record_);
  }

 private:
  void RunRank(int64_t rank) {
    SessionContext context{.world = options_.ranks > 1 ? &ranks_->world(rank) : nullptr,
                           .interrupted = options_.interrupted,
                           .timeout = options_.timeout,
                           .shares_process = true};
    if (rank == 0) context.on_step = options_.on_step;
    Result<std::optional<JobRecord>> record = Guarded(rank, context);
    const std::lock_guard lock(mutex_);
    if (record.ok() && record->has_value()) record_ = std::move(**record);
    if (!record.ok() && !failure_) {
      const bool internal = record.status().code() == StatusCode::kInternal;  // of an op: the rank's failure, as in a process of its own
      failure_ = internal ? RankFailedError(record.status().message()) : record.status();
      ranks_->Fail(fmt::format("rank {} failed", rank));
    }
    ++ended_;
    changed_.notify_all();
  }

  Result<std::optional<JobRecord>> Guarded(int64_t rank, const SessionContext& context) {
    try {
      return RunSession(job_, context);
    } catch (const std::exception& error) {
      return InternalError(fmt::format("error: rank {}: {}", rank, error.what()));
    }
  }

  // True when it was interrupted.
  bool AwaitAll() {
    bool interrupted = false;
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, kLook, [this] { return ended_ == options_.ranks; })) {
      if (interrupted || options_.interrupted == nullptr || !options_.interrupted->load()) continue;
      interrupted = true;
      ranks_->Fail("interrupted");
    }
    return interrupted;
  }

  const Job& job_;
  const InProcessOptions& options_;
  std::unique_ptr<runtime::InProcessRanks> ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t ended_ = 0;
  std::optional<Status> failure_;  // the first
  std::optional<JobRecord> record_;
};

}  // namespace

Result<JobRecord> RunInProcess(const Job& job, const InProcessOptions& options) { return RankThreads(job, options).Run(); }

}  // namespace helm::exec
