#include "exec/launch_environment.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace helm::exec {
namespace {

using ::testing::HasSubstr;

Result<std::optional<LaunchEnvironment>> Read(const std::map<std::string, std::string>& variables) {
  return ReadLaunchEnvironment([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::map<std::string, std::string> Torchrun() {
  return {{"RANK", "3"},
          {"WORLD_SIZE", "4"},
          {"LOCAL_RANK", "1"},
          {"MASTER_ADDR", "node1"},
          {"MASTER_PORT", "29500"},
          {"TORCHELASTIC_USE_AGENT_STORE", "True"}};
}

TEST(LaunchEnvironment, NothingSetMeansNoLauncher) {
  const auto read = Read({{"MASTER_ADDR", "x"}});
  ASSERT_TRUE(read.ok());
  EXPECT_FALSE(read->has_value());
}

TEST(LaunchEnvironment, ReadsTorchrun) {
  const auto read = Read(Torchrun());
  ASSERT_TRUE(read.ok()) << read.status().message();
  ASSERT_TRUE(read->has_value());
  EXPECT_EQ((*read)->rank, 3);
  EXPECT_EQ((*read)->world_size, 4);
  EXPECT_EQ((*read)->local_rank, 1);
  EXPECT_EQ((*read)->host, "node1");
  EXPECT_EQ((*read)->port, 29500);
  EXPECT_TRUE((*read)->launcher_serves_store);
}

TEST(LaunchEnvironment, NamesTheVariableThatIsWrong) {
  for (const auto& [name, value, message] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"RANK", "4", "RANK is '4'; allowed: 0 to 3"},
           {"RANK", "x", "RANK is 'x'"},
           {"WORLD_SIZE", "0", "WORLD_SIZE is '0'; allowed: 1 to"},
           {"MASTER_PORT", "70000", "MASTER_PORT is '70000'; allowed: 1 to 65535"},
           {"MASTER_ADDR", "", "MASTER_ADDR is not set"}}) {
    auto variables = Torchrun();
    variables[name] = value;
    const auto read = Read(variables);
    ASSERT_FALSE(read.ok()) << name;
    EXPECT_EQ(read.status().code(), StatusCode::kInvalid);
    EXPECT_THAT(read.status().message(), HasSubstr(message));
  }
}

TEST(LaunchEnvironment, HalfAnEnvironmentIsAnError) {
  EXPECT_THAT(Read({{"RANK", "0"}}).status().message(), HasSubstr("WORLD_SIZE is not set"));
  EXPECT_THAT(Read({{"RANK", "0"}, {"WORLD_SIZE", "2"}}).status().message(), HasSubstr("MASTER_ADDR is not set"));
}

}  // namespace
}  // namespace helm::exec
