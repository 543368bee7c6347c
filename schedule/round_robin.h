// Segmented round-robin reordering (Helix; techniques.md 1.4): a stream is cut before each of its waits, and the segments of the streams
// run in turn. What a tile has started then moves while the other tiles compute, up to the wait that heads its own next segment.
//
//     streams A0 A1 | wait A2    and    B0 B1 | wait B2     ->     A0 A1 B0 B1 wait A2 wait B2
//
// Knows no durations: at segment granularity no other order of equal streams is faster (techniques.md 1.4; a test holds it against the
// lattice). Where an op needs one of another stream that has not run, its segment goes on in a later turn.
#pragma once

#include <vector>

#include "ir/program.h"
#include "schedule/streams.h"

namespace helm::schedule {

// The stream of each next item.
std::vector<size_t> RoundRobinChoice(const Span& span);

ir::Program RoundRobin(const ir::Program& program);

}  // namespace helm::schedule
