#include "report/match.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "ir/target.h"

namespace helm::report {
namespace {

using ir::OpId;
using ir::Timeline;
using ir::TimelineOp;

std::vector<bool> OpsWithEvents(const Timeline& timeline) {
  std::vector<bool> present(timeline.ops.size(), false);
  for (const ir::TimelineEvent& event : timeline.events) present[event.op.index()] = true;
  return present;
}

Status CheckSameOps(const Timeline& predicted, const Timeline& measured) {
  if (predicted.ops.size() != measured.ops.size()) {
    return InvalidError(fmt::format("error: timelines '{}' and '{}' name the same program ({}) but list {} and {} ops; record them again",
                                    predicted.title, measured.title, predicted.program_hash, predicted.ops.size(), measured.ops.size()));
  }
  for (size_t i = 0; i < predicted.ops.size(); ++i) {
    const TimelineOp& a = predicted.ops[i];
    const TimelineOp& b = measured.ops[i];
    if (a.target != b.target || a.label != b.label) {
      return InvalidError(
          fmt::format("error: timelines '{}' and '{}' name the same program ({}) but op {} is {} ({}) in one and {} ({}) in the other; "
                      "record them again",
                      predicted.title, measured.title, predicted.program_hash, i, a.target, a.label, b.target, b.label));
    }
  }
  return OkStatus();
}

Result<Match> MatchById(const Timeline& predicted, const Timeline& measured) {
  HELM_RETURN_IF_ERROR(CheckSameOps(predicted, measured));
  const std::vector<bool> in_predicted = OpsWithEvents(predicted);
  const std::vector<bool> in_measured = OpsWithEvents(measured);
  Match match;
  for (size_t i = 0; i < predicted.ops.size(); ++i) {
    if (in_predicted[i] && in_measured[i]) match.pairs.push_back({OpId(i), OpId(i)});
    if (in_predicted[i] && !in_measured[i]) match.predicted_only.push_back(OpId(i));
    if (!in_predicted[i] && in_measured[i]) match.measured_only.push_back(OpId(i));
  }
  return match;
}

// What an op is, whatever its id, and which of the ops that look so. Of a timeline beside one of no program (another profiler's) only the
// operator counts, without overload and place: the rest is known to one of them only.
using OpName = std::tuple<std::string, std::string, std::string, int32_t, int32_t, int32_t>;

OpName OperatorOf(const TimelineOp& op) {
  const std::string space = op.target.substr(0, op.target.find('.') + 1);
  return {space + ir::BaseName(op.target), "", "", -1, -1, 0};
}

std::vector<OpName> NamesOf(const Timeline& timeline, const std::vector<bool>& present, bool by_operator) {
  std::map<OpName, int32_t> seen;
  std::vector<OpName> names;
  names.reserve(timeline.ops.size());
  for (size_t i = 0; i < timeline.ops.size(); ++i) {
    const TimelineOp& op = timeline.ops[i];
    OpName name = by_operator ? OperatorOf(op) : OpName{op.target, op.label, op.phase, op.layer, op.micro_batch, 0};
    if (present[i] || !by_operator) std::get<5>(name) = seen[name]++;
    names.push_back(std::move(name));
  }
  return names;
}

// A timeline of a program names it.
bool OfNoProgram(const Timeline& timeline) { return timeline.program_hash.empty(); }

Match MatchByName(const Timeline& predicted, const Timeline& measured) {
  const std::vector<bool> in_predicted = OpsWithEvents(predicted);
  const std::vector<bool> in_measured = OpsWithEvents(measured);
  const bool by_operator = OfNoProgram(predicted) != OfNoProgram(measured);
  std::map<OpName, OpId> unmatched;
  const std::vector<OpName> measured_names = NamesOf(measured, in_measured, by_operator);
  for (size_t i = 0; i < measured_names.size(); ++i) {
    if (in_measured[i]) unmatched.emplace(measured_names[i], OpId(i));
  }
  Match match;
  match.by_id = false;
  const std::vector<OpName> predicted_names = NamesOf(predicted, in_predicted, by_operator);
  for (size_t i = 0; i < predicted_names.size(); ++i) {
    if (!in_predicted[i]) continue;
    if (auto found = unmatched.find(predicted_names[i]); found != unmatched.end()) {
      match.pairs.push_back({OpId(i), found->second});
      unmatched.erase(found);
    } else {
      match.predicted_only.push_back(OpId(i));
    }
  }
  for (const auto& [name, op] : unmatched) match.measured_only.push_back(op);
  std::ranges::sort(match.measured_only);
  return match;
}

}  // namespace

Result<Match> MatchOps(const Timeline& predicted, const Timeline& measured) {
  if (!OfNoProgram(predicted) && predicted.program_hash == measured.program_hash) return MatchById(predicted, measured);
  return MatchByName(predicted, measured);
}

}  // namespace helm::report
