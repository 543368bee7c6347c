#include "exec/checkpoint_saver.h"

#include <algorithm>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "core/check.h"
#include "core/file.h"
#include "core/folder.h"
#include "core/json.h"
#include "exec/checkpoint_folder.h"
#include "exec/initial_state.h"
#include "exec/parameter_box.h"
#include "exec/resume.h"
#include "formats/safetensors_stream.h"
#include "ir/frozen.h"

namespace helm::exec {
namespace {

using nlohmann::ordered_json;

// How a rank says to the others how its part of the work ended, or that it has not.
constexpr char kDone = '+';
constexpr char kFailed = '-';
constexpr char kBusy = '.';

// The floats of a storage; boxes of one segment come one after the other, so the last one read is kept.
class StorageFloats {
 public:
  StorageFloats(const ir::Program& program, const runtime::Interpreter& interpreter) : program_(program), interpreter_(interpreter) {}

  Result<std::span<const float>> Of(ir::StorageId id) {
    if (!last_ || *last_ != id) {
      HELM_ASSIGN_OR_RETURN(values_, ReadWidened(program_, id, interpreter_));
      last_ = id;
    }
    return std::span<const float>(values_);
  }

 private:
  const ir::Program& program_;
  const runtime::Interpreter& interpreter_;
  std::optional<ir::StorageId> last_;
  std::vector<float> values_;
};

ir::StorageId StorageOf(StateKind kind, const ir::ParameterSegment& segment) {
  switch (kind) {
    case StateKind::kParameter:
      return segment.master;
    case StateKind::kMomentFirst:
      return segment.moment_first;
    case StateKind::kMomentSecond:
      return segment.moment_second;
  }
  return {};
}

// The box's elements as its file has them, out of the rank's own range of the segment.
Result<std::vector<std::byte>> BoxBytes(const OwnedBox& owned, StateKind kind, const ir::Program& program, int64_t rank,
                                        StorageFloats& storages) {
  const ir::ParameterSegment& segment = program.segments[owned.segment];
  const ir::ParameterPiece& piece = segment.pieces[owned.piece];
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  const ElementRange own = OwnRange(segment, program.mesh, coordinates);
  HELM_ASSIGN_OR_RETURN(const std::span<const float> values, storages.Of(StorageOf(kind, segment)));
  std::vector<float> elements(static_cast<size_t>(ir::ElementCount(owned.box.shape)));
  CopyBox(owned.box, ElementPlaces::InSegment(piece, program.mesh, coordinates, own.begin), values,
          ElementPlaces::InFile(owned.box, piece.transposed), elements);
  const auto bytes = std::as_bytes(std::span(elements));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

// What one rank's files hold, on its way to rank 0: an index of those tensors alone would not be complete, so not as one.
ordered_json ToJson(const std::map<std::string, formats::IndexedTensor>& tensors) {
  ordered_json list = ordered_json::array();
  for (const auto& [name, tensor] : tensors) {
    for (const formats::IndexedPiece& piece : tensor.pieces) {
      list.push_back({name, static_cast<int>(tensor.dtype), tensor.shape, piece.file, piece.offset, piece.shape, piece.hash});
    }
  }
  return list;
}

Status AddReport(const std::string& text, std::map<std::string, formats::IndexedTensor>& tensors) {
  HELM_ASSIGN_OR_RETURN(const ordered_json list, ParseJson(text, "report of a rank"));
  for (const ordered_json& entry : list) {
    formats::IndexedTensor& tensor = tensors[entry.at(0).get<std::string>()];
    tensor.dtype = static_cast<ir::DataType>(entry.at(1).get<int>());
    tensor.shape = entry.at(2).get<ir::Shape>();
    tensor.pieces.push_back(
        {entry.at(3).get<std::string>(), entry.at(4).get<ir::Shape>(), entry.at(5).get<ir::Shape>(), entry.at(6).get<std::string>()});
  }
  return OkStatus();
}

}  // namespace

CheckpointSaver::CheckpointSaver(SaverOptions options, const ir::StepPrograms& step, formats::CheckpointIndex content)
    : options_(std::move(options)),
      program_(step.OfRank(options_.rank)),
      ranks_(ir::WorldSize(step.mesh())),
      owned_(OwnedBoxes(step, options_.rank)),
      content_(std::move(content)) {}

Status CheckpointSaver::Save(int64_t steps, const runtime::Interpreter& interpreter) {
  HELM_RETURN_IF_ERROR(Together([&] { return Begin(steps); }).status());
  const std::string folder = PartialCheckpointPath(options_.folder, steps);
  HELM_ASSIGN_OR_RETURN(const std::vector<std::string> reports, Together([&] { return WriteShard(folder, interpreter); }));
  return Together([&] { return Complete(steps, reports); }).status();
}

// What every rank's `work` gave, by rank, or the error of the first one whose work failed. The work is done on a thread of its own, so that
// the ranks hear from each other meanwhile.
Result<std::vector<std::string>> CheckpointSaver::Together(const std::function<Result<std::string>()>& work) const {
  std::future<Result<std::string>> working = std::async(std::launch::async, work);
  std::optional<Result<std::string>> own;
  std::vector<std::string> all;
  do {
    if (!own && working.wait_for(options_.sign_of_life) == std::future_status::ready) own = working.get();
    const std::string text = !own ? std::string(1, kBusy) : own->ok() ? kDone + **own : kFailed + own->status().message();
    HELM_ASSIGN_OR_RETURN(all, options_.exchange(text));
    if (options_.beat) options_.beat();
    for (const std::string& said : all) {
      if (said.starts_with(kFailed)) return own && !own->ok() ? own->status() : InvalidError(said.substr(1));
    }
  } while (std::ranges::any_of(all, [](const std::string& said) { return said.starts_with(kBusy); }));
  for (std::string& text : all) text.erase(0, 1);
  return all;
}

Result<std::string> CheckpointSaver::Begin(int64_t steps) const {
  Reach(CheckpointMoment::kBegin);
  if (options_.rank != 0) return std::string();
  HELM_RETURN_IF_ERROR(MakeFolders(options_.folder));
  HELM_RETURN_IF_ERROR(RemoveInterrupted(options_.folder));
  HELM_RETURN_IF_ERROR(MakeFolders(PartialCheckpointPath(options_.folder, steps)));
  Reach(CheckpointMoment::kFolderMade);
  return std::string();
}

Result<std::string> CheckpointSaver::WriteShard(const std::string& folder, const runtime::Interpreter& interpreter) const {
  if (!FolderExists(folder)) {
    return InvalidError(
        fmt::format("error: rank {} does not see the folder '{}' of rank 0\nfix: give --checkpoint a folder on a file "
                    "system that all machines share",
                    options_.rank, folder));
  }
  const auto path = [&](std::string_view kind) {
    return fmt::format("{}/{}-{:05}-of-{:05}.safetensors", folder, kind, options_.rank + 1, ranks_);
  };
  Tensors written;
  HELM_RETURN_IF_ERROR(WriteFile(path("model"), Contents(StateKind::kParameter, interpreter), CheckpointMoment::kParameters, written));
  std::vector<FileContent> optimizer = RankContents(interpreter);
  for (const StateKind kind : {StateKind::kMomentFirst, StateKind::kMomentSecond}) {
    for (FileContent& content : Contents(kind, interpreter)) optimizer.push_back(std::move(content));
  }
  HELM_RETURN_IF_ERROR(WriteFile(path("optimizer"), optimizer, CheckpointMoment::kOptimizer, written));
  Reach(CheckpointMoment::kShardWritten);
  return ToJson(written).dump();
}

std::vector<CheckpointSaver::FileContent> CheckpointSaver::Contents(StateKind kind, const runtime::Interpreter& interpreter) const {
  const auto storages = std::make_shared<StorageFloats>(program_, interpreter);
  std::vector<FileContent> contents;
  for (const OwnedBox& owned : owned_) {
    if (kind != StateKind::kParameter && ir::IsFrozen(program_.segments[owned.segment])) continue;
    const ir::ParameterPiece& piece = program_.segments[owned.segment].pieces[owned.piece];
    const ParameterBox whole{ir::Shape(piece.global_shape.size(), 0), piece.global_shape};
    const ParameterBox box = Turned(owned.box, piece.transposed);
    contents.push_back({TensorName(kind, piece.name),
                        {ir::DataType::kFloat32, Turned(whole, piece.transposed).shape, {{"", box.offset, box.shape, ""}}},
                        [this, &owned, kind, storages] { return BoxBytes(owned, kind, program_, options_.rank, *storages); }});
  }
  return contents;
}

std::vector<CheckpointSaver::FileContent> CheckpointSaver::RankContents(const runtime::Interpreter& interpreter) const {
  std::vector<FileContent> contents;
  for (const ir::StorageId id : RankStorages(program_)) {
    const ir::Storage& storage = program_.storage(id);
    const ir::Shape shape{storage.bytes.count()};
    contents.push_back({RankTensorName(options_.rank, storage.name),
                        {ir::DataType::kUInt8, shape, {{"", {0}, shape, ""}}},
                        [&interpreter, id] { return interpreter.ReadStorage(id); }});
  }
  return contents;
}

Status CheckpointSaver::WriteFile(const std::string& path, const std::vector<FileContent>& contents, CheckpointMoment half,
                                  Tensors& written) const {
  if (contents.empty()) return OkStatus();
  std::vector<formats::TensorSpec> specs;
  for (const FileContent& content : contents) {
    const formats::IndexedPiece& piece = content.indexed.pieces.front();
    specs.push_back({formats::PieceName(content.tensor, content.indexed.shape, piece), content.indexed.dtype, piece.shape});
  }
  HELM_ASSIGN_OR_RETURN(const auto writer, formats::SafetensorsWriter::Create(path, specs, {{"format", "pt"}}));
  for (size_t i = 0; i < contents.size(); ++i) {
    if (i == contents.size() / 2) Reach(half);
    HELM_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, contents[i].read());
    HELM_RETURN_IF_ERROR(writer->Append(bytes));
    formats::IndexedTensor& tensor = written[contents[i].tensor];
    tensor.dtype = contents[i].indexed.dtype;
    tensor.shape = contents[i].indexed.shape;
    formats::IndexedPiece piece = contents[i].indexed.pieces.front();
    piece.file = path.substr(FolderOf(path).size() + 1);
    piece.hash = formats::BytesHash(bytes);
    tensor.pieces.push_back(std::move(piece));
    if (options_.beat) options_.beat();
  }
  return writer->Finish();
}

Result<std::string> CheckpointSaver::Complete(int64_t steps, const std::vector<std::string>& reports) const {
  if (options_.rank != 0) return std::string();
  Reach(CheckpointMoment::kBeforeIndex);
  formats::CheckpointIndex index = content_;
  index.step = steps;
  for (const std::string& report : reports) HELM_RETURN_IF_ERROR(AddReport(report, index.tensors));
  const std::string partial = PartialCheckpointPath(options_.folder, steps);
  const std::string path = fmt::format("{}/{}", partial, formats::kCheckpointIndexFile);
  const std::string text = formats::ToText(index);
  if (const Status readable = formats::ParseCheckpointIndex(text, path).status(); !readable.ok()) {
    return InternalError("the layout of the programs does not cover the model: " + readable.message());
  }
  HELM_RETURN_IF_ERROR(WriteFileAtomically(path, text));
  Reach(CheckpointMoment::kBeforeRename);
  HELM_RETURN_IF_ERROR(RenameFolder(partial, CheckpointPath(options_.folder, steps)));
  Reach(CheckpointMoment::kRenamed);
  HELM_RETURN_IF_ERROR(RemoveOld(options_.folder, options_.keep, options_.spared, [this] { Reach(CheckpointMoment::kRemoving); }));
  return std::string();
}

void CheckpointSaver::Reach(CheckpointMoment moment) const {
  if (options_.reach) options_.reach(moment);
}

}  // namespace helm::exec
