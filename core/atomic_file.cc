#include "core/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "core/file.h"
#include "core/folder.h"

namespace helm {
namespace {

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
  if (file.get() < 0) return InvalidError(fmt::format("{}: error: cannot create a file in {}: {}", path, FolderOf(path), SystemReason()));
  SetOrdinaryMode(file.get());
  return std::unique_ptr<AtomicFile>(new AtomicFile(path, std::move(temporary), std::move(file)));
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFile::Append(std::string_view bytes) { return WriteAll(file_, path_, bytes); }

Status AtomicFile::Commit() {
  if (::fsync(file_.get()) != 0) return InvalidError(fmt::format("{}: error: cannot flush to disk: {}", path_, SystemReason()));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return InvalidError(fmt::format("{}: error: cannot put the new file in place: {}", path_, SystemReason()));
  }
  temporary_.clear();
  return SynchroniseFolder(FolderOf(path_));
}

}  // namespace helm
