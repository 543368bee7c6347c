#include "ir/schedule_csv.h"

#include <memory>
#include <utility>

#include "core/diagnostics.h"
#include "core/file.h"
#include "core/text.h"
#include "ir/schedule_check.h"

namespace helm::ir {
namespace {

class Reader {
 public:
  Reader(std::string_view text, const std::string& file) : text_(text), source_(std::make_shared<SourceText>(file, text)) {}

  Result<std::vector<Schedule>> Run() {
    std::vector<std::string> lines = Split(text_, '\n');
    while (!lines.empty() && Trim(lines.back()).empty()) lines.pop_back();
    if (lines.empty())
      diagnostics_.Error({source_, 0, 0}, "the schedule has no row", {"fix: write one row of actions for each rank of the pipeline"});
    for (size_t i = 0; i < lines.size(); ++i) ReadRow(lines[i], static_cast<int>(i) + 1);
    if (!diagnostics_.ok()) return diagnostics_.ToStatus();
    for (const ScheduleProblem& problem : ScheduleProblems(rows_, StagesOf(rows_), MicroBatchesOf(rows_))) {
      // Behind the last action: at it.
      const std::vector<Location>& places = places_[problem.row];
      diagnostics_.Error(places[std::min(problem.action, places.size() - 1)], problem.message);
    }
    if (!diagnostics_.ok()) return diagnostics_.ToStatus();
    return std::move(rows_);
  }

 private:
  void ReadRow(std::string_view line, int number) {
    Schedule& row = rows_.emplace_back();
    std::vector<Location>& places = places_.emplace_back();
    int column = 1;
    for (const std::string& cell : Split(line, ',')) {
      const auto blanks = static_cast<int>(std::min(cell.find_first_not_of(" \t"), cell.size()));
      ReadCell(Trim(cell), {source_, number, column + blanks}, row, places);
      column += static_cast<int>(cell.size()) + 1;
    }
    if (row.empty())
      diagnostics_.Error({source_, number, 1}, "the row has no action", {"fix: every rank of the pipeline runs a stage; remove the row"});
  }

  void ReadCell(std::string_view text, const Location& where, Schedule& row, std::vector<Location>& places) {
    if (text.empty()) return;
    auto action = ParseAction(text);
    if (!action.ok()) {
      places.push_back(where);  // so that the row is not called empty too
      row.emplace_back();
      return diagnostics_.Error(where, action.status().message());
    }
    const std::vector<Action> parts = action->kind == ActionKind::kOverlap ? action->overlapped : std::vector<Action>{*action};
    for (const Action& part : parts) {
      row.push_back(part);
      places.push_back(where);
    }
  }

  std::string_view text_;
  std::shared_ptr<const SourceText> source_;
  Diagnostics diagnostics_;
  std::vector<Schedule> rows_;
  std::vector<std::vector<Location>> places_;  // of the actions
};

}  // namespace

Result<std::vector<Schedule>> ParseScheduleCsv(std::string_view text, const std::string& file) { return Reader(text, file).Run(); }

Result<std::vector<Schedule>> ReadScheduleCsv(const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseScheduleCsv(text, path);
}

std::string ToCsv(const std::vector<Schedule>& rows) {
  std::string text;
  for (const Schedule& row : rows) text += ToText(row) + "\n";
  return text;
}

}  // namespace helm::ir
