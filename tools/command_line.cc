#include "tools/command_line.h"

#include <fmt/format.h>

#include "core/stamp.h"
#include "tools/terminal.h"

namespace helm::tools {

namespace {

// In --help, where there is a default to speak of.
void ShowDefault(CLI::Option& option) {
  option.capture_default_str();
  if (option.get_default_str() == "0") option.default_str("");
}

}  // namespace

void AddVersion(CLI::App& app) { app.set_version_flag("--version", fmt::format("{} {} ({})", app.get_name(), Version(), Revision())); }

std::optional<int> Parse(CLI::App& app, int argc, char** argv) {
  AddVersion(app);
  for (CLI::Option* option : app.get_options([](const CLI::Option* any) { return !any->get_positional(); })) {
    // An option that may be repeated takes one value each time, so that `--set key=value config.yaml` leaves the configuration alone.
    option->allow_extra_args(false);
    if (option->get_type_size() > 0 && option->get_expected_max() == 1) ShowDefault(*option);
  }
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
