#include "runtime/rendezvous.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/check.h"

namespace helm::runtime {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(RankRanges, JoinsNeighbours) {
  EXPECT_EQ(RankRanges({}), "");
  EXPECT_EQ(RankRanges({2}), "2");
  EXPECT_EQ(RankRanges({0, 1, 3, 4, 5, 9}), "0, 1, 3-5, 9");
}

// A port that was free a moment ago.
int FreePort() {
  const int probe = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  HELM_CHECK(bind(probe, reinterpret_cast<sockaddr*>(&address), size) == 0, "no free port");
  HELM_CHECK(getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0, "no port");
  close(probe);
  return ntohs(address.sin_port);
}

std::string JoinAndMeet(const Rendezvous& rendezvous) {
  const auto world = World::Join(rendezvous, ir::DeviceKind::kCpu);
  if (!world.ok()) return world.status().message();
  const Status met = (*world)->Barrier();
  return met.ok() ? "joined" : met.message();
}

// Joins as these ranks of a world of `size`, each a process of its own; what each said.
std::vector<std::string> Join(const std::vector<int64_t>& ranks, int64_t size, std::chrono::milliseconds timeout) {
  const int port = FreePort();
  std::vector<std::pair<pid_t, int>> children;
  for (const int64_t rank : ranks) {
    int said[2];
    HELM_CHECK(pipe(said) == 0, "no pipe");
    const pid_t child = fork();
    if (child == 0) {
      const std::string message = JoinAndMeet({.port = port, .rank = rank, .world_size = size, .timeout = timeout});
      const bool written = write(said[1], message.data(), message.size()) == static_cast<ssize_t>(message.size());
      _exit(written ? 0 : 1);
    }
    close(said[1]);
    children.emplace_back(child, said[0]);
  }
  std::vector<std::string> messages;
  for (const auto& [child, said] : children) {
    std::string& message = messages.emplace_back();
    char buffer[4096];
    for (ssize_t count = 0; (count = read(said, buffer, sizeof buffer)) > 0;) message.append(buffer, static_cast<size_t>(count));
    close(said);
    waitpid(child, nullptr, 0);
  }
  return messages;
}

TEST(Rendezvous, AllRanksArrive) { EXPECT_EQ(Join({2, 0, 1}, 3, std::chrono::seconds(20)), std::vector<std::string>(3, "joined")); }

TEST(Rendezvous, EveryRankSaysWhoIsMissing) {
  for (const std::string& message : Join({0, 2}, 5, std::chrono::milliseconds(1000))) {
    EXPECT_THAT(message, AllOf(HasSubstr("of 5 ranks these never arrived at 127.0.0.1:"), HasSubstr("within 1 s (--timeout): 1, 3, 4\n"),
                               HasSubstr("fix: ")));
  }
}

TEST(Rendezvous, WithoutRankZeroNobodyListens) {
  const std::vector<std::string> messages = Join({1}, 2, std::chrono::milliseconds(1000));
  EXPECT_THAT(messages[0], AllOf(HasSubstr("error: rank 1 cannot reach 127.0.0.1:"), HasSubstr("where rank 0 of 2 is to be, within 1 s")));
  EXPECT_EQ(messages[0].find("frame #"), std::string::npos) << "a stack trace is no message for people";
}

// The addresses at which this process listens for TCP, as the kernel shows them (proc(5), /proc/net/tcp: 0A is LISTEN).
std::vector<std::string> ListeningAt(int port) {
  char hexadecimal[5];
  std::snprintf(hexadecimal, sizeof hexadecimal, "%04X", port);
  std::vector<std::string> addresses;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(table);
    std::string number, local, remote, state, rest;
    while (file >> number >> local >> remote >> state && std::getline(file, rest)) {
      const size_t colon = local.find(':');
      if (state == "0A" && local.substr(colon + 1) == hexadecimal) addresses.push_back(local.substr(0, colon));
    }
  }
  return addresses;
}

TEST(Rendezvous, TheLocalStoreListensOnLoopbackOnly) {
  const auto server = StoreServer::Start();
  ASSERT_TRUE(server.ok()) << server.status().message();
  EXPECT_EQ(ListeningAt((*server)->port()), std::vector<std::string>{"0100007F"});  // 127.0.0.1, bytes in memory order
}

TEST(Rendezvous, ATakenPortIsNamed) {
  const auto server = StoreServer::Start();
  ASSERT_TRUE(server.ok()) << server.status().message();
  const Rendezvous taken{.port = (*server)->port(), .rank = 0, .world_size = 1};
  const auto world = World::Join(taken, ir::DeviceKind::kCpu);
  ASSERT_FALSE(world.ok());
  EXPECT_EQ(world.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(world.status().message(), "error: cannot listen at 127.0.0.1:" + std::to_string(taken.port) + ": Address already in use");
}

}  // namespace
}  // namespace helm::runtime
