// The command line of a tool: CLI11 with HELM's exit codes, `--version`, and one error form.
#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "core/status.h"

namespace helm::tools {

// Reads the arguments. A value: the process should end now with this exit code (help or version was printed: 0; usage error: 2).
std::optional<int> Parse(CLI::App& app, int argc, char** argv);

// Adds `--version`.
void AddVersion(CLI::App& app);

}  // namespace helm::tools
