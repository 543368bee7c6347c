#include "ir/region.h"

#include <gtest/gtest.h>

#include <string>

#include "ir/lifetime.h"
#include "ir/verify.h"
#include "support/program_from_text.h"

namespace helm::ir {
namespace {

using test::ProgramFromText;

// x + bias -> gelu, as one kernel; the sum is read by it alone. Then, in one kernel, halves of a matrix are changed in place.
constexpr const char* kProgram = R"(helm-program/1
program chain device=cuda
storage x: 256 bytes input persistent
storage bias: 16 bytes parameter persistent
tensor %x: bf16[16,8] @x
tensor %bias: bf16[8] @bias
#0 %y: bf16[16,8] = aten.neg(%x) {phase=forward}
#1 %sum: bf16[16,8] = aten.add.Tensor(%y, %bias) {phase=forward region=0}
#2 %act: bf16[16,8] = aten.gelu(%sum, "tanh") {phase=forward region=0}
#3 %twice: bf16[16,8] @act = aten.mul_.Scalar(%act, 2.0) {phase=forward region=1}
#4 %half: bf16[16,4]{8,1} @act = view aten.slice.Tensor(%twice, 1, 0, 4) {phase=forward region=1}
#5 %half.out: bf16[16,4]{8,1} @act = aten.neg_(%half) {phase=forward region=1}
#6 %all: bf16[16,8] @act = view aten.as_strided(%half.out, [16, 8], [8, 1], 0) {phase=forward}
#7 %end: bf16[16,8] = aten.neg(%all) {phase=forward}
output end = %end
)";

TEST(Regions, TheFirstComputeOpStandsForAll) {
  const Program program = ProgramFromText(kProgram);
  const Regions regions(program);
  std::string roles;
  for (size_t i = 0; i < program.ops.size(); ++i) roles += regions.IsLeader(i) ? 'L' : regions.IsFollower(i) ? 'f' : '.';
  EXPECT_EQ(roles, ".LfLff..");
}

// Region 0 reads y and the bias and writes the activation; the sum between them never reaches memory. Region 1 reads and writes the same
// matrix once, though its first half is touched twice.
TEST(Regions, CostWhatEntersAndLeaves) {
  const Program program = ProgramFromText(kProgram);
  const Regions regions(program);
  EXPECT_EQ(ToText(regions.SignatureOf(1)), "helm.region([bf16[16,8], @bf16[8]], [bf16[16,8]])");
  EXPECT_EQ(ToText(regions.SignatureOf(3)), "helm.region([bf16[16,8]], [bf16[16,8]])");
}

// A weight gradient that is added to an fp32 sum in the kernel of its product is that product; one that is read elsewhere too is not.
TEST(Regions, AProductThatAddsIsAProduct) {
  const auto signature = [](const char* end) {
    const Program program = ProgramFromText(std::string(R"(helm-program/1
program gradient device=cuda
storage x: 256 bytes input persistent
storage sum: 256 bytes gradient persistent
tensor %x: bf16[16,8] @x
tensor %sum: f32[8,8] @sum
#0 %t: bf16[8,16]{1,8} @x = view aten.t(%x) {phase=forward}
#1 %product: bf16[8,8] = aten.mm(%t, %x) {phase=weight_gradient region=0}
)") + end);
    return ToText(Regions(program).SignatureOf(1));
  };
  EXPECT_EQ(signature("#2 %sum.1: f32[8,8] @sum = aten.add_.Tensor(%sum, %product) {phase=weight_gradient region=0}\n"),
            "aten.addmm(@f32[8,8], bf16[8,16]{1,8}, bf16[16,8])");
  EXPECT_EQ(signature("#2 %half: bf16[8,8] = aten.mul.Scalar(%product, 0.5) {phase=weight_gradient region=0}\n"
                      "#3 %sum.1: f32[8,8] @sum = aten.add_.Tensor(%sum, %half) {phase=weight_gradient region=0}\n"),
            "helm.region([bf16[8,16]{1,8}, @f32[8,8]], [@f32[8,8]])");
}

TEST(Regions, AProductOfEightBitOperandsThatAddsIsAProduct) {
  const Program program = ProgramFromText(R"(helm-program/1
program gradient device=cuda
storage x: 128 bytes input persistent
storage y: 128 bytes input persistent
storage inverse: 4 bytes input persistent
storage sum: 256 bytes gradient persistent
tensor %x: f8e5m2[8,16] @x
tensor %y: f8e4m3[8,16] @y
tensor %inverse: f32[1] @inverse
tensor %sum: f32[8,8] @sum
#0 %t: f8e4m3[16,8]{1,16} @y = view aten.t(%y) {phase=weight_gradient region=0}
#1 %product: bf16[8,8] = aten._scaled_mm(%x, %t, %inverse, %inverse, none, none, bf16, false) {phase=weight_gradient region=0}
#2 %sum.1: f32[8,8] @sum = aten.add_.Tensor(%sum, %product) {phase=weight_gradient region=0}
)");
  EXPECT_EQ(ToText(Regions(program).SignatureOf(1)), "aten.addmm(@f32[8,8], f8e5m2[8,16], f8e4m3[16,8]{1,16})");
}

TEST(Regions, WhatOneRegionUsesAloneIsNeverAllocated) {
  const Program program = ProgramFromText(kProgram);
  const Lifetimes lifetimes = ComputeLifetimes(program);
  EXPECT_TRUE(lifetimes.allocated_by[1].empty());
  ASSERT_EQ(lifetimes.allocated_by[2].size(), 1u);  // the activation is used behind its region
  EXPECT_EQ(program.storage(lifetimes.allocated_by[2][0]).name, "act");
  EXPECT_EQ(lifetimes.freed_after[1].size(), 1u);  // y
}

TEST(Verify, ARegionIsOneRunOfComputeAndViewOps) {
  Program program = ProgramFromText(kProgram);
  program.ops[2].region = -1;
  program.ops[3].region = 0;
  EXPECT_NE(Verify(program).message().find("#3 aten.mul_.Scalar: is apart from the other ops of region 0"), std::string::npos)
      << Verify(program).message();
}

// Reentrant checkpointing makes again what nobody reads; elsewhere such an op is a mistake.
TEST(Verify, OnlyRecomputationMayComputeForNothing) {
  Program program = ProgramFromText(kProgram);
  program.outputs.clear();
  EXPECT_NE(Verify(program).message().find("is isolated"), std::string::npos);
  program.ops[7].phase = Phase::kRecompute;
  EXPECT_TRUE(Verify(program).ok()) << Verify(program).message();
}

}  // namespace
}  // namespace helm::ir
