#include "exec/checkpoint_folder.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "core/file.h"
#include "core/folder.h"
#include "core/text.h"
#include "formats/checkpoint_index.h"

namespace helm::exec {
namespace {

constexpr std::string_view kName = "step-";
constexpr std::string_view kPartial = ".partial";
constexpr std::string_view kRemoved = ".removed";

std::string NameOf(int64_t step) { return fmt::format("{}{:08}", kName, step); }

// None: the name is not that of a checkpoint.
std::optional<int64_t> StepOf(const std::string& name) {
  if (!name.starts_with(kName)) return std::nullopt;
  const size_t digits = std::min(name.find_first_not_of('0', kName.size()), name.size() - 1);
  const std::optional<int64_t> step = ParseInt64(name.substr(digits));
  return step && name == NameOf(*step) ? step : std::nullopt;
}

std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

bool IsCheckpoint(const std::string& path) { return FileExists(fmt::format("{}/{}", path, formats::kCheckpointIndexFile)); }

Status CheckNoneIsCutShort(const std::string& folder) {
  for (const std::string& name : NamesIn(folder)) {
    if (!StepOf(name) || IsCheckpoint(folder + "/" + name)) continue;
    return InvalidError(fmt::format(
        "{}/{}: error: this checkpoint has no {}: a copy that was cut short, or not yet done\nfix: complete it, or remove it or "
        "move it elsewhere",
        folder, name, formats::kCheckpointIndexFile));
  }
  return OkStatus();
}

std::string CheckpointPath(const std::string& folder, int64_t step) { return folder + "/" + NameOf(step); }

std::string PartialCheckpointPath(const std::string& folder, int64_t step) {
  return fmt::format("{}/.{}{}", folder, NameOf(step), kPartial);
}

std::vector<int64_t> CompleteCheckpoints(const std::string& folder) {
  std::vector<int64_t> steps;
  for (const std::string& name : NamesIn(folder)) {
    if (const auto step = StepOf(name); step && IsCheckpoint(folder + "/" + name)) steps.push_back(*step);
  }
  std::ranges::sort(steps);
  return steps;
}

Result<std::string> FindCheckpoint(const std::string& path) {
  if (IsCheckpoint(path)) return path;
  if (!FolderExists(path)) return InvalidError(fmt::format("{}: error: no such folder, so no checkpoint to resume from", path));
  HELM_RETURN_IF_ERROR(CheckNoneIsCutShort(path));
  const std::vector<int64_t> steps = CompleteCheckpoints(path);
  if (!steps.empty()) return CheckpointPath(path, steps.back());
  return InvalidError(fmt::format(
      "{}: error: there is no complete checkpoint in this folder (a folder {} with a file {})\nfix: leave out --resume to begin "
      "with the first step",
      path, NameOf(1), formats::kCheckpointIndexFile));
}

Result<FileLock> LockFolder(const std::string& folder) {
  HELM_ASSIGN_OR_RETURN(std::optional<FileLock> lock, FileLock::TryTake(folder + "/run"));  // in it: what is around it may be read-only
  if (lock) return *std::move(lock);
  return InvalidError(fmt::format(
      "{}: error: another run writes its checkpoints there\nfix: wait until it has ended, or give --checkpoint another folder", folder));
}

Status RemoveInterrupted(const std::string& folder) {
  for (const std::string& name : NamesIn(folder)) {
    if (!name.starts_with('.')) continue;
    for (const std::string_view ending : {kPartial, kRemoved}) {
      if (!name.ends_with(ending) || !StepOf(name.substr(1, name.size() - 1 - ending.size()))) continue;
      HELM_RETURN_IF_ERROR(RemoveFolder(folder + "/" + name));
    }
  }
  return OkStatus();
}

Status RemoveOld(const std::string& folder, int64_t keep, std::optional<int64_t> spared, const std::function<void()>& between) {
  const std::vector<int64_t> steps = CompleteCheckpoints(folder);
  for (int64_t i = 0; i + keep < static_cast<int64_t>(steps.size()); ++i) {
    const int64_t step = steps[static_cast<size_t>(i)];
    if (step == spared) continue;
    const std::string removed = fmt::format("{}/.{}{}", folder, NameOf(step), kRemoved);
    HELM_RETURN_IF_ERROR(RenameFolder(CheckpointPath(folder, step), removed));
    if (between) between();
    HELM_RETURN_IF_ERROR(RemoveFolder(removed));
  }
  return OkStatus();
}

}  // namespace helm::exec
