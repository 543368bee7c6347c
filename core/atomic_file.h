// AtomicFile: a file that is written piece by piece and appears under its name only when it is complete and on the disk.
//
// For contents too large to hold in memory; WriteFileAtomically (core/file.h) writes those that are there. Until Commit nothing has the
// name; an AtomicFile that is destroyed before leaves nothing. A process that is killed leaves a temporary file "PATH.XXXXXX".
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/file_descriptor.h"
#include "core/status.h"

namespace helm {

class AtomicFile {
 public:
  // The folder must exist. `path` must not be a link or a device.
  static Result<std::unique_ptr<AtomicFile>> Create(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  Status Append(std::string_view bytes);
  // fsync, rename, fsync of the folder. REQUIRES: called once, nothing after it.
  Status Commit();

 private:
  AtomicFile(std::string path, std::string temporary, FileDescriptor file)
      : path_(std::move(path)), temporary_(std::move(temporary)), file_(std::move(file)) {}

  const std::string path_;
  std::string temporary_;  // empty: committed
  const FileDescriptor file_;
};

}  // namespace helm
