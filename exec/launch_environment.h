// LaunchEnvironment: what a launcher told this process by its environment: which rank it is, of how many, and where the ranks meet.
//
// Launcher: rank and size; local rank; where the ranks meet, without MASTER_ADDR.
//  * torchrun: RANK, WORLD_SIZE; LOCAL_RANK; MASTER_ADDR and MASTER_PORT are needed.
//  * Open MPI: OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE; OMPI_COMM_WORLD_LOCAL_RANK; loopback when all ranks are on one machine.
//  * PMI: PMI_RANK, PMI_SIZE; MPI_LOCALRANKID or PMI_LOCAL_RANK; loopback when all ranks are on one machine.
//  * Slurm: SLURM_PROCID, SLURM_STEP_NUM_TASKS or SLURM_NTASKS; SLURM_LOCALID; the first host of the node list, loopback if it is the only
//    one.
//
// A pure function of the variables; docs/execution.md ("Launchers") says the same to people. Several launchers may be nested: torchrun's
// agent starts its own ranks, and mpirun inside a Slurm allocation is not Slurm's task. What cannot be nested must agree.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/status.h"

namespace helm::exec {

enum class Launcher : uint8_t { kTorchrun, kOpenMpi, kPmi, kSlurm };
std::string_view Name(Launcher launcher);  // "torchrun", "Open MPI", "PMI", "Slurm"

struct LaunchEnvironment {
  Launcher launcher = Launcher::kTorchrun;
  int64_t rank = 0;
  int64_t world_size = 1;
  int64_t local_rank = 0;              // on its machine; the rank where the launcher does not say
  std::string host;                    // MASTER_ADDR, or as the table above says
  int port = 0;                        // MASTER_PORT, or one that follows from the job's id, or 29500 (torchrun's default)
  bool launcher_serves_store = false;  // torchrun's agent does, unless told otherwise; else rank 0 must
};

// None when no launcher's variables are set, or Slurm has a single task (its batch script and interactive shell look so too). kInvalid,
// naming the variable and what is allowed, when some are missing, make no sense or contradict each other. `variable` is getenv, or a
// test's.
Result<std::optional<LaunchEnvironment>> ReadLaunchEnvironment(const std::function<const char*(const char*)>& variable);

}  // namespace helm::exec
