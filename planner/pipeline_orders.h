// PipelineOrder: a schedule with the chunks that each stage has by it, and which of them a search tries.
//
// On GPUs those that the framework of the configuration can run: 1F1B; interleaved with every number of chunks that layers divide into; the
// zero-bubble orders; where the stages cannot hold equally many layers (planner/stage_split.h) those with one chunk a stage. On CPUs, whose
// ranks all wait for the same memory, 1F1B alone. GPipe is never faster than 1F1B nor smaller.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/run_config.h"

namespace helm::planner {

struct PipelineOrder {
  std::string schedule = "none";
  int64_t virtual_pipeline = 1;
  bool operator==(const PipelineOrder&) const = default;
};

// Whether the framework can be told how many layers each stage of a pipeline holds.
bool SplitsUnevenly(const std::string& framework);

// For so many stages, least chunks first; what the configuration gives is kept.
std::vector<PipelineOrder> PipelineOrders(const config::RunConfig& config, int64_t pipeline);

}  // namespace helm::planner
