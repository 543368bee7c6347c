// RankProcesses: the other ranks of a measurement: copies of this executable that join the same store. This process is rank 0.
//
// A copy knows its rank from its environment, dies with its parent, and is killed when the object goes. Not used to run plans (exec/run.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "core/status.h"

namespace helm::tools {

struct RankRole {
  int64_t rank = 0;
  int64_t ranks = 1;
  int port = 0;  // of the store on the loopback interface
  int64_t threads = 1;
  std::string device;                    // "cpu" or "cuda"
  std::optional<cluster::Link> network;  // between the ranks, emulated
};

class RankProcesses {
 public:
  // Starts ranks 1 .. ranks-1.
  static Result<std::unique_ptr<RankProcesses>> Start(const RankRole& parent);
  ~RankProcesses();
  RankProcesses(const RankProcesses&) = delete;
  RankProcesses& operator=(const RankProcesses&) = delete;

 private:
  explicit RankProcesses(std::vector<pid_t> processes) : processes_(std::move(processes)) {}
  std::vector<pid_t> processes_;
};

// What this process is, when Start made it; none in a process that a person started. Arranges that it dies with its parent and leaves
// Ctrl-C to it.
std::optional<RankRole> RoleFromEnvironment();

}  // namespace helm::tools
