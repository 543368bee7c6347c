#include "ir/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/text.h"

namespace helm::ir {
namespace {

// Names as in torch.distributed.pipelining (schedules.py, torch 2.11).
constexpr std::array<std::pair<ActionKind, std::string_view>, 11> kActionNames = {{
    {ActionKind::kForward, "F"},
    {ActionKind::kFullBackward, "B"},
    {ActionKind::kInputGradient, "I"},
    {ActionKind::kWeightGradient, "W"},
    {ActionKind::kUnshard, "UNSHARD"},
    {ActionKind::kReshard, "RESHARD"},
    {ActionKind::kSendForward, "SEND_F"},
    {ActionKind::kReceiveForward, "RECV_F"},
    {ActionKind::kSendBackward, "SEND_B"},
    {ActionKind::kReceiveBackward, "RECV_B"},
    {ActionKind::kReduceGradient, "REDUCE_GRAD"},
}};
constexpr std::string_view kOverlapName = "OVERLAP_F_B";

bool IsOfMicroBatch(ActionKind kind) {
  return kind != ActionKind::kUnshard && kind != ActionKind::kReshard && kind != ActionKind::kReduceGradient;
}

Status ErrorIn(std::string_view text, const std::string& what) {
  return InvalidError(
      fmt::format("'{}' is no action of a schedule: {}; such as 0F3, 0B3, 0I3, 0W3, 0UNSHARD or (0F3;1B0)OVERLAP_F_B", text, what));
}

// Digits from `at` on, as a number; -1 when there are none, or too many.
int32_t TakeNumber(std::string_view text, size_t& at) {
  const size_t begin = at;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  const auto number = ParseInt64(text.substr(begin, at - begin));
  return number && *number <= 1'000'000 ? static_cast<int32_t>(*number) : -1;
}

Result<Action> ParseOverlap(std::string_view text) {
  const size_t close = text.find(')');
  if (close == std::string_view::npos || text.substr(close + 1) != kOverlapName) return ErrorIn(text, "parentheses end with )OVERLAP_F_B");
  Action action{0, ActionKind::kOverlap, -1, {}};
  for (const std::string& part : Split(text.substr(1, close - 1), ';')) {
    HELM_ASSIGN_OR_RETURN(Action inner, ParseAction(part));
    action.overlapped.push_back(std::move(inner));
  }
  if (action.overlapped.size() != 2) return ErrorIn(text, "two actions overlap");
  return action;
}

}  // namespace

std::string_view Name(ActionKind kind) {
  for (const auto& [value, name] : kActionNames) {
    if (value == kind) return name;
  }
  return kOverlapName;
}

std::string ToText(const Action& action) {
  if (action.kind == ActionKind::kOverlap) {
    std::vector<std::string> parts;
    for (const Action& part : action.overlapped) parts.push_back(ToText(part));
    return "(" + Join(parts, ";") + ")" + std::string(kOverlapName);
  }
  return fmt::format("{}{}{}", action.stage, Name(action.kind), action.micro_batch < 0 ? "" : std::to_string(action.micro_batch));
}

Result<Action> ParseAction(std::string_view text) {
  if (text.starts_with("(")) return ParseOverlap(text);
  size_t at = 0;
  Action action;
  action.stage = TakeNumber(text, at);
  if (action.stage < 0) return ErrorIn(text, "it begins with the number of a stage");
  const size_t digits = std::min(text.find_first_of("0123456789", at), text.size());
  const std::string_view name = text.substr(at, digits - at);
  const auto known = std::ranges::find(kActionNames, name, [](const auto& entry) { return entry.second; });
  if (known == kActionNames.end()) return ErrorIn(text, fmt::format("'{}' is not known", name));
  action.kind = known->first;
  at = digits;
  if (at < text.size()) action.micro_batch = TakeNumber(text, at);
  if (at != text.size()) return ErrorIn(text, "it ends with the number of a micro-batch");
  if (IsOfMicroBatch(action.kind) && action.micro_batch < 0)
    return ErrorIn(text, fmt::format("'{}' needs the number of a micro-batch", name));
  return action;
}

std::string ToText(const Schedule& schedule) {
  std::vector<std::string> cells;
  for (const Action& action : schedule) cells.push_back(ToText(action));
  return Join(cells, ",");
}

Result<Schedule> ParseSchedule(std::string_view row) {
  Schedule schedule;
  for (const std::string& cell : Split(row, ',')) {
    const std::string_view text = Trim(cell);
    if (text.empty()) continue;
    HELM_ASSIGN_OR_RETURN(Action action, ParseAction(text));
    schedule.push_back(std::move(action));
  }
  return schedule;
}

Schedule ScheduleInTurn(int64_t micro_batches) {
  Schedule schedule;
  for (int32_t i = 0; i < micro_batches; ++i) {
    schedule.push_back({0, ActionKind::kForward, i, {}});
    schedule.push_back({0, ActionKind::kFullBackward, i, {}});
  }
  return schedule;
}

}  // namespace helm::ir
