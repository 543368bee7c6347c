// Run: executes a plan as real processes and gives back what happened: losses, the measured timeline, memory, and the comparison with the
// unsplit model. What `helm-exec` is apart from its command line.
//
// A process that calls Run is one of four things:
//  * the parent of local ranks (usual): it spawns world-size copies of this executable, which must call RunSpawnedRank first thing in
//    main (below), serves their store, watches them, and returns;
//  * a rank of a job that a launcher started (torchrun, mpirun, srun: exec/launch_environment.h): it joins the others; rank 0 gets the
//    results;
//  * all local ranks at once, as threads, where RunOptions::in_process says so;
//  * nothing else: Run neither prints nor exits, and leaves no process and no half-written file behind, whatever fails.
//
//     int main(int argc, char** argv) {
//       if (exec::IsSpawnedRank()) return exec::RunSpawnedRank();
//       ...
//       Result<exec::RunResult> result = exec::Run(plan, options);
//
// Failures: a world size that does not match, wrong data or a changed program hash are kInvalid; a rank that dies, hangs or diverges is
// kRankFailed, with rank, op and cause, within `timeout` of its last progress (plus two seconds to stop the others); an interruption is
// kInterrupted. A difference found by `verify` is not a failure of Run: see RunResult::verify.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/units.h"
#include "exec/job.h"
#include "exec/verify.h"
#include "ir/plan.h"
#include "ir/timeline.h"

namespace helm::exec {

// What the observer of a run hears, in order, on the thread that called Run. (On a rank that a launcher started: only kStep.)
struct RunEvent {
  enum class Kind : uint8_t {
    kStarted,    // `processes` run
    kStep,       // `step` of `steps` has ended with `loss`
    kVerifying,  // the unsplit model starts; its steps follow as kStep with `unsplit` set
  };
  Kind kind = Kind::kStep;
  std::vector<int> processes;  // process ids by rank
  int64_t step = 0;
  int64_t steps = 0;
  double loss = 0;
  bool unsplit = false;
};

struct RunOptions {
  std::string plan_path;                                  // used in messages
  int64_t steps = 20;                                     // training steps, with those that a resumed training has behind it
  runtime::OpTimes op_times = runtime::OpTimes::kEvents;  // GPU: what takes the times of ops in the steps that are recorded
  // GPU, one rank: all steps but the first few are launched as one CUDA graph; the first ones are recorded op by op.
  bool cuda_graph = false;
  std::string memory_snapshot;  // GPU: file for torch.cuda._memory_viz (".RANK" is added when there are several)
  bool verify = false;          // also run the unsplit model and compare (AdamW epsilon 1e-4 on both sides)
  std::string dump_state;       // folder (docs/formats/state_dump.md); empty: none
  std::string data;             // token shard or folder of shards (docs/formats/token_shard.md); empty: shipped text or random tokens
  CheckpointOptions checkpoint;
  bool in_process = false;                   // all ranks as threads of this process (exec/in_process.h); not for a launcher's ranks
  std::chrono::milliseconds timeout{60000};  // without progress of a rank
  std::string executable;                    // that the ranks run; empty: this process's own
  std::function<void(const RunEvent&)> observer;
  std::function<void(std::string_view line)> log;  // lines that ranks wrote on stderr, "[rank 1] ..."
  const std::atomic<bool>* interrupted = nullptr;  // set by a signal handler: stop
  std::optional<RankFault> fault;                  // tests only: of the split run
};

struct RunResult {
  // False on the ranks of a launcher's job other than 0: everything below is then empty, and there is nothing to print.
  bool is_reporter = true;
  std::string data;                    // what was trained on: "token shards of DIR", "shipped text", "random tokens"
  int64_t first_step = 0;              // number of the first step that was run
  std::string resumed_from;            // the checkpoint; empty: none
  std::string checkpoint;              // the one after the last step; empty: none were asked for
  std::vector<double> losses;          // by step, from first_step on
  int64_t warm_up_steps = 0;           // at the start, left out of all times: WarmUpSteps(steps)
  Duration step_time;                  // median over the steps after warm-up of the slowest rank's makespan
  Bytes memory_bytes_peak;             // of the rank with the most, allocated, over all steps: persistent and transient tensors
  ir::Timeline timeline;               // of the step with the median time; title "measured"
  std::optional<VerifyResult> verify;  // when asked for; !verify->passed(): exit code 7
};

// A quarter of the steps, at least one if there are two, five at most: the first steps fill caches and the allocator.
int64_t WarmUpSteps(int64_t steps);

Result<RunResult> Run(const ir::Plan& plan, const RunOptions& options);

// True in a process that Run spawned as a rank; such a process does nothing else than `return RunSpawnedRank()`.
bool IsSpawnedRank();
int RunSpawnedRank();

}  // namespace helm::exec
