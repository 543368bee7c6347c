// PrivateFolder: a folder for the files of one run (requests, records, ranks' states), removed with all its files at the end.
#pragma once

#include <memory>
#include <string>

#include "core/status.h"

namespace helm::exec {

class PrivateFolder {
 public:
  // In $TMPDIR, or /tmp.
  static Result<std::unique_ptr<PrivateFolder>> Make();
  ~PrivateFolder();
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  explicit PrivateFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace helm::exec
