#include "formats/safetensors_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "core/check.h"

namespace helm::formats {
namespace {

Status ReadAt(const FileDescriptor& file, size_t offset, std::span<std::byte> into, const std::string& path) {
  while (!into.empty()) {
    const ssize_t count = ::pread(file.get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return InvalidError(fmt::format("{}: error: cannot read: {}", path, SystemReason()));
    if (count == 0) return InvalidError(fmt::format("{}: error: the file ends at byte {}: is it cut off?", path, offset));
    offset += static_cast<size_t>(count);
    into = into.subspan(static_cast<size_t>(count));
  }
  return OkStatus();
}

}  // namespace

Result<SafetensorsReader> SafetensorsReader::Open(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return InvalidError(fmt::format("{}: error: cannot open: {}", path, SystemReason()));
  struct stat info{};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return InvalidError(fmt::format("{}: error: not a file: a tensor file is needed", path));
  }
  const auto file_bytes = static_cast<size_t>(info.st_size);
  std::string beginning(std::min(kSafetensorsLengthBytes, file_bytes), '\0');
  const auto bytes_of = [](std::string& text) { return std::as_writable_bytes(std::span(text)); };
  HELM_RETURN_IF_ERROR(ReadAt(file, 0, bytes_of(beginning), path));
  HELM_ASSIGN_OR_RETURN(const size_t header_bytes, SafetensorsHeaderBytes(beginning, file_bytes, path));
  std::string header(header_bytes, '\0');
  HELM_RETURN_IF_ERROR(ReadAt(file, kSafetensorsLengthBytes, bytes_of(header), path));
  HELM_ASSIGN_OR_RETURN(TensorTable table, ParseSafetensorsHeader(header, file_bytes, path));
  return SafetensorsReader(path, std::move(file), std::move(table));
}

const TensorPlace* SafetensorsReader::Find(const std::string& name) const {
  const auto found =
      std::ranges::find(table_.tensors, name, [](const TensorPlace& place) -> const std::string& { return place.spec.name; });
  return found == table_.tensors.end() ? nullptr : &*found;
}

Result<NamedTensor> SafetensorsReader::Read(const TensorPlace& place) const {
  NamedTensor tensor{place.spec.name, place.spec.dtype, place.spec.shape, std::vector<std::byte>(place.end - place.begin)};
  HELM_RETURN_IF_ERROR(ReadAt(file_, table_.data_begin + place.begin, tensor.data, path_));
  return tensor;
}

Result<std::unique_ptr<SafetensorsWriter>> SafetensorsWriter::Create(const std::string& path, const std::vector<TensorSpec>& tensors,
                                                                     const std::map<std::string, std::string>& metadata) {
  HELM_ASSIGN_OR_RETURN(auto file, AtomicFile::Create(path));
  HELM_RETURN_IF_ERROR(file->Append(SafetensorsBeginning(tensors, metadata)));
  size_t bytes = 0;
  for (const TensorSpec& tensor : tensors) bytes += DataBytes(tensor);
  return std::unique_ptr<SafetensorsWriter>(new SafetensorsWriter(std::move(file), bytes));
}

Status SafetensorsWriter::Append(std::span<const std::byte> bytes) {
  HELM_CHECK(bytes.size() <= missing_bytes_, "no more data than the tensors take");
  missing_bytes_ -= bytes.size();
  return file_->Append({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Status SafetensorsWriter::Finish() {
  HELM_CHECK(missing_bytes_ == 0, "all data of the tensors");
  return file_->Commit();
}

}  // namespace helm::formats
