// The rank's side of a RankPool: waits for the path of a request on its socket, runs it, answers, until the socket is closed. And the
// messages that pool and rank exchange: one line each, a path one way, JSON the other.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "core/status.h"
#include "exec/job.h"
#include "ir/program.h"

namespace helm::exec {

struct RankRequest {  // the same for all ranks of a job
  Job job;
  int64_t world_size = 1;
  ir::DeviceKind device = ir::DeviceKind::kCpu;
  int port = 0;  // of the store, on the loopback interface
  std::chrono::milliseconds timeout{0};
};
nlohmann::ordered_json ToJson(const RankRequest& request);

struct RankReply {  // the end of the job, or a step (from rank 0)
  std::optional<Status> end;
  int64_t step = 0;
  double loss = 0;
};
Result<RankReply> ParseReply(const std::string& line);

// Where rank 0 leaves the job's record.
std::string RecordPath(const Job& job);

// Declared in exec/run.h: IsSpawnedRank, RunSpawnedRank.

}  // namespace helm::exec
