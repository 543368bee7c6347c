// MeasureOp, MeasureCollective: run one op or collective as the interpreter would, on random data, and give the single times. How often is
// the caller's decision (profiler/stopping_rule.h). The op code is the interpreter's, so that what is measured is what runs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/units.h"
#include "ir/device_load.h"
#include "ir/signature.h"
#include "runtime/communicator.h"
#include "runtime/interpreter.h"

namespace helm::runtime {

struct OpSample {
  Duration duration;  // one call, results freed outside; on a GPU from the end of what ran before to the end of the op (events)
  Duration launch;    // GPU only: the host's time in the call
  Bytes workspace;    // allocated inside the call at its peak, beyond the results
};

// An op with its own random operands. Before each sample the operands that a program would just have produced are written again (warm in
// cache), the persistent ones are not. On a GPU work like that of a training step runs before, since the clock depends on the load
// (runtime/training_load.h).
class OpBench {
 public:
  // `rank` chooses among several GPUs; `load`: of the part of a step that the op belongs to (GPU).
  static Result<std::unique_ptr<OpBench>> Create(const ir::OpSignature& signature, ir::DeviceKind device, int64_t rank = 0,
                                                 const ir::DeviceLoad& load = {});
  virtual ~OpBench() = default;
  // What the caches and, on a GPU, the device's queue hold before the op in a step. On a CPU ranks may wait for each other after it.
  virtual Status Prepare() = 0;
  virtual Result<OpSample> Measure() = 0;  // once, after Prepare
  Result<OpSample> RunOnce() {
    HELM_RETURN_IF_ERROR(Prepare());
    return Measure();
  }
  // So many calls one after the other, from the return of `start_beside` to the end of the last. What that starts (collectives) runs
  // meanwhile, on a GPU on streams of its own, on a CPU on threads.
  virtual Result<Duration> RunBeside(int64_t calls, const std::function<void()>& start_beside) = 0;
  virtual Bytes operand_bytes() const = 0;
  virtual std::optional<double> ClockMegahertz() = 0;  // GPU: after the last sample
  // What one call launches on a GPU, by CUPTI; empty on a CPU.
  virtual Result<std::vector<KernelRun>> Kernels() = 0;
};

// A collective over the first `ranks` ranks of the world. Collective call.
class CollectiveBench {
 public:
  static Result<std::unique_ptr<CollectiveBench>> Create(const ir::CollectiveSignature& signature, World& world, ir::DeviceKind device);
  virtual ~CollectiveBench() = default;
  virtual Result<Duration> RunOnce() = 0;  // computes for a while, as in a step; then start to end of wait on this rank
  // For what runs beside. REQUIRES: this rank is of the first group.
  virtual void Align() = 0;               // what this rank starts next it starts when the others do
  virtual void Start(int64_t runs) = 0;   // one after the other; may throw
  virtual Result<Duration> Finish() = 0;  // from Start to the end of the last one
};

// The interpreter's own time per op beyond the ATen call, to start a collective, and to wait for one that has ended.
struct InterpreterCosts {
  Duration per_op;
  Duration per_collective;
  Duration per_wait;
};
Result<InterpreterCosts> MeasureInterpreter(ir::DeviceKind device);

}  // namespace helm::runtime
