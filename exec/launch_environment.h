// LaunchEnvironment: what a launcher (torchrun) told this process: which rank it is, of how many, and where the ranks meet.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/status.h"

namespace helm::exec {

struct LaunchEnvironment {
  int64_t rank = 0;
  int64_t world_size = 1;
  int64_t local_rank = 0;
  std::string host;
  int port = 0;
  bool launcher_serves_store = false;  // torchrun's agent does, unless told otherwise; else rank 0 must
};

// Reads RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT (torchrun 2.11). None when RANK and WORLD_SIZE are not set; an error, naming
// the variable, when only some are or a value makes no sense. `variable` is getenv, or a test's.
Result<std::optional<LaunchEnvironment>> ReadLaunchEnvironment(const std::function<const char*(const char*)>& variable);

}  // namespace helm::exec
