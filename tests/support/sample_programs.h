// Small hand-written programs in text form, for tests of every module that reads programs.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "ir/program_text.h"
#include "ir/verify.h"

namespace helm::test {

// REQUIRES: the text is a program. Does not verify it, so that broken programs can be tested.
inline ir::Program ParseSample(std::string_view text) {
  Result<ir::Program> program = ir::ParseProgram(text, "sample");
  EXPECT_TRUE(program.ok()) << program.status().message();
  return program.ok() ? std::move(program).value() : ir::Program();
}

// One linear layer on two ranks that split its inner dimension: forward all_reduce, loss = sum, weight gradient, gradient all_reduce,
// an update. Every feature of the text form occurs: views, in-place and out= ops, collectives, waits, segments, rank expressions.
inline constexpr std::string_view kLinearProgram = R"(helm-program/1
program linear device=cpu
mesh tensor=2 context=1 data=2 pipeline=1
group tensor = [tensor]
group data = [data]
storage w: 96 bytes parameter persistent
storage gradient: 96 bytes gradient persistent
storage moment_first: 96 bytes optimizer_state persistent
storage moment_second: 96 bytes optimizer_state persistent
storage x: 80 bytes input persistent
segment all elements=24 weight_decay=true tensor_replicated=false parameter=@w gradient=@gradient gradient_offset=0 master=@w moment_first=@moment_first moment_second=@moment_second
  piece linear.weight offset=0 global_shape=[6,8] box_offset=[0, 0+4*tensor] box_shape=[6,4] transposed=false initialization=normal standard_deviation=0.02
tensor %w: f32[6,4] @w
tensor %gradient: f32[6,4] @gradient
tensor %x: f32[5,4] @x
input x = %x
#0 %w.t: f32[4,6]{1,4} @w = view aten.t(%w) {phase=forward layer=0 micro_batch=0}
#1 %y: f32[5,6] = aten.mm(%x, %w.t) {phase=forward layer=0 micro_batch=0 label="linear"}
#2 %y.sum: f32[5,6] @y = c10d.all_reduce(%y, "sum") {phase=forward layer=0 micro_batch=0 group=tensor}
#3 c10d.wait(#2) {phase=forward layer=0 micro_batch=0 group=tensor}
#4 %loss: f32[] = aten.sum(%y.sum, none) {phase=forward micro_batch=0 label="loss"}
#5 %dy: f32[5,6] = aten.full([5, 6], 1.0, f32) {phase=input_gradient layer=0 micro_batch=0}
#6 %dy.t: f32[6,5]{1,6} @dy = view aten.t(%dy) {phase=weight_gradient layer=0 micro_batch=0}
#7 %gradient.1: f32[6,4] @gradient = aten.mm.out(%dy.t, %x, %gradient) {phase=weight_gradient layer=0 micro_batch=0 label="linear"}
#8 %gradient.2: f32[6,4] @gradient = c10d.all_reduce(%gradient.1, "sum") {phase=weight_gradient group=data label="gradients.bucket0"}
#9 c10d.wait(#8) {phase=optimizer group=data}
#10 %w.1: f32[6,4] @w = aten.add_.Tensor(%w, %gradient.2, -0.1) {phase=optimizer}
output loss = %loss
)";

}  // namespace helm::test
