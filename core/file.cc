#include "core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

#include "core/atomic_file.h"
#include "core/file_descriptor.h"

namespace helm {
namespace {

// A device, pipe or socket: not something that a new file may take the place of.
bool IsSpecial(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

Status WriteSpecial(const std::string& path, std::string_view content) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) return InvalidError(fmt::format("{}: error: cannot open for writing: {}", path, SystemReason()));
  return WriteAll(file, path, content);
}

// The file that a link stands for, so that the link stays one; `path` itself where it is none, or leads nowhere.
std::string BehindLinks(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_symlink(path, error)) return path;
  const auto target = std::filesystem::canonical(path, error);
  return error ? path : target.string();
}

}  // namespace

Result<std::string> ReadFile(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return InvalidError(fmt::format("{}: error: cannot open: {}", path, SystemReason()));
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return InvalidError(fmt::format("{}: error: cannot read: {}", path, SystemReason()));
  if (S_ISDIR(info.st_mode)) return InvalidError(fmt::format("{}: error: this is a folder, a file is needed", path));
  std::string content;
  content.reserve(static_cast<size_t>(info.st_size) + 1);
  char buffer[1 << 16];
  while (true) {
    const ssize_t count = ::read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return InvalidError(fmt::format("{}: error: cannot read: {}", path, SystemReason()));
    if (count == 0) return content;
    content.append(buffer, static_cast<size_t>(count));
  }
}

Status WriteFileAtomically(const std::string& path, std::string_view content) {
  if (IsSpecial(path)) return WriteSpecial(path, content);
  HELM_ASSIGN_OR_RETURN(const auto file, AtomicFile::Create(BehindLinks(path)));
  HELM_RETURN_IF_ERROR(file->Append(content));
  return file->Commit();
}

bool FileExists(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

bool FolderExists(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

Status MakeFolders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (FolderExists(path)) return OkStatus();
  return InvalidError(fmt::format("{}: error: cannot make this folder: {}", path, error ? error.message() : "something else has its name"));
}

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

std::string ResolvePath(const std::string& folder, const std::string& path) {
  const std::filesystem::path given(path);
  if (given.is_absolute()) return path;
  const std::string resolved = (std::filesystem::path(folder) / given).lexically_normal().string();
  return resolved.empty() ? "." : resolved;
}

std::string ExecutableFolder() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "." : program.parent_path().string();
}

}  // namespace helm
