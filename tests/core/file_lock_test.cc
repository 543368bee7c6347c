#include "core/file_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "core/file.h"

namespace helm {
namespace {

// Adds one to the number in the file, `times` times, with a wait in between in which another process would read the same number.
Status Count(const std::string& path, int times) {
  for (int i = 0; i < times; ++i) {
    HELM_ASSIGN_OR_RETURN(const FileLock lock, FileLock::Take(path));
    HELM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    ::usleep(200);
    HELM_RETURN_IF_ERROR(WriteFileAtomically(path, std::to_string(std::stoi(text) + 1)));
  }
  return OkStatus();
}

class FileLockTest : public testing::Test {
 protected:
  FileLockTest() : folder_(std::filesystem::temp_directory_path() / ("file_lock." + std::to_string(::getpid()))) {
    std::filesystem::create_directory(folder_);
  }
  ~FileLockTest() override { std::filesystem::remove_all(folder_); }

  const std::filesystem::path folder_;
};

TEST_F(FileLockTest, ProcessesTakeTurns) {
  const std::string path = folder_ / "count";
  ASSERT_TRUE(WriteFileAtomically(path, "0").ok());
  std::filesystem::create_symlink("count", folder_ / "link");
  const pid_t child = ::fork();
  if (child == 0) ::_exit(Count(folder_ / "link", 40).ok() ? 0 : 1);
  EXPECT_EQ(Count(path, 40).message(), "");
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(ReadFile(path).value(), "80");
  EXPECT_FALSE(FileExists(folder_ / ".count.lock"));
}

TEST_F(FileLockTest, ALockThatWasLeftIsTaken) {
  const std::string path = folder_ / "table";
  ASSERT_TRUE(WriteFileAtomically(folder_ / ".table.lock", "").ok());
  EXPECT_TRUE(FileLock::Take(path).ok());
  EXPECT_FALSE(FileExists(folder_ / ".table.lock"));
}

// flock is of the open file, so another one of the same process is kept away like another process.
TEST_F(FileLockTest, OneThatIsHeldCanBePassedOver) {
  const std::string path = folder_ / "checkpoints";
  {
    const auto first = FileLock::TryTake(path);
    ASSERT_TRUE(first.ok() && *first);
    const auto second = FileLock::TryTake(path);
    ASSERT_TRUE(second.ok()) << second.status().message();
    EXPECT_FALSE(*second);
  }
  EXPECT_TRUE(FileLock::TryTake(path).value());
}

TEST_F(FileLockTest, SaysWhyThereCanBeNone) {
  const auto lock = FileLock::Take(folder_ / "none" / "table");
  ASSERT_FALSE(lock.ok());
  EXPECT_NE(lock.status().message().find("cannot create a lock beside it: No such file"), std::string::npos) << lock.status().message();
}

}  // namespace
}  // namespace helm
