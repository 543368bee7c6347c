#include "formats/safetensors.h"

#include <unistd.h>

#include <cstring>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"

namespace helm::formats {
namespace {

using ::testing::HasSubstr;

// A file with this header text and so many bytes of data, all zero.
std::string FileOf(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data_bytes, '\0');
}

std::string ErrorOf(const std::string& bytes) {
  const Result<TensorFile> file = ParseSafetensors(bytes, "weights.safetensors");
  if (file.ok()) return "no error";
  EXPECT_EQ(file.status().code(), StatusCode::kInvalid);
  return file.status().message();
}

TEST(Safetensors, RoundTripsEveryDtype) {
  TensorFile file;
  file.metadata = {{"format", "pt"}};
  for (const auto dtype : {ir::DataType::kFloat32, ir::DataType::kBFloat16, ir::DataType::kFloat16, ir::DataType::kInt64,
                           ir::DataType::kInt32, ir::DataType::kBool, ir::DataType::kUInt8}) {
    NamedTensor tensor{.name = "tensor." + std::string(ir::Name(dtype)), .dtype = dtype, .shape = {3, 1, 5}, .data = {}};
    for (int64_t i = 0; i < 15 * ir::ElementBytes(dtype); ++i) tensor.data.push_back(static_cast<std::byte>(7 * i + 1));
    file.tensors.push_back(std::move(tensor));
  }
  file.tensors.push_back(FloatTensor("scalar", {}, std::vector<float>{-2.5F}));
  file.tensors.push_back(FloatTensor("empty", {0, 4}, {}));
  const Result<TensorFile> read = ParseSafetensors(SerializeSafetensors(file), "memory");
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, file);
  EXPECT_EQ(FloatValues(read->tensors[7]), std::vector<float>{-2.5F});
}

// The bytes by hand: one F32 tensor of two elements, 1.0 = 0x3f800000 and -2.0 = 0xc0000000, little-endian; header padded to a multiple
// of 8.
TEST(Safetensors, WritesTheDocumentedBytes) {
  TensorFile file;
  file.tensors.push_back(FloatTensor("a", {2}, std::vector<float>{1.0F, -2.0F}));
  const std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";  // 54 characters: two spaces
  std::string expected = FileOf(header + "  ", 0);
  ASSERT_EQ(header.size(), 54U);
  expected += std::string("\x00\x00\x80\x3f\x00\x00\x00\xc0", 8);
  EXPECT_EQ(SerializeSafetensors(file), expected);
}

TEST(Safetensors, WritesAndReadsAFile) {
  const std::string path = testing::TempDir() + "/helm_safetensors_test." + std::to_string(getpid()) + ".safetensors";
  TensorFile file;
  file.tensors.push_back(IntegerTensor("tokens", {2, 2}, std::vector<int64_t>{1, -1, 1LL << 40, 0}));
  ASSERT_TRUE(WriteSafetensors(file, path).ok());
  const Result<TensorFile> read = ReadSafetensors(path);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, file);
}

TEST(Safetensors, NamesTheFileAndWhatIsWrong) {
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_EQ(ErrorOf(FileOf(good, 8)), "no error");
  EXPECT_THAT(ErrorOf("abc"), HasSubstr("weights.safetensors: error: not a safetensors file: only 3 bytes"));
  EXPECT_THAT(ErrorOf(FileOf(good, 7)), HasSubstr("tensor 'a': its bytes 0..8 are not inside the 7 bytes of data"));
  EXPECT_THAT(ErrorOf(FileOf(good, 9)), HasSubstr("1 bytes of data after the last tensor"));
  EXPECT_THAT(ErrorOf(FileOf(good, 8).substr(0, 20)), HasSubstr("a header of 54 bytes in a file of 20"));
  EXPECT_THAT(ErrorOf(FileOf("[]", 0)), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(ErrorOf(FileOf("{\"a\":", 0)), HasSubstr("weights.safetensors:1:"));
  EXPECT_THAT(ErrorOf(FileOf(R"({"a":{"dtype":"F8","shape":[2],"data_offsets":[0,8]}})", 8)),
              HasSubstr("dtype 'F8' is not read; allowed: F32,"));
  EXPECT_THAT(ErrorOf(FileOf(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8)),
              HasSubstr("shape [3] of F32 does not take 8 bytes"));
  EXPECT_THAT(ErrorOf(FileOf(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8)), HasSubstr("'shape' is not a list"));
  EXPECT_THAT(ErrorOf(FileOf(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})", 8)),
              HasSubstr("does not take"));
  EXPECT_THAT(ErrorOf(FileOf(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})", 8)), HasSubstr("unknown key 'x'"));
  EXPECT_THAT(ErrorOf(FileOf(R"({"__metadata__":{"k":1}})", 0)), HasSubstr("the value of 'k' is not a string"));
}

TEST(Safetensors, RefusesHolesOverlapsAndDuplicates) {
  const auto two = [](const std::string& second, const std::string& offsets) {
    return R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},")" + second + R"(":{"dtype":"F32","shape":[1],"data_offsets":)" +
           offsets + "}}";
  };
  EXPECT_EQ(ErrorOf(FileOf(two("b", "[8,12]"), 12)), "no error");
  EXPECT_THAT(ErrorOf(FileOf(two("b", "[12,16]"), 16)), HasSubstr("tensor 'b' begins at byte 12 of the data, expected 8"));
  EXPECT_THAT(ErrorOf(FileOf(two("b", "[4,8]"), 8)), HasSubstr("tensor 'b' begins at byte 4 of the data, expected 8"));
  EXPECT_THAT(ErrorOf(FileOf(two("a", "[8,12]"), 12)), HasSubstr("weights.safetensors:1:"));
}

TEST(Safetensors, MissingFileIsNamed) {
  const Result<TensorFile> file = ReadSafetensors("/nowhere/x.safetensors");
  ASSERT_FALSE(file.ok());
  EXPECT_THAT(file.status().message(), HasSubstr("/nowhere/x.safetensors"));
}

}  // namespace
}  // namespace helm::formats
