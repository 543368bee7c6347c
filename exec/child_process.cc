#include "exec/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

extern char** environ;

namespace helm::exec {
namespace {

constexpr int kFirstFreeDescriptor = 16;  // above those that the child gets, so that no copy overwrites the next one's source

Status SystemError(std::string_view what, int error) {
  return UnavailableError(fmt::format("error: cannot {}: {}", what, std::strerror(error)));
}

// The descriptor under a higher number, closed on exec.
FileDescriptor MoveUp(int descriptor) {
  FileDescriptor moved(fcntl(descriptor, F_DUPFD_CLOEXEC, kFirstFreeDescriptor));
  close(descriptor);
  return moved;
}

struct Ends {
  FileDescriptor parent;
  FileDescriptor child;
};

Result<Ends> MakeSocket() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return SystemError("make a socket", errno);
  return Ends{MoveUp(pair[0]), MoveUp(pair[1])};
}

Result<Ends> MakePipe() {
  int pair[2];
  if (pipe2(pair, O_CLOEXEC) != 0) return SystemError("make a pipe", errno);
  return Ends{MoveUp(pair[0]), MoveUp(pair[1])};
}

// What the child finds where, and that it is a process group of its own, so that a Ctrl-C in the terminal reaches only the parent.
class SpawnSettings {
 public:
  SpawnSettings(int talk, int errors, int board) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, errors, STDOUT_FILENO);  // results are the parent's to print
    posix_spawn_file_actions_adddup2(&actions_, errors, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, talk, kTalkDescriptor);
    posix_spawn_file_actions_adddup2(&actions_, board, kBoardDescriptor);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes_, 0);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// This process's environment with `variable` ("NAME=value") added.
std::vector<char*> EnvironmentWith(std::string* variable) {
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(variable->data());
  environment.push_back(nullptr);
  return environment;
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(value_, other.value_);
  return *this;
}

void FileDescriptor::Close() {
  if (value_ >= 0) close(value_);
  value_ = -1;
}

Result<std::unique_ptr<ChildProcess>> ChildProcess::Spawn(const std::string& executable, int64_t index, int64_t count, int board) {
  // A parent that ignores SIGCHLD hands that down, and the kernel then keeps no exit status: how a rank ended could not be told.
  signal(SIGCHLD, SIG_DFL);
  HELM_ASSIGN_OR_RETURN(Ends talk, MakeSocket());
  HELM_ASSIGN_OR_RETURN(Ends errors, MakePipe());
  const FileDescriptor board_copy(fcntl(board, F_DUPFD_CLOEXEC, kFirstFreeDescriptor));
  const SpawnSettings settings(talk.child.value(), errors.child.value(), board_copy.value());
  std::string variable = fmt::format("{}={},{},{}", kRankVariable, index, count, getpid());
  std::vector<char*> environment = EnvironmentWith(&variable);
  std::string name = fmt::format("helm-exec: rank {} of {}", index, count);  // as ps shows it
  char* arguments[] = {name.data(), nullptr};
  pid_t pid = 0;
  const int error = posix_spawn(&pid, executable.c_str(), settings.actions(), settings.attributes(), arguments, environment.data());
  if (error != 0) return SystemError(fmt::format("start '{}' as rank {}", executable, index), error);
  fcntl(errors.parent.value(), F_SETFL, O_NONBLOCK);
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, std::move(talk.parent), std::move(errors.parent)));
}

ChildProcess::~ChildProcess() { Kill(); }

bool ChildProcess::Send(std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = send(talk(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::vector<std::string> ChildProcess::ReadLines(FileDescriptor& descriptor, std::string* rest) {
  std::vector<std::string> lines;
  char buffer[65536];
  while (descriptor.value() >= 0) {
    ssize_t count = recv(descriptor.value(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (count < 0 && errno == ENOTSOCK) count = read(descriptor.value(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count <= 0) {
      descriptor.Close();
      if (!rest->empty()) lines.push_back(std::exchange(*rest, {}));
      break;
    }
    rest->append(buffer, static_cast<size_t>(count));
    for (size_t end = rest->find('\n'); end != std::string::npos; end = rest->find('\n')) {
      lines.push_back(rest->substr(0, end));
      rest->erase(0, end + 1);
    }
  }
  return lines;
}

std::optional<int> ChildProcess::Reap() {
  int status = 0;
  if (!ended_ && waitpid(pid_, &status, WNOHANG) == pid_) ended_ = status;
  return ended_;
}

void ChildProcess::Kill() {
  if (Reap()) return;
  kill(pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  ended_ = status;
}

}  // namespace helm::exec
