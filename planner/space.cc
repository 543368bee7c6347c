#include "planner/space.h"

#include <fmt/format.h>

#include "model/lower.h"

namespace helm::planner {
namespace {

std::vector<int64_t> Divisors(int64_t number) {
  std::vector<int64_t> divisors;
  for (int64_t i = 1; i <= number; ++i) {
    if (number % i == 0) divisors.push_back(i);
  }
  return divisors;
}

bool Given(const config::RunConfig& config, const char* key) { return config.strategy_given.contains(key); }

// The values of a degree: the given one, or all that divide `number`.
std::vector<int64_t> Choices(const config::RunConfig& config, const char* key, int64_t given, int64_t number) {
  return Given(config, key) ? std::vector<int64_t>{given} : Divisors(number);
}

std::vector<bool> SequenceParallelChoices(const config::RunConfig& config, int64_t tensor) {
  if (Given(config, "sequence_parallel")) return {config.strategy.sequence_parallel};
  return tensor > 1 ? std::vector<bool>{false, true} : std::vector<bool>{false};
}

// Micro-batch sizes that divide one data-parallel rank's share of the batch; a share that is not whole is left for the check to refuse.
std::vector<int64_t> MicroBatchChoices(const config::RunConfig& config, int64_t data) {
  if (Given(config, "micro_batch")) return {config.strategy.micro_batch};
  if (config.workload.global_batch % data != 0) return {1};
  return Divisors(config.workload.global_batch / data);
}

void Consider(const config::RunConfig& config, const ir::Strategy& strategy, Space& space) {
  if (config::Forbidden(config.search, strategy)) {
    space.rejected.push_back({strategy, "search.forbid"});
  } else if (Status status = model::CheckStrategy(config.model, config.workload, strategy); !status.ok()) {
    space.rejected.push_back({strategy, status.message()});
  } else {
    space.candidates.push_back(strategy);
  }
}

}  // namespace

Space EnumerateStrategies(const config::RunConfig& config) {
  Space space;
  const int64_t world = config.cluster.devices_used;
  for (int64_t tensor : Choices(config, "tensor", config.strategy.tensor, world)) {
    const int64_t rest = world / tensor;
    for (int64_t data : Given(config, "data") ? std::vector<int64_t>{config.strategy.data} : std::vector<int64_t>{rest}) {
      for (bool sequence_parallel : SequenceParallelChoices(config, tensor)) {
        for (int64_t micro_batch : MicroBatchChoices(config, data)) {
          ir::Strategy strategy = config.strategy;
          strategy.data = data;
          strategy.tensor = tensor;
          strategy.sequence_parallel = sequence_parallel;
          strategy.micro_batch = micro_batch;
          if (strategy.world_size() != world) {
            space.rejected.push_back({strategy, fmt::format("uses {} of {} devices", strategy.world_size(), world)});
          } else {
            Consider(config, strategy, space);
          }
        }
      }
    }
  }
  return space;
}

Status CheckFixedStrategy(const config::RunConfig& config) {
  const int64_t world = config.strategy.world_size();
  if (world != config.cluster.devices_used) {
    return InvalidError(
        fmt::format("{}: error: the strategy ({}) uses {} of the cluster's {} devices\n"
                    "  fix: give degrees whose product is {} (data x tensor x context x pipeline), or another number of devices",
                    config.path, ir::Describe(config.strategy), world, config.cluster.devices_used, config.cluster.devices_used));
  }
  if (Status status = model::CheckStrategy(config.model, config.workload, config.strategy); !status.ok()) {
    return InvalidError(fmt::format("{}: error: {}", config.path, status.message()));
  }
  return OkStatus();
}

}  // namespace helm::planner
