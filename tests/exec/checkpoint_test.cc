// A training that is resumed on the same ranks goes on bit for bit; what is damaged or belongs to another training is refused by name.
#include <fstream>

#include <gmock/gmock.h>

#include "checkpoint_fixture.h"
#include "core/file.h"
#include "exec/checkpoint_reader.h"
#include "exec/resume.h"
#include "exec/shard_layout.h"
#include "formats/safetensors.h"
#include "schedule/materialise.h"

namespace helm::exec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

PlanSettings PipelineOfTwo(PlanSettings settings) {
  settings.strategy.pipeline = 2;
  settings.strategy.schedule = "1f1b";
  return settings;
}

// Four steps without a break, and two that end with a checkpoint, and two from there.
class ResumeTest : public CheckpointTest {
 protected:
  void ExpectBitForBit(const ir::Plan& plan) {
    const auto whole = Run(plan, 0, 4);
    ASSERT_TRUE(whole.ok()) << whole.status().message();
    const auto before = Run(plan, 0, 2, {.folder = folder()});
    ASSERT_TRUE(before.ok()) << before.status().message();
    const auto after = Run(plan, 2, 4, {.resume = CheckpointPath(folder(), 2)});
    ASSERT_TRUE(after.ok()) << after.status().message();
    EXPECT_EQ(before->record.losses, std::vector(whole->record.losses.begin(), whole->record.losses.begin() + 2));
    EXPECT_EQ(after->record.losses, std::vector(whole->record.losses.begin() + 2, whole->record.losses.end()));
    for (int64_t rank = 0; rank < plan.strategy.world_size(); ++rank) {
      const auto state = [&](const CheckpointRun& run) { return ReadFile(StatePath(run.job, VerifyKind::kParameter, rank)).value(); };
      EXPECT_EQ(state(*after), state(*whole)) << "rank " << rank;
    }
  }
};

TEST_F(ResumeTest, DataParallel) { ExpectBitForBit(PlanOf(LlamaModel(), {.strategy = {.data = 2, .micro_batch = 1}})); }

TEST_F(ResumeTest, TensorAndPipeline) {
  ExpectBitForBit(PlanOf(Gpt2Model(), PipelineOfTwo({.strategy = {.tensor = 2, .micro_batch = 2}})));
}

// bf16 parameters beside sharded fp32 masters.
TEST_F(ResumeTest, ShardedOptimizerInBf16) {
  ExpectBitForBit(
      PlanOf(Qwen2Model(), {.strategy = {.data = 3, .zero = 1, .micro_batch = 1}, .dtype = ir::DataType::kBFloat16, .global_batch = 6}));
}

TEST_F(ResumeTest, ShardedParameters) { ExpectBitForBit(PlanOf(PaddedModel(), {.strategy = {.data = 4, .zero = 3, .micro_batch = 1}})); }

// What is frozen is written, and nothing of an optimizer with it: two moments of A and B of 7 linear layers in each of 2 layers.
TEST_F(ResumeTest, AdaptersBesideFrozenParameters) {
  ExpectBitForBit(
      PlanOf(Adapted(LlamaModel()), {.strategy = {.data = 2, .tensor = 2, .zero = 1, .micro_batch = 1}, .dtype = ir::DataType::kBFloat16}));
  const auto reader = CheckpointReader::Open(CheckpointPath(folder(), 2));
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  std::map<bool, int> moments;  // by whether they are an adapter's
  for (const auto& [name, tensor] : reader->index().tensors) {
    if (name.find(".moment_") != std::string::npos) ++moments[name.find(".lora_") != std::string::npos];
  }
  EXPECT_THAT(moments, ElementsAre(std::pair(true, 2 * 2 * 7 * 2)));
  EXPECT_EQ(reader->index().tensors.count("model.embed_tokens.weight"), 1U);
}

// Scales of the step before, which belong to a rank: on other ranks they are refused.
TEST_F(ResumeTest, Fp8WithDelayedScales) {
  ir::Plan plan = PlanOf(LlamaModel(), {.strategy = {.data = 2, .micro_batch = 1}, .dtype = ir::DataType::kBFloat16});
  plan.workload.quantization = ir::Quantization::kFp8;
  plan.software.fp8_recipe = ir::Fp8Recipe::kDelayed;
  ExpectBitForBit(plan);
  ir::Plan other = plan;
  other.strategy.data = 1;
  const auto refused = Run(other, 2, 3, {.resume = CheckpointPath(folder(), 2)});
  EXPECT_THAT(refused.status().message(), HasSubstr("the state 'fp8.largest' belongs to ranks of the strategy that wrote it"));
}

// Every element of every parameter is written by one rank, and replicas share the writing.
TEST(ShardLayout, WritesEveryElementOnce) {
  for (const int64_t zero : {0, 1, 3}) {
    const auto step =
        schedule::Materialise(MakePlan(Gpt2Model(), PipelineOfTwo({.strategy = {.data = 2, .zero = zero, .micro_batch = 2}})));
    ASSERT_TRUE(step.ok()) << step.status().message();
    std::map<std::string, std::vector<int>> written;
    std::vector<int64_t> elements;
    for (int64_t rank = 0; rank < 4; ++rank) {
      elements.push_back(0);
      for (const OwnedBox& owned : OwnedBoxes(*step, rank)) {
        const ir::ParameterPiece& piece = step->OfRank(rank).segments[owned.segment].pieces[owned.piece];
        std::vector<int>& counts = written[piece.name];
        counts.resize(static_cast<size_t>(ir::ElementCount(piece.global_shape)));
        const ParameterBox whole{ir::Shape(piece.global_shape.size(), 0), piece.global_shape};
        const auto places = ElementPlaces::InFile(whole, false);
        ir::Shape last = owned.box.offset;
        for (size_t d = 0; d < last.size(); ++d) last[d] += owned.box.shape[d] - 1;
        ASSERT_LT(places.Of(last), static_cast<int64_t>(counts.size()));
        const int64_t columns = owned.box.shape.back(), rows = ir::ElementCount(owned.box.shape) / columns;
        for (int64_t i = 0; i < rows * columns; ++i) {
          ir::Shape element = owned.box.offset;
          element.back() += i % columns;
          if (element.size() == 2) element[0] += i / columns;
          ++counts[static_cast<size_t>(places.Of(element))];
          ++elements.back();
        }
      }
    }
    for (const auto& [name, counts] : written) EXPECT_EQ(counts, std::vector<int>(counts.size(), 1)) << name << " zero " << zero;
    // 2 layers x (4 matrices with biases, 2 norms with weight and bias), final norm, embeddings (tied), positions
    EXPECT_EQ(written.size(), 2U * (8 + 4) + 2 + 2) << zero;
    // Two replicas of each stage: neither writes less than a third of the stage.
    EXPECT_GT(3 * std::min(elements[0], elements[1]), elements[0] + elements[1]);
  }
}

class RefusalTest : public CheckpointTest {
 protected:
  void SetUp() override {
    CheckpointTest::SetUp();
    const auto run = Run(plan_, 0, 2, {.folder = folder()});
    ASSERT_TRUE(run.ok()) << run.status().message();
    checkpoint_ = CheckpointPath(folder(), 2);
  }

  std::string ResumeError() { return Run(plan_, 2, 3, {.resume = checkpoint_}).status().message(); }
  std::string FileError() {
    auto reader = CheckpointReader::Open(checkpoint_);
    return reader.ok() ? reader->CheckFiles().message() : reader.status().message();
  }
  // What is said to a plan that is not the one that wrote the checkpoint.
  std::string MismatchError(const ir::Plan& plan, int64_t vocabulary, const std::string& data = "") {
    const auto reader = CheckpointReader::Open(checkpoint_);
    const auto loader = DataLoader::Open(data, vocabulary, plan.workload);
    return CheckSameTraining(*reader, plan, *loader, "plan.yaml").message();
  }
  std::string model_file(int rank) const { return checkpoint_ + "/model-0000" + std::to_string(rank + 1) + "-of-00002.safetensors"; }

  const ir::Plan plan_ = PlanOf(LlamaModel(), {.strategy = {.data = 2, .micro_batch = 1}});
  std::string checkpoint_;
};

TEST_F(RefusalTest, OfAnotherTraining) {
  EXPECT_EQ(MismatchError(plan_, LlamaModel().vocab), "");
  model::ModelSpec deeper = LlamaModel();
  deeper.layers = 3;
  EXPECT_THAT(MismatchError(PlanOf(deeper, {.strategy = {}}), 264), HasSubstr("the plan's model is not that of the checkpoint"));
  EXPECT_THAT(MismatchError(PlanOf(deeper, {.strategy = {}}), 264), HasSubstr("layers 3 (checkpoint: 2)"));
  ir::Plan plan = plan_;
  plan.workload.dtype = ir::DataType::kBFloat16;
  EXPECT_THAT(MismatchError(plan, 264), HasSubstr("the plan computes in bf16, the training that wrote "));
  plan = plan_;
  plan.workload.global_batch = 8;
  EXPECT_THAT(MismatchError(plan, 264), HasSubstr("global_batch is 8, the checkpoint's was 4"));
  plan = plan_;
  plan.workload.sequence_length = 10;
  EXPECT_THAT(MismatchError(plan, 264), HasSubstr("sequence_length is 10, the checkpoint's was 12"));
  EXPECT_THAT(MismatchError(plan_, 256), HasSubstr("the tokens (random tokens) are not those of the checkpoint (shipped text)"));
}

TEST_F(RefusalTest, OfAMissingShard) {
  std::filesystem::remove(model_file(1));
  EXPECT_THAT(FileError(), HasSubstr(model_file(1) + ": error: the checkpoint's index names this file, and it is not there\nfix: "));
  EXPECT_THAT(ResumeError(), HasSubstr("and it is not there"));
}

TEST_F(RefusalTest, OfATruncatedShard) {
  std::filesystem::resize_file(model_file(0), std::filesystem::file_size(model_file(0)) - 1);
  EXPECT_THAT(FileError(), HasSubstr(model_file(0) + ": error: "));
  EXPECT_THAT(FileError(), HasSubstr("cut off"));
}

// One bit of the data: the header says nothing of it, the hash does.
TEST_F(RefusalTest, OfADamagedShard) {
  std::fstream file(model_file(0), std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-3, std::ios::end);
  const char byte = static_cast<char>(file.peek() ^ 4);
  file.seekp(-3, std::ios::end);
  file.put(byte);
  file.close();
  EXPECT_EQ(FileError(), "");
  EXPECT_THAT(ResumeError(), HasSubstr("the file is damaged\nfix: resume from an older checkpoint"));
}

TEST_F(RefusalTest, OfAShardOfAnotherCheckpoint) {
  std::filesystem::copy_file(model_file(1), model_file(0), std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(FileError(), HasSubstr(model_file(0) + ": error: no tensor '"));
}

TEST_F(RefusalTest, OfADamagedIndex) {
  const std::string path = checkpoint_ + "/" + std::string(formats::kCheckpointIndexFile);
  const std::string text = ReadFile(path).value();
  std::ofstream(path) << text.substr(0, text.size() / 2);
  EXPECT_THAT(ResumeError(), HasSubstr(path));
}

TEST(CheckpointFolder, OnlyCompleteOnesCount) {
  const auto folder = PrivateFolder::Make();
  ASSERT_TRUE(folder.ok());
  const std::string path = (*folder)->path();
  EXPECT_THAT(FindCheckpoint(path).status().message(), HasSubstr("there is no complete checkpoint in this folder"));
  EXPECT_THAT(FindCheckpoint(path + "/none").status().message(), HasSubstr("no such folder"));
  const auto make = [&](const std::string& name, bool index) {
    std::filesystem::create_directories(path + "/" + name);
    if (index) std::ofstream(path + "/" + name + "/" + std::string(formats::kCheckpointIndexFile)) << "{}";
  };
  for (const int64_t step : {2, 30, 4}) make(CheckpointPath("", step).substr(1), true);
  make("step-00000050", false);
  make(".step-00000060.partial", true);
  make(".step-00000001.removed", true);
  make("step-7", true);  // not how HELM writes it
  make("something else", true);
  EXPECT_THAT(CompleteCheckpoints(path), ElementsAre(2, 4, 30));
  // One that has its name and no index was cut short by somebody else, so an older one is not taken in silence.
  EXPECT_THAT(FindCheckpoint(path).status().message(), HasSubstr("step-00000050: error: this checkpoint has no"));
  std::filesystem::remove_all(path + "/step-00000050");
  EXPECT_EQ(FindCheckpoint(path).value(), CheckpointPath(path, 30));
  EXPECT_EQ(FindCheckpoint(CheckpointPath(path, 4)).value(), CheckpointPath(path, 4));
  ASSERT_TRUE(RemoveInterrupted(path).ok());
  EXPECT_FALSE(FolderExists(path + "/.step-00000060.partial") || FolderExists(path + "/.step-00000001.removed"));
  ASSERT_TRUE(RemoveOld(path, 1, 2, {}).ok());
  EXPECT_THAT(CompleteCheckpoints(path), ElementsAre(2, 30));  // 2 was spared
  std::filesystem::create_directories(CheckpointPath(path, 4));
  make(CheckpointPath("", 4).substr(1), true);
  ASSERT_TRUE(RemoveOld(path, 2, std::nullopt, {}).ok());
  EXPECT_THAT(CompleteCheckpoints(path), ElementsAre(4, 30));
  EXPECT_TRUE(FolderExists(path + "/something else"));
}

TEST(CheckpointFolder, OneRunWritesThere) {
  const auto folder = PrivateFolder::Make();
  ASSERT_TRUE(folder.ok());
  {
    const auto first = LockFolder((*folder)->path());
    ASSERT_TRUE(first.ok()) << first.status().message();
    EXPECT_THAT(LockFolder((*folder)->path()).status().message(), HasSubstr("another run writes its checkpoints there"));
  }
  EXPECT_TRUE(LockFolder((*folder)->path()).ok());
}

}  // namespace
}  // namespace helm::exec
