#include "core/hash.h"

#include <fmt/format.h>

#include "core/file.h"

namespace helm {

// FNV-1a with 64 bits: offset basis and prime of Fowler, Noll and Vo (RFC 9923).
uint64_t Hash64(std::string_view text, uint64_t state) {
  constexpr uint64_t kPrime = 0x100000001b3;
  for (const char c : text) state = (state ^ static_cast<unsigned char>(c)) * kPrime;
  return state;
}

std::string Hex16(uint64_t value) { return fmt::format("{:016x}", value); }

Result<std::string> HashFile(const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
  return Hex16(Hash64(content));
}

}  // namespace helm
