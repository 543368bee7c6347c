// Each rule of Verify has a program that breaks it and nothing else.
#include "ir/verify.h"

#include <gtest/gtest.h>

#include "support/sample_programs.h"

namespace helm::ir {
namespace {

// What Verify says of a program with these statements after a head with a mesh (a=2, b=3), groups a and b, an input x and a weight w.
std::string ProblemsOf(std::string_view statements) {
  const std::string text = std::string(R"(helm-program/1
program p device=cpu
mesh a=2 b=3
group a = [a]
group b = [b]
storage x: 96 bytes input persistent
storage w: 96 bytes parameter persistent
tensor %x: f32[4,6] @x
tensor %w: f32[4,6] @w
)") + std::string(statements);
  const std::string message = Verify(test::ParseSample(text)).message();
  constexpr std::string_view kHead = "program 'p' is not valid:\n  ";
  return message.starts_with(kHead) ? message.substr(kHead.size()) : message;
}

TEST(Verify, AcceptsTheLinearProgram) { EXPECT_EQ(Verify(test::ParseSample(test::kLinearProgram)).message(), ""); }

TEST(Verify, ResultsAreProducedOnce) {
  EXPECT_EQ(ProblemsOf("%y: f32[4,6] = aten.neg(%x)\n%y = aten.abs(%x)\noutput y = %y\n"),
            "#1 aten.abs: produces %y, which #0 aten.neg produces\n"
            "  #1 aten.abs: its result %y lies on @y, which exists already, but no argument lies there");
}

TEST(Verify, ATensorWithoutProducerIsPersistent) {
  EXPECT_EQ(ProblemsOf("storage h: 96 bytes activation\ntensor %h: f32[4,6] @h\n%y: f32[4,6] = aten.neg(%h)\noutput y = %y\n"),
            "%h is produced by no op and @h is not persistent");
}

TEST(Verify, ProducersAreMarked) {
  EXPECT_EQ(ProblemsOf("tensor %h: f32[4,6] @x producer=#0\n#0 %y: f32[4,6] = aten.neg(%x)\noutput y = %y\n"),
            "%h is marked as produced by #0 aten.neg, but no op lists it as a result");
}

TEST(Verify, ArgumentsExistBeforeUse) {
  EXPECT_EQ(
      ProblemsOf("%y: f32[4,6] = aten.neg(%z) {layer=3 micro_batch=0 label=\"mlp.up\"}\n%z: f32[4,6] = aten.neg(%x)\noutput y = %y\n"),
      "#0 aten.neg 'mlp.up' layer 3 micro-batch 0: reads %z, which no earlier op produces");
}

TEST(Verify, ResultsOfCollectivesAreUsedAfterTheWait) {
  EXPECT_EQ(
      ProblemsOf(
          "#0 %y: f32[8,6] = c10d.all_gather(%x) {group=a}\n%z: f32[8,6] = aten.neg(%y)\n#2 c10d.wait(#0) {group=a}\noutput z = %z\n"),
      "#1 aten.neg: uses %y before a wait ends #0 c10d.all_gather");
  // A view of the result is a use too.
  EXPECT_EQ(ProblemsOf("#0 %y: f32[8,6] = c10d.all_gather(%x) {group=a}\n%z: f32[6,8]{1,6} @y = view aten.t(%y)\nc10d.wait(#0) "
                       "{group=a}\noutput z = %z\n")
                .find("#1 aten.t: uses %y before a wait ends #0 c10d.all_gather"),
            0u);
}

TEST(Verify, WhatACollectiveReducesOrReadsIsLeftAlone) {
  const std::string reduce = "%h: f32[4,6] = aten.neg(%x)\n#1 %h.1: f32[4,6] @h = c10d.all_reduce(%h, \"sum\") {group=a}\n";
  EXPECT_EQ(ProblemsOf(reduce + "%z: f32[4,6] = aten.neg(%h)\n#3 c10d.wait(#1) {group=a}\noutput z = %z\n"),
            "#2 aten.neg: uses %h before a wait ends #1 c10d.all_reduce");
  const std::string gather = "%h: f32[4,6] = aten.neg(%x)\n#1 %y: f32[8,6] = c10d.all_gather(%h) {group=a}\n";
  EXPECT_EQ(ProblemsOf(gather + "%h.1: f32[4,6] @h = aten.zero_(%h)\nc10d.wait(#1) {group=a}\noutput h = %h.1\noutput y = %y\n"),
            "#2 aten.zero_: overwrites %h.1 before a wait ends #1 c10d.all_gather");
  // Reading what is only read is allowed.
  EXPECT_EQ(ProblemsOf(gather + "%z: f32[4,6] = aten.neg(%h)\nc10d.wait(#1) {group=a}\noutput z = %z\noutput y = %y\n"), "");
}

TEST(Verify, OldVersionsAreNotRead) {
  EXPECT_EQ(
      ProblemsOf(
          "%h: f32[4,6] = aten.neg(%x)\n%h.1: f32[4,6] @h = aten.zero_(%h)\n%z: f32[4,6] = aten.add.Tensor(%h, %h.1)\noutput z = %z\n"),
      "#2 aten.add.Tensor: reads the old version %h, which #1 aten.zero_ overwrote");
  // A view taken before the write is old as well, since all of it was overwritten.
  EXPECT_EQ(
      ProblemsOf("%h: f32[4,6] = aten.neg(%x)\n%row: f32[6] @h+6 = view aten.select.int(%h, 0, 1)\n%h.1: f32[4,6] @h = aten.zero_(%h)\n"
                 "%z: f32[6] = aten.neg(%row)\noutput z = %z\n"),
      "#3 aten.neg: reads the old version %row, which #2 aten.zero_ overwrote");
  EXPECT_EQ(ProblemsOf("%w.1: f32[4,6] @w = aten.zero_(%w)\n%z: f32[4,6] = aten.neg(%w)\noutput z = %z\n"),
            "#1 aten.neg: reads the old version %w, which #0 aten.zero_ overwrote");
  EXPECT_EQ(ProblemsOf("%h: f32[4,6] = aten.neg(%x)\n%h.1: f32[4,6] @h = aten.zero_(%h)\noutput h = %h\n"),
            "output 'h' is the old version %h, which #1 aten.zero_ overwrote\n"
            "  #1 aten.zero_: is isolated: nothing reads its results and it writes nothing persistent");
}

// Parts of a flat storage are written one by one, the whole is then read; and the other way round.
TEST(Verify, ABoundTensorIsAWindowOnItsStorage) {
  constexpr std::string_view kWindows =
      "storage g: 48 bytes gradient persistent\ntensor %g: f32[12] @g\ntensor %g.a: f32[6] @g\ntensor %g.b: f32[6] @g+6\n";
  const std::string parts = std::string(kWindows) +
                            "%g.a.1: f32[6] @g = aten.zero_(%g.a)\n%g.b.1: f32[6] @g+6 = aten.zero_(%g.b)\n"
                            "#2 %g.1: f32[12] @g = c10d.all_reduce(%g, \"sum\") {group=a}\nc10d.wait(#2) {group=a}\n";
  EXPECT_EQ(ProblemsOf(parts + "output g = %g.1\n"), "");
  // Of this window there is a newer version, %g.a.1.
  EXPECT_EQ(ProblemsOf(parts + "%z: f32[6] = aten.neg(%g.a)\noutput z = %z\n"),
            "#4 aten.neg: reads the old version %g.a, which #0 aten.zero_ overwrote");
  EXPECT_EQ(
      ProblemsOf(std::string(kWindows) +
                 "%g.a.1: f32[6] @g = aten.zero_(%g.a)\n%g.1: f32[12] @g = aten.neg_(%g)\n%z: f32[6] = aten.neg(%g.b)\noutput z = %z\n"),
      "");
}

TEST(Verify, ViewsShareAStorageWithAnArgument) {
  EXPECT_EQ(ProblemsOf("%y: f32[6,4]{1,6} = view aten.t(%x)\noutput y = %y\n"),
            "#0 aten.t: is a view, but its result %y lies on @y, on which no argument lies");
}

TEST(Verify, InPlaceOpsMakeANewVersion) {
  EXPECT_EQ(ProblemsOf("%y: f32[4,6] = aten.add_.Tensor(%w, %x)\noutput y = %y\n"),
            "#0 aten.add_.Tensor: writes an argument in place, but no result is a new version on an argument's storage");
  EXPECT_EQ(ProblemsOf("%y: f32[4,6] = aten.mm.out(%w, %x, %x)\noutput y = %y\n"),
            "#0 aten.mm.out: writes an argument in place, but no result is a new version on an argument's storage");
  EXPECT_EQ(ProblemsOf("%y: f32[4,6] @w = aten.add.Tensor(%w, %x)\noutput y = %y\n"),
            "#0 aten.add.Tensor: is neither an in-place nor an out= op, but its result %y lies on the storage of an argument");
}

TEST(Verify, FreshResultsLieOnFreshStorages) {
  EXPECT_EQ(ProblemsOf("%y: f32[4,6] @w = aten.neg(%x)\noutput y = %y\n"),
            "#0 aten.neg: its result %y lies on @w, which exists already, but no argument lies there");
}

TEST(Verify, EveryStartIsWaitedFor) {
  EXPECT_EQ(ProblemsOf("%y: f32[8,6] = c10d.all_gather(%x) {group=a label=\"gather\"}\n"),
            "#0 c10d.all_gather 'gather': is never waited for");
}

TEST(Verify, AWaitNamesAStartOfItsGroup) {
  EXPECT_EQ(
      ProblemsOf("#0 %y: f32[8,6] = c10d.all_gather(%x) {group=a}\nc10d.wait(#0) {group=b}\nc10d.wait(#0) {group=a}\noutput y = %y\n"),
      "#1 c10d.wait: waits on another group than #0 c10d.all_gather was started on");
  EXPECT_EQ(
      ProblemsOf("c10d.wait(#1) {group=a}\n#1 %y: f32[8,6] = c10d.all_gather(%x) {group=a}\nc10d.wait(#1) {group=a}\noutput y = %y\n"),
      "#0 c10d.wait: waits for #1 c10d.all_gather, which is not a collective started before it");
  EXPECT_EQ(ProblemsOf("c10d.wait() {group=a}\n"), "#0 c10d.wait: a wait needs one argument, the start that it ends");
}

TEST(Verify, CollectivesFitTheirGroup) {
  EXPECT_EQ(ProblemsOf("#0 %y: f32[8,6] = c10d.all_gather(%x)\n#1 c10d.wait(#0) {group=a}\noutput y = %y\n"),
            "#0 c10d.all_gather: is a collective without a group\n"
            "  #1 c10d.wait: waits on another group than #0 c10d.all_gather was started on");
  EXPECT_EQ(ProblemsOf("#0 %y: f32[8,6] = c10d.all_gather(%x) {group=b}\nc10d.wait(#0) {group=b}\noutput y = %y\n"),
            "#0 c10d.all_gather: in a group of 3, takes f32[4,6] to f32[8,6]");
  EXPECT_EQ(ProblemsOf("#0 %y: f32[1,6] = c10d.reduce_scatter(%x, \"sum\") {group=b}\nc10d.wait(#0) {group=b}\noutput y = %y\n"),
            "#0 c10d.reduce_scatter: in a group of 3, takes f32[4,6] to f32[1,6]");
  EXPECT_EQ(ProblemsOf("#0 %y: f32[4,6] = c10d.all_reduce(%x, \"mean\") {group=a}\nc10d.wait(#0) {group=a}\noutput y = %y\n"),
            "#0 c10d.all_reduce: needs a reduction as second argument: \"sum\" or \"max\"\n"
            "  #0 c10d.all_reduce: needs one tensor and, as result, the new version of the same bytes");
  EXPECT_EQ(ProblemsOf("#0 %y: f32[4,6] = c10d.shuffle(%x) {group=a}\nc10d.wait(#0) {group=a}\noutput y = %y\n"),
            "#0 c10d.shuffle: is no collective; known are c10d.all_reduce, c10d.all_gather, c10d.reduce_scatter, c10d.all_to_all, "
            "c10d.broadcast, c10d.send, c10d.recv");
}

TEST(Verify, GroupsNameMeshDimensions) {
  EXPECT_EQ(ProblemsOf("group c = [a, z, a]\n"),
            "group 'c': 'z' is no dimension of the mesh (a, b)\n  group 'c' names dimension 'a' twice");
}

TEST(Verify, RankExpressionsNameMeshDimensions) {
  EXPECT_EQ(ProblemsOf("%y: f32[4,6] = aten.sub.Scalar(%x, rank(0+8*z))\noutput y = %y\n"),
            "#0 aten.sub.Scalar: 'z' is no dimension of the mesh (a, b)");
}

TEST(Verify, NoOpIsIsolated) {
  EXPECT_EQ(ProblemsOf("%y: f32[4,6] = aten.neg(%x)\n%z: f32[4,6] = aten.abs(%x) {layer=1}\noutput y = %y\n"),
            "#1 aten.abs layer 1: is isolated: nothing reads its results and it writes nothing persistent");
}

TEST(Verify, StoragesHoldTheirTensors) {
  EXPECT_EQ(ProblemsOf("tensor %big: f32[4,6] @x+1\n%y: f32[4,6] = aten.neg(%big)\noutput y = %y\n"),
            "%big ends at byte 100 of @x, which has 96 bytes");
}

TEST(Verify, InputsAreBoundToPersistentStorages) {
  EXPECT_EQ(ProblemsOf("%y: f32[4,6] = aten.neg(%x)\ninput y = %y\noutput y = %y\n"),
            "input 'y': %y is produced by an op\n  input 'y': %y is not persistent");
}

TEST(Verify, PiecesFitTheirSegmentAndDoNotOverlap) {
  EXPECT_EQ(ProblemsOf(R"(storage half: 40 bytes optimizer_state persistent
segment all elements=24 parameter=@w gradient=@w master=@w moment_first=@w moment_second=@half
  piece first offset=0 global_shape=[3,4] box_offset=[0, 0] box_shape=[3,4]
  piece second offset=10 global_shape=[14] box_offset=[0+7*q] box_shape=[14]
  piece third offset=24 global_shape=[2,1] box_offset=[0] box_shape=[1]
)"),
            "segment 'all': moment_second storage @half has 40 bytes, needs 48\n"
            "  segment 'all', piece 'second': 'q' is no dimension of the mesh (a, b)\n"
            "  segment 'all', piece 'third': 2 dimensions, but a box of 1 sizes at 1 offsets\n"
            "  segment 'all', piece 'third': elements 24 to 25 of a segment of 24\n"
            "  segment 'all': pieces 'first' and 'second' overlap");
}

TEST(Verify, NamesAreUnique) {
  Program program = test::ParseSample(test::kLinearProgram);
  program.tensors[1].name = "w";
  program.storages[2].name = "";
  EXPECT_EQ(Verify(program).message(), "program 'linear' is not valid:\n  two tensors are named 'w'\n  a storage has no name");
}

TEST(Verify, IdsOutOfRangeAreReportedFirst) {
  Program program = test::ParseSample(test::kLinearProgram);
  program.ops[1].arguments[0] = TensorId(99);
  program.ops[3].arguments[0] = OpId(50);
  program.tensors[0].storage = StorageId();
  EXPECT_EQ(Verify(program).message(),
            "program 'linear' is not valid:\n  %w names storage -1, of 8\n  #1 aten.mm 'linear' layer 0 micro-batch 0: argument names "
            "tensor 99, of 12\n"
            "  #3 c10d.wait layer 0 micro-batch 0: names op 50, of 11");
}

}  // namespace
}  // namespace helm::ir
