#include "core/folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

#include "core/file.h"
#include "core/file_descriptor.h"

namespace helm {
Status SynchroniseFolder(const std::string& folder) {
  const FileDescriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (handle.get() < 0) return InvalidError(fmt::format("{}: error: cannot open the folder: {}", folder, SystemReason()));
  if (::fsync(handle.get()) != 0) return InvalidError(fmt::format("{}: error: cannot flush to disk: {}", folder, SystemReason()));
  return OkStatus();
}

Status RenameFolder(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    return InvalidError(fmt::format("{}: error: cannot rename it to {}: {}", from, to, SystemReason()));
  }
  return SynchroniseFolder(FolderOf(to));
}

Status RemoveFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  return error ? InvalidError(fmt::format("{}: error: cannot remove this folder: {}", path, error.message())) : OkStatus();
}

}  // namespace helm
