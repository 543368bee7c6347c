#include "tools/pricing.h"

#include <cstdlib>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "cluster/machine_facts.h"
#include "core/file.h"
#include "core/preset.h"
#include "cost/group_estimator.h"
#include "tools/terminal.h"

namespace helm::tools {

Result<planner::EstimatorFactory> MakeEstimatorFactory(const cluster::Cluster& cluster, const PricingOptions& options) {
  std::vector<cost::CostTable> tables;
  std::set<std::string> seen;
  for (const std::string& path : options.cost_tables) {
    if (!seen.insert(path).second) continue;
    HELM_ASSIGN_OR_RETURN(auto table, cost::ReadCostTable(path));
    tables.push_back(std::move(table));
  }
  if (!options.quiet) {
    for (const std::string& warning : cost::ClusterWarnings(cluster, tables)) PrintNote(warning);
  }
  cost::ChainOptions chain_options = cost::ChainOptionsOf(options.software);
  chain_options.require_measured = options.require_measured;
  // Made once here so that a table of another device is refused now, not inside the search.
  HELM_RETURN_IF_ERROR(cost::MakeClusterEstimator(cluster, tables, chain_options).status());
  return planner::EstimatorFactory([cluster, tables, chain_options] { return cost::MakeClusterEstimator(cluster, tables, chain_options); });
}

std::vector<std::string> AbsolutePaths(const std::vector<std::string>& paths) {
  std::vector<std::string> absolute;
  for (const std::string& path : paths) absolute.push_back(std::filesystem::absolute(path).lexically_normal().string());
  return absolute;
}

Result<config::ConfigContext> Context() {
  HELM_ASSIGN_OR_RETURN(auto machine, cluster::ReadMachineFacts());
  return config::ConfigContext{MakePresetPath(std::getenv("HELM_CONFIG_DIR"), ExecutableFolder()), std::move(machine)};
}

Result<config::RunConfig> ReadConfig(const ConfigArguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const config::ConfigContext context, Context());
  HELM_ASSIGN_OR_RETURN(config::RunConfig config, config::ReadRunConfig(arguments.path, arguments.overrides, context));
  config.cost_tables.insert(config.cost_tables.end(), arguments.cost_tables.begin(), arguments.cost_tables.end());
  return config;
}

}  // namespace helm::tools
