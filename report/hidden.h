// HiddenCommunication: which computation each kind of communication lies under, and how much of it lies under none.
//
// By label, target and phase over all layers and micro-batches of the timeline's first rank; of a prediction and of a measurement alike.
// Only that they run at the same time is seen here, not what either would have taken alone.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/units.h"
#include "ir/timeline.h"

namespace helm::report {

struct HiddenRow {
  std::string communication;                            // "attention.qkv c10d.all_gather forward"
  Duration total;                                       // of all its events
  Duration hidden;                                      // while something computes
  std::vector<std::pair<std::string, Duration>> under;  // "mlp.up forward", longest first; together `hidden`
};

// The longest total first. REQUIRES: events name existing ops and streams; computation is on one stream.
std::vector<HiddenRow> HiddenCommunication(const ir::Timeline& timeline);

// A line each, of the first `rows_most`; empty where there is no communication.
std::string RenderHidden(const std::vector<HiddenRow>& rows, size_t rows_most = 12);

}  // namespace helm::report
