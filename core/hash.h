// A stable 64-bit hash (FNV-1a) for naming contents in files: the same bytes give the same number on every machine, compiler and version of
// HELM. Not for security, and not for hash tables.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"

namespace helm {

inline constexpr uint64_t kHashStart = 0xcbf29ce484222325;  // FNV-1a's offset basis

// Hash of `text` after what `state` has already hashed: Hash64(b, Hash64(a)) == Hash64(a + b).
uint64_t Hash64(std::string_view text, uint64_t state = kHashStart);
std::string Hex16(uint64_t value);  // 16 lower-case hexadecimal digits
// Hex16(Hash64(content)) of a file.
Result<std::string> HashFile(const std::string& path);

}  // namespace helm
