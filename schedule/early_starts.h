// Early starts: every collective starts as soon as its operands are there, and every wait comes right before what needs it; all other ops
// keep the program's order.
//
//     start A0, start A1, wait A0, wait A1, mm 0, mm 1, start B0, start B1     ->     start A0, start A1, wait A0, mm 0, start B0, wait A1,
//     ...
//
// Behind `tile` this is what asynchronous tensor parallelism does (PyTorch's AsyncTP, techniques.md 1.8): a product runs in parts beside
// the collective that feeds it and the one that it feeds, and nothing else moves. There the parts are one rank's rows, here a tile's.
// Collectives of one group stay in their order, since a wait ends all that its group started before. Knows no durations.
#pragma once

#include "ir/program.h"

namespace helm::schedule {

ir::Program StartEarly(const ir::Program& program);

}  // namespace helm::schedule
