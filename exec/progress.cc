#include "exec/progress.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "core/check.h"

namespace helm::exec {

std::string_view Name(RankStage stage) {
  switch (stage) {
    case RankStage::kStarting:
      return "starting";
    case RankStage::kIdle:
      return "waiting for work";
    case RankStage::kJoining:
      return "joining the other ranks";
    case RankStage::kPreparing:
      return "preparing the program";
    case RankStage::kInitialising:
      return "initialising parameters";
    case RankStage::kGradients:
      return "computing the first gradients";
    case RankStage::kWritingGradients:
      return "writing its gradients";
    case RankStage::kTraining:
      return "training";
    case RankStage::kCheckpointing:
      return "writing a checkpoint";
    case RankStage::kWriting:
      return "writing its state";
  }
  return "";
}

Result<std::unique_ptr<ProgressBoard>> ProgressBoard::Make(int64_t ranks) {
  const int file_descriptor = memfd_create("helm-progress", MFD_CLOEXEC);
  if (file_descriptor < 0) return UnavailableError(std::string("cannot make shared memory: ") + std::strerror(errno));
  if (ftruncate(file_descriptor, static_cast<off_t>(sizeof(Slot)) * ranks) != 0) {
    const std::string reason = std::strerror(errno);
    close(file_descriptor);
    return UnavailableError("cannot make shared memory: " + reason);
  }
  return Map(file_descriptor, ranks);
}

Result<std::unique_ptr<ProgressBoard>> ProgressBoard::Open(int file_descriptor, int64_t ranks) { return Map(file_descriptor, ranks); }

Result<std::unique_ptr<ProgressBoard>> ProgressBoard::Map(int file_descriptor, int64_t ranks) {
  void* memory = mmap(nullptr, sizeof(Slot) * static_cast<size_t>(ranks), PROT_READ | PROT_WRITE, MAP_SHARED, file_descriptor, 0);
  if (memory == MAP_FAILED) {
    const std::string reason = std::strerror(errno);
    close(file_descriptor);
    return UnavailableError("cannot map shared memory: " + reason);
  }
  // A new memory file is all zero, which is a valid state of every slot.
  return std::unique_ptr<ProgressBoard>(new ProgressBoard(file_descriptor, ranks, static_cast<Slot*>(memory)));
}

ProgressBoard::~ProgressBoard() {
  munmap(slots_, sizeof(Slot) * static_cast<size_t>(ranks_));
  close(file_descriptor_);
}

RankProgress& ProgressBoard::of(int64_t rank) {
  HELM_CHECK(rank >= 0 && rank < ranks_, "the board has a slot for each rank");
  return slots_[rank].progress;
}

}  // namespace helm::exec
