#include "formats/safetensors_stream.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"

namespace helm::formats {
namespace {

using ::testing::HasSubstr;

class SafetensorsStreamTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  const std::string folder_ = testing::TempDir() + "/helm_stream_test." + std::to_string(getpid());
  const std::string path_ = folder_ + "/weights.safetensors";
  const TensorFile file_{
      {FloatTensor("a", {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}), IntegerTensor("b", {1}, std::vector<int64_t>{-1})},
      {{"format", "pt"}}};
  const std::vector<TensorSpec> specs_{{"a", ir::DataType::kFloat32, {2, 3}}, {"b", ir::DataType::kInt64, {1}}};
};

TEST_F(SafetensorsStreamTest, WritesInPiecesWhatIsWrittenAtOnce) {
  auto writer = SafetensorsWriter::Create(path_, specs_, file_.metadata);
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  const std::span<const std::byte> a(file_.tensors[0].data);
  ASSERT_TRUE((*writer)->Append(a.first(5)).ok());  // pieces need not end with elements
  ASSERT_TRUE((*writer)->Append(a.subspan(5)).ok());
  EXPECT_FALSE(FileExists(path_));
  ASSERT_TRUE((*writer)->Append(file_.tensors[1].data).ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  EXPECT_EQ(ReadFile(path_).value(), SerializeSafetensors(file_));
}

TEST_F(SafetensorsStreamTest, LeavesNothingWhereItIsNotFinished) {
  {
    const auto writer = SafetensorsWriter::Create(path_, specs_, {});
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(SafetensorsStreamTest, ReadsSingleTensors) {
  ASSERT_TRUE(WriteSafetensors(file_, path_).ok());
  const auto reader = SafetensorsReader::Open(path_);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  EXPECT_EQ(reader->table().metadata, file_.metadata);
  EXPECT_EQ(reader->Find("c"), nullptr);
  for (const NamedTensor& tensor : file_.tensors) {
    const TensorPlace* place = reader->Find(tensor.name);
    ASSERT_NE(place, nullptr);
    EXPECT_EQ(reader->Read(*place).value(), tensor);
  }
}

// Cut off at every byte: refused when it is opened, before any tensor is asked for.
TEST_F(SafetensorsStreamTest, RefusesAFileThatIsCutOff) {
  const std::string bytes = SerializeSafetensors(file_);
  for (size_t size = 0; size < bytes.size(); ++size) {
    std::ofstream(path_, std::ios::binary) << bytes.substr(0, size);
    const auto reader = SafetensorsReader::Open(path_);
    ASSERT_FALSE(reader.ok()) << size;
    EXPECT_THAT(reader.status().message(), HasSubstr(path_ + ": error: "));
  }
  EXPECT_THAT(SafetensorsReader::Open(folder_).status().message(), HasSubstr("not a file"));
  EXPECT_THAT(SafetensorsReader::Open(folder_ + "/none").status().message(), HasSubstr("cannot open"));
}

}  // namespace
}  // namespace helm::formats
