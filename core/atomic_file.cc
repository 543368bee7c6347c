#include "core/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "core/file.h"
#include "core/folder.h"

namespace helm {
namespace {

std::string Reason() { return std::strerror(errno); }

// mkstemp gives the file to its owner alone; a result gets what the umask allows, as any other new file.
void SetOrdinaryMode(int fd) {
  static const mode_t mask = [] {  // read once: it can only be read by changing it, which other threads would see
    const mode_t own = ::umask(0);
    ::umask(own);
    return own;
  }();
  ::fchmod(fd, 0666 & ~mask);
}

}  // namespace

Result<std::unique_ptr<AtomicFile>> AtomicFile::Create(const std::string& path) {
  std::string temporary = fmt::format("{}.XXXXXX", path);
  FileDescriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) return InvalidError(fmt::format("{}: error: cannot create a file in {}: {}", path, FolderOf(path), Reason()));
  SetOrdinaryMode(file.get());
  return std::unique_ptr<AtomicFile>(new AtomicFile(path, std::move(temporary), std::move(file)));
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFile::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return InvalidError(fmt::format("{}: error: cannot write: {}", path_, Reason()));
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return OkStatus();
}

Status AtomicFile::Commit() {
  if (::fsync(file_.get()) != 0) return InvalidError(fmt::format("{}: error: cannot flush to disk: {}", path_, Reason()));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return InvalidError(fmt::format("{}: error: cannot put the new file in place: {}", path_, Reason()));
  }
  temporary_.clear();
  return SynchroniseFolder(FolderOf(path_));
}

}  // namespace helm
