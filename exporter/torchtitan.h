// torchtitan's job configuration (TOML, as v0.2.2 reads it): what follows from a plan, and back.
//
// torchtitan trains models of its own registry, so only those can be named. Pipeline schedules that PyTorch has no equal of go as a CSV
// file
// (`pipeline_parallel_schedule_csv`), which is exactly the order that HELM priced; stages are written out module by module.
// Refused by name: optimizer state sharded alone (zero 1), recomputation of core attention alone, experts over ranks of their own, fp16.
#pragma once

#include "core/status.h"
#include "exporter/subject.h"

namespace helm::exporter {

inline constexpr const char* kScheduleFile = "schedule.csv";

Status CheckTorchtitan(const Subject& subject);  // what is refused
Result<Exported> ToTorchtitan(const Subject& subject);
// Sets workload and strategy; the model stays, when it is the one that is named.
Status FromTorchtitan(const Exported& exported, Subject& subject);

}  // namespace helm::exporter
