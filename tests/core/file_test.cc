#include "core/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "core/hash.h"
#include "core/stamp.h"

namespace helm {
namespace {

class File : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "helm_file_test_" + std::to_string(::getpid());
    ASSERT_TRUE(MakeFolders(folder_).ok());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  size_t FileCount() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator()));
  }
  std::string folder_;
};

TEST_F(File, WritesWholeFilesAndLeavesNothingElse) {
  const std::string path = folder_ + "/a.bin";
  const std::string content = std::string("zero \0 byte", 11) + std::string(200000, 'x');
  ASSERT_TRUE(WriteFileAtomically(path, "old").ok());
  ASSERT_TRUE(WriteFileAtomically(path, content).ok());
  EXPECT_EQ(ReadFile(path).value(), content);
  EXPECT_EQ(FileCount(), 1u);
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  EXPECT_EQ(info.st_mode & 0777, 0666 & ~mask);  // as any new file
}

TEST_F(File, AFailedWriteLeavesTheOldFileAndNoTemporaryOne) {
  ASSERT_TRUE(MakeFolders(folder_ + "/taken").ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/taken/inside", "x").ok());
  const Status status = WriteFileAtomically(folder_ + "/taken", "new");  // a folder has the name
  EXPECT_EQ(status.code(), StatusCode::kInvalid);
  EXPECT_EQ(status.message(), folder_ + "/taken: error: cannot put the new file in place: Is a directory");
  EXPECT_EQ(FileCount(), 1u);
  EXPECT_EQ(WriteFileAtomically(folder_ + "/none/a", "x").message(),
            folder_ + "/none/a: error: cannot create a file in " + folder_ + "/none: No such file or directory");
}

TEST_F(File, LinksStayAndDevicesAreWrittenTo) {
  std::filesystem::create_symlink("/dev/null", folder_ + "/null");
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/null", "gone").ok());
  EXPECT_TRUE(std::filesystem::is_character_file(folder_ + "/null"));  // renaming onto it would have made it a regular file

  ASSERT_TRUE(MakeFolders(folder_ + "/far").ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/far/f", "old").ok());
  std::filesystem::create_symlink("far/f", folder_ + "/link");
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/link", "new").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ + "/link"));
  EXPECT_EQ(ReadFile(folder_ + "/far/f").value(), "new");
  EXPECT_EQ(FileCount(), 3u);  // no temporary file
}

TEST_F(File, ReadingSaysWhatIsWrong) {
  EXPECT_EQ(ReadFile(folder_ + "/none").status().message(), folder_ + "/none: error: cannot open: No such file or directory");
  EXPECT_EQ(ReadFile(folder_).status().message(), folder_ + ": error: this is a folder, a file is needed");
  EXPECT_EQ(ReadFile(folder_ + "/none").status().code(), StatusCode::kInvalid);
}

TEST_F(File, FoldersAndFilesAreToldApart) {
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/f", "x").ok());
  EXPECT_TRUE(FileExists(folder_ + "/f"));
  EXPECT_FALSE(FileExists(folder_));
  EXPECT_TRUE(FolderExists(folder_));
  EXPECT_FALSE(FolderExists(folder_ + "/f"));
  EXPECT_TRUE(MakeFolders(folder_ + "/x/y").ok());
  EXPECT_TRUE(FolderExists(folder_ + "/x/y"));
  EXPECT_EQ(MakeFolders(folder_ + "/f").code(), StatusCode::kInvalid);
}

TEST(Paths, AreResolvedAgainstTheFileThatNamesThem) {
  EXPECT_EQ(FolderOf("a/b.yaml"), "a");
  EXPECT_EQ(FolderOf("b.yaml"), ".");
  EXPECT_EQ(ResolvePath("configs/runs", "../models/a.json"), "configs/models/a.json");
  EXPECT_EQ(ResolvePath("configs/runs", "/x/a.json"), "/x/a.json");
  EXPECT_EQ(ResolvePath(".", "a.json"), "a.json");
}

// FNV-1a test vectors of its authors: "", "a", "foobar".
TEST(Hash, KnownAnswers) {
  EXPECT_EQ(Hash64(""), 0xcbf29ce484222325u);
  EXPECT_EQ(Hash64("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(Hash64("foobar"), 0x85944171f73967e8u);
  EXPECT_EQ(Hash64("bar", Hash64("foo")), Hash64("foobar"));
  EXPECT_EQ(Hex16(0x0123456789abcdefu), "0123456789abcdef");
}

TEST_F(File, HashOfAFile) {
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/f", "foobar").ok());
  EXPECT_EQ(HashFile(folder_ + "/f").value(), "85944171f73967e8");
  EXPECT_FALSE(HashFile(folder_ + "/g").ok());
}

TEST(Stamp, HoldsVersionMachineSeedAndHashes) {
  const auto stamp = MakeStamp({.seed = 7, .hashes = {{"config", "00"}}, .extra = {{"device", "cpu"}}, .created = "now", .host = "here"});
  EXPECT_EQ(stamp.dump(), R"({"helm":")" + Version() + R"(","revision":")" + Revision() +
                              R"(","created":"now","host":"here","seed":7,"hashes":{"config":"00"},"device":"cpu"})");
  EXPECT_FALSE(Revision().empty());
  const auto now = MakeStamp({});
  EXPECT_EQ(now["created"].get<std::string>().size(), std::string("2026-01-01T00:00:00Z").size());
  EXPECT_FALSE(now.contains("seed"));
}

}  // namespace
}  // namespace helm
