#include "core/stamp.h"

#include <unistd.h>

#include <ctime>

namespace helm {
namespace {

std::string HostName() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "unknown";
  return name;
}

std::string Now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

// Both are defined by CMake for this file alone, so that a new commit rebuilds one file.
std::string Version() { return HELM_VERSION; }
std::string Revision() { return HELM_REVISION; }

nlohmann::ordered_json MakeStamp(const StampInputs& inputs) {
  nlohmann::ordered_json stamp;
  stamp["helm"] = Version();
  stamp["revision"] = Revision();
  stamp["created"] = inputs.created.value_or(Now());
  stamp["host"] = inputs.host.value_or(HostName());
  if (inputs.seed) stamp["seed"] = *inputs.seed;
  if (!inputs.hashes.empty()) stamp["hashes"] = inputs.hashes;
  for (const auto& [key, value] : inputs.extra) stamp[key] = value;
  return stamp;
}

}  // namespace helm
