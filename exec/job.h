// Job: what one or more ranks are asked to run, and JobRecord: what came out of it. Both travel between processes as JSON.
//
// A job is a plan with the number of steps; or, for checks that must change what runs, programs in text form that are run instead of those
// that the plan gives. Private files of a job lie in its folder: "TAG.gradients.RANK.safetensors", "TAG.parameters.RANK.safetensors" (a
// rank's segments, exec/parameter_state.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/status.h"
#include "core/units.h"
#include "exec/checkpoint_options.h"
#include "exec/parameter_state.h"
#include "exec/verify.h"
#include "ir/plan.h"
#include "ir/step_programs.h"
#include "ir/timeline.h"
#include "runtime/interpreter.h"

namespace helm::exec {

// What a test makes go wrong on one rank, in training.
struct RankFault {
  int64_t rank = 0;
  runtime::Fault fault;
};

// With a CUDA graph: steps that run op by op before it, the last of them recorded.
constexpr int64_t kStepsBeforeGraph = 3;

struct Job {
  ir::Plan plan;
  std::string plan_path;   // in messages
  std::string programs;    // of all rank classes, text form; empty: the plan's
  std::string data;        // see RunOptions
  int64_t first_step = 0;  // number of the first one; more than 0 after a resume
  int64_t steps = 1;       // that are run
  int64_t warm_up_steps = 0;
  CheckpointOptions checkpoint;  // `resume` names one checkpoint
  bool keep_state = false;       // write gradients of the first step and parameters after the last one
  bool verify = false;           // of a run that is compared: adapters begin as WithAdaptersNotZero has them
  std::string folder;            // private to the run; exists
  std::string tag;               // of the job in the folder: "split", "unsplit"
  int64_t threads_per_rank = 0;  // 0: leave as it is
  runtime::OpTimes op_times = runtime::OpTimes::kEvents;
  bool cuda_graph = false;         // RunOptions::cuda_graph
  std::string memory_snapshot;     // file; empty: none
  std::optional<RankFault> fault;  // tests only
};

struct JobRecord {
  std::string data;
  std::vector<double> losses;       // by step
  std::vector<Duration> makespans;  // by step, of the slowest rank
  Bytes memory_bytes_peak;          // of the rank with the most
  ir::Timeline timeline;            // of the median step behind the warm-up
};

nlohmann::ordered_json ToJson(const Job& job);
Result<Job> JobFromJson(const nlohmann::ordered_json& document);
nlohmann::ordered_json ToJson(const JobRecord& record);
Result<JobRecord> JobRecordFromJson(const nlohmann::ordered_json& document, const std::string& file);

// Steps of the training in all, with those before it was resumed.
inline int64_t AllSteps(const Job& job) { return job.first_step + job.steps; }

// The programs that the job's ranks run, with the initial values that they begin with.
Result<ir::StepPrograms> ProgramsOf(const Job& job);

// A rank's file of one kind. REQUIRES: kind is kGradient or kParameter.
std::string StatePath(const Job& job, VerifyKind kind, int64_t rank);
Result<RankState> ReadState(const Job& job, const ir::Program& program, VerifyKind kind, int64_t rank);

}  // namespace helm::exec
