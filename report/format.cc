#include "report/format.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

namespace helm::report {
namespace {

// Four significant digits for numbers from 1 to 9999, as in a table of measurements.
std::string FourDigits(double value) {
  const double size = std::abs(value);
  const int decimals = size >= 999.95 ? 0 : size >= 99.995 ? 1 : size >= 9.9995 ? 2 : 3;
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

std::string FormatDuration(Duration duration) {
  const double size = std::abs(duration.seconds());
  if (size >= 1) return FourDigits(duration.seconds()) + " s";
  if (size >= 1e-3) return FourDigits(duration.milliseconds()) + " ms";
  return fmt::format("{:.1f} us", duration.microseconds());
}

std::string FormatMemory(Bytes bytes) { return FourDigits(bytes.gibibytes()) + " GiB"; }

std::string FormatShare(double share) { return fmt::format("{:.1f} %", share * 100); }

std::string FormatError(std::optional<double> error) { return error ? fmt::format("{:+.1f} %", *error * 100) : "n/a"; }

std::string Shorten(const std::string& text, size_t width) { return text.size() <= width ? text : text.substr(0, width - 3) + "..."; }

}  // namespace helm::report
