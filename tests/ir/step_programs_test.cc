#include "ir/step_programs.h"

#include <gtest/gtest.h>

#include "ir/lifetime.h"
#include "ir/program_text.h"

namespace helm::ir {
namespace {

// Two stages: the first sends two tensors, the second receives them.
std::string Text(const std::string& first_tag = "1", const std::string& shape = "4") {
  const std::string head =
      "mesh tensor=2 pipeline=2\ngroup pipeline = [pipeline]\nstorage x: 16 bytes input persistent\ntensor %x: f32[4] @x\n";
  return "helm-program/1\nprogram a device=cpu\n" + head + "#0 c10d.send(%x, 1, " + first_tag +
         ") {group=pipeline}\n#1 c10d.send(%x, 1, 2) {group=pipeline}\n"
         "#2 c10d.wait(#1) {group=pipeline}\n"
         "helm-program/1\nprogram b device=cpu\n" +
         head + "#0 %y: f32[" + shape +
         "] = c10d.recv(-1, 1) {group=pipeline}\n#1 %z: f32[4] = c10d.recv(-1, 2) {group=pipeline}\n"
         "#2 c10d.wait(#1) {group=pipeline}\noutput y = %y\noutput z = %z\n";
}

StepPrograms Parse(const std::string& text) {
  auto step = ParseStepPrograms(text, "step.txt");
  EXPECT_TRUE(step.ok()) << step.status().message();
  return step.ok() ? *step : StepPrograms{};
}

// rank = tensor + 2 x pipeline: ranks 0 and 1 are stage 0.
TEST(StepPrograms, ClassesAreTheStages) {
  const StepPrograms step = Parse(Text());
  ASSERT_EQ(VerifyStep(step).message(), "");
  EXPECT_EQ(ClassOfRank(step, 1), 0U);
  EXPECT_EQ(ClassOfRank(step, 2), 1U);
  EXPECT_EQ(RepresentativeRank(step, 1), 2);
  EXPECT_EQ(step.OfRank(3).name, "b");
  EXPECT_EQ(FirstOpOfClass(step, 1), 3U);
  EXPECT_EQ(FirstOpOfClass(step, 2), 6U);
  EXPECT_EQ(PeerClass(step, 1, step.classes[1].ops[0]), 0U);
}

TEST(StepPrograms, TextRoundTripsAndErrorsNameTheLineOfTheFile) {
  const StepPrograms step = Parse(Text());
  EXPECT_EQ(ToText(Parse(ToText(step))), ToText(step));
  const auto broken = ParseStepPrograms(Text() + "ouput w = %y\n", "step.txt");
  ASSERT_FALSE(broken.ok());
  EXPECT_TRUE(broken.status().message().starts_with("step.txt:21:")) << broken.status().message();
}

// Two stages of three data-parallel ranks, of which the first two have two micro-batches and the last has one: rank = data + 3 x pipeline.
// Each sends or receives a message for every micro-batch, then all three reduce.
StepPrograms Shares(const std::string& group_of_last = "data") {
  const std::string head =
      "mesh data=3 pipeline=2\ngroup pipeline = [pipeline]\ngroup data = [data]\ngroup all = [data, pipeline]\n"
      "storage x: 16 bytes input persistent\ntensor %x: f32[4] @x\n";
  const auto program = [&](const std::string& name, bool sends, int micro_batches, const std::string& group) {
    std::string text = "helm-program/1\nprogram " + name + " device=cpu\n" + head, outputs;
    int op = 0;
    for (int i = 0; i < micro_batches; ++i, op += 2) {
      const std::string result = "%y" + std::to_string(i);
      text += "#" + std::to_string(op) + (sends ? " c10d.send(%x, 1, " : " " + result + ": f32[4] = c10d.recv(-1, ") + std::to_string(i) +
              ") {group=pipeline}\n#" + std::to_string(op + 1) + " c10d.wait(#" + std::to_string(op) + ") {group=pipeline}\n";
      if (!sends) outputs += "output y" + std::to_string(i) + " = " + result + "\n";
    }
    text += "#" + std::to_string(op) + " %z: f32[4] @x = c10d.all_reduce(%x, \"sum\") {group=" + group + "}\n#" + std::to_string(op + 1) +
            " c10d.wait(#" + std::to_string(op) + ") {group=" + group + "}\n";
    return text + outputs + "output z = %z\n";
  };
  return Parse("shares 2 1\n" + program("a", true, 2, "data") + program("b", false, 2, "data") + program("c", true, 1, "data") +
               program("d", false, 1, group_of_last));
}

TEST(StepPrograms, SharesOfTheBatchHaveTheStagesClassesEach) {
  const StepPrograms step = Shares();
  ASSERT_EQ(VerifyStep(step).message(), "");
  std::vector<size_t> classes;
  for (int64_t rank = 0; rank < 6; ++rank) classes.push_back(ClassOfRank(step, rank));
  EXPECT_EQ(classes, (std::vector<size_t>{0, 0, 2, 1, 1, 3}));
  EXPECT_EQ(RanksOfClass(step, 0), (std::pair<int64_t, int64_t>(0, 2)));
  EXPECT_EQ(RanksOfClass(step, 3), (std::pair<int64_t, int64_t>(5, 6)));
  EXPECT_EQ(StageOfClass(step, 3), 1U);
  EXPECT_EQ(PeerClass(step, 3, step.classes[3].ops[0]), 2U);                            // the first stage of the same share
  EXPECT_EQ(ClassesOfGroup(step, 3, GroupId(size_t{0})), (std::vector<size_t>{2, 3}));  // along the pipeline
  EXPECT_EQ(ClassesOfGroup(step, 3, GroupId(size_t{1})), (std::vector<size_t>{1, 3}));  // among the data-parallel ranks
  EXPECT_EQ(ClassesOfGroup(step, 3, GroupId(size_t{2})), (std::vector<size_t>{0, 1, 2, 3}));
  EXPECT_EQ(ToText(Parse(ToText(step))), ToText(step));
  EXPECT_EQ(Parse(ToText(step)).share_ranks, (std::vector<int64_t>{2, 1}));
}

TEST(StepPrograms, SharesThatDoNotMeetAreRefused) {
  StepPrograms other_mesh = Shares();
  other_mesh.share_ranks = {1, 1};
  EXPECT_NE(VerifyStep(other_mesh).message().find("shares of 1, 1 data-parallel ranks on a mesh with 3"), std::string::npos);
  StepPrograms alone = Shares();
  alone.classes[2] = alone.classes[3];  // both stages of the last share receive: nobody sends
  EXPECT_FALSE(VerifyStep(alone).ok());
  EXPECT_NE(
      VerifyStep(Shares("all")).message().find("the shares of a stage run different collectives: class 1, #4 c10d.all_reduce, class 3"),
      std::string::npos);
  for (const char* line : {"shares 2 x\n", "shares 0 3\n", "shares2 1\n"}) {
    const auto refused = ParseStepPrograms(line + Text(), "step.txt");
    EXPECT_TRUE(!refused.ok() && refused.status().message().starts_with("step.txt:1:")) << line;
  }
}

TEST(StepPrograms, EveryMessageIsSentAndReceivedAlike) {
  EXPECT_NE(VerifyStep(Parse(Text("7"))).message().find("class 0, #0 c10d.send with tag 7"), std::string::npos);
  EXPECT_NE(VerifyStep(Parse(Text("1", "3"))).message().find("received as class 1, #0 c10d.recv with tag 1 and f32[3]"), std::string::npos);
  StepPrograms unmatched = Parse(Text());
  unmatched.classes[1].ops.resize(0);
  unmatched.classes[1].outputs.clear();
  unmatched.classes[1].tensors.resize(1);
  unmatched.classes[1].storages.resize(1);
  EXPECT_NE(VerifyStep(unmatched).message().find("is received by nobody"), std::string::npos);
}

// A wait for a message ends the earlier ones to the same peer, but not those from it, nor the group's collectives.
TEST(StepPrograms, AWaitForAMessageEndsItsChannel) {
  const Program program =
      Parse(
          "helm-program/1\nprogram a device=cpu\nmesh pipeline=3\ngroup g = [pipeline]\nstorage x: 16 bytes input persistent\n"
          "tensor %x: f32[4] @x\n"
          "#0 %s = c10d.all_reduce(%x, \"sum\") {group=g}\n#1 c10d.send(%x, 1, 1) {group=g}\n#2 %y: f32[4] = c10d.recv(1, 2) {group=g}\n"
          "#3 c10d.send(%x, -1, 3) {group=g}\n#4 c10d.send(%x, 1, 4) {group=g}\n#5 c10d.wait(#4) {group=g}\n"
          "tensor %s: f32[4] @x\n")
          .classes[0];
  EXPECT_EQ(EndedBy(program)[5], (std::vector<OpId>{OpId(1), OpId(4)}));
}

}  // namespace
}  // namespace helm::ir
