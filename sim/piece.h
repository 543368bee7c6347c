// Piece: consecutive ops of one rank, compiled so that the times after them follow from the times before them; PieceCutter makes them.
//
// A piece knows nothing of what runs before or after it but the ports: the resources of its rank (host thread, compute stream, the
// communication streams of its groups) with the time at which each becomes free, and collectives that were started in an earlier piece and
// are waited for in this one. Of these it knows how far back they lie among the collectives of their stream (a layer's parameters are
// gathered while the layer before computes: always the same number), or, where actions of other micro-batches may run in between, a slot
// of their own (open collectives). It is cut out of the task graph of sim/step_graph.h, so that it follows the same rules. What reaches
// into a piece in another way (a second compute stream; a tensor overwritten while an earlier piece's collective still reads it) is
// refused, with the op, and the step has to be written out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"
#include "ir/program.h"
#include "sim/max_plus.h"
#include "sim/step_graph.h"

namespace helm::sim {

// Idle time of the compute stream, by what it waited for.
struct Idle {
  int64_t communication = 0;
  int64_t host = 0;
};

enum class PortKind : uint8_t { kHost, kCompute, kCommunication };

// The ports of a rank class. On a CPU the host thread is the compute stream: one port. `cores`: the last collective that keeps the cores
// busy (SimulationOptions::communication_shares_cores), whatever its group.
struct PortLayout {
  std::vector<PortKind> kinds;            // by port; port 0 is the host
  std::vector<int32_t> port_of_resource;  // by row of the timeline; -1: messages and collectives over several classes
  size_t compute = 0;
  int32_t cores = -1;
};

struct Piece {
  size_t op_first = 0, op_end = 0;
  // By task. A predecessor >= 0 is a task of the piece, -1 - k is port k or, from the number of ports on, one of `awaited`.
  std::vector<int64_t> durations;
  std::vector<uint32_t> predecessor_ends;
  std::vector<int32_t> predecessors;
  std::vector<TaskKind> kinds;
  std::vector<bool> on_compute;  // occupies the compute stream
  struct Leaving {
    size_t port = 0;
    uint32_t task = 0;  // the last one on it
  };
  std::vector<Leaving> leaving;
  struct Opened {
    uint32_t task = 0;
    size_t slot = 0;
  };
  std::vector<Opened> opened;  // waited for in a later piece, by slot
  // A collective of an earlier piece that is waited for here.
  struct Awaited {
    int32_t slot = -1;  // >= 0: this open one
    size_t port = 0;    // else of this port's the last one before the piece (back = 0), the one before that (1), ...
    size_t back = 0;
    bool operator==(const Awaited&) const = default;
  };
  std::vector<Awaited> awaited;
  std::vector<Leaving> ended;  // the collectives of the piece, in order, of ports of which later pieces count back
};

// When the collectives of earlier pieces end.
struct Past {
  explicit Past(const PortLayout& layout, size_t open_slots) : open(open_slots, 0), ended(layout.kinds.size()) {}

  bool Knows(const Piece::Awaited& awaited) const { return awaited.slot >= 0 || awaited.back < ended[awaited.port].size(); }
  // REQUIRES: Knows(awaited).
  int64_t EndOf(const Piece::Awaited& awaited) const {
    if (awaited.slot >= 0) return open[static_cast<size_t>(awaited.slot)];
    return ended[awaited.port][ended[awaited.port].size() - 1 - awaited.back];
  }

  std::vector<int64_t> open;                // by slot
  std::vector<std::vector<int64_t>> ended;  // by port, in order
};

// Runs the piece: replaces the times of the ports and writes those of its collectives. Idle time of the compute stream is added to `idle`.
// REQUIRES: the past knows what is awaited.
class PieceRunner {
 public:
  explicit PieceRunner(const PortLayout& layout) : layout_(layout) {}
  void Run(const Piece& piece, std::span<int64_t> ports, Past& past, Idle& idle);
  // The piece as a matrix, and the idle time when the compute stream alone decides when it starts. From the times of the ports, then of
  // what is awaited, to the times of the ports, then of what has ended. Nothing where open collectives have to do with it, or too many
  // others.
  std::optional<MaxPlusMatrix> MatrixOf(const Piece& piece, Idle& idle);

 private:
  // `origin`: before which no task starts.
  void RunTasks(const Piece& piece, int64_t origin, std::span<int64_t> ports, Idle& idle);
  int64_t FinishOf(int32_t predecessor, std::span<const int64_t> ports) const;
  PortKind KindOf(const Piece& piece, int32_t predecessor) const;

  const PortLayout& layout_;
  std::vector<int64_t> finish_;   // by task
  std::vector<int64_t> awaited_;  // when each ends
};

// Cuts the pieces of one rank class out of its task graph, in the order of the program.
class PieceCutter {
 public:
  // `graph`: of this class alone; tasks of messages and collectives over several classes have no predecessors (`is_external`, by task).
  PieceCutter(const ir::Program& program, const StepGraph& graph, size_t rank_class, const std::vector<bool>& is_external,
              bool shares_cores);

  const PortLayout& layout() const { return layout_; }
  // Ops [first, end): for an op whose work is external only its launch. REQUIRES: first is the end of the piece before. `pieces`: those
  // cut so far, in which an open collective is marked when this piece waits for it.
  Result<Piece> Cut(size_t first, size_t end, std::vector<Piece>& pieces);
  // Whether the op is a wait that ends a message or a collective over several classes; only its launch is of a piece.
  bool EndsExternal(ir::OpId op) const;
  // When all are cut: keeps in the pieces only those collectives that others count back to.
  void FinishPieces(std::vector<Piece>& pieces) const;
  // Passes over such a wait, whose time the caller decides. REQUIRES: the piece with its launch was cut last.
  void PassWait(ir::OpId op);
  size_t open_slots() const { return slots_; }
  // The ports whose times decide when the message or collective that op is can begin.
  Result<std::vector<size_t>> PortsBefore(const std::vector<uint32_t>& tasks) const;

 private:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

  void MakeLayout(const ClassTasks& tasks, bool shares_cores);
  void IndexTasks(const ClassTasks& tasks);
  Status AddTask(uint32_t task, Piece& piece, std::vector<Piece>& pieces);
  // The code of a predecessor outside of the piece; kCovered when another predecessor is never earlier.
  Result<int32_t> PortCode(uint32_t task, uint32_t before, Piece& piece, std::vector<Piece>& pieces);
  bool IsCovered(std::span<const uint32_t> all, uint32_t before) const;
  bool LiesBehind(std::span<const uint32_t> all, uint32_t before) const;
  bool InOneAction(uint32_t a, uint32_t b) const;
  // Has the piece wait for a collective of an earlier one, for `task`; its number after those of the ports.
  int32_t Await(uint32_t task, uint32_t collective, Piece& piece, std::vector<Piece>& pieces);
  int32_t SlotOf(uint32_t collective, std::vector<Piece>& pieces);

  const ir::Program& program_;
  const StepGraph& graph_;
  const std::vector<bool>& is_external_;
  const bool in_turn_;  // its actions run in the step in the order in which they run here
  PortLayout layout_;
  std::vector<int32_t> resource_of_;           // by task
  std::vector<uint32_t> position_of_;          // by task: on its resource
  std::vector<uint32_t> waited_by_;            // by task: the first wait that ends this collective
  std::vector<uint32_t> launch_of_, work_of_;  // by op
  std::vector<uint32_t> last_on_;              // by resource: the last task passed
  std::vector<int32_t> local_;                 // by task: its number in the piece being cut, or -1
  struct Home {
    size_t piece = 0;
    uint32_t task = 0;
    int32_t slot = -1;
    size_t number = 0;  // of a collective: among those of its port
  };
  std::vector<Home> home_;          // by task
  std::vector<size_t> passed_;      // by port: collectives of the pieces that are cut
  std::vector<bool> counted_back_;  // by port
  size_t slots_ = 0;
};

}  // namespace helm::sim
