// ChildProcess: one process of this executable, spawned as a rank, with a socket to talk to it and its standard error in a pipe.
//
// Invariants: the child gets SIGKILL when the parent dies (exec/rank_process.cc asks for it); destruction kills and reaps a child that
// still runs. The child inherits nothing but the descriptors named here.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace helm::exec {

// Descriptors that the child finds.
inline constexpr int kTalkDescriptor = 3;   // socket: requests in, replies out
inline constexpr int kBoardDescriptor = 4;  // ProgressBoard

// The variable that makes a process a rank: "INDEX,COUNT,PARENT".
inline constexpr const char* kRankVariable = "HELM_RANK_PROCESS";

class FileDescriptor {
 public:
  explicit FileDescriptor(int value = -1) : value_(value) {}
  ~FileDescriptor() { Close(); }
  FileDescriptor(FileDescriptor&& other) noexcept : value_(other.value_) { other.value_ = -1; }
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  int value() const { return value_; }
  void Close();

 private:
  int value_;
};

class ChildProcess {
 public:
  // `executable`: a path. `index` of `count` ranks.
  static Result<std::unique_ptr<ChildProcess>> Spawn(const std::string& executable, int64_t index, int64_t count, int board);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  int talk() const { return talk_.value(); }
  int errors() const { return errors_.value(); }

  bool Send(std::string_view text);  // false: the child is gone
  // Complete lines that have arrived on a descriptor since the last call, without waiting; at the end of the stream also an unfinished one.
  std::vector<std::string> ReadReplies() { return ReadLines(talk_, &talk_rest_); }
  std::vector<std::string> ReadErrors() { return ReadLines(errors_, &errors_rest_); }

  // How it ended (the status of waitpid), once it has.
  std::optional<int> Reap();
  void Kill();                         // and reap
  void CloseTalk() { talk_.Close(); }  // a rank that waits for work then exits

 private:
  ChildProcess(pid_t pid, FileDescriptor talk, FileDescriptor errors) : pid_(pid), talk_(std::move(talk)), errors_(std::move(errors)) {}
  static std::vector<std::string> ReadLines(FileDescriptor& descriptor, std::string* rest);

  pid_t pid_;
  FileDescriptor talk_;
  FileDescriptor errors_;
  std::string talk_rest_;
  std::string errors_rest_;
  std::optional<int> ended_;
};

}  // namespace helm::exec
