// The CSV file of a pipeline's schedules, as torch.distributed.pipelining reads and writes it (`_load_csv`, `_dump_csv`, format
// compute_only): one row for each rank of the pipeline, cells are actions, an empty cell is a pause. torchtitan takes such a file as
// `pipeline_parallel_schedule_csv`.
//
// Read strictly: each problem with file, line and column (ir/schedule_check.h). Pauses are left out, and `(0F1;1B0)OVERLAP_F_B` becomes its
// two actions one after the other, since where ops run beside each other is decided op by op. PyTorch's other format (compute_comms), with
// sends and receives in it, is refused: HELM places those itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "ir/schedule.h"

namespace helm::ir {

// `file`: the name in messages. The result has no ScheduleProblems.
Result<std::vector<Schedule>> ParseScheduleCsv(std::string_view text, const std::string& file);
Result<std::vector<Schedule>> ReadScheduleCsv(const std::string& path);
std::string ToCsv(const std::vector<Schedule>& rows);

}  // namespace helm::ir
