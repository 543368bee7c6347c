// Plan: the decisions for one run, all that is needed to build its programs again, and what was predicted. The only thing that planner and
// executor share; on disk a YAML file, `format: helm-plan/1` (docs/formats/plan.md).
//
// Not the program: that is built from the plan by schedule/materialise.h, and its hash must equal `program_hash`.
// `model` and `cluster` are inline documents in the forms of DESIGN section 4 (the modules model/ and cluster/ read them).
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/located_yaml.h"
#include "core/status.h"
#include "ir/strategy.h"

namespace helm::ir {

struct PassRecord {
  std::string pass;    // name of the pass
  std::string value;   // its option, if any
  std::string reason;  // why it was chosen, or why it left the program as it was
  bool operator==(const PassRecord&) const = default;
};

struct PlanPrediction {
  double step_time_s = 0;
  int64_t peak_memory_bytes = 0;
  double share_measured = 0;
  double share_interpolated = 0;
  double share_analytic = 0;
  bool operator==(const PlanPrediction&) const = default;
};

struct Plan {
  nlohmann::ordered_json model;
  nlohmann::ordered_json cluster;
  Workload workload;
  Software software;
  Strategy strategy;
  Tolerance tolerance;
  double memory_fraction = 1.0;  // of a device's memory that it may fill: the capacity it was searched with
  std::vector<PassRecord> passes;
  std::string program_hash;
  PlanPrediction prediction;
  std::vector<std::string> cost_tables;  // files the prediction rests on, absolute or relative to the plan
  nlohmann::ordered_json stamp;          // core/stamp.h
  bool operator==(const Plan&) const = default;
};

nlohmann::ordered_json ToJson(const Plan& plan);
std::string ToYaml(const Plan& plan);
// Strict: unknown or duplicate keys, wrong types, an unknown format version are all reported, with line and column.
Result<Plan> ParsePlan(std::string_view text, std::string_view file);
Result<Plan> ParsePlanTree(const YamlValue& document);
Result<Plan> ReadPlan(const std::string& path);
Status WritePlan(const Plan& plan, const std::string& path);  // atomic

}  // namespace helm::ir
