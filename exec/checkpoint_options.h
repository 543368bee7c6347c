// CheckpointOptions: where checkpoints of a run go and come from (docs/formats/checkpoint.md); and the moments of writing one, at which
// tests kill a rank or keep it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace helm::exec {

// On each rank that comes to them, in this order.
enum class CheckpointMoment : uint8_t {
  kBegin,         // nothing is there
  kFolderMade,    // rank 0
  kParameters,    // this rank's parameters are half-written
  kOptimizer,     // its optimizer state is half-written
  kShardWritten,  // its files are there
  kBeforeIndex,   // rank 0: all files are there
  kBeforeRename,  // rank 0: the index too
  kRenamed,       // rank 0: complete; old ones are still there
  kRemoving,      // rank 0: an old one has lost its name, not its files
};

// A test kills one rank with SIGKILL, or keeps it for so long.
struct CheckpointFault {
  int64_t rank = 0;
  int64_t steps = 0;  // of the checkpoint
  CheckpointMoment moment = CheckpointMoment::kBegin;
  std::chrono::milliseconds delay{0};  // 0: it is killed
};

inline constexpr int64_t kCheckpointsKept = 2;  // the newest, and one should that turn out to be damaged

struct CheckpointOptions {
  std::string folder;                    // empty: none are written
  int64_t every = 0;                     // steps; 0: only after the last step
  int64_t keep = kCheckpointsKept;       // complete ones that are left in the folder
  std::string resume;                    // a checkpoint, or a folder whose newest complete one is taken; empty: begin with the first step
  std::optional<CheckpointFault> fault;  // tests only
};

}  // namespace helm::exec
