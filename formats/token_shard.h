// Token shards: files of token ids, as modded-nanogpt, llm.c and others write them (docs/formats/token_shard.md).
//
//   llm.c / modded-nanogpt   256 x int32 header {20240520, 1, tokens, 0...}, then uint16 tokens at byte 1024
//   llm.c, Llama 3           256 x int32 header {20240801, 7, tokens, 0...}, then uint32 tokens at byte 1024
//   headerless               uint16 tokens from byte 0
//
// All little-endian. A file that begins with a known magic is read with its header, any other as headerless. Never guessed around: a size
// that does not match the header's count, another version, or an odd number of bytes is an error.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace helm::formats {

enum class TokenShardKind : uint8_t { kHeaderUint16, kHeaderUint32, kHeaderless };

struct TokenShard {
  TokenShardKind kind = TokenShardKind::kHeaderUint16;
  std::vector<uint32_t> tokens;
  bool operator==(const TokenShard&) const = default;
};

// `path` is used in messages.
Result<TokenShard> ParseTokenShard(std::string_view bytes, const std::string& path);
Result<TokenShard> ReadTokenShard(const std::string& path);

// Refuses the first token that is not below `vocabulary`, with its position in the file.
Status CheckVocabulary(const TokenShard& shard, int64_t vocabulary, const std::string& path);

// The bytes of a shard. REQUIRES: tokens fit the kind's width.
std::string SerializeTokenShard(const TokenShard& shard);
Status WriteTokenShard(const TokenShard& shard, const std::string& path);  // atomic

// A file, or all "*.bin" files of a folder in the order of their names, one after the other. Every token is checked against `vocabulary`.
Result<std::vector<uint32_t>> ReadTokens(const std::string& path, int64_t vocabulary);

}  // namespace helm::formats
