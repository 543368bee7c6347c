// Action, Schedule: the order in which one rank class runs the parts of a step, in the alphabet of torch.distributed.pipelining: `0F3` is
// stage 0's forward of micro-batch 3, `0B3` its full backward, `0I3` and `0W3` the input and the weight gradient apart, `0UNSHARD`,
// `0SEND_F3`,
// ..., and `(0F3;1B0)OVERLAP_F_B` two actions run as one.
//
// Not what an action does (that is a program template's), nor whether a schedule is right. The text of an action is its value in the CSV
// files that PyTorch writes and reads, one row for each rank, an empty cell where it does nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace helm::ir {

enum class ActionKind : uint8_t {
  kForward,
  kFullBackward,
  kInputGradient,
  kWeightGradient,
  kUnshard,
  kReshard,
  kSendForward,
  kReceiveForward,
  kSendBackward,
  kReceiveBackward,
  kReduceGradient,
  kOverlap,  // of `overlapped`, which is empty for all other kinds
};
std::string_view Name(ActionKind kind);  // "F", "B", "I", "W", "UNSHARD", ..., "OVERLAP_F_B"

struct Action {
  int32_t stage = 0;
  ActionKind kind = ActionKind::kForward;
  int32_t micro_batch = -1;  // -1: of the stage, not of a micro-batch (UNSHARD, RESHARD, REDUCE_GRAD)
  std::vector<Action> overlapped;
  bool operator==(const Action&) const = default;
};

using Schedule = std::vector<Action>;  // of one rank class, in order

std::string ToText(const Action& action);
Result<Action> ParseAction(std::string_view text);

// A row of the CSV form: actions between commas.
std::string ToText(const Schedule& schedule);
Result<Schedule> ParseSchedule(std::string_view row);

// The schedule `none`: one stage, each micro-batch forward and backward before the next: 0F0, 0B0, 0F1, 0B1, ...
Schedule ScheduleInTurn(int64_t micro_batches);

}  // namespace helm::ir
