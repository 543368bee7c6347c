#include "schedule/pass.h"

#include <fmt/format.h>

#include "core/text.h"
#include "ir/verify.h"
#include "schedule/serial.h"

namespace helm::schedule {
namespace {

struct Pass {
  std::string_view name;
  ir::Program (*run)(const ir::Program&);
};

constexpr Pass kPasses[] = {
    {"serial", MakeSerial},
};

}  // namespace

std::vector<std::string> PassNames() {
  std::vector<std::string> names;
  for (const Pass& pass : kPasses) names.emplace_back(pass.name);
  return names;
}

Status RunPass(std::string_view pass, ir::Program& program) {
  const size_t equals = pass.find('=');
  const std::string_view name = pass.substr(0, equals);
  for (const Pass& known : kPasses) {
    if (known.name != name) continue;
    if (equals != std::string_view::npos) return InvalidError(fmt::format("error: pass '{}' takes no value, found '{}'", name, pass.substr(equals + 1)));
    program = known.run(program);
    return ir::Verify(program);
  }
  const std::optional<std::string> close = DidYouMean(name, PassNames());
  return InvalidError(fmt::format("error: unknown pass '{}'{}\nallowed: {}", name, close ? fmt::format("; did you mean '{}'?", *close) : "",
                                  Join(PassNames(), ", ")));
}

}  // namespace helm::schedule
