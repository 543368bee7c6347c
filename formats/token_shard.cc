#include "formats/token_shard.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "core/check.h"
#include "core/file.h"

namespace helm::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "tokens are copied as they lie in memory");

constexpr size_t kHeaderWords = 256;
constexpr size_t kHeaderBytes = kHeaderWords * sizeof(int32_t);

struct HeaderFormat {
  TokenShardKind kind;
  int32_t magic;
  int32_t version;
  size_t token_bytes;
};

// llm.c, dev/data/data_common.py: write_datafile.
constexpr HeaderFormat kFormats[] = {
    {TokenShardKind::kHeaderUint16, 20240520, 1, sizeof(uint16_t)},
    {TokenShardKind::kHeaderUint32, 20240801, 7, sizeof(uint32_t)},
};

template <typename T>
std::vector<uint32_t> Widen(std::string_view bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));  // no bytes, no address to copy from
  return {values.begin(), values.end()};
}

template <typename T>
void AppendNarrowed(const std::vector<uint32_t>& tokens, std::string* bytes) {
  for (const uint32_t token : tokens) {
    HELM_CHECK(static_cast<T>(token) == token, "a token fits the width of its shard");
    const T value = static_cast<T>(token);
    bytes->append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
}

Result<TokenShard> ParseWithHeader(const HeaderFormat& format, std::string_view bytes, const std::string& path) {
  if (bytes.size() < kHeaderBytes) {
    return InvalidError(
        fmt::format("{}: error: token shard is cut off: {} bytes, its header alone has {}", path, bytes.size(), kHeaderBytes));
  }
  std::array<int32_t, kHeaderWords> header{};
  std::memcpy(header.data(), bytes.data(), kHeaderBytes);
  if (header[1] != format.version) {
    return InvalidError(
        fmt::format("{}: error: token shard with magic {} has version {}; known: {}", path, format.magic, header[1], format.version));
  }
  const size_t body = bytes.size() - kHeaderBytes;
  if (header[2] < 0 || static_cast<size_t>(header[2]) * format.token_bytes != body) {
    return InvalidError(fmt::format("{}: error: the header says {} tokens of {} bytes, but {} bytes follow it: is the file cut off?", path,
                                    header[2], format.token_bytes, body));
  }
  bytes.remove_prefix(kHeaderBytes);
  return TokenShard{format.kind, format.token_bytes == sizeof(uint16_t) ? Widen<uint16_t>(bytes) : Widen<uint32_t>(bytes)};
}

Result<std::vector<std::string>> ShardPaths(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return InvalidError(fmt::format("{}: error: no such file or folder", path));
  if (!std::filesystem::is_directory(status)) return std::vector<std::string>{path};
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (entry.path().extension() == ".bin") paths.push_back(entry.path().string());
  }
  if (error) return InvalidError(fmt::format("{}: error: cannot list the folder: {}", path, error.message()));
  if (paths.empty()) return InvalidError(fmt::format("{}: error: no token shard (*.bin) in this folder", path));
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

Result<TokenShard> ParseTokenShard(std::string_view bytes, const std::string& path) {
  int32_t magic = 0;
  if (bytes.size() >= sizeof(magic)) std::memcpy(&magic, bytes.data(), sizeof(magic));
  for (const HeaderFormat& format : kFormats) {
    if (magic == format.magic) return ParseWithHeader(format, bytes, path);
  }
  if (bytes.empty() || bytes.size() % sizeof(uint16_t) != 0) {
    return InvalidError(fmt::format("{}: error: {} bytes and no known header: not a list of 16-bit tokens", path, bytes.size()));
  }
  return TokenShard{TokenShardKind::kHeaderless, Widen<uint16_t>(bytes)};
}

Result<TokenShard> ReadTokenShard(const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  return ParseTokenShard(bytes, path);
}

Status CheckVocabulary(const TokenShard& shard, int64_t vocabulary, const std::string& path) {
  const auto found = std::find_if(shard.tokens.begin(), shard.tokens.end(), [&](uint32_t token) { return token >= vocabulary; });
  if (found == shard.tokens.end()) return OkStatus();
  return InvalidError(
      fmt::format("{}: error: token {} at position {} is not below the model's vocabulary of {}: the data were made with another "
                  "tokenizer",
                  path, *found, found - shard.tokens.begin(), vocabulary));
}

std::string SerializeTokenShard(const TokenShard& shard) {
  std::string bytes;
  for (const HeaderFormat& format : kFormats) {
    if (format.kind != shard.kind) continue;
    std::array<int32_t, kHeaderWords> header{format.magic, format.version, static_cast<int32_t>(shard.tokens.size())};
    bytes.assign(reinterpret_cast<const char*>(header.data()), kHeaderBytes);
  }
  if (shard.kind == TokenShardKind::kHeaderUint32) {
    AppendNarrowed<uint32_t>(shard.tokens, &bytes);
  } else {
    AppendNarrowed<uint16_t>(shard.tokens, &bytes);
  }
  return bytes;
}

Status WriteTokenShard(const TokenShard& shard, const std::string& path) { return WriteFileAtomically(path, SerializeTokenShard(shard)); }

Result<std::vector<uint32_t>> ReadTokens(const std::string& path, int64_t vocabulary) {
  HELM_ASSIGN_OR_RETURN(const std::vector<std::string> paths, ShardPaths(path));
  std::vector<uint32_t> tokens;
  for (const std::string& shard_path : paths) {
    HELM_ASSIGN_OR_RETURN(const TokenShard shard, ReadTokenShard(shard_path));
    HELM_RETURN_IF_ERROR(CheckVocabulary(shard, vocabulary, shard_path));
    tokens.insert(tokens.end(), shard.tokens.begin(), shard.tokens.end());
  }
  return tokens;
}

}  // namespace helm::formats
