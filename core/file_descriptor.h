// FileDescriptor: an open file of the operating system, closed when it goes out of scope. For the readers and writers of core/ and
// formats/; knows nothing of paths or errors.
#pragma once

#include <unistd.h>

#include <utility>

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

}  // namespace helm
