// CheckpointSaver: writes checkpoints of a running training (docs/formats/checkpoint.md), all ranks together.
//
// Each rank writes the boxes that it owns (exec/shard_layout.h) into files of its own; when all are on the disk, rank 0 writes the index
// and gives the folder its name; old checkpoints go last. An error on one rank is the error of all: none waits for one that gave up, and
// all wait for one that is slow. A process that is killed at any moment leaves the complete checkpoints of before, or these and the new
// one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "exec/checkpoint_options.h"
#include "exec/checkpoint_reader.h"
#include "exec/shard_layout.h"
#include "formats/checkpoint_index.h"
#include "ir/step_programs.h"
#include "runtime/interpreter.h"

namespace helm::exec {

struct SaverOptions {
  std::string folder;             // that holds the checkpoints
  int64_t keep = 1;               // complete ones
  std::optional<int64_t> spared;  // step of one that is not removed: it is read again when training has ended
  int64_t rank = 0;
  // Everybody's text, by rank. Collective.
  std::function<Result<std::vector<std::string>>(const std::string&)> exchange;
  // A rank whose own part takes longer says so to the others each time that this has passed: none counts as lost.
  std::chrono::milliseconds sign_of_life{15000};
  std::function<void()> beat;                   // called now and then, on any thread; may be empty
  std::function<void(CheckpointMoment)> reach;  // tests only; may be empty
};

class CheckpointSaver {
 public:
  // `content`: everything of the index but step and tensors.
  CheckpointSaver(SaverOptions options, const ir::StepPrograms& step, formats::CheckpointIndex content);

  // After `steps` steps in all. Collective.
  Status Save(int64_t steps, const runtime::Interpreter& interpreter);

 private:
  using Tensors = std::map<std::string, formats::IndexedTensor>;
  // A tensor of one of this rank's files: where it belongs, in one piece without its hash, and its bytes.
  struct FileContent {
    std::string tensor;
    formats::IndexedTensor indexed;
    std::function<Result<std::vector<std::byte>>()> read;
  };

  Result<std::vector<std::string>> Together(const std::function<Result<std::string>()>& work) const;
  Result<std::string> Begin(int64_t steps) const;
  Result<std::string> WriteShard(const std::string& folder, const runtime::Interpreter& interpreter) const;
  Result<std::string> Complete(int64_t steps, const std::vector<std::string>& reports) const;
  // Adds to `written` what is in the file.
  Status WriteFile(const std::string& path, const std::vector<FileContent>& contents, CheckpointMoment half, Tensors& written) const;
  std::vector<FileContent> Contents(StateKind kind, const runtime::Interpreter& interpreter) const;
  std::vector<FileContent> RankContents(const runtime::Interpreter& interpreter) const;
  void Reach(CheckpointMoment moment) const;

  SaverOptions options_;
  const ir::Program& program_;  // this rank's
  int64_t ranks_;
  std::vector<OwnedBox> owned_;
  formats::CheckpointIndex content_;
};

}  // namespace helm::exec
