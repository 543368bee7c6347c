// How report/ writes durations, memory, shares and errors for people: one unit per number, a fixed number of digits.
#pragma once

#include <optional>
#include <string>

#include "core/units.h"

namespace helm::report {

std::string FormatDuration(Duration duration);         // "1.234 s", "12.34 ms", "210.0 us", "-3.2 us"
std::string FormatMemory(Bytes bytes);                 // "1.234 GiB"
std::string FormatShare(double share);                 // "12.3 %"
std::string FormatError(std::optional<double> error);  // "+12.3 %", "-0.4 %"; "n/a" when there is none

// At most `width` bytes: "a_very_lo..." for a longer text. REQUIRES: ASCII text, width > 3.
std::string Shorten(const std::string& text, size_t width);

}  // namespace helm::report
