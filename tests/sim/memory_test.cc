#include "sim/memory.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "support/program_from_text.h"

namespace helm::sim {
namespace {

using test::ProgramFromText;

TaskCosts CostsWith(const ir::Program& program, const std::map<size_t, int64_t>& workspace_by_op) {
  TaskCosts costs;
  costs.ops.resize(program.ops.size());
  for (const auto& [op, bytes] : workspace_by_op) costs.ops[op].workspace = Bytes(bytes);
  return costs;
}

MemoryProfile Track(const ir::Program& program, const std::map<size_t, int64_t>& workspace_by_op = {}) {
  auto profile = TrackMemory(program, CostsWith(program, workspace_by_op), true);
  HELM_CHECK(profile.ok(), profile.status().message().c_str());
  return std::move(profile).value();
}

std::string Described(const ir::Program& program, const MemoryPeak& peak) {
  std::string text = fmt::format("{} at #{}, workspace {}, by role {}, live", peak.bytes.count(), peak.op.value, peak.workspace.count(),
                                 fmt::join(peak.by_role, " "));
  for (const ir::StorageId storage : peak.live_largest) text += " " + program.storage(storage).name;
  return text;
}

std::vector<int64_t> Totals(const MemoryProfile& profile) {
  std::vector<int64_t> totals;
  for (const BytesByRole& live : profile.live_at_op) {
    int64_t sum = 0;
    for (const int64_t bytes : live) sum += bytes;
    totals.push_back(sum);
  }
  return totals;
}

std::string Chain(const std::string& device) {
  return "helm-program/1\nprogram chain device=" + device + R"(
storage w: 1 bytes parameter persistent
tensor %w: u8[1] @w
#0 %a: u8[10] = aten.relu(%w) {phase=forward}
#1 %b: u8[100] = aten.neg(%a) {phase=forward}
#2 %c: u8[1000] = aten.abs(%b) {phase=forward}
#3 %d: u8[10] = aten.sin(%c) {phase=forward}
output d = %d
)";
}

// w (1) is resident. Live with an op's results, before what it used last is freed:
//   #0 w a        1 + 10
//   #1 w a b      1 + 10 + 100
//   #2 w b c      1 + 100 + 1000       a went after #1
//   #3 w c d      1 + 1000 + 10        d is an output and stays
TEST(Memory, StoragesLiveFromProducerToLastUse) {
  const ir::Program program = ProgramFromText(Chain("cpu"));
  const MemoryProfile profile = Track(program);
  EXPECT_EQ(Totals(profile), (std::vector<int64_t>{11, 111, 1101, 1011}));
  // Roles: parameter, gradient, optimizer state, activation, input, communication buffer.
  EXPECT_EQ(Described(program, profile.peak), "1101 at #2, workspace 0, by role 1 0 0 1100 0 0, live c b w");
}

// A workspace of 2000 inside op 1 moves the peak there: 111 + 2000.
TEST(Memory, WorkspaceCountsWhileItsOpRuns) {
  const ir::Program program = ProgramFromText(Chain("cpu"));
  const MemoryProfile profile = Track(program, {{1, 2000}});
  EXPECT_EQ(Totals(profile), (std::vector<int64_t>{11, 2111, 1101, 1011}));
  EXPECT_EQ(Described(program, profile.peak), "2111 at #1, workspace 2000, by role 1 0 0 110 0 0, live b a w");
}

// Blocks of 512: w 512, a 512, b 512, c 1024, d 512. #1: 3 x 512; #2: 512 + 512 + 1024 = 2048; #3: 512 + 1024 + 512 = 2048, later than #2.
TEST(Memory, GpuAllocatorRoundsUpToBlocks) {
  const ir::Program program = ProgramFromText(Chain("cuda"));
  const MemoryProfile profile = Track(program);
  EXPECT_EQ(Totals(profile), (std::vector<int64_t>{1024, 1536, 2048, 2048}));
  EXPECT_EQ(Described(program, profile.peak), "2048 at #2, workspace 0, by role 512 0 0 1536 0 0, live c w b");
}

constexpr std::string_view kCollective = R"(helm-program/1
program gather device=cpu
mesh tensor=2
group tensor = [tensor]
storage x: 10 bytes input persistent
tensor %x: u8[10] @x
input x = %x
#0 %a: u8[100] = aten.relu(%x) {phase=forward}
#1 %b: u8[200] = c10d.all_gather(%a) {phase=forward group=tensor}
#2 %c: u8[1000] = aten.neg(%x) {phase=forward}
#3 c10d.wait(#1) {phase=forward group=tensor}
#4 %d: u8[1] = aten.add(%b, %c) {phase=forward}
output d = %d
)";

// a is read by the collective, so it lives until the wait, although no later op names it:
//   #0 x a 110   #1 x a b 310   #2 x a b c 1310   #3 x a b c 1310   #4 x b c d 1211
TEST(Memory, CollectiveHoldsItsOperandsUntilTheWait) {
  const ir::Program program = ProgramFromText(kCollective);
  const MemoryProfile profile = Track(program);
  EXPECT_EQ(Totals(profile), (std::vector<int64_t>{110, 310, 1310, 1310, 1211}));
  EXPECT_EQ(Described(program, profile.peak), "1310 at #2, workspace 0, by role 0 0 0 1100 10 200, live c b a x");
}

TEST(Memory, PeakOfAProgramWithoutOpsIsWhatIsResident) {
  const ir::Program program = ProgramFromText("helm-program/1\nprogram empty device=cpu\nstorage w: 7 bytes parameter persistent\n");
  EXPECT_EQ(Described(program, Track(program).peak), "7 at #-1, workspace 0, by role 7 0 0 0 0 0, live w");
}

}  // namespace
}  // namespace helm::sim
