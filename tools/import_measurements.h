// helm-profile --import: other programs' measurements of a GPU cluster, into a cost table; and its topology, into a cluster file.
//
// Reads no configuration for its strategy: the cluster in it says what the table's device is called and how many devices a node has, which
// the files often do not.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "core/status.h"
#include "tools/pricing.h"

namespace helm::tools {

struct ImportArguments {
  std::vector<std::string> files;
  std::string gpu;  // a preset of configs/gpus/
  std::string collective;
  std::string dtype;
};

void AddImportOptions(CLI::App& app, ImportArguments& arguments);

// Adds what the files hold to the cost table `out`, or starts it; rows that are there already are replaced. A topology gives no rows: its
// cluster file is printed, as --describe does of this machine. Says on stderr what was left out. Nothing is written when a file cannot be
// read.
Status ImportMeasurements(const ImportArguments& arguments, const ConfigArguments& config, const std::string& out);

}  // namespace helm::tools
