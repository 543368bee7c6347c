#include "exec/job.h"

#include <fmt/format.h>

#include "core/check.h"
#include "core/json.h"
#include "exec/initial_state.h"
#include "ir/program_text.h"
#include "schedule/materialise.h"

namespace helm::exec {

using nlohmann::ordered_json;

namespace {

ordered_json ToJson(const RankFault& fault) {
  return {{"rank", fault.rank},
          {"action", static_cast<int64_t>(fault.fault.action)},
          {"step", fault.fault.step},
          {"op", fault.fault.op.value},
          {"delay_ms", fault.fault.delay.count()}};
}

Result<RankFault> FaultFromJson(const ordered_json& document) {
  constexpr std::string_view kContext = "fault";
  RankFault fault;
  HELM_ASSIGN_OR_RETURN(fault.rank, JsonInt64(document, "rank", kContext));
  HELM_ASSIGN_OR_RETURN(const int64_t action, JsonInt64(document, "action", kContext));
  HELM_ASSIGN_OR_RETURN(fault.fault.step, JsonInt64(document, "step", kContext));
  HELM_ASSIGN_OR_RETURN(const int64_t op, JsonInt64(document, "op", kContext));
  HELM_ASSIGN_OR_RETURN(const int64_t delay, JsonInt64(document, "delay_ms", kContext));
  fault.fault.action = static_cast<runtime::Fault::Action>(action);
  fault.fault.op = ir::OpId(static_cast<size_t>(op));
  fault.fault.delay = std::chrono::milliseconds(delay);
  return fault;
}

ordered_json ToJson(const CheckpointOptions& options) {
  ordered_json fault;
  if (options.fault) {
    fault = {{"rank", options.fault->rank},
             {"steps", options.fault->steps},
             {"moment", static_cast<int64_t>(options.fault->moment)},
             {"delay_ms", options.fault->delay.count()}};
  }
  return {{"folder", options.folder}, {"every", options.every}, {"keep", options.keep}, {"resume", options.resume}, {"fault", fault}};
}

Result<CheckpointOptions> CheckpointFromJson(const ordered_json& document) {
  constexpr std::string_view kContext = "checkpoint";
  CheckpointOptions options;
  HELM_ASSIGN_OR_RETURN(options.folder, JsonString(document, "folder", kContext));
  HELM_ASSIGN_OR_RETURN(options.every, JsonInt64(document, "every", kContext));
  HELM_ASSIGN_OR_RETURN(options.keep, JsonInt64(document, "keep", kContext));
  HELM_ASSIGN_OR_RETURN(options.resume, JsonString(document, "resume", kContext));
  if (const auto fault = document.find("fault"); fault != document.end() && !fault->is_null()) {
    options.fault.emplace();
    HELM_ASSIGN_OR_RETURN(options.fault->rank, JsonInt64(*fault, "rank", kContext));
    HELM_ASSIGN_OR_RETURN(options.fault->steps, JsonInt64(*fault, "steps", kContext));
    HELM_ASSIGN_OR_RETURN(const int64_t moment, JsonInt64(*fault, "moment", kContext));
    HELM_ASSIGN_OR_RETURN(const int64_t delay, JsonInt64(*fault, "delay_ms", kContext));
    options.fault->moment = static_cast<CheckpointMoment>(moment);
    options.fault->delay = std::chrono::milliseconds(delay);
  }
  return options;
}

}  // namespace

ordered_json ToJson(const Job& job) {
  return {{"plan", ir::ToYaml(job.plan)},
          {"plan_path", job.plan_path},
          {"programs", job.programs},
          {"data", job.data},
          {"first_step", job.first_step},
          {"steps", job.steps},
          {"checkpoint", ToJson(job.checkpoint)},
          {"op_times", job.op_times == runtime::OpTimes::kEvents ? "events" : "activities"},
          {"cuda_graph", job.cuda_graph},
          {"memory_snapshot", job.memory_snapshot},
          {"warm_up_steps", job.warm_up_steps},
          {"keep_state", job.keep_state},
          {"verify", job.verify},
          {"folder", job.folder},
          {"tag", job.tag},
          {"threads_per_rank", job.threads_per_rank},
          {"fault", job.fault ? ToJson(*job.fault) : ordered_json()}};
}

Result<Job> JobFromJson(const ordered_json& document) {
  constexpr std::string_view kContext = "job";
  Job job;
  HELM_ASSIGN_OR_RETURN(job.plan_path, JsonString(document, "plan_path", kContext));
  HELM_ASSIGN_OR_RETURN(const std::string plan, JsonString(document, "plan", kContext));
  HELM_ASSIGN_OR_RETURN(job.plan, ir::ParsePlan(plan, job.plan_path));
  HELM_ASSIGN_OR_RETURN(job.programs, JsonString(document, "programs", kContext));
  HELM_ASSIGN_OR_RETURN(job.data, JsonString(document, "data", kContext));
  HELM_ASSIGN_OR_RETURN(job.first_step, JsonInt64(document, "first_step", kContext));
  HELM_ASSIGN_OR_RETURN(job.steps, JsonInt64(document, "steps", kContext));
  HELM_ASSIGN_OR_RETURN(const ordered_json* checkpoint, JsonObject(document, "checkpoint", kContext));
  HELM_ASSIGN_OR_RETURN(job.checkpoint, CheckpointFromJson(*checkpoint));
  HELM_ASSIGN_OR_RETURN(const std::string op_times, JsonString(document, "op_times", kContext));
  job.op_times = op_times == "events" ? runtime::OpTimes::kEvents : runtime::OpTimes::kActivities;
  HELM_ASSIGN_OR_RETURN(job.cuda_graph, JsonBool(document, "cuda_graph", kContext));
  HELM_ASSIGN_OR_RETURN(job.memory_snapshot, JsonString(document, "memory_snapshot", kContext));
  HELM_ASSIGN_OR_RETURN(job.warm_up_steps, JsonInt64(document, "warm_up_steps", kContext));
  HELM_ASSIGN_OR_RETURN(job.keep_state, JsonBool(document, "keep_state", kContext));
  HELM_ASSIGN_OR_RETURN(job.verify, JsonBool(document, "verify", kContext));
  HELM_ASSIGN_OR_RETURN(job.folder, JsonString(document, "folder", kContext));
  HELM_ASSIGN_OR_RETURN(job.tag, JsonString(document, "tag", kContext));
  HELM_ASSIGN_OR_RETURN(job.threads_per_rank, JsonInt64(document, "threads_per_rank", kContext));
  if (const auto fault = document.find("fault"); fault != document.end() && !fault->is_null()) {
    HELM_ASSIGN_OR_RETURN(job.fault, FaultFromJson(*fault));
  }
  return job;
}

ordered_json ToJson(const JobRecord& record) {
  std::vector<int64_t> makespans;
  for (const Duration makespan : record.makespans) makespans.push_back(makespan.picoseconds());
  return {{"data", record.data},
          {"losses", record.losses},
          {"makespans_ps", makespans},
          {"memory_bytes_peak", record.memory_bytes_peak.count()},
          {"timeline", ir::ToJson(record.timeline)}};
}

Result<JobRecord> JobRecordFromJson(const ordered_json& document, const std::string& file) {
  JobRecord record;
  HELM_ASSIGN_OR_RETURN(record.data, JsonString(document, "data", file));
  HELM_ASSIGN_OR_RETURN(const ordered_json* losses, JsonArray(document, "losses", file));
  for (const ordered_json& loss : *losses) record.losses.push_back(loss.get<double>());
  HELM_ASSIGN_OR_RETURN(const ordered_json* makespans, JsonArray(document, "makespans_ps", file));
  for (const ordered_json& makespan : *makespans) record.makespans.push_back(Duration::Picoseconds(makespan.get<int64_t>()));
  HELM_ASSIGN_OR_RETURN(const int64_t peak, JsonInt64(document, "memory_bytes_peak", file));
  record.memory_bytes_peak = Bytes(peak);
  HELM_ASSIGN_OR_RETURN(const ordered_json* timeline, JsonObject(document, "timeline", file));
  HELM_ASSIGN_OR_RETURN(record.timeline, ir::TimelineFromJson(*timeline, file));
  return record;
}

Result<ir::StepPrograms> ProgramsOf(const Job& job) {
  HELM_ASSIGN_OR_RETURN(ir::StepPrograms step, job.programs.empty() ? schedule::Materialise(job.plan)
                                                                    : ir::ParseStepPrograms(job.programs, "programs of the job"));
  return job.verify ? WithAdaptersNotZero(std::move(step)) : step;
}

std::string StatePath(const Job& job, VerifyKind kind, int64_t rank) {
  HELM_CHECK(kind != VerifyKind::kLoss, "losses are in the record");
  return fmt::format("{}/{}.{}s.{}.safetensors", job.folder, job.tag, Name(kind), rank);
}

Result<RankState> ReadState(const Job& job, const ir::Program& program, VerifyKind kind, int64_t rank) {
  const std::string path = StatePath(job, kind, rank);
  HELM_ASSIGN_OR_RETURN(const formats::TensorFile file, formats::ReadSafetensors(path));
  return RankStateFromFile(program, file, path);
}

}  // namespace helm::exec
