// RunConfig: one YAML file that says what to train, on what, how, and what is asked for (DESIGN section 4, docs/formats/run_config.md).
//
// Reading is two steps: every key through the strict layer (unknown, duplicate, mistyped), then the meaning (sizes that do not divide, a
// world that does not fit the cluster). What this version cannot do is refused by name, never ignored. All problems come out together.
// Invariant of a RunConfig that was read: degrees that were given are possible on the cluster and for the model; defaults are applied.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/cluster.h"
#include "cluster/machine_facts.h"
#include "core/located_yaml.h"
#include "core/preset.h"
#include "core/status.h"
#include "ir/strategy.h"
#include "model/model_spec.h"

namespace helm::config {

// What the search must leave out: every candidate whose keys all have these values.
struct ForbiddenStrategy {
  std::vector<std::pair<std::string, std::string>> values;  // key of `strategy`, value as it is written: {"tensor", "8"}
  bool operator==(const ForbiddenStrategy&) const = default;
};

// What a search looks for: the fastest step on the whole cluster; or, of the best plans of its parts (planner/size_search.h), that with the
// most tokens a second and GPU, with the least cost, or with the fewest GPUs that meet a deadline.
enum class Objective : uint8_t { kStepTime, kTokensPerSecondPerGpu, kCost, kGpus };

// How often runs fail, and what that costs them.
struct Failures {
  double mtbf_gpu_hours = 0;  // GPU hours between two failures, whatever fails
  double checkpoint_s = 0;    // that training stands still for a checkpoint
  double restart_s = 0;       // from a failure until training goes on from the last checkpoint
  bool operator==(const Failures&) const = default;
};

struct SearchOptions {
  Objective objective = Objective::kStepTime;
  double tokens = 0;              // of the whole run; 0: not given, as the next two
  double deadline_days = 0;       // of the whole run
  double price_per_gpu_hour = 0;  // in any currency
  std::optional<Failures> failures;
  double memory_fraction = 0.94;  // of the device's memory that a plan may fill
  double time_limit_s = 60.0;
  std::vector<ForbiddenStrategy> forbid;
  bool operator==(const SearchOptions&) const = default;
};

struct RunConfig {
  model::ModelSpec model;
  cluster::Cluster cluster;
  std::vector<std::string> cost_tables;  // files that exist, resolved against the config's folder
  ir::Software software;
  ir::Workload workload;
  ir::Strategy strategy;                 // defaults where not given
  std::set<std::string> strategy_given;  // keys of `strategy` that the user fixed
  bool overlap_auto = false;             // 'overlap: auto': left to the search
  SearchOptions search;
  ir::Tolerance tolerance;
  std::string path;
};

struct ConfigContext {
  PresetPath presets;
  cluster::MachineFacts machine;
};

// `overrides`: "strategy.tensor=4", as --set gives them; they replace or add a value before anything is checked. What is wrong in one is
// shown as "--set strategy.tenosr=4: error: ...".
Result<RunConfig> ReadRunConfig(const std::string& path, const std::vector<std::string>& overrides, const ConfigContext& context);
Result<RunConfig> ParseRunConfig(std::string_view text, const std::string& path, const std::vector<std::string>& overrides,
                                 const ConfigContext& context);
// The same for a document that is already a tree: another format that is translated into this one (validation/). `path`: what relative
// paths are relative to, and the name in messages without a place.
Result<RunConfig> ReadRunConfigTree(YamlValue document, const std::string& path, const std::vector<std::string>& overrides,
                                    const ConfigContext& context);

// Whether the search must leave this strategy out.
bool Forbidden(const SearchOptions& search, const ir::Strategy& strategy);

}  // namespace helm::config
