#include "tools/command_line.h"

#include <fmt/format.h>

#include "core/stamp.h"
#include "tools/terminal.h"

namespace helm::tools {

void AddVersion(CLI::App& app) { app.set_version_flag("--version", fmt::format("{} {} ({})", app.get_name(), Version(), Revision())); }

std::optional<int> Parse(CLI::App& app, int argc, char** argv) {
  AddVersion(app);
  app.option_defaults()->always_capture_default();
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    PrintResult(app.help());
    return 0;
  } catch (const CLI::CallForVersion& version) {
    PrintResult(std::string(version.what()) + "\n");
    return 0;
  } catch (const CLI::ParseError& error) {
    return Fail(InvalidError(fmt::format("{}: error: {}\n  fix: see {} --help", app.get_name(), error.what(), app.get_name())));
  }
}

}  // namespace helm::tools
