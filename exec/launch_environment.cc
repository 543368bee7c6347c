#include "exec/launch_environment.h"

#include <string_view>

#include <fmt/format.h>

#include "core/text.h"

namespace helm::exec {
namespace {

class Reader {
 public:
  explicit Reader(const std::function<const char*(const char*)>& variable) : variable_(variable) {}

  bool Has(const char* name) const { return variable_(name) != nullptr; }

  std::string Text(const char* name) {
    const char* value = variable_(name);
    if (value == nullptr || *value == '\0') Complain(fmt::format("environment variable {} is not set", name));
    return value == nullptr ? "" : value;
  }

  int64_t Number(const char* name, int64_t least, int64_t most) {
    const std::string text = Text(name);
    const std::optional<int64_t> value = ParseInt64(text);
    if (!text.empty() && (!value || *value < least || *value > most)) {
      Complain(fmt::format("environment variable {} is '{}'; allowed: {} to {}", name, text, least, most));
    }
    return value.value_or(least);
  }

  Status status() const { return status_; }

 private:
  void Complain(const std::string& what) {
    if (!status_.ok()) return;
    status_ = InvalidError(
        fmt::format("error: {}\nfix: start with torchrun, which sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT, or unset "
                    "RANK and WORLD_SIZE to let helm-exec spawn the ranks itself",
                    what));
  }

  const std::function<const char*(const char*)>& variable_;
  Status status_;
};

}  // namespace

Result<std::optional<LaunchEnvironment>> ReadLaunchEnvironment(const std::function<const char*(const char*)>& variable) {
  constexpr int64_t kRanksMost = 1 << 24;
  Reader reader(variable);
  if (!reader.Has("RANK") && !reader.Has("WORLD_SIZE")) return std::optional<LaunchEnvironment>();
  LaunchEnvironment environment;
  environment.world_size = reader.Number("WORLD_SIZE", 1, kRanksMost);
  environment.rank = reader.Number("RANK", 0, environment.world_size - 1);
  environment.local_rank = reader.Has("LOCAL_RANK") ? reader.Number("LOCAL_RANK", 0, environment.world_size - 1) : environment.rank;
  environment.host = reader.Text("MASTER_ADDR");
  environment.port = static_cast<int>(reader.Number("MASTER_PORT", 1, 65535));
  const char* agent = variable("TORCHELASTIC_USE_AGENT_STORE");
  environment.launcher_serves_store = agent != nullptr && std::string_view(agent) == "True";
  HELM_RETURN_IF_ERROR(reader.status());
  return std::optional<LaunchEnvironment>(environment);
}

}  // namespace helm::exec
