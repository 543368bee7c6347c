// StepPrograms: what all ranks run in one training step: a program for each rank class.
//
// Not a schedule of ranks: which rank is of which class follows from its mesh coordinates. Classes are the stages of a pipeline: class c is
// the ranks whose coordinate of the mesh dimension `pipeline` is c; a step without pipeline stages has one. Where data-parallel ranks have
// different numbers of micro-batches, neighbours along `data` with as many are a share, and each share has the stages' classes: those of
// the first share, then those of the next.
// Invariants (VerifyStep): every program is valid by itself, all have the same mesh and groups; every send meets a recv of the same tag,
// dtype and shape, between each two classes in the same order, and none is left over; the shares of a stage run the same collectives in the
// same order in every group that brings them together.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/cancellation.h"
#include "core/status.h"
#include "ir/program.h"

namespace helm::ir {

struct StepPrograms {
  std::vector<Program> classes;
  std::vector<int64_t> share_ranks;  // coordinates along `data` of each share, in order; empty: there is one share

  const Program& OfRank(int64_t rank) const;
  const std::vector<MeshDimension>& mesh() const { return classes.front().mesh; }
};

// The index of the class of a rank. REQUIRES: 0 <= rank < WorldSize(step.mesh()).
size_t ClassOfRank(const StepPrograms& step, int64_t rank);

// The stage of a class: also that stage's class in the first share.
size_t StageOfClass(const StepPrograms& step, size_t rank_class);

// The ranks of a class: the first, and one past the last.
std::pair<int64_t, int64_t> RanksOfClass(const StepPrograms& step, size_t rank_class);
// The first rank of a class: the one that is simulated for all of them.
int64_t RepresentativeRank(const StepPrograms& step, size_t rank_class);

// The classes that a group of this class's program brings together, ascending; this one alone where its ranks differ in neither stage nor
// share.
std::vector<size_t> ClassesOfGroup(const StepPrograms& step, size_t rank_class, GroupId group);

// A timeline numbers the ops of all classes one after the other: the number of the first op of a class; of the class behind the last one,
// the number of all ops.
size_t FirstOpOfClass(const StepPrograms& step, size_t rank_class);

// The class at the other end of a point-to-point op: the same where its group is not over `pipeline`. REQUIRES: op is one.
size_t PeerClass(const StepPrograms& step, size_t rank_class, const Op& op);

// `cancellation` is asked before each check.
Status VerifyStep(const StepPrograms& step, const Cancellation& cancellation = {});

}  // namespace helm::ir
