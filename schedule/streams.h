// Spans, streams, items: what of a program may be interleaved, and the program in the order chosen.
//
// A span is a run of ops of one action (ir/schedule.h). Its streams are the ops of each tile (Op::tile) of each strand (Op::strand) in the
// program's order, which every rewrite keeps; ops of different streams may pass each other wherever no dependency forbids it. An item is
// what stays together: one op, a region, or a batch of messages. Chooses nothing: the passes do (schedule/round_robin.h,
// schedule/lattice.h).
//
// Invariants: every op is in one item; the program's own order satisfies every `after`. That collectives of one group start in launch order
// is no dependency here: all ranks of a group run the same program, so any order is the same on all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ir/program.h"

namespace helm::schedule {

struct Item {
  std::vector<ir::OpId> ops;
  bool waits = false;         // its first op is a wait
  std::vector<size_t> after;  // by stream: how many of its items must come first; its own stream's entry is 0
};

struct Span {
  std::vector<std::vector<Item>> streams;  // none is empty
  std::vector<size_t> program_order;       // the stream of each item as the program has it
};

// In the program's order; together they hold every op. REQUIRES: Verify(program) is ok.
std::vector<Span> SpansOf(const ir::Program& program);

// Whether an item may come next when so many of each stream's items have gone before.
bool IsReady(const Item& item, const std::vector<size_t>& gone);

// `choices`: by span, the stream of each next item. REQUIRES: each span's choice names every item once and respects `after`.
ir::Program Interleaved(const ir::Program& program, const std::vector<Span>& spans, const std::vector<std::vector<size_t>>& choices);

}  // namespace helm::schedule
