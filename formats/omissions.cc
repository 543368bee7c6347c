#include "formats/omissions.h"

#include <fmt/format.h>

namespace helm::formats {

void Omissions::Add(const std::string& reason, std::string_view place, int64_t count) {
  if (count <= 0) return;
  Omission& omission = by_reason_[reason];
  if (omission.count == 0) omission.place = place;
  omission.count += count;
}

void Omissions::Add(const Omissions& other) {
  for (const auto& [reason, omission] : other.by_reason_) Add(reason, omission.place, omission.count);
}

std::vector<std::string> Omissions::Lines() const {
  std::vector<std::string> lines;
  for (const auto& [reason, omission] : by_reason_) {
    lines.push_back(fmt::format("left out: {}: {}{}", reason, omission.count,
                                omission.place.empty() ? "" : fmt::format(" (the first at {})", omission.place)));
  }
  return lines;
}

}  // namespace helm::formats
