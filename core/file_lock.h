// FileLock: keeps other processes that ask for the same lock away from a file, from Take to the end of the object.
//
// Advisory: who does not ask is not kept away. The lock is a file of its own beside the one it guards (".table.json.lock"), since that one
// is replaced when it is written; it is removed with the lock, and one that a killed process left is as good as new. Whichever link names
// the file, the lock is the same; what it guards may be a folder.
#pragma once

#include <optional>
#include <string>

#include "core/status.h"

namespace helm {

class FileLock {
 public:
  // The folder must exist; the file need not. Waits as long as another holds it, so hold it for moments.
  static Result<FileLock> Take(const std::string& path);
  // Nothing while another holds it.
  static Result<std::optional<FileLock>> TryTake(const std::string& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  FileLock& operator=(FileLock&&) = delete;

 private:
  static Result<std::optional<FileLock>> TakeUnless(const std::string& path, bool held_fails);
  FileLock(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  std::string path_;  // of the lock
  int descriptor_;    // -1: moved from
};

}  // namespace helm
