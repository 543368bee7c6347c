// FileDescriptor: an open file of the operating system, closed when it goes out of scope. For the readers and writers of core/ and
// formats/, with what they have in common; remembers no path.
#pragma once

#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

#include "core/status.h"

namespace helm {

class FileDescriptor {
 public:
  explicit FileDescriptor(int number) : number_(number) {}
  ~FileDescriptor() {
    if (number_ >= 0) ::close(number_);
  }
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int get() const { return number_; }  // negative: it could not be opened

 private:
  int number_;
};

// Why the last call of the operating system failed.
std::string SystemReason();

// All of the bytes, however many calls it takes. `path` is for the message.
Status WriteAll(const FileDescriptor& file, const std::string& path, std::string_view bytes);

}  // namespace helm
