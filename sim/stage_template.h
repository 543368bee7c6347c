// StageTemplate: every kind of action of one rank class once, lowered, priced and cut into pieces whose times before and after are linked
// (sim/piece.h), with the memory that each takes: what a whole schedule is put together from (sim/compose.h).
//
// The ports of an action: the resources of the rank; messages and collectives over several classes that it posts and waits for; collectives
// that an action that runs once leaves open for a later one; live memory. Not a program: ops are only there to be counted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/status.h"
#include "sim/max_plus.h"
#include "sim/memory.h"
#include "sim/piece.h"
#include "sim/simulate.h"
#include "sim/step_excerpt.h"
#include "sim/task_costs.h"

namespace helm::sim {

// Pieces one after the other, some of them many times, or one that waits for collectives of earlier ones: times by arithmetic.
struct RepeatedPiece {
  MaxPlusMatrix matrix;                 // as PieceRunner::MatrixOf gives it
  std::vector<Piece::Awaited> awaited;  // of one piece; none of several
  std::vector<size_t> ended;            // ports of what has ended behind it; likewise
  int64_t busy = 0;                     // of the compute stream
  Idle idle;                            // of it, when nothing but it decides when the pieces start
};

// What happens in order between this rank and others of a group: messages to or from one peer, or the group's collectives.
struct Channel {
  ir::GroupId group;
  int64_t peer = 0;  // > 0: sent to the class at this offset; < 0: received from it; 0: collectives over several classes
};

struct Post {
  ir::OpId op;
  size_t channel = 0;
  std::vector<size_t> ports;  // after which it can begin
};

struct WaitEnd {
  size_t channel = 0;
  size_t back = 0;  // 0: for what was posted last there, 1: for that before it, ...
};

struct Element {
  enum class Kind : uint8_t { kPiece, kRepeated, kPost, kWait };
  Kind kind = Kind::kPiece;
  size_t index = 0;  // into the arrays of the StageTemplate
};

// Sums over ops, picoseconds, but for what is posted; and how many they are, all of them.
struct Totals {
  int64_t compute = 0, optimizer = 0;
  int64_t host = 0;                    // launches that take the compute stream's time: on a CPU
  std::array<int64_t, 3> by_source{};  // of ops and collectives, by cost::Source
  int64_t ops = 0;                     // their number

  void Add(const Totals& other);
};

struct ActionTemplate {
  std::vector<Element> elements;
  MemoryChange memory;
  Totals totals;
};

struct StageTemplate {
  PortLayout layout;
  std::vector<Piece> pieces;
  std::vector<RepeatedPiece> repeated;
  std::vector<Post> posts;
  std::vector<WaitEnd> waits;
  std::vector<Channel> channels;
  size_t open_slots = 0;
  bool contends = false;  // some ops take longer than their prices, since others run beside them

  ActionTemplate before;                // the first action
  std::vector<ActionTemplate> actions;  // by action of the excerpt's program
  ActionTemplate after;                 // the last action
  BytesByRole resident{};
  BytesByRole live_after{};
  int64_t input_bytes = 0;  // of one micro-batch, resident too
};

// kUnavailable when the program holds something that pieces cannot carry, with what it is. `as_class`: the class that the template of this
// one's program is for, where it is another one, whose ranks lie elsewhere.
Result<StageTemplate> MakeStageTemplate(const StepExcerpt& excerpt, size_t rank_class, const TaskCosts& costs,
                                        const SimulationOptions& options, std::optional<size_t> as_class = {});

}  // namespace helm::sim
