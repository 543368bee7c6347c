// Checkpoint folder: the folder that --checkpoint names, with one folder "step-00000010" in it for each checkpoint that is complete.
//
// A checkpoint is written as ".step-00000010.partial" and gets its name when all of it is on the disk; an old one is renamed to
// ".step-00000010.removed" before its files are removed. So whatever has the name is complete, whenever a process was killed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/file_lock.h"
#include "core/status.h"

namespace helm::exec {

// Whether the folder is one, complete: its index is written last.
bool IsCheckpoint(const std::string& path);
// An error where a folder in `folder` has the name of a checkpoint and no index: not what a killed run leaves behind, so it is not passed
// over.
Status CheckNoneIsCutShort(const std::string& folder);

std::string CheckpointPath(const std::string& folder, int64_t step);
std::string PartialCheckpointPath(const std::string& folder, int64_t step);

// Steps of the complete ones, ascending; none where the folder is missing.
std::vector<int64_t> CompleteCheckpoints(const std::string& folder);

// `path` is a checkpoint, or a folder of them, whose newest is taken. The path of the checkpoint.
Result<std::string> FindCheckpoint(const std::string& path);

// Keeps the folder for one run: two would remove each other's half-written checkpoints. An error while another run has it. REQUIRES: it
// exists.
Result<FileLock> LockFolder(const std::string& folder);

// What killed processes left half-written or half-removed.
Status RemoveInterrupted(const std::string& folder);
// All but the newest `keep` of the complete ones, and but that of step `spared`. `between` is called when one has lost its name and not yet
// its files (for tests; may be empty).
Status RemoveOld(const std::string& folder, int64_t keep, std::optional<int64_t> spared, const std::function<void()>& between);

}  // namespace helm::exec
