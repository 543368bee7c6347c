// RandomProgram: a valid program of compute ops, collectives on two groups and waits, for property tests (rapidcheck draws it).
#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/check.h"
#include "ir/verify.h"

namespace helm::test {

inline constexpr int kRandomTargets = 5;  // names of compute ops

inline std::string RandomTarget(int number) { return "aten.op" + std::to_string(number); }

class RandomProgramMaker {
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
    op.target = RandomTarget(*rc::gen::inRange(0, kRandomTargets));
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

inline ir::Program RandomProgram() {
  ir::Program program = RandomProgramMaker().Make();
  const Status verified = ir::Verify(program);
  HELM_CHECK(verified.ok(), verified.message().c_str());
  return program;
}

}  // namespace helm::test
