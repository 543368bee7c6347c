// ForkRanks: runs a function in N processes that meet at a store served by the test process, and says how each ended. For tests of
// runtime/.
//
// The processes are forked before this process has any thread of torch's, and the store is started after them.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "core/check.h"
#include "runtime/communicator.h"
#include "runtime/interpreter.h"

namespace helm::runtime::test {

struct RankEnd {
  bool exited = false;  // false: by a signal, or killed by us because it did not end
  int code = 0;         // exit code or signal
};

// `body` runs in each child; the child's exit code is 1 when it had a failed expectation.
inline std::vector<RankEnd> ForkRanks(int count, const std::function<void(World&)>& body,
                                      std::chrono::milliseconds timeout = std::chrono::seconds(30),
                                      std::optional<cluster::Link> network = std::nullopt) {
  int port_pipe[2];
  HELM_CHECK(pipe(port_pipe) == 0, "no pipe");
  std::fflush(nullptr);
  std::vector<pid_t> children;
  for (int rank = 0; rank < count; ++rank) {
    const pid_t child = fork();
    HELM_CHECK(child >= 0, "no fork");
    if (child == 0) {
      Rendezvous rendezvous;
      HELM_CHECK(read(port_pipe[0], &rendezvous.port, sizeof rendezvous.port) == sizeof rendezvous.port, "no port");
      rendezvous.rank = rank;
      rendezvous.world_size = count;
      rendezvous.external_store = true;
      rendezvous.timeout = timeout;
      rendezvous.network = network;
      SetThreadsPerRank(1);
      Result<std::unique_ptr<World>> world = World::Join(rendezvous, ir::DeviceKind::kCpu);
      EXPECT_TRUE(world.ok()) << world.status().message();
      if (world.ok()) body(**world);
      std::fflush(nullptr);
      _exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    children.push_back(child);
  }
  Result<std::unique_ptr<StoreServer>> server = StoreServer::Start();
  HELM_CHECK(server.ok(), "no store");
  const int port = (*server)->port();
  for (int rank = 0; rank < count; ++rank) HELM_CHECK(write(port_pipe[1], &port, sizeof port) == sizeof port, "cannot say the port");

  std::vector<RankEnd> ends(children.size());
  const auto deadline = std::chrono::steady_clock::now() + timeout + std::chrono::seconds(30);
  for (size_t i = 0; i < children.size(); ++i) {
    int status = 0;
    pid_t ended = 0;
    while ((ended = waitpid(children[i], &status, WNOHANG | WUNTRACED)) == 0 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    if (ended == 0 || WIFSTOPPED(status)) {  // hangs, or was stopped: it is looked at last, so that the others can notice
      if (WIFSTOPPED(status) && i + 1 < children.size()) {
        children.push_back(children[i]);
        ends.push_back({});
        continue;
      }
      kill(children[i], SIGKILL);
      waitpid(children[i], &status, 0);
    }
    ends[i] = WIFEXITED(status) ? RankEnd{true, WEXITSTATUS(status)} : RankEnd{false, WTERMSIG(status)};
  }
  close(port_pipe[0]);
  close(port_pipe[1]);
  ends.resize(static_cast<size_t>(count));
  return ends;
}

inline void ExpectAllSucceed(const std::vector<RankEnd>& ends) {
  for (size_t rank = 0; rank < ends.size(); ++rank) {
    EXPECT_TRUE(ends[rank].exited) << "rank " << rank << " was ended by signal " << ends[rank].code;
    EXPECT_EQ(ends[rank].code, 0) << "rank " << rank;
  }
}

}  // namespace helm::runtime::test
