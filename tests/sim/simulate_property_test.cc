// Properties of Simulate on random programs of compute ops, collectives and waits, for both devices.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sim/simulate.h"
#include "support/fake_estimator.h"
#include "support/random_program.h"

namespace helm::sim {
namespace {

Duration RandomDuration() { return Duration::Picoseconds(*rc::gen::inRange<int64_t>(0, 1000)); }

test::FakeEstimator RandomPrices() {
  test::FakeEstimator prices;
  prices.SetHost(RandomDuration(), RandomDuration(), RandomDuration());
  for (int i = 0; i < test::kRandomTargets; ++i)
    prices.Set(test::RandomTarget(i), RandomDuration(), Bytes(*rc::gen::inRange<int64_t>(0, 5000)));
  return prices.Set("all_gather", RandomDuration());
}

SimulationOptions RandomOptions() {
  return {.layout = *rc::gen::inRange<int64_t>(1, 5), .communication_shares_cores = *rc::gen::arbitrary<bool>()};
}

// Simulate runs its self-checks each time, so that it answers at all is most of the property.
RC_GTEST_PROP(SimulateProperty, EveryProgramPassesTheSelfChecks, ()) {
  const ir::Program program = test::RandomProgram();
  const auto simulation = Simulate({{program}}, RandomPrices(), RandomOptions());
  RC_ASSERT(simulation.ok());
  RC_ASSERT(simulation->timeline.ranks[0].memory_bytes_peak == simulation->peak.bytes);
  std::vector<Duration> ends(simulation->timeline.streams.size());
  for (const ir::TimelineEvent& event : simulation->timeline.events) {  // sorted and disjoint on each stream
    Duration& end = ends[static_cast<size_t>(event.stream)];
    RC_ASSERT(event.start >= end);
    end = event.start + event.duration;
    RC_ASSERT(end <= simulation->makespan);
  }
}

RC_GTEST_PROP(SimulateProperty, LongerOpNeverShortensTheMakespan, ()) {
  const ir::Program program = test::RandomProgram();
  test::FakeEstimator prices = RandomPrices();
  const SimulationOptions options = RandomOptions();
  const auto before = Simulate({{program}}, prices, options);
  RC_ASSERT(before.ok());
  const std::string name = *rc::gen::element<std::string>("all_gather", test::RandomTarget(0), test::RandomTarget(1));
  prices.Set(name, Duration::Picoseconds(1000 + *rc::gen::inRange<int64_t>(0, 1000)));
  const auto after = Simulate({{program}}, prices, options);
  RC_ASSERT(after.ok());
  RC_ASSERT(after->makespan >= before->makespan);
}

// Taking the cores for communication never makes a step shorter, and at most as much longer as all communication.
RC_GTEST_PROP(SimulateProperty, SharedCoresCostAtMostTheCommunication, ()) {
  const ir::Program program = test::RandomProgram();
  const test::FakeEstimator prices = RandomPrices();
  const auto free = Simulate({{program}}, prices, {.communication_shares_cores = false});
  const auto shared = Simulate({{program}}, prices, {.communication_shares_cores = true});
  RC_ASSERT(free.ok() && shared.ok());
  const auto starts = std::ranges::count_if(program.ops, [](const ir::Op& op) { return op.kind == ir::OpKind::kCollectiveStart; });
  const auto price = prices.EstimateCollective({"all_gather"});
  RC_ASSERT(shared->makespan >= free->makespan);
  RC_ASSERT(shared->makespan <= free->makespan + price->duration * starts);
}

// Which numbers tensors and storages have says nothing about time or memory.
RC_GTEST_PROP(SimulateProperty, NumbersOfTensorsDoNotMatter, ()) {
  const ir::Program program = test::RandomProgram();
  ir::Program renumbered = program;
  const size_t count = program.tensors.size();
  const auto moved = [count](auto id) { return decltype(id)(count - 1 - id.index()); };
  std::ranges::reverse(renumbered.tensors);
  std::ranges::reverse(renumbered.storages);  // one storage for each tensor
  for (ir::Tensor& tensor : renumbered.tensors) tensor.storage = moved(tensor.storage);
  for (auto& [name, tensor] : renumbered.inputs) tensor = moved(tensor);
  for (auto& [name, tensor] : renumbered.outputs) tensor = moved(tensor);
  for (ir::Op& op : renumbered.ops) {
    for (ir::TensorId& result : op.results) result = moved(result);
    for (ir::Argument& argument : op.arguments) {
      if (auto* tensor = std::get_if<ir::TensorId>(&argument)) *tensor = moved(*tensor);
    }
  }
  const test::FakeEstimator prices = RandomPrices();
  const SimulationOptions options = RandomOptions();
  const auto one = Simulate({{program}}, prices, options);
  const auto other = Simulate({{renumbered}}, prices, options);
  RC_ASSERT(one.ok() && other.ok());
  RC_ASSERT(one->timeline.events == other->timeline.events);
  RC_ASSERT(one->critical_path == other->critical_path);
  RC_ASSERT(one->peak.bytes == other->peak.bytes && one->peak.op == other->peak.op);
}

}  // namespace
}  // namespace helm::sim
