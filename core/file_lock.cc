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

Status Lock(int descriptor, const std::string& path) {
  while (::flock(descriptor, LOCK_EX) != 0) {
    if (errno != EINTR) return InvalidError(fmt::format("{}: error: cannot lock: {}", path, std::strerror(errno)));
  }
  return OkStatus();
}

}  // namespace

Result<FileLock> FileLock::Take(const std::string& path) {
  const std::string name = LockOf(path);
  while (true) {
    const int descriptor = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) return InvalidError(fmt::format("{}: error: cannot create a lock beside it: {}", path, std::strerror(errno)));
    FileLock lock("", descriptor);  // does not own the name yet
    HELM_RETURN_IF_ERROR(Lock(descriptor, path));
    if (!IsNamed(descriptor, name)) continue;
    lock.path_ = name;
    return lock;
  }
}

FileLock::FileLock(FileLock&& other) noexcept : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  if (!path_.empty()) ::unlink(path_.c_str());  // before it is let go, so that nobody can hold a lock that has no name
  ::close(descriptor_);
}

}  // namespace helm
