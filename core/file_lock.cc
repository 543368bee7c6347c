#include "core/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

namespace helm {
namespace {

std::string LockOf(const std::string& path) {
  std::error_code error;
  const std::filesystem::path file = std::filesystem::weakly_canonical(path, error);
  const std::filesystem::path guarded = error ? std::filesystem::path(path) : file;
  return guarded.parent_path() / ("." + guarded.filename().string() + ".lock");
}

// Whether the descriptor is still of the file of this name: a holder removes it while others wait for it.
bool IsNamed(int descriptor, const std::string& path) {
  struct stat open{}, named{};
  return ::fstat(descriptor, &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

// False: another holds it, and it was not to be waited for.
Result<bool> Lock(int descriptor, const std::string& path, bool wait) {
  while (::flock(descriptor, wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return InvalidError(fmt::format("{}: error: cannot lock: {}", path, std::strerror(errno)));
  }
  return true;
}

}  // namespace

Result<std::optional<FileLock>> FileLock::TakeUnless(const std::string& path, bool held_fails) {
  const std::string name = LockOf(path);
  while (true) {
    const int descriptor = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) return InvalidError(fmt::format("{}: error: cannot create a lock beside it: {}", path, std::strerror(errno)));
    FileLock lock("", descriptor);  // does not own the name yet
    HELM_ASSIGN_OR_RETURN(const bool taken, Lock(descriptor, path, !held_fails));
    if (!taken) return std::optional<FileLock>();
    if (!IsNamed(descriptor, name)) continue;
    lock.path_ = name;
    return std::optional<FileLock>(std::move(lock));
  }
}

Result<FileLock> FileLock::Take(const std::string& path) {
  HELM_ASSIGN_OR_RETURN(std::optional<FileLock> lock, TakeUnless(path, /*held_fails=*/false));
  return *std::move(lock);
}

Result<std::optional<FileLock>> FileLock::TryTake(const std::string& path) { return TakeUnless(path, /*held_fails=*/true); }

FileLock::FileLock(FileLock&& other) noexcept : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  if (!path_.empty()) ::unlink(path_.c_str());  // before it is let go, so that nobody can hold a lock that has no name
  ::close(descriptor_);
}

}  // namespace helm
