#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "ir/program_text.h"
#include "ir/text_words.h"

namespace helm::ir {
namespace {

// "shares 2 1".
Result<std::vector<int64_t>> ParseShares(std::string_view line, std::string_view file) {
  std::vector<int64_t> ranks;
  std::string_view rest = line.substr(kSharesWord.size());
  while (!rest.empty()) {
    int64_t share = 0;
    const char* const begin = rest.data() + (rest.front() == ' ' ? 1 : 0);
    const auto [end, error] = std::from_chars(begin, rest.data() + rest.size(), share);
    if (rest.front() != ' ' || error != std::errc() || share < 1) {
      return InvalidError(fmt::format("{}:1:{}: error: '{}' is no number of data-parallel ranks\nfix: write shares 2 1", file,
                                      line.size() - rest.size() + 1, rest));
    }
    ranks.push_back(share);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  }
  return ranks;
}

}  // namespace

Result<StepPrograms> ParseStepPrograms(std::string_view text, std::string_view file) {
  constexpr std::string_view kNext = "\nhelm-program/";
  StepPrograms step;
  std::string lines_before;  // empty ones, so that messages name the line of the file
  if (text.starts_with(kSharesWord)) {
    const std::string_view line = text.substr(0, text.find('\n'));
    HELM_ASSIGN_OR_RETURN(step.share_ranks, ParseShares(line, file));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    lines_before = "\n";
  }
  while (true) {
    const size_t next = text.find(kNext);
    const std::string_view part = text.substr(0, next);
    HELM_ASSIGN_OR_RETURN(step.classes.emplace_back(), ParseProgram(lines_before + std::string(part), file));
    if (next == std::string_view::npos) return step;
    lines_before.append(static_cast<size_t>(std::ranges::count(part, '\n')) + 1, '\n');
    text.remove_prefix(next + 1);
  }
}

}  // namespace helm::ir
