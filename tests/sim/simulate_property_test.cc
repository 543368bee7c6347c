// Properties of Simulate on random programs of compute ops, collectives and waits, for both devices.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ir/verify.h"
#include "sim/simulate.h"
#include "support/fake_estimator.h"

namespace helm::sim {
namespace {

constexpr int kTargets = 5;

std::string Target(int number) { return "aten.op" + std::to_string(number); }

class ProgramMaker {
 public:
  ir::Program Make() {
    program_.name = "random";
    program_.device = *rc::gen::element(ir::DeviceKind::kCpu, ir::DeviceKind::kCuda);
    program_.mesh = {{"tensor", 2}, {"data", 2}};
    program_.groups = {{"tensor", {"tensor"}}, {"data", {"data"}}};
    pending_.resize(2);
    const ir::TensorId input = AddTensor(true, ir::OpId());
    program_.inputs["x"] = input;
    readable_ = {input};
    const auto count = *rc::gen::inRange(1, 40);
    for (int i = 0; i < count; ++i) AddRandomOp();
    for (size_t group = 0; group < 2; ++group) {
      if (!pending_[group].empty()) AddWait(group, pending_[group].size() - 1);
    }
    KeepWhatNobodyReads();
    return std::move(program_);
  }

 private:
  void KeepWhatNobodyReads() {  // the verifier refuses ops whose results are of no use
    std::vector<bool> read(program_.tensors.size(), false);
    for (const ir::Op& op : program_.ops) {
      for (const ir::TensorId tensor : ir::TensorArguments(op)) read[tensor.index()] = true;
    }
    for (size_t t = 0; t < read.size(); ++t) {
      if (!read[t] && program_.tensors[t].producer.valid()) program_.outputs[program_.tensors[t].name] = ir::TensorId(t);
    }
  }

  ir::TensorId AddTensor(bool persistent, ir::OpId producer) {
    const std::string name = "t" + std::to_string(program_.tensors.size());
    const auto elements = *rc::gen::inRange<int64_t>(1, 1000);
    program_.storages.push_back({name, Bytes(4 * elements), ir::StorageRole::kActivation, persistent});
    program_.tensors.push_back({name, ir::DataType::kFloat32, {elements}, {1}, 0, ir::StorageId(program_.storages.size() - 1), producer});
    return ir::TensorId(program_.tensors.size() - 1);
  }

  void AddRandomOp() {
    const auto group = *rc::gen::inRange<size_t>(0, 2);
    const auto choice = *rc::gen::inRange(0, 4);
    if (choice == 0) {
      AddStart(group);
    } else if (choice == 1 && !pending_[group].empty()) {
      AddWait(group, *rc::gen::inRange<size_t>(0, pending_[group].size()));
    } else {
      AddCompute();
    }
  }

  void AddCompute() {
    const ir::OpId id(program_.ops.size());
    ir::Op op;
    op.target = Target(*rc::gen::inRange(0, kTargets));
    op.arguments = {*rc::gen::elementOf(readable_), *rc::gen::elementOf(readable_)};
    op.phase = *rc::gen::element(ir::Phase::kForward, ir::Phase::kOptimizer);
    op.results = {AddTensor(false, id)};
    readable_.push_back(op.results[0]);
    program_.ops.push_back(op);
  }

  void AddStart(size_t group) {
    const ir::OpId id(program_.ops.size());
    ir::Op op;
    op.kind = ir::OpKind::kCollectiveStart;
    op.target = "c10d.all_gather";
    const ir::TensorId read = *rc::gen::elementOf(readable_);
    op.arguments = {read};
    op.group = ir::GroupId(group);
    op.results = {AddTensor(false, id)};
    ir::Tensor& result = program_.tensors[op.results[0].index()];
    result.shape = {2 * program_.tensor(read).shape[0]};
    program_.storages[result.storage.index()].bytes = Bytes(4 * result.shape[0]);
    program_.storages[result.storage.index()].role = ir::StorageRole::kCommunicationBuffer;
    pending_[group].push_back(id);
    program_.ops.push_back(op);
  }

  void AddWait(size_t group, size_t which) {
    ir::Op op;
    op.kind = ir::OpKind::kWait;
    op.target = "c10d.wait";
    op.group = ir::GroupId(group);
    op.arguments = {pending_[group][which]};
    for (size_t i = 0; i <= which; ++i) readable_.push_back(program_.op(pending_[group][i]).results[0]);
    pending_[group].erase(pending_[group].begin(), pending_[group].begin() + static_cast<std::ptrdiff_t>(which) + 1);
    program_.ops.push_back(op);
  }

  ir::Program program_;
  std::vector<ir::TensorId> readable_;
  std::vector<std::vector<ir::OpId>> pending_;  // by group
};

ir::Program RandomProgram() {
  ir::Program program = ProgramMaker().Make();
  const Status verified = ir::Verify(program);
  HELM_CHECK(verified.ok(), verified.message().c_str());
  return program;
}

Duration RandomDuration() { return Duration::Picoseconds(*rc::gen::inRange<int64_t>(0, 1000)); }

test::FakeEstimator RandomPrices() {
  test::FakeEstimator prices;
  prices.SetHost(RandomDuration(), RandomDuration(), RandomDuration());
  for (int i = 0; i < kTargets; ++i) prices.Set(Target(i), RandomDuration(), Bytes(*rc::gen::inRange<int64_t>(0, 5000)));
  return prices.Set("all_gather", RandomDuration());
}

SimulationOptions RandomOptions() {
  return {.ranks_per_node = *rc::gen::inRange<int64_t>(1, 5), .communication_shares_cores = *rc::gen::arbitrary<bool>()};
}

// Simulate runs its self-checks each time, so that it answers at all is most of the property.
RC_GTEST_PROP(SimulateProperty, EveryProgramPassesTheSelfChecks, ()) {
  const ir::Program program = RandomProgram();
  const auto simulation = Simulate(program, RandomPrices(), RandomOptions());
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
  const ir::Program program = RandomProgram();
  test::FakeEstimator prices = RandomPrices();
  const SimulationOptions options = RandomOptions();
  const auto before = Simulate(program, prices, options);
  RC_ASSERT(before.ok());
  const std::string name = *rc::gen::element<std::string>("all_gather", Target(0), Target(1));
  prices.Set(name, Duration::Picoseconds(1000 + *rc::gen::inRange<int64_t>(0, 1000)));
  const auto after = Simulate(program, prices, options);
  RC_ASSERT(after.ok());
  RC_ASSERT(after->makespan >= before->makespan);
}

// Taking the cores for communication never makes a step shorter, and at most as much longer as all communication.
RC_GTEST_PROP(SimulateProperty, SharedCoresCostAtMostTheCommunication, ()) {
  const ir::Program program = RandomProgram();
  const test::FakeEstimator prices = RandomPrices();
  const auto free = Simulate(program, prices, {.communication_shares_cores = false});
  const auto shared = Simulate(program, prices, {.communication_shares_cores = true});
  RC_ASSERT(free.ok() && shared.ok());
  const auto starts = std::ranges::count_if(program.ops, [](const ir::Op& op) { return op.kind == ir::OpKind::kCollectiveStart; });
  const auto price = prices.EstimateCollective({"all_gather"});
  RC_ASSERT(shared->makespan >= free->makespan);
  RC_ASSERT(shared->makespan <= free->makespan + price->duration * starts);
}

// Which numbers tensors and storages have says nothing about time or memory.
RC_GTEST_PROP(SimulateProperty, NumbersOfTensorsDoNotMatter, ()) {
  const ir::Program program = RandomProgram();
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
  const auto one = Simulate(program, prices, options);
  const auto other = Simulate(renumbered, prices, options);
  RC_ASSERT(one.ok() && other.ok());
  RC_ASSERT(one->timeline.events == other->timeline.events);
  RC_ASSERT(one->critical_path == other->critical_path);
  RC_ASSERT(one->peak.bytes == other->peak.bytes && one->peak.op == other->peak.op);
}

}  // namespace
}  // namespace helm::sim
