// StreamLayout: the rows of a step's timelines: the host thread, the compute streams, a row for the collectives of each group that has
// some, and, of groups over which ranks exchange tensors, a row for each peer and direction. The same rows for all rank classes, whoever
// draws them: simulator and recorder.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/step_programs.h"
#include "ir/timeline.h"

namespace helm::ir {

class StreamLayout {
 public:
  explicit StreamLayout(const StepPrograms& step);

  const std::vector<Stream>& streams() const { return streams_; }
  int32_t host() const { return 0; }
  int32_t compute(int32_t compute_stream) const { return 1 + compute_stream; }
  int32_t compute_count() const { return compute_count_; }
  // Of a collective start of one of the step's programs: "communication.GROUP"; of a point-to-point op "communication.GROUP.send+1" or
  // "communication.GROUP.recv-1", the peer's offset.
  int32_t communication(const Program& program, const Op& start) const;

 private:
  std::vector<Stream> streams_;
  int32_t compute_count_ = 1;
};

}  // namespace helm::ir
