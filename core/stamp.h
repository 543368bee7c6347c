// Stamp: where a file came from. Every file that HELM writes carries one: version, revision, machine, time, seed, hashes of what it was
// made from.
//
// For people and for checks of the hashes; nothing else may depend on it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace helm {

std::string Version();   // "0.1.0"
std::string Revision();  // git revision of the build, "unknown" outside a checkout

struct StampInputs {
  std::optional<uint64_t> seed;
  std::map<std::string, std::string> hashes;  // what -> Hex16
  std::map<std::string, std::string> extra;   // "device", "driver", "torch", ...
  // Given: used instead of the clock and the host's name, for tests and golden files.
  std::optional<std::string> created;
  std::optional<std::string> host;
};

// {helm, revision, created (UTC, ISO 8601), host, seed?, hashes?, ...extra}.
nlohmann::ordered_json MakeStamp(const StampInputs& inputs);

}  // namespace helm
