// RunTest: runs plans in a folder of its own and sees to it that a run leaves nothing behind: no process, no temporary file.
#pragma once

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "exec/run.h"

namespace helm::exec {

class RunTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/helm_run_test." + std::to_string(getpid());
    std::filesystem::create_directories(temporary());
    setenv("TMPDIR", temporary().c_str(), 1);
  }
  void TearDown() override {
    ExpectNothingLeft();
    unsetenv("TMPDIR");
    std::filesystem::remove_all(folder_);
  }

  // Every rank leads a process group of its own: what it had started would still be in it.
  void ExpectNothingLeft() {
    EXPECT_TRUE(std::filesystem::is_empty(temporary())) << "temporary files are left";
    for (const int process : processes_) {
      EXPECT_EQ(kill(process, 0), -1) << "process " << process << " is left";
      EXPECT_EQ(kill(-process, 0), -1) << "a process of the group " << process << " is left";
    }
  }

  // Runs with an observer that notes the processes and calls `at_step` after each step.
  Result<RunResult> RunWatched(const ir::Plan& plan, RunOptions options, const std::function<void(int64_t)>& at_step = {}) {
    options.plan_path = "plan.yaml";
    options.log = [](std::string_view line) { std::cerr << line << "\n"; };
    options.observer = [&](const RunEvent& event) {
      if (event.kind == RunEvent::Kind::kStarted) processes_ = event.processes;
      if (event.kind == RunEvent::Kind::kStep && !event.unsplit && at_step) at_step(event.step);
    };
    return exec::Run(plan, options);
  }

  std::string temporary() const { return folder_ + "/tmp"; }

  std::string folder_;
  std::vector<int> processes_;
};

}  // namespace helm::exec
