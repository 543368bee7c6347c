// How report/ writes memory, shares, errors and pairs of numbers for people; durations as core/text.h has them.
#pragma once

#include <optional>
#include <string>

#include "core/units.h"

namespace helm::report {

std::string FormatMemory(Bytes bytes);                 // "1.234 GiB"
std::string FormatShare(double share);                 // "12.3 %"
std::string FormatError(std::optional<double> error);  // "+12.3 %", "-0.4 %"; "n/a" when there is none

// Both in the unit of the larger one: "9.98/12.34 ms", "-/1.234 s" where there is none.
std::string FormatPair(std::optional<Duration> first, std::optional<Duration> second);
std::string FormatPair(std::optional<Bytes> first, std::optional<Bytes> second);  // "1.000/1.250 GiB"

// At most `width` bytes: "a_very_lo..." for a longer text. REQUIRES: ASCII text, width > 3.
std::string Shorten(const std::string& text, size_t width);

}  // namespace helm::report
