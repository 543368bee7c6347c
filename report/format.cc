#include "report/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace helm::report {
namespace {

// Decimals for four significant digits of numbers from 1 to 9999, as in a table of measurements.
int DecimalsOf(double value) {
  const double size = std::abs(value);
  return size >= 999.95 ? 0 : size >= 99.995 ? 1 : size >= 9.9995 ? 2 : 3;
}

std::string Pair(std::optional<double> first, std::optional<double> second, const char* unit) {
  const int decimals = DecimalsOf(std::max(std::abs(first.value_or(0)), std::abs(second.value_or(0))));
  const auto text = [&](std::optional<double> value) {
    return !value ? "-" : *value == 0 ? "0" : fmt::format("{:.{}f}", *value, decimals);
  };
  return text(first) + "/" + text(second) + " " + unit;
}

}  // namespace

std::string FormatMemory(Bytes bytes) {
  const double value = bytes.gibibytes();
  return fmt::format("{:.{}f} GiB", value, DecimalsOf(value));
}

std::string FormatShare(double share) { return fmt::format("{:.1f} %", share * 100); }

std::string FormatError(std::optional<double> error) { return error ? fmt::format("{:+.1f} %", *error * 100) : "n/a"; }

std::string FormatPair(std::optional<Duration> first, std::optional<Duration> second) {
  const auto in_unit = [](std::optional<Duration> duration, double unit) {
    return duration ? std::optional<double>(duration->seconds() / unit) : std::nullopt;
  };
  const double size = std::max(std::abs(in_unit(first, 1).value_or(0)), std::abs(in_unit(second, 1).value_or(0)));
  if (size >= 1) return Pair(in_unit(first, 1), in_unit(second, 1), "s");
  if (size >= 1e-3) return Pair(in_unit(first, 1e-3), in_unit(second, 1e-3), "ms");
  return Pair(in_unit(first, 1e-6), in_unit(second, 1e-6), "us");
}

std::string FormatPair(std::optional<Bytes> first, std::optional<Bytes> second) {
  const auto gibibytes = [](std::optional<Bytes> bytes) { return bytes ? std::optional<double>(bytes->gibibytes()) : std::nullopt; };
  return Pair(gibibytes(first), gibibytes(second), "GiB");
}

std::string Shorten(const std::string& text, size_t width) { return text.size() <= width ? text : text.substr(0, width - 3) + "..."; }

}  // namespace helm::report
