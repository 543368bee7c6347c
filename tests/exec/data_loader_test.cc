#include "exec/data_loader.h"

#include <unistd.h>

#include <filesystem>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"
#include "formats/token_shard.h"

namespace helm::exec {
namespace {

using ::testing::HasSubstr;

ir::Workload WorkloadOf(int64_t global_batch, int64_t sequence_length) {
  ir::Workload workload;
  workload.global_batch = global_batch;
  workload.sequence_length = sequence_length;
  return workload;
}

// A shard that holds 0, 1, 2, ..., 13.
class CountingShard : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/helm_data_loader_test." + std::to_string(getpid()) + ".bin";
    formats::TokenShard shard;
    for (uint32_t token = 0; token < 14; ++token) shard.tokens.push_back(token);
    ASSERT_TRUE(formats::WriteTokenShard(shard, path_).ok());
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string path_;
};

TEST_F(CountingShard, ConsecutiveStretchesWithTheNextTokenAsLabel) {
  const Result<DataLoader> loader = DataLoader::Open(path_, 14, WorkloadOf(2, 3));
  ASSERT_TRUE(loader.ok()) << loader.status().message();
  EXPECT_EQ(loader->Load(0), (Batch{{0, 1, 2, 3, 4, 5}, {1, 2, 3, 4, 5, 6}}));
  // 14 tokens: (14 - 1) / 3 = 4 whole stretches with a last label. Step 1 takes stretches 2 and 3, step 2 begins again.
  EXPECT_EQ(loader->Load(1), (Batch{{6, 7, 8, 9, 10, 11}, {7, 8, 9, 10, 11, 12}}));
  EXPECT_EQ(loader->Load(2), loader->Load(0));
}

TEST_F(CountingShard, RefusesSequencesLongerThanTheData) {
  EXPECT_TRUE(DataLoader::Open(path_, 14, WorkloadOf(1, 13)).ok());
  EXPECT_THAT(DataLoader::Open(path_, 14, WorkloadOf(1, 14)).status().message(), HasSubstr("14 tokens are too few for one sequence of 14"));
}

TEST_F(CountingShard, RefusesTokensOutsideTheVocabulary) {
  EXPECT_THAT(DataLoader::Open(path_, 13, WorkloadOf(1, 3)).status().message(), HasSubstr("token 13 at position 13"));
}

// The shares of all ranks and micro-batches, in order, are the global batch.
TEST_F(CountingShard, SharesCoverTheBatchOnce) {
  const ir::Workload workload = WorkloadOf(4, 2);
  const Result<DataLoader> loader = DataLoader::Open(path_, 14, workload);
  ASSERT_TRUE(loader.ok());
  const Batch batch = loader->Load(0);
  const ir::Strategy strategy{.data = 2, .micro_batch = 1};
  Batch joined;
  for (int64_t rank = 0; rank < 2; ++rank) {
    for (int64_t i = 0; i < 2; ++i) {
      const Batch share = ShareOf(batch, workload, strategy, rank, i);
      EXPECT_EQ(share.tokens.size(), 2U);
      joined.tokens.insert(joined.tokens.end(), share.tokens.begin(), share.tokens.end());
      joined.labels.insert(joined.labels.end(), share.labels.begin(), share.labels.end());
    }
  }
  EXPECT_EQ(joined, batch);
}

TEST(DataLoader, ShippedTextIsAliceByBytes) {
  const std::vector<uint32_t> tokens = ShippedTokens();
  const Result<std::string> text = ReadFile("configs/data/alice.txt");
  ASSERT_TRUE(text.ok());
  std::vector<uint32_t> expected(text->begin(), text->end());  // plain ASCII
  expected.push_back(256);
  EXPECT_EQ(tokens, expected);
  EXPECT_THAT(*text, HasSubstr("Alice was beginning to get very tired of sitting by her sister"));
}

TEST(DataLoader, VocabularyOf257HoldsTheText) {
  EXPECT_EQ(DataLoader::Open("", 257, WorkloadOf(1, 8))->description(), "shipped text");
  EXPECT_EQ(DataLoader::Open("", 256, WorkloadOf(1, 8))->description(), "random tokens");
}

TEST(DataLoader, RandomTokensDependOnTheSeedAlone) {
  ir::Workload workload = WorkloadOf(3, 50);
  const Batch batch = DataLoader::Open("", 50, workload)->Load(7);
  EXPECT_EQ(batch, DataLoader::Open("", 50, workload)->Load(7));
  EXPECT_NE(batch, DataLoader::Open("", 50, workload)->Load(8));
  EXPECT_EQ(std::vector<int64_t>(batch.tokens.begin() + 1, batch.tokens.begin() + 50),
            std::vector<int64_t>(batch.labels.begin(), batch.labels.begin() + 49));
  for (const int64_t token : batch.tokens) EXPECT_TRUE(token >= 0 && token < 50);
  EXPECT_GT(std::set<int64_t>(batch.tokens.begin(), batch.tokens.end()).size(),
            40U);  // of 50, with 150 draws: all but 50 (49/50)^150 = 2.4
  workload.seed += 1;
  EXPECT_NE(batch, DataLoader::Open("", 50, workload)->Load(7));
}

}  // namespace
}  // namespace helm::exec
