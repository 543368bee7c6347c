// Comparison: collects the errors of a split run against an unsplit one, rank by rank, into a VerifyResult (exec/verify.h has the
// definition).
//
// Plain arithmetic; knows nothing of processes. Usage: AddLosses once, AddState (or AddUpdates) for every rank and kind,
// then Finish.
#pragma once

#include <map>
#include <span>
#include <string>

#include "exec/parameter_state.h"
#include "exec/verify.h"
#include "ir/program.h"

namespace helm::exec {

class Comparison {
 public:
  // `first_step`: the number of the first one that was run.
  Comparison(const VerifyBounds& bounds, int64_t steps, int64_t first_step = 0) : bounds_(bounds), steps_(steps), first_step_(first_step) {}

  void AddLosses(std::span<const double> losses, std::span<const double> reference);
  // One rank's share of the gradients or parameters. REQUIRES: `reference` holds every parameter of the program.
  void AddState(VerifyKind kind, const ir::Program& program, int64_t rank, const RankState& state, const UnsplitState& reference);
  // One rank's share of the parameters, in units of `largest_update`: learning rate x steps.
  void AddUpdates(const ir::Program& program, int64_t rank, const RankState& state, const UnsplitState& reference, double largest_update);

  VerifyResult Finish() const;

 private:
  void Add(VerifyKind kind, const std::string& tensor, int64_t rank, double error);

  VerifyBounds bounds_;
  int64_t steps_;
  int64_t first_step_;
  std::map<std::pair<VerifyKind, std::string>, VerifyError> worst_of_;  // by tensor
};

}  // namespace helm::exec
