#include "ir/program_text.h"

#include <gtest/gtest.h>

#include "support/sample_programs.h"

namespace helm::ir {
namespace {

std::string ErrorsOf(std::string_view text) {
  const Result<Program> program = ParseProgram(text, "p.txt");
  return program.ok() ? "no error" : program.status().message();
}

TEST(ProgramText, ReadsBackToTheSameText) {
  const Program program = test::ParseSample(test::kLinearProgram);
  EXPECT_EQ(ToText(program), test::kLinearProgram);
  EXPECT_EQ(Verify(program).message(), "");
}

TEST(ProgramText, FillsEveryField) {
  const Program program = test::ParseSample(test::kLinearProgram);
  EXPECT_EQ(program.name, "linear");
  EXPECT_EQ(program.mesh[2], (MeshDimension{"data", 2}));
  const Tensor& transposed = program.tensors[3];
  EXPECT_EQ(transposed.name, "w.t");
  EXPECT_EQ(transposed.strides, (Shape{1, 4}));
  EXPECT_EQ(transposed.storage, StorageId(0));
  EXPECT_EQ(transposed.producer, OpId(0));
  const Storage& own = program.storage(program.tensors[4].storage);
  EXPECT_EQ(own.name, "y");
  EXPECT_EQ(own.bytes, Bytes(5 * 6 * 4));
  EXPECT_EQ(own.role, StorageRole::kActivation);
  const Op& reduce = program.ops[8];
  EXPECT_EQ(reduce.kind, OpKind::kCollectiveStart);
  EXPECT_EQ(reduce.arguments[1], Argument(std::string("sum")));
  EXPECT_EQ(reduce.group, GroupId(1));
  EXPECT_EQ(reduce.phase, Phase::kWeightGradient);
  EXPECT_EQ(reduce.label, "gradients.bucket0");
  EXPECT_EQ(program.ops[10].arguments[2], Argument(-0.1));
  const ParameterPiece& piece = program.segments[0].pieces[0];
  EXPECT_EQ(piece.box_offset[1], (RankExpression{0, {{"tensor", 4}}}));
  EXPECT_EQ(piece.standard_deviation, 0.02);
}

// Ids need not follow the order of declarations: a bound tensor may be made after a result.
TEST(ProgramText, KeepsIdsInAnyOrder) {
  Program program = test::ParseSample(test::kLinearProgram);
  std::swap(program.tensors[2], program.tensors[4]);  // x and y
  for (auto& [name, tensor] : program.inputs) tensor = TensorId(4);
  for (Op& op : program.ops) {
    const auto swapped = [](TensorId id) { return id == TensorId(2) ? TensorId(4) : id == TensorId(4) ? TensorId(2) : id; };
    for (Argument& argument : op.arguments) {
      if (auto* tensor = std::get_if<TensorId>(&argument)) *tensor = swapped(*tensor);
    }
    for (TensorId& result : op.results) result = swapped(result);
  }
  const std::string text = ToText(program);
  EXPECT_NE(text.find("order tensors [0-1, 4, 3, 2, 5-"), std::string::npos) << text;
  const Program read = test::ParseSample(text);
  EXPECT_EQ(ToText(read), text);
  EXPECT_EQ(read.tensors[2].name, "y");
  EXPECT_EQ(read.inputs.at("x"), TensorId(4));
}

TEST(ProgramText, HashChangesWithAnyOp) {
  Program program = test::ParseSample(test::kLinearProgram);
  const std::string hash = ProgramHash(program);
  EXPECT_EQ(hash.size(), 16u);
  EXPECT_EQ(ProgramHash(program), hash);
  program.ops[10].arguments[2] = -0.2;
  EXPECT_NE(ProgramHash(program), hash);
}

TEST(ProgramText, ReportsEveryStatementThatIsWrong) {
  EXPECT_EQ(ErrorsOf(R"(helm-program/1
program p device=gpu
storage x: 16 byts input persistent
tensor %x: f32[4]
#0 %y: f32[4] = aten.add.Tensor(%x, %x {layer=0}
#1 %z: f32[4] = aten.neg(%y) {layr=0}
#2 %u: f32[4] = aten.neg(%y) {layer=0 layer=1}
output loss %z
)"),
            R"(p.txt:2:18: error: expected a device (cpu, cuda), found 'gpu'
    2 | program p device=gpu
      |                  ^
p.txt:3:15: error: expected 'bytes', found 'byts'
    3 | storage x: 16 byts input persistent
      |               ^
p.txt:4:18: error: expected '@' and the name of the storage that the tensor lies on, found the end of the line
    4 | tensor %x: f32[4]
      |                  ^
p.txt:5:40: error: expected ',' or ')', found '{'
    5 | #0 %y: f32[4] = aten.add.Tensor(%x, %x {layer=0}
      |                                        ^
p.txt:6:31: error: expected phase, layer, micro_batch, group, batch, action, tile, strand, stream, region, label or '}', found 'layr'
    6 | #1 %z: f32[4] = aten.neg(%y) {layr=0}
      |                               ^
p.txt:7:39: error: 'layer' is given twice
    7 | #2 %u: f32[4] = aten.neg(%y) {layer=0 layer=1}
      |                                       ^
p.txt:8:13: error: expected '=', found '%'
    8 | output loss %z
      |             ^)");
}

TEST(ProgramText, ReportsNamesThatAreDeclaredNowhereOrTwice) {
  EXPECT_EQ(ErrorsOf(R"(helm-program/1
program p device=cpu
storage x: 16 bytes input persistent
tensor %x: f32[4] @x
%y: f32[4] = aten.add.Tensor(%x, %wrong)
c10d.wait(#7) {group=data}
tensor %late: f32[4] @y2
)"),
            R"(p.txt:5:34: error: tensor %wrong is declared nowhere
    5 | %y: f32[4] = aten.add.Tensor(%x, %wrong)
      |                                  ^
p.txt:6:12: error: no op is numbered #7
    6 | c10d.wait(#7) {group=data}
      |            ^
p.txt:6:22: error: group data is declared nowhere
    6 | c10d.wait(#7) {group=data}
      |                      ^
p.txt:7:22: error: storage @y2 is declared nowhere
    7 | tensor %late: f32[4] @y2
      |                      ^)");
  EXPECT_EQ(ErrorsOf("helm-program/1\nprogram p device=cpu\n%y: f32[4] = aten.ones([4])\n%y: f32[4] = aten.ones([4])\n"),
            R"(p.txt:4:1: error: storage @y is declared twice
    4 | %y: f32[4] = aten.ones([4])
      | ^)");
}

TEST(ProgramText, RefusesAnotherVersionAndSizesBeyondArithmetic) {
  EXPECT_EQ(ErrorsOf("helm-program/2\n"), R"(p.txt:1:13: error: expected 'helm-program/1', the only version that this HELM reads, found '/'
    1 | helm-program/2
      |             ^)");
  EXPECT_EQ(ErrorsOf("helm-program/1\n%y: f32[1099511627776,1099511627776] = aten.ones([4])\n"),
            R"(p.txt:2:5: error: the tensor has more than 2^56 elements
    2 | %y: f32[1099511627776,1099511627776] = aten.ones([4])
      |     ^)");
}

}  // namespace
}  // namespace helm::ir
