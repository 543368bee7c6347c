#include "schedule/pass.h"

#include <fmt/format.h>

#include "core/text.h"
#include "ir/verify.h"
#include "schedule/serial.h"

namespace helm::schedule {
namespace {

struct NamedPass {
  const char* name;
  ir::Program (*run)(const ir::Program&);
};

constexpr NamedPass kPasses[] = {{"serial", MakeSerial}};

}  // namespace

std::vector<std::string> PassNames() {
  std::vector<std::string> names;
  for (const NamedPass& pass : kPasses) names.emplace_back(pass.name);
  return names;
}

Result<ir::Program> RunPass(std::string_view spec, const ir::Program& program) {
  const std::string_view name = spec.substr(0, spec.find('='));
  for (const NamedPass& pass : kPasses) {
    if (name != pass.name) continue;
    if (name != spec) return InvalidError(fmt::format("error: --pass {}: '{}' takes no value", spec, name));
    ir::Program changed = pass.run(program);
    if (Status status = ir::Verify(changed); !status.ok()) {
      return InternalError(fmt::format("after pass {}: {}", name, status.message()));
    }
    return changed;
  }
  const auto nearest = DidYouMean(name, PassNames());
  return InvalidError(fmt::format("error: --pass {}: there is no such pass{}\n  allowed: {}", spec,
                                  nearest ? fmt::format("; did you mean '{}'?", *nearest) : "", Join(PassNames(), ", ")));
}

Result<ir::Program> ApplyOverlap(const std::string& word, ir::Program program) {
  if (word == "none") return program;
  if (word == "serial") return RunPass("serial", program);
  return InvalidError(fmt::format("error: overlap '{}' is not known to this version\nallowed: none, serial", word));
}

}  // namespace helm::schedule
