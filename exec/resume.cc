#include "exec/resume.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "exec/initial_state.h"
#include "ir/frozen.h"
#include "ir/strategy_text.h"

namespace helm::exec {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kCountOfSteps = "optimizer.step";  // the storage's name in programs (model/lower_optimizer.cc)
constexpr int64_t kCountMost = int64_t{1} << 24;              // an fp32 count stays there: adding one to it changes nothing

// "layers 2 (checkpoint: 4), ..." of the keys whose values differ.
std::string Differences(const ordered_json& plan, const ordered_json& checkpoint) {
  std::set<std::string> keys;
  for (const ordered_json* document : {&plan, &checkpoint}) {
    for (const auto& [key, ignored] : document->items()) keys.insert(key);
  }
  const auto value = [](const ordered_json& document, const std::string& key) {
    return document.contains(key) ? document[key].dump() : std::string("not given");
  };
  std::string text;
  for (const std::string& key : keys) {
    if (key == "name" || key == "notes" || value(plan, key) == value(checkpoint, key)) continue;
    text += fmt::format("{}{} {} (checkpoint: {})", text.empty() ? "" : ", ", key, value(plan, key), value(checkpoint, key));
  }
  return text;
}

Status CheckData(const CheckpointReader& checkpoint, const formats::DataOrder& data, const std::string& plan_path) {
  const formats::DataOrder& written = checkpoint.index().data;
  const auto error = [&](const std::string& what) {
    return InvalidError(
        fmt::format("{}: error: {}: it would go on with other data than the training that wrote {}\nfix: give the same "
                    "--data, seed, global_batch and sequence_length",
                    plan_path, what, checkpoint.path()));
  };
  if (data.global_batch != written.global_batch) {
    return error(fmt::format("global_batch is {}, the checkpoint's was {}", data.global_batch, written.global_batch));
  }
  if (data.sequence_length != written.sequence_length) {
    return error(fmt::format("sequence_length is {}, the checkpoint's was {}", data.sequence_length, written.sequence_length));
  }
  if (data.tokens == written.tokens) return OkStatus();
  return error(fmt::format("the tokens ({}) are not those of the checkpoint ({})", data.source, written.source));
}

Status WriteSegment(CheckpointReader& checkpoint, const ir::Program& program, const ir::ParameterSegment& segment,
                    const std::vector<int64_t>& coordinates, runtime::Interpreter& interpreter) {
  const ElementRange own = OwnRange(segment, program.mesh, coordinates);
  const auto read = [&](StateKind kind, ElementRange range) {
    return checkpoint.ReadSegment(kind, segment, program.mesh, coordinates, range);
  };
  if (segment.master == segment.parameter) {
    HELM_ASSIGN_OR_RETURN(const std::vector<float> values, read(StateKind::kParameter, own));
    HELM_RETURN_IF_ERROR(WriteInParts(program, segment.master, values, interpreter));
  } else {
    HELM_ASSIGN_OR_RETURN(const std::vector<float> values, read(StateKind::kParameter, {0, segment.elements}));
    const auto master = std::span(values).subspan(static_cast<size_t>(own.begin), static_cast<size_t>(own.end - own.begin));
    HELM_RETURN_IF_ERROR(WriteInParts(program, segment.parameter, values, interpreter));
    HELM_RETURN_IF_ERROR(WriteInParts(program, segment.master, master, interpreter));
  }
  if (ir::IsFrozen(segment)) return OkStatus();
  HELM_ASSIGN_OR_RETURN(const std::vector<float> first, read(StateKind::kMomentFirst, own));
  HELM_RETURN_IF_ERROR(WriteInParts(program, segment.moment_first, first, interpreter));
  HELM_ASSIGN_OR_RETURN(const std::vector<float> second, read(StateKind::kMomentSecond, own));
  return WriteInParts(program, segment.moment_second, second, interpreter);
}

Status WriteCount(int64_t step, const ir::Program& program, runtime::Interpreter& interpreter) {
  const auto found = std::ranges::find(program.storages, kCountOfSteps, &ir::Storage::name);
  if (found == program.storages.end()) return OkStatus();  // the gradient pass has no optimizer
  const auto count = static_cast<float>(std::min(step, kCountMost));
  return WriteInParts(program, ir::StorageId(static_cast<size_t>(found - program.storages.begin())), std::span(&count, 1), interpreter);
}

Status WriteRankStorage(CheckpointReader& checkpoint, const ir::Storage& storage, ir::StorageId id, int64_t rank,
                        const std::string& strategy, runtime::Interpreter& interpreter) {
  if (strategy != checkpoint.index().strategy) {
    return InvalidError(fmt::format(
        "{}: error: the state '{}' belongs to ranks of the strategy that wrote it ({}), and this plan's is {}\nfix: resume with "
        "that strategy, or plan with software that keeps no such state (fp8 with scales of the tensor itself)",
        checkpoint.path(), storage.name, checkpoint.index().strategy, strategy));
  }
  HELM_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, checkpoint.ReadWhole(RankTensorName(rank, storage.name)));
  return interpreter.WriteStorage(id, bytes);
}

}  // namespace

Status CheckSameTraining(const CheckpointReader& checkpoint, const ir::Plan& plan, const DataLoader& loader, const std::string& plan_path) {
  const formats::CheckpointIndex& index = checkpoint.index();
  if (const std::string differences = Differences(plan.model, index.model); !differences.empty()) {
    return InvalidError(
        fmt::format("{}: error: the plan's model is not that of the checkpoint {}: {}", plan_path, checkpoint.path(), differences));
  }
  if (const std::string dtype = ir::DataTypeWord(plan.workload); dtype != index.dtype) {
    return InvalidError(fmt::format("{}: error: the plan computes in {}, the training that wrote {} in {}\nfix: plan with dtype: {}",
                                    plan_path, dtype, checkpoint.path(), index.dtype, index.dtype));
  }
  return CheckData(checkpoint, loader.Order(), plan_path);
}

std::vector<ir::StorageId> RankStorages(const ir::Program& program) {
  std::set<size_t> of_parameters;
  for (const ir::ParameterSegment& segment : program.segments) {
    for (const ir::StorageId id : {segment.master, segment.moment_first, segment.moment_second}) {
      if (id.valid()) of_parameters.insert(id.index());
    }
  }
  std::vector<ir::StorageId> storages;
  for (size_t i = 0; i < program.storages.size(); ++i) {
    const ir::Storage& storage = program.storages[i];
    if (!storage.persistent || storage.role != ir::StorageRole::kOptimizerState) continue;
    if (!of_parameters.contains(i) && storage.name != kCountOfSteps) storages.emplace_back(i);
  }
  return storages;
}

Status LoadCheckpoint(CheckpointReader& checkpoint, const ir::Program& program, int64_t rank, const std::string& strategy,
                      const std::function<void()>& beat, runtime::Interpreter& interpreter) {
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  for (const ir::ParameterSegment& segment : program.segments) {
    if (beat) beat();
    HELM_RETURN_IF_ERROR(WriteSegment(checkpoint, program, segment, coordinates, interpreter));
  }
  for (const ir::StorageId id : RankStorages(program)) {
    HELM_RETURN_IF_ERROR(WriteRankStorage(checkpoint, program.storage(id), id, rank, strategy, interpreter));
  }
  return WriteCount(checkpoint.index().step, program, interpreter);
}

}  // namespace helm::exec
