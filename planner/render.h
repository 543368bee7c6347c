// Text and JSON of a search's result and of one priced strategy. Pure: value in, document out.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "planner/evaluate.h"
#include "planner/search.h"
#include "planner/size_search.h"

namespace helm::planner {

struct RenderOptions {
  std::string plan_path;                            // where the plan was written; empty: nowhere
  std::string trainer;                              // an export that takes the plan (exporter/exporter.h) and was not made; empty: none
  const std::vector<ClusterPart>* parts = nullptr;  // where the parts of the cluster were searched too (planner/size_search.h)
  bool explain = false;                             // also every rejected and losing candidate
};

// Under 25 lines unless explained: the plan, its prediction, runners-up with the reason each lost, the Pareto front, the next command.
std::string RenderText(const config::RunConfig& config, const SearchResult& result, const RenderOptions& options);
nlohmann::ordered_json RenderJson(const config::RunConfig& config, const SearchResult& result, const std::vector<ClusterPart>* parts);

// helm-sim: `{schema_version, strategy, prediction}`.
std::string RenderText(const Evaluation& evaluation);
nlohmann::ordered_json RenderJson(const Evaluation& evaluation);

}  // namespace helm::planner
