// SafetensorsReader, SafetensorsWriter: tensor files (formats/safetensors.h) that are larger than what one wants in memory: a reader that
// knows the header and fetches single tensors, a writer that is given the data in pieces.
//
// As strict as ParseSafetensors: the reader checks the whole header against the size of the file when it opens it. A file that changes
// while it is read is not noticed. Neither is thread-safe.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/atomic_file.h"
#include "core/file_descriptor.h"
#include "core/status.h"
#include "formats/safetensors.h"

namespace helm::formats {

class SafetensorsReader {
 public:
  static Result<SafetensorsReader> Open(const std::string& path);

  const TensorTable& table() const { return table_; }
  // None: the file has no tensor of this name.
  const TensorPlace* Find(const std::string& name) const;
  // REQUIRES: `place` is of this file's table.
  Result<NamedTensor> Read(const TensorPlace& place) const;

 private:
  SafetensorsReader(std::string path, FileDescriptor file, TensorTable table)
      : path_(std::move(path)), file_(std::move(file)), table_(std::move(table)) {}

  std::string path_;
  FileDescriptor file_;
  TensorTable table_;
};

class SafetensorsWriter {
 public:
  // The data follow each other in the order of `tensors`, whose own data are not looked at. REQUIRES: names are unique.
  static Result<std::unique_ptr<SafetensorsWriter>> Create(const std::string& path, const std::vector<TensorSpec>& tensors,
                                                           const std::map<std::string, std::string>& metadata);
  Status Append(std::span<const std::byte> bytes);
  // Puts the file in place (core/atomic_file.h). REQUIRES: as many bytes were appended as the tensors take.
  Status Finish();

 private:
  SafetensorsWriter(std::unique_ptr<AtomicFile> file, size_t bytes) : file_(std::move(file)), missing_bytes_(bytes) {}

  std::unique_ptr<AtomicFile> file_;
  size_t missing_bytes_;
};

}  // namespace helm::formats
