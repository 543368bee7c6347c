#include "core/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

namespace helm {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Consumes digits from `position`; returns how many.
size_t SkipDigits(std::string_view text, size_t& position) {
  const size_t start = position;
  while (position < text.size() && IsDigit(text[position])) ++position;
  return position - start;
}

// -?(0|[1-9][0-9]*), from `position`.
bool SkipWholeNumber(std::string_view text, size_t& position) {
  if (position < text.size() && text[position] == '-') ++position;
  const size_t start = position;
  const size_t digits = SkipDigits(text, position);
  return digits > 0 && (digits == 1 || text[start] != '0');
}

// A whole number, then optionally a fraction, then optionally an exponent: what JSON calls a number.
bool IsNumber(std::string_view text) {
  size_t position = 0;
  if (!SkipWholeNumber(text, position)) return false;
  if (position < text.size() && text[position] == '.') {
    ++position;
    if (SkipDigits(text, position) == 0) return false;
  }
  if (position < text.size() && (text[position] == 'e' || text[position] == 'E')) {
    ++position;
    if (position < text.size() && (text[position] == '+' || text[position] == '-')) ++position;
    if (SkipDigits(text, position) == 0) return false;
  }
  return position == text.size();
}

template <typename T>
std::optional<T> ParseWhole(std::string_view text) {
  size_t position = 0;
  if (!SkipWholeNumber(text, position) || position != text.size()) return std::nullopt;
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string WithDashesAsUnderscores(std::string_view text) { return ReplaceAll(std::string(text), "-", "_"); }

}  // namespace

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  size_t start = 0;
  while (true) {
    const size_t end = text.find(separator, start);
    parts.emplace_back(text.substr(start, end == std::string_view::npos ? end : end - start));
    if (end == std::string_view::npos) return parts;
    start = end + 1;
  }
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t start = text.find_first_not_of(kBlanks);
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(kBlanks) - start + 1);
}

std::string ReplaceAll(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) text.replace(at, from.size(), to);
  return text;
}

// The "optimal string alignment" form of the Damerau-Levenshtein distance: three rows of the usual table.
int EditDistance(std::string_view a, std::string_view b) {
  std::vector<int> before_previous, previous(b.size() + 1), current(b.size() + 1);
  std::iota(previous.begin(), previous.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int substitution = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) current[j] = std::min(current[j], before_previous[j - 2] + 1);
    }
    before_previous = previous;
    std::swap(previous, current);
  }
  return previous[b.size()];
}

std::optional<std::string> DidYouMean(std::string_view word, const std::vector<std::string>& candidates) {
  const int allowed = std::max(1, static_cast<int>(word.size()) / 3);
  std::optional<std::string> best;
  int best_distance = allowed + 1;
  for (const std::string& candidate : candidates) {
    const int distance = EditDistance(WithDashesAsUnderscores(word), WithDashesAsUnderscores(candidate));
    if (distance < best_distance && distance < static_cast<int>(candidate.size())) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::optional<int64_t> ParseInt64(std::string_view text) { return ParseWhole<int64_t>(text); }
std::optional<uint64_t> ParseUint64(std::string_view text) { return ParseWhole<uint64_t>(text); }

std::optional<double> ParseDouble(std::string_view text) {
  if (!IsNumber(text)) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string FormatBytes(Bytes bytes) {
  const double count = static_cast<double>(bytes.count());
  const double size = std::abs(count);
  if (size < 1024.0) return fmt::format("{} B", bytes.count());
  if (size < 1024.0 * 1024.0) return fmt::format("{:.2f} KiB", count / 1024.0);
  if (size < 1024.0 * 1024.0 * 1024.0) return fmt::format("{:.2f} MiB", count / (1024.0 * 1024.0));
  return fmt::format("{:.2f} GiB", bytes.gibibytes());
}

std::string FormatDuration(Duration duration) {
  const double picoseconds = static_cast<double>(duration.picoseconds());
  const double size = std::abs(picoseconds);
  if (size == 0) return "0 s";
  if (size < 1e3) return fmt::format("{} ps", duration.picoseconds());
  if (size < 1e6) return fmt::format("{:.2f} ns", picoseconds * 1e-3);
  if (size < 1e9) return fmt::format("{:.1f} us", picoseconds * 1e-6);
  if (size < 1e12) return fmt::format("{:.2f} ms", picoseconds * 1e-9);
  if (size < 1e14) return fmt::format("{:.3f} s", picoseconds * 1e-12);
  return fmt::format("{:.1f} s", picoseconds * 1e-12);
}

std::string FormatCount(int64_t count) {
  std::string digits = fmt::format("{}", count);
  const int first = count < 0 ? 1 : 0;
  for (int at = static_cast<int>(digits.size()) - 3; at > first; at -= 3) digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

std::string FormatDouble(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

}  // namespace helm
