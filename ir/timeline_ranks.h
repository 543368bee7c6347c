// What a timeline's events say about its ranks: which of them ran the same ops (a pipeline stage), which send meets which recv, and who is
// in a collective.
//
// Not the step's own classes (ir/step_programs.h): a timeline file carries no programs, and one of before no mesh. It numbers the ops of
// all classes one after the other, so ranks of one class, and only those, have overlapping ranges of op ids; and its rows name the peer's
// offset (ir/stream_layout.h).
#pragma once

#include <cstdint>
#include <vector>

#include "ir/timeline.h"

namespace helm::ir {

// The ranks of each stage, ascending; stages in order of their ops. Of data-parallel ranks with different numbers of micro-batches each
// share has stages of its own (ir/step_programs.h). Ranks without an event are in none. REQUIRES: events name existing ops.
std::vector<std::vector<int32_t>> StagesOf(const Timeline& timeline);

// True for "c10d.send" and "c10d.recv".
bool IsTransfer(const TimelineOp& op);

// Indices into Timeline::events: the k-th send of a rank to a peer in a group and the k-th recv there (VerifyStep: both in the same order).
struct Message {
  size_t send = 0;
  size_t receive = 0;
  bool operator==(const Message&) const = default;
};

// By send. Ranks of two stages that exchange differ in the coordinate of the stage alone; where the timeline does not know its mesh they
// are the n-th of the one and the n-th of the other. A send or recv whose partner is not in the timeline is left out, and so are messages
// along other dimensions of the mesh than "pipeline", where it is known. REQUIRES: events name existing ops and streams.
std::vector<Message> MessagesOf(const Timeline& timeline);

// Ends each send when its recv has ended, if it ended later: a backend tells of a send's end when somebody asks, which may be long after.
void EndSendsWithTheirReceives(Timeline& timeline);

// The members of each collective that are in the timeline, at least two of them, as indices into Timeline::events of their communication
// streams: ranks of one group (Timeline::mesh and groups) whose k-th collective there it is (VerifyStep: all run them in the same order).
// None where the timeline does not know its mesh. REQUIRES: events name existing ops and streams; TimelineFromJson checks the rest.
std::vector<std::vector<size_t>> CollectivesOf(const Timeline& timeline);

}  // namespace helm::ir
