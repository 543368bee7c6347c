// What tells two plans apart: the decisions that differ, and their predictions side by side, part by part.
//
// Pure: values in, text or document out. Which of the two is the better one is the reader's to say.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ir/plan.h"
#include "planner/prediction.h"

namespace helm::planner {

// What costs the loser most against the best, in words: "+12.3 %: 40 ms more bubble"; with "(a tie)" where the two are one.
std::string WhyLost(const Prediction& best, const Prediction& other);

struct Decision {
  std::string key;            // "strategy.tensor", "cluster.inter_node.gbits_per_s"
  std::string first, second;  // "-" where a plan does not have it
};
// Of model, cluster, workload, software and strategy: what was decided, not what was predicted.
std::vector<Decision> DifferentDecisions(const ir::Plan& first, const ir::Plan& second);

struct NamedPrediction {
  std::string name;
  Prediction prediction;
};
// A table: step time, memory, and the parts of the time, of both and by how much the second differs; whether they are a tie.
std::string SideBySide(const NamedPrediction& first, const NamedPrediction& second, Compared compared);

struct PredictedPlan {
  const ir::Plan& plan;
  const Prediction& prediction;
};
// `{schema_version, decisions: [{key, first, second}], first: {strategy, prediction}, second: ..., tie}`; a value of a decision that a plan
// does not have is null.
nlohmann::ordered_json DifferenceJson(const PredictedPlan& first, const PredictedPlan& second, Compared compared);

}  // namespace helm::planner
