#include "exec/private_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

namespace helm::exec {

Result<std::unique_ptr<PrivateFolder>> PrivateFolder::Make() {
  const char* parent = std::getenv("TMPDIR");
  std::string path = fmt::format("{}/helm-exec.XXXXXX", parent != nullptr && *parent != '\0' ? parent : "/tmp");
  if (mkdtemp(path.data()) == nullptr) {
    return UnavailableError(fmt::format("error: cannot make a temporary folder '{}': {}\nfix: set TMPDIR to a folder that can be written",
                                        path, std::strerror(errno)));
  }
  return std::unique_ptr<PrivateFolder>(new PrivateFolder(std::move(path)));
}

PrivateFolder::~PrivateFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace helm::exec
