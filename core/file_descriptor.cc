#include "core/file_descriptor.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace helm {

std::string SystemReason() { return std::strerror(errno); }

Status WriteAll(const FileDescriptor& file, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return InvalidError(fmt::format("{}: error: cannot write: {}", path, SystemReason()));
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return OkStatus();
}

}  // namespace helm
