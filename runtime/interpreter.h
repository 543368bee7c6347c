// Interpreter: runs a program on this rank's device, op by op, through the ATen dispatcher (boxed calls) and c10d's backend classes.
//
// It decides nothing: order, streams, waits and lifetimes are the program's (ir/lifetime.h). One instance is bound to one program and one
// rank; it owns the program's persistent storages, which begin as zeros. Not thread-safe. On the first step every result's dtype, shape and
// strides are compared with the program's; a difference is an internal error that names the op.
//
// Arguments of collectives: c10d.all_reduce(tensor, "sum"|"max"), c10d.all_gather(tensor), c10d.reduce_scatter(tensor, "sum"|"max"),
// c10d.all_to_all(tensor) in equal parts of dimension 0, c10d.broadcast(tensor, root), c10d.send(tensor, offset, tag),
// c10d.recv(offset, tag), c10d.wait(start). root is a rank in the group; offset is added to the caller's own, modulo the size. All-reduce
// and broadcast work in place, c10d.all_gather(tensor, into) fills a tensor that exists, the others make a contiguous result of the
// program's shape.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/units.h"
#include "ir/program.h"
#include "runtime/communicator.h"

namespace helm::runtime {

// When one op ran on this rank, from the start of the step.
struct OpTime {
  Duration start;  // CPU: of the call
  Duration end;
};

// One kernel, copy or fill that an op launched on a GPU.
struct KernelRun {
  size_t op = 0;
  std::string name;    // mangled; "memcpy", "memset"
  int64_t blocks = 0;  // of its grid
  Duration duration;
};

struct StepRecord {
  std::vector<OpTime> ops;          // by op id; for a collective start: from its launch to its completion
  std::vector<OpTime> host;         // by op id: the host thread in the call (on a CPU equal to `ops` for compute ops)
  std::vector<int64_t> live_bytes;  // by op id: bytes allocated after the op, counted by the allocator hook, persistent storages included
  Duration makespan;
  Bytes memory_bytes_peak;  // highest count of the allocator hook within the step
  // GPU only: reserved by the caching allocator at its peak, and used on the device beyond what it has reserved.
  std::optional<Bytes> memory_bytes_reserved;
  std::optional<Bytes> memory_bytes_outside;
  std::vector<KernelRun> kernels;  // of a step that was recorded with OpTimes::kActivities, by op
};

// What a test makes go wrong on one rank, just before an op.
struct Fault {
  enum class Action : uint8_t { kKill, kStop, kDelay, kError };  // SIGKILL, SIGSTOP, sleep, an error Status
  Action action = Action::kKill;
  int64_t step = 0;  // counted from the interpreter's first step
  ir::OpId op;
  std::chrono::milliseconds delay{0};
};

// How a GPU's op times are taken (runtime/op_clock.h); on a CPU there is one clock.
enum class OpTimes : uint8_t { kEvents, kActivities };

struct InterpreterOptions {
  bool check_results = true;  // compare dtype, shape and strides with the program on the first step
  OpTimes op_times = OpTimes::kEvents;
  // When given, RunStep stores the index of each op here before it runs it, and their number when the last has been launched (relaxed), for
  // whoever watches from another thread or process.
  std::atomic<int64_t>* current_op = nullptr;
  // GPU, a program without collectives: steps whose ops are not recorded, behind the first one, are one CUDA graph. Its memory is not given
  // back between the steps, and only the step that records it counts what is allocated.
  bool graph = false;
  bool memory_history = false;  // GPU: for MemorySnapshot
  std::optional<Fault> fault;   // tests only
};

class Interpreter {
 public:
  // `world` may be null when the program's mesh is one rank. Communicators for the program's groups are made here (collective call).
  static Result<std::unique_ptr<Interpreter>> Create(const ir::Program& program, World* world, int64_t rank,
                                                     const InterpreterOptions& options);
  virtual ~Interpreter() = default;

  // `record`: whether the ops' times are taken, which on a GPU slows the step a little. Makespan and memory are always there.
  virtual Result<StepRecord> RunStep(bool record = true) = 0;

  // Raw bytes of a persistent storage, from its start; sizes must match exactly.
  virtual Status WriteStorage(ir::StorageId storage, std::span<const std::byte> bytes) = 0;
  // Values from element `first` of a persistent storage of `type` on, rounded to it (ties to even).
  virtual Status WriteFloats(ir::StorageId storage, ir::DataType type, int64_t first, std::span<const float> values) = 0;
  virtual Result<std::vector<std::byte>> ReadStorage(ir::StorageId storage) const = 0;
  // All values of a persistent storage of `type`, in fp32.
  virtual Result<std::vector<float>> ReadFloats(ir::StorageId storage, ir::DataType type) const = 0;
  // A named input (int64 or float values are given as the tensor's own bytes) and a named output of the last step, converted to double.
  virtual Status WriteInput(const std::string& name, std::span<const std::byte> bytes) = 0;
  virtual Result<std::vector<double>> ReadOutput(const std::string& name) const = 0;

  // GPU: what the caching allocator gave out since this interpreter was made, by op, as torch.cuda._memory_viz reads it. Empty on a CPU.
  virtual std::string MemorySnapshot() const = 0;
};

// Threads that ATen uses inside one op on this process. REQUIRES: called before the first op.
void SetThreadsPerRank(int64_t threads);

}  // namespace helm::runtime
