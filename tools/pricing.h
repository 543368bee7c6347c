// From configuration to estimator: what the planning tools share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "config/run_config.h"
#include "core/status.h"
#include "cost/cost_table.h"
#include "ir/software.h"
#include "planner/search.h"

namespace helm::tools {

struct PricingOptions {
  std::vector<std::string> cost_tables;  // files, in order: later rows replace earlier ones
  bool require_measured = false;
  ir::Software software;  // whose host thread launches
  bool quiet = false;     // the warnings have been shown
};

// Reads and merges the tables and makes a factory of estimators for the cluster. Tables of another device are refused. Prints a warning
// when there are no tables, since every number is then analytic.
Result<planner::EstimatorFactory> MakeEstimatorFactory(const cluster::Cluster& cluster, const PricingOptions& options);

// Paths that mean the same from any folder, for files that are written into a plan.
std::vector<std::string> AbsolutePaths(const std::vector<std::string>& paths);

// The run configuration of a tool's argument, with its --set values and cost tables.
struct ConfigArguments {
  std::string path;
  std::vector<std::string> overrides;
  std::vector<std::string> cost_tables;
};
Result<config::RunConfig> ReadConfig(const ConfigArguments& arguments);

// Where presets are, and what this machine has.
Result<config::ConfigContext> Context();

}  // namespace helm::tools
