#include "tools/rank_processes.h"

#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "core/text.h"

extern char** environ;

namespace helm::tools {
namespace {

constexpr const char* kVariable = "HELM_PROFILE_RANK";

std::string Encode(const RankRole& role) {
  std::string text = fmt::format("{},{},{},{},{}", role.rank, role.ranks, role.port, role.threads, role.device);
  if (role.network) text += fmt::format(",{},{}", role.network->latency.picoseconds(), role.network->bandwidth.value());
  return text;
}

Result<pid_t> Spawn(const RankRole& role) {
  const std::string setting = fmt::format("{}={}", kVariable, Encode(role));
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(const_cast<char*>(setting.c_str()));
  environment.push_back(nullptr);
  std::string executable = "/proc/self/exe";
  char* const arguments[] = {executable.data(), nullptr};
  pid_t process = 0;
  const int error = posix_spawn(&process, executable.c_str(), nullptr, nullptr, arguments, environment.data());
  if (error != 0) return UnavailableError(fmt::format("error: cannot start rank {}: {}", role.rank, std::strerror(error)));
  return process;
}

}  // namespace

Result<std::unique_ptr<RankProcesses>> RankProcesses::Start(const RankRole& parent) {
  std::unique_ptr<RankProcesses> started(new RankProcesses({}));  // kills what was started if a later one fails
  for (int64_t rank = 1; rank < parent.ranks; ++rank) {
    RankRole role = parent;
    role.rank = rank;
    HELM_ASSIGN_OR_RETURN(const pid_t process, Spawn(role));
    started->processes_.push_back(process);
  }
  return started;
}

RankProcesses::~RankProcesses() {
  for (pid_t process : processes_) kill(process, SIGKILL);
  for (pid_t process : processes_) waitpid(process, nullptr, 0);
}

std::optional<RankRole> RoleFromEnvironment() {
  const char* setting = std::getenv(kVariable);
  if (setting == nullptr) return std::nullopt;
  const std::vector<std::string> fields = Split(setting, ',');
  HELM_CHECK(fields.size() == 5 || fields.size() == 7, "HELM_PROFILE_RANK is set by helm-profile only");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const int told : {SIGINT, SIGTERM}) signal(told, SIG_IGN);  // rank 0 tells the others when to stop
  RankRole role;
  role.rank = ParseInt64(fields[0]).value_or(-1);
  role.ranks = ParseInt64(fields[1]).value_or(-1);
  role.port = static_cast<int>(ParseInt64(fields[2]).value_or(0));
  role.threads = ParseInt64(fields[3]).value_or(1);
  role.device = fields[4];
  if (fields.size() == 7) {
    role.network = {Duration::Picoseconds(ParseInt64(fields[5]).value_or(0)), BytesPerSecond::Of(ParseDouble(fields[6]).value_or(0))};
  }
  HELM_CHECK(role.rank > 0 && role.rank < role.ranks, "HELM_PROFILE_RANK is set by helm-profile only");
  return role;
}

}  // namespace helm::tools
