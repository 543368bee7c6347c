#include "report/sums.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace helm::report {
namespace {

template <typename Row>
void Add(const OpRow& op, Row& row) {
  row.ops.predicted += op.duration.predicted > Duration() ? 1 : 0;
  row.ops.measured += op.duration.measured > Duration() ? 1 : 0;
  row.duration.predicted += op.duration.predicted;
  row.duration.measured += op.duration.measured;
}

std::vector<const OpRow*> AllRows(const Comparison& comparison) {
  std::vector<const OpRow*> all;
  for (const std::vector<OpRow>* rows : {&comparison.rows, &comparison.predicted_only, &comparison.measured_only}) {
    for (const OpRow& row : *rows) all.push_back(&row);
  }
  return all;
}

std::vector<CategoryRow> Categories(const std::vector<const OpRow*>& rows, std::string ir::TimelineOp::* name) {
  std::map<std::string, CategoryRow> by_name;
  for (const OpRow* row : rows) Add(*row, by_name[row->what.*name]);
  std::vector<CategoryRow> categories;
  for (auto& [key, category] : by_name) {
    category.name = key;
    categories.push_back(std::move(category));
  }
  std::ranges::stable_sort(categories, std::greater<>(), [](const CategoryRow& row) { return row.duration.measured; });
  return categories;
}

std::vector<WorkRow> SumByWork(const std::vector<const OpRow*>& rows) {
  std::map<Work, WorkRow> by_work;
  for (const OpRow* row : rows) {
    if (row->what.kind != "wait") Add(*row, by_work[Work{row->what.label, row->what.target, row->what.phase}]);
  }
  std::vector<WorkRow> sums;
  for (auto& [work, row] : by_work) {
    row.work = work;
    sums.push_back(std::move(row));
  }
  std::ranges::stable_sort(sums, std::greater<>(), [](const WorkRow& row) { return std::abs(row.difference().picoseconds()); });
  return sums;
}

}  // namespace

void SumUp(Comparison& comparison) {
  const std::vector<const OpRow*> rows = AllRows(comparison);
  comparison.by_target = Categories(rows, &ir::TimelineOp::target);
  comparison.by_label = Categories(rows, &ir::TimelineOp::label);
  comparison.by_phase = Categories(rows, &ir::TimelineOp::phase);
  comparison.by_kind = Categories(rows, &ir::TimelineOp::kind);
  comparison.work = SumByWork(rows);
}

}  // namespace helm::report
