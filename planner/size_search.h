// SizeSearch: the best plans of smaller parts of a cluster, for objectives that ask how many GPUs to use: throughput of each, cost, fewest
// for a deadline.
//
// Each part is searched for its fastest plan (planner/search.h): on so many GPUs that plan is the best by every objective. Parts are the
// powers of two of a node's devices, the powers of two of nodes, and all; where the fewest GPUs are wanted, also those between the last
// part that misses the deadline and the first that meets it, in up to four steps. `search.forbid` and what `strategy` fixes hold for all.
// The result depends on the configuration alone, as long as no time limit cuts a search short.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "config/run_config.h"
#include "core/status.h"
#include "planner/search.h"
#include "planner/training_run.h"

namespace helm::planner {

struct ClusterPart {
  int64_t gpus = 0;
  std::optional<Candidate> best;  // none: nothing is possible there, or it was not searched any more
  TrainingRun run;                // of the best
  bool complete = true;           // false: its search was stopped early
  std::string reason;             // why it was not chosen; empty for the one that was
};

struct SizeSearch {
  config::RunConfig config;  // with as many devices as are used
  SearchResult chosen;
  std::vector<ClusterPart> parts;  // fewest GPUs first
};

// Devices of the parts that are searched, fewest first.
std::vector<int64_t> PartsOf(const cluster::Cluster& cluster);
// Devices between two such parts, fewest first: at most three numbers, of whole nodes where there are several.
std::vector<int64_t> PartsBetween(const cluster::Cluster& cluster, int64_t fewer, int64_t more);

using EstimatorsOfCluster = std::function<Result<EstimatorFactory>(const cluster::Cluster&)>;

// By `config.search.objective`; equally good parts: the one with fewer GPUs. Parts that miss `search.deadline_days` are not chosen. Each
// has an equal share of the time that is left. kInfeasible when there is no plan for any part, or none meets the deadline: the message
// names the fastest. An interrupt ends it with the best so far, kInterrupted when there is none. REQUIRES: an objective other than the step
// time.
Result<SizeSearch> SearchSizes(const config::RunConfig& config, const EstimatorsOfCluster& estimators, const SearchRun& run);

// A table of the parts.
std::string ToText(const config::RunConfig& config, const std::vector<ClusterPart>& parts);
nlohmann::ordered_json ToJson(const config::RunConfig& config, const std::vector<ClusterPart>& parts);

}  // namespace helm::planner
