#include "formats/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <memory>

#include <fmt/format.h>

namespace helm::formats {
namespace {

constexpr int kGzipWindow = 15 + 16;  // zlib: the largest window, with gzip's header and not zlib's own
constexpr size_t kPieceBytes = size_t{1} << 20;

struct EndInflate {
  void operator()(z_stream* stream) const { inflateEnd(stream); }
};

}  // namespace

bool IsGzip(std::string_view content) { return content.starts_with("\x1f\x8b"); }

Result<std::string> Gunzip(std::string_view content, const std::string& file, size_t bytes_most) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) return UnavailableError(fmt::format("{}: error: zlib cannot start", file));
  const std::unique_ptr<z_stream, EndInflate> end(&stream);
  const auto damaged = [&](const char* what) { return InvalidError(fmt::format("{}: error: the gzip data {}", file, what)); };
  std::string text;
  size_t read = 0;
  while (true) {
    const size_t size_before = text.size();
    if (size_before >= bytes_most) return InvalidError(fmt::format("{}: error: unpacked it is longer than {} bytes", file, bytes_most));
    text.resize(size_before + std::min(kPieceBytes, bytes_most - size_before));
    const size_t piece = std::min<size_t>(content.size() - read, std::numeric_limits<uInt>::max());
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data() + read));  // zlib does not write to it
    stream.avail_in = static_cast<uInt>(piece);
    stream.next_out = reinterpret_cast<Bytef*>(text.data() + size_before);
    stream.avail_out = static_cast<uInt>(text.size() - size_before);
    const int code = inflate(&stream, Z_NO_FLUSH);
    read += piece - stream.avail_in;
    text.resize(text.size() - stream.avail_out);
    const bool ended = code == Z_STREAM_END;
    if (ended && read == content.size()) return text;
    if (ended && inflateReset(&stream) != Z_OK) return damaged("cannot be read");
    if (code == Z_BUF_ERROR || (code == Z_OK && read == content.size() && text.size() == size_before)) return damaged("is cut off");
    if (code != Z_OK && !ended) return damaged("is damaged");
  }
}

}  // namespace helm::formats
