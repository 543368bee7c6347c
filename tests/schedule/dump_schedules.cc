// Writes every schedule that HELM knows, for many sizes, as CSV files into a folder, for tests/oracle/check_schedules.py:
// NAME-STAGES-VIRTUAL_STAGES-MICRO_BATCHES.csv. Prints how many.
#include <iostream>
#include <string>

#include <fmt/format.h>

#include "core/file.h"
#include "ir/schedule_csv.h"
#include "schedule/pipeline_schedule.h"

namespace helm {
namespace {

std::vector<int64_t> VirtualStages(const std::string& name) {
  if (name == "interleaved-1f1b") return {2, 3};
  return {name == "zb-v" || name == "dualpipev" ? 2 : 1};
}

Status Dump(const std::string& folder, int64_t& count) {
  for (const std::string& name : schedule::ScheduleNames()) {
    for (const int64_t stages : {1, 2, 3, 4, 8}) {
      if ((name == "none") != (stages == 1)) continue;
      for (const int64_t virtual_stages : VirtualStages(name)) {
        for (const int64_t micro_batches : {2 * stages, 3 * stages, 4 * stages}) {
          const ir::Strategy strategy{.pipeline = stages, .virtual_pipeline = virtual_stages, .schedule = name};
          HELM_ASSIGN_OR_RETURN(const auto schedules, schedule::PipelineSchedules(strategy, micro_batches));
          const std::string file = fmt::format("{}/{}-{}-{}-{}.csv", folder, name, stages, virtual_stages, micro_batches);
          HELM_RETURN_IF_ERROR(WriteFileAtomically(file, ir::ToCsv(schedules)));
          ++count;
        }
      }
    }
  }
  return OkStatus();
}

}  // namespace
}  // namespace helm

int main(int argc, char** argv) {
  int64_t count = 0;
  const helm::Status status = argc == 2 ? helm::Dump(argv[1], count) : helm::InvalidError("usage: helm_dump_schedules FOLDER");
  if (!status.ok()) std::cerr << status.message() << "\n";
  std::cout << count << "\n";
  return status.ok() ? 0 : 2;
}
