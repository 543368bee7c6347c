// The words of a line in the plain-text tables of NVIDIA's tools: what stands between blanks and tabs. Views into the line. Internal to
// formats/.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

namespace helm::formats {

inline std::vector<std::string_view> Words(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  std::vector<std::string_view> words;
  for (size_t start = line.find_first_not_of(kBlanks); start != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(kBlanks, start), line.size());
    words.push_back(line.substr(start, end - start));
    start = line.find_first_not_of(kBlanks, end);
  }
  return words;
}

}  // namespace helm::formats
