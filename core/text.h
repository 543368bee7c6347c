// Small text functions: joining, splitting, strict number parsing, "did you mean", and how sizes and times are written for people.
//
// Strict parsing: the whole text must be the number, in decimal, without leading zeros, signs of plus, blanks, digit separators or units.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/units.h"

namespace helm {

std::string Join(const std::vector<std::string>& parts, std::string_view separator);
// Keeps empty parts: Split("a,,b", ',') = {"a", "", "b"}; Split("", ',') = {""}.
std::vector<std::string> Split(std::string_view text, char separator);
std::string_view Trim(std::string_view text);  // without blanks, tabs, carriage returns and newlines at both ends
std::string ReplaceAll(std::string text, std::string_view from, std::string_view to);

// Insertions, deletions, substitutions and swaps of neighbours (each costs one) that turn `a` into `b`.
int EditDistance(std::string_view a, std::string_view b);
// The candidate closest to `word`, if it is close enough to be a slip of the pen (at most a third of the word's length, at least one
// edit, or one is the other with '-' for '_'); the first in case of a tie.
std::optional<std::string> DidYouMean(std::string_view word, const std::vector<std::string>& candidates);

std::optional<int64_t> ParseInt64(std::string_view text);    // 12, -3
std::optional<uint64_t> ParseUint64(std::string_view text);  // 12
std::optional<double> ParseDouble(std::string_view text);    // 12, -3.5, 1e-5; finite

// "12 B", "1.50 KiB", "640.00 MiB", "79.15 GiB": powers of 1024.
std::string FormatBytes(Bytes bytes);
// Three or four digits and a unit: "0 s", "812 ps", "3.25 ns", "41.2 us", "12.34 ms", "1.234 s", "312.5 s".
std::string FormatDuration(Duration duration);
// 1234567 -> "1,234,567".
std::string FormatCount(int64_t count);
// The shortest text that reads back as the same double; always recognisable as one: "1.0", "0.1", "1e-05".
std::string FormatDouble(double value);

}  // namespace helm
