#include "formats/token_shard.h"

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <numeric>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"

namespace helm::formats {
namespace {

using ::testing::HasSubstr;

std::string Words(std::vector<int32_t> words) {
  words.resize(256);
  return {reinterpret_cast<const char*>(words.data()), 1024};
}

std::string ErrorOf(const std::string& bytes) {
  const Result<TokenShard> shard = ParseTokenShard(bytes, "shard.bin");
  if (shard.ok()) return "no error";
  EXPECT_EQ(shard.status().code(), StatusCode::kInvalid);
  return shard.status().message();
}

// Bytes by hand: header {20240520, 1, 3}, then 1, 258 = 0x0102 and 65535 as little-endian uint16 from byte 1024 on.
TEST(TokenShard, ReadsSixteenBitTokensBehindAHeader) {
  const std::string bytes = Words({20240520, 1, 3}) + std::string("\x01\x00\x02\x01\xff\xff", 6);
  const Result<TokenShard> shard = ParseTokenShard(bytes, "shard.bin");
  ASSERT_TRUE(shard.ok()) << shard.status().message();
  EXPECT_EQ(*shard, (TokenShard{TokenShardKind::kHeaderUint16, {1, 258, 65535}}));
  EXPECT_EQ(SerializeTokenShard(*shard), bytes);
}

// 128000 = 0x0001f400, a token that 16 bits cannot hold (Llama 3's begin of text).
TEST(TokenShard, ReadsThirtyTwoBitTokensOfLlama3) {
  const std::string bytes = Words({20240801, 7, 2}) + std::string("\x00\xf4\x01\x00\x05\x00\x00\x00", 8);
  const Result<TokenShard> shard = ParseTokenShard(bytes, "shard.bin");
  ASSERT_TRUE(shard.ok()) << shard.status().message();
  EXPECT_EQ(*shard, (TokenShard{TokenShardKind::kHeaderUint32, {128000, 5}}));
  EXPECT_EQ(SerializeTokenShard(*shard), bytes);
}

TEST(TokenShard, ReadsHeaderlessTokens) {
  const std::string bytes("\x07\x00\x00\x02\x03\x00", 6);
  const Result<TokenShard> shard = ParseTokenShard(bytes, "shard.bin");
  ASSERT_TRUE(shard.ok()) << shard.status().message();
  EXPECT_EQ(*shard, (TokenShard{TokenShardKind::kHeaderless, {7, 512, 3}}));
  EXPECT_EQ(SerializeTokenShard(*shard), bytes);
}

TEST(TokenShard, RefusesWhatDoesNotAddUp) {
  EXPECT_THAT(ErrorOf(Words({20240520, 1, 3}) + std::string(4, '\0')),
              HasSubstr("shard.bin: error: the header says 3 tokens of 2 bytes, but 4 bytes"));
  EXPECT_THAT(ErrorOf(Words({20240520, 1, 1}) + std::string(4, '\0')), HasSubstr("the header says 1 tokens of 2 bytes, but 4 bytes"));
  EXPECT_THAT(ErrorOf(Words({20240520, 1, -1})), HasSubstr("the header says -1 tokens"));
  EXPECT_THAT(ErrorOf(Words({20240520, 2, 0})), HasSubstr("magic 20240520 has version 2; known: 1"));
  EXPECT_THAT(ErrorOf(Words({20240801, 1, 0})), HasSubstr("magic 20240801 has version 1; known: 7"));
  EXPECT_THAT(ErrorOf(Words({20240520, 1, 3}).substr(0, 100)), HasSubstr("cut off: 100 bytes"));
  EXPECT_THAT(ErrorOf("abc"), HasSubstr("3 bytes and no known header"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("0 bytes and no known header"));
}

TEST(TokenShard, NamesTheFirstTokenOutsideTheVocabulary) {
  const TokenShard shard{TokenShardKind::kHeaderless, {3, 256, 257, 300}};
  EXPECT_TRUE(CheckVocabulary(shard, 301, "s.bin").ok());
  const Status status = CheckVocabulary(shard, 257, "s.bin");
  EXPECT_EQ(status.code(), StatusCode::kInvalid);
  EXPECT_THAT(status.message(), HasSubstr("s.bin: error: token 257 at position 2 is not below the model's vocabulary of 257"));
}

class TokenFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/helm_token_shard_test." + std::to_string(getpid());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(TokenFolder, ReadsAllShardsInTheOrderOfTheirNames) {
  ASSERT_TRUE(WriteTokenShard({TokenShardKind::kHeaderUint16, {4, 5}}, folder_ + "/train_001.bin").ok());
  ASSERT_TRUE(WriteTokenShard({TokenShardKind::kHeaderless, {1, 2, 3}}, folder_ + "/train_000.bin").ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/notes.txt", "not a shard").ok());
  const Result<std::vector<uint32_t>> tokens = ReadTokens(folder_, 6);
  ASSERT_TRUE(tokens.ok()) << tokens.status().message();
  EXPECT_EQ(*tokens, (std::vector<uint32_t>{1, 2, 3, 4, 5}));
  EXPECT_THAT(ReadTokens(folder_, 5).status().message(), HasSubstr("train_001.bin: error: token 5 at position 1"));
}

TEST_F(TokenFolder, EmptyOrMissingFolderIsAnError) {
  EXPECT_THAT(ReadTokens(folder_, 5).status().message(), HasSubstr("no token shard (*.bin)"));
  EXPECT_THAT(ReadTokens(folder_ + "/no", 5).status().message(), HasSubstr("/no: error: no such file or folder"));
}

// What scripts/make_text_corpus.py writes: the bytes of the text, then 256.
TEST_F(TokenFolder, ReadsWhatTheScriptMakes) {
  const std::string text = "To be, or not to be.\n";
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/text.txt", text).ok());
  const std::string command =
      "python3 scripts/make_text_corpus.py --out " + folder_ + "/text.bin " + folder_ + "/text.txt > " + folder_ + "/log";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const Result<TokenShard> shard = ReadTokenShard(folder_ + "/text.bin");
  ASSERT_TRUE(shard.ok()) << shard.status().message();
  std::vector<uint32_t> expected(text.begin(), text.end());
  expected.push_back(256);
  EXPECT_EQ(*shard, (TokenShard{TokenShardKind::kHeaderUint16, expected}));
}

}  // namespace
}  // namespace helm::formats
