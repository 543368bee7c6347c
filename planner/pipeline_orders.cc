#include "planner/pipeline_orders.h"

#include <algorithm>
#include <map>

namespace helm::planner {
namespace {

// What a framework's pipelines run beside 1F1B.
struct Abilities {
  bool interleaved = false;
  std::vector<std::string> zero_bubble;
  bool uneven_stages = false;
};

// helm: schedule/pipeline_schedule.h. torchtitan: the same as CSV files (pipeline_parallel_schedule_csv; exporter/torchtitan.cc), and the
// modules of each stage by name (module_fqns_per_model_part). Megatron-LM and what is built on it:
// megatron/core/pipeline_parallel/schedules.py, and --pipeline-model-parallel-layout. DeepSpeed (deepspeed/runtime/pipe/schedule.py,
// TrainSchedule) and nanotron (nanotron/parallel/pipeline_parallel/engine.py) have 1F1B alone, as every framework that is not named here;
// their stages are cut by rules of their own.
Abilities AbilitiesOf(const std::string& framework) {
  static const std::vector<std::string> all = {"zb-h1", "zb-h2", "zb-v", "dualpipev"};
  static const std::map<std::string, Abilities> known = {{"helm", {true, all, true}},           {"torchtitan", {true, all, true}},
                                                         {"megatron-core", {true, {}, true}},   {"megatron-lm", {true, {}, true}},
                                                         {"megatron-bridge", {true, {}, true}}, {"nemo", {true, {}, true}}};
  const auto found = known.find(framework);
  return found == known.end() ? Abilities{} : found->second;
}

bool HasTwoChunks(const std::string& schedule) { return schedule == "zb-v" || schedule == "dualpipev"; }

}  // namespace

bool SplitsUnevenly(const std::string& framework) { return AbilitiesOf(framework).uneven_stages; }

std::vector<PipelineOrder> PipelineOrders(const config::RunConfig& config, int64_t pipeline) {
  const auto given = [&config](const char* key) { return config.strategy_given.contains(key); };
  const int64_t chunks = config.strategy.virtual_pipeline;
  if (pipeline == 1) return {{"none", chunks}};
  if (given("schedule")) return {{config.strategy.schedule, chunks}};
  if (given("virtual_pipeline")) return {{chunks > 1 ? "interleaved-1f1b" : "1f1b", chunks}};
  std::vector<PipelineOrder> orders = {{"1f1b", 1}};
  if (config.cluster.device.is_cpu || given("stages")) return orders;
  const int64_t layers = config.model.layers;
  const Abilities can = AbilitiesOf(config.software.framework);
  for (const std::string& schedule : can.zero_bubble) {
    const int64_t each = HasTwoChunks(schedule) ? 2 : 1;
    const bool splits = each == 1 && can.uneven_stages;
    if (splits || layers % (pipeline * each) == 0) orders.push_back({schedule, each});
  }
  for (int64_t each = 2; can.interleaved && pipeline * each <= layers; ++each) {
    if (layers % (pipeline * each) == 0) orders.push_back({"interleaved-1f1b", each});
  }
  std::ranges::stable_sort(orders, {}, &PipelineOrder::virtual_pipeline);
  return orders;
}

}  // namespace helm::planner
