#include "exec/node_list.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

#include "core/text.h"

namespace helm::exec {
namespace {

constexpr size_t kHostsMost = size_t{1} << 20;
constexpr size_t kDigitsMost = 9;

using Names = std::vector<std::string>;

// Cuts at commas outside brackets. None: brackets do not pair, or are nested.
std::optional<Names> SplitOutsideBrackets(std::string_view list) {
  Names items(1);
  bool inside = false;
  for (const char c : list) {
    if ((c == '[' && inside) || (c == ']' && !inside)) return std::nullopt;
    if (c == '[' || c == ']') inside = c == '[';
    if (c == ',' && !inside) {
      items.emplace_back();
    } else {
      items.back() += c;
    }
  }
  return inside ? std::nullopt : std::optional(items);
}

// The digits as a number, zeros before it allowed. None: not 1 to 9 digits.
std::optional<int64_t> Number(std::string_view digits) {
  if (digits.empty() || digits.size() > kDigitsMost) return std::nullopt;
  int64_t number = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return std::nullopt;
    number = 10 * number + (digit - '0');
  }
  return number;
}

// "01-04" -> 01 02 03 04, "7" -> 7. None: not a range.
std::optional<Names> ExpandRange(std::string_view range) {
  const size_t dash = range.find('-');
  const std::string_view first = range.substr(0, dash);
  const auto from = Number(first);
  const auto to = dash == std::string_view::npos ? from : Number(range.substr(dash + 1));
  if (!from || !to || *to < *from || *to - *from >= static_cast<int64_t>(kHostsMost)) return std::nullopt;
  Names numbers;
  for (int64_t number = *from; number <= *to; ++number) numbers.push_back(fmt::format("{:0{}}", number, first.size()));
  return numbers;
}

std::optional<Names> ExpandBracket(std::string_view content) {
  Names all;
  for (const std::string& range : Split(content, ',')) {
    const std::optional<Names> numbers = ExpandRange(range);
    if (!numbers || all.size() + numbers->size() > kHostsMost) return std::nullopt;
    all.insert(all.end(), numbers->begin(), numbers->end());
  }
  return all;
}

std::optional<Names> Product(const Names& heads, const Names& tails) {
  if (heads.size() * tails.size() > kHostsMost) return std::nullopt;
  Names all;
  for (const std::string& head : heads) {
    for (const std::string& tail : tails) all.push_back(head + tail);
  }
  return all;
}

// One item of the list, whose brackets pair.
std::optional<Names> ExpandItem(std::string_view item) {
  if (item.empty()) return std::nullopt;
  Names names{""};
  while (!item.empty()) {
    const bool bracket = item.front() == '[';
    const size_t end = std::min(item.find(bracket ? ']' : '['), item.size());
    const std::optional<Names> next = bracket ? ExpandBracket(item.substr(1, end - 1)) : Names{std::string(item.substr(0, end))};
    const std::optional<Names> longer = next ? Product(names, *next) : std::nullopt;
    if (!longer) return std::nullopt;
    names = *longer;
    item.remove_prefix(bracket ? end + 1 : end);
  }
  return names;
}

}  // namespace

Result<std::vector<std::string>> ExpandNodeList(std::string_view list) {
  Names hosts;
  bool valid = true;
  const std::optional<Names> items = SplitOutsideBrackets(list);
  for (size_t i = 0; items && valid && i < items->size(); ++i) {
    const std::optional<Names> names = ExpandItem((*items)[i]);
    valid = names && hosts.size() + names->size() <= kHostsMost;
    if (valid) hosts.insert(hosts.end(), names->begin(), names->end());
  }
  if (items && valid) return hosts;
  return InvalidError(fmt::format("'{}' is no list of nodes; allowed: names with ranges, such as node[01-04,7],login1", list));
}

}  // namespace helm::exec
