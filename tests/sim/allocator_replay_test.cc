#include "sim/allocator_replay.h"

#include <gtest/gtest.h>

#include <string>

#include "support/program_from_text.h"

namespace helm::sim {
namespace {

// Weight and state of 12 MiB, an activation of 16 MiB, an update of 12 MiB (in place into the state).
constexpr std::string_view kTraining = R"(helm-program/1
program training device=cuda
storage w: 12582912 bytes parameter persistent
storage s: 12582912 bytes optimizer_state persistent
tensor %w: u8[12582912] @w
tensor %s: u8[12582912] @s
#0 %a: u8[16777216] = aten.relu(%w) {phase=forward}
#1 %g: u8[12582912] = aten.neg(%a) {phase=forward}
#2 %d: u8[12582912] = aten.add(%g, %s) {phase=optimizer}
output d = %d
)";

std::vector<AllocatorUsage> Replayed(const AllocatorReplayOptions& options, int64_t workspace = 0) {
  const ir::Program program = test::ProgramFromText(kTraining);
  TaskCosts costs;
  costs.ops.resize(program.ops.size());
  costs.ops[1].workspace = Bytes(workspace);
  const auto usage = ReplayAllocator(program, costs, options);
  HELM_CHECK(usage.ok(), usage.status().message().c_str());
  return *usage;
}

int64_t Mebibytes(Bytes bytes) { return bytes.count() >> 20; }

// MiB, all in segments of their own. Step 0: w 12, a 16, g 12: 40 in use; a goes. #2 needs the state: 12 from the free 16, rest 4 (split
// off), then d 12 needs a new segment: reserved 52, in use w s g d = 48. At the end w and s stay: 24.
// Step 1: a 16 has the free segments 12 (g), 12 (d) and the 4 behind s: none fits, so a new one of 16: reserved 68. g takes a 12: in use
// 12 + 12 + 16 + 12 = 52. d takes the other 12 when a has gone: 48. Step 2 finds all it needs.
TEST(AllocatorReplay, LazyOptimizerStateTakesTheFirstStepsActivations) {
  const auto usage = Replayed({.allocator = {}, .steps = 3});
  ASSERT_EQ(usage.size(), 3u);
  EXPECT_EQ(Mebibytes(usage[0].reserved), 52);
  EXPECT_EQ(Mebibytes(usage[0].allocated_peak), 48);
  EXPECT_EQ(Mebibytes(usage[0].allocated), 24);
  EXPECT_EQ(Mebibytes(usage[1].reserved), 68);
  EXPECT_EQ(Mebibytes(usage[1].allocated_peak), 52);
  EXPECT_EQ(usage[2], usage[1]);
}

// With the state there from the start: w 12, s 12, a 16, g 12; a's 16 serve d (12, rest 4 split off): 52 reserved, as in every later step.
TEST(AllocatorReplay, EagerOptimizerStateLeavesNoHoles) {
  const auto usage = Replayed({.allocator = {}, .steps = 2, .lazy_optimizer_state = false});
  EXPECT_EQ(Mebibytes(usage[0].reserved), 52);
  EXPECT_EQ(Mebibytes(usage[1].reserved), 52);
  EXPECT_EQ(Mebibytes(usage[1].allocated_peak), 52);
}

// 20 MiB inside op 1, beside w 12, s 12, a 16, g 12.
TEST(AllocatorReplay, WorkspaceIsTakenAndFreed) {
  const auto usage = Replayed({.allocator = {}, .steps = 1, .lazy_optimizer_state = false}, 20 << 20);
  EXPECT_EQ(Mebibytes(usage[0].allocated_peak), 72);
  EXPECT_EQ(Mebibytes(usage[0].reserved), 72);
}

// 39 MiB hold w 12 and a 16, not g.
TEST(AllocatorReplay, SaysWhereTheDeviceIsFull) {
  const ir::Program program = test::ProgramFromText(kTraining);
  TaskCosts costs;
  costs.ops.resize(program.ops.size());
  const auto usage = ReplayAllocator(program, costs, {.allocator = {.capacity = Bytes(39 << 20)}, .steps = 2});
  EXPECT_EQ(usage.status().message(),
            "step 0, op #1, storage 'g': out of memory: 12582912 bytes asked for, 29360128 allocated, 29360128 reserved of 40894464");
}

}  // namespace
}  // namespace helm::sim
