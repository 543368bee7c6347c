// Counted: a number and what it counts, for people: "1 GPU", "2 GPUs", "0 ranks". Nouns whose plural ends in s alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace helm {

inline std::string Counted(int64_t count, std::string_view noun) { return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s"); }

}  // namespace helm
