// Mutations: small wrongs in a program, of which the parity checks must find every one. Each edit leaves a program that verifies and runs.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/check.h"
#include "ir/program.h"
#include "schedule/edit.h"

namespace helm::exec {

// Every argument `from` of the ops behind `after` becomes `to`.
inline void Redirect(ir::Program* program, size_t after, ir::TensorId from, ir::TensorId to) {
  for (size_t i = after + 1; i < program->ops.size(); ++i) {
    for (ir::Argument& argument : program->ops[i].arguments) {
      if (auto* tensor = std::get_if<ir::TensorId>(&argument); tensor != nullptr && *tensor == from) *tensor = to;
      if (auto* list = std::get_if<std::vector<ir::TensorId>>(&argument)) {
        for (ir::TensorId& tensor : *list) tensor = tensor == from ? to : tensor;
      }
    }
  }
  for (auto& [name, tensor] : program->outputs) tensor = tensor == from ? to : tensor;
}

inline ir::Program Without(const ir::Program& program, const std::vector<size_t>& gone) {
  std::vector<bool> keep(program.ops.size(), true);
  for (const size_t op : gone) keep[op] = false;
  Result<ir::Program> result = schedule::KeepOps(program, keep);
  HELM_CHECK(result.ok(), result.status().message().c_str());
  return *std::move(result);
}

// An in-place op is left out: what read its result reads what it would have changed.
inline ir::Program DropOp(ir::Program program, ir::OpId op) {
  const ir::TensorId before = std::get<ir::TensorId>(program.op(op).arguments[0]);
  Redirect(&program, op.index(), program.op(op).results[0], before);
  return Without(program, {op.index()});
}

// aten.add*(a, b) becomes a - b: its argument alpha.
inline ir::Program FlipSign(ir::Program program, ir::OpId op) {
  program.ops[op.index()].arguments.resize(2);
  program.ops[op.index()].arguments.emplace_back(int64_t{-1});
  return program;
}

// The collective becomes a copy of this rank's own data, of the size that the result has. REQUIRES: no message between stages.
inline ir::Program CopyInsteadOfCollective(ir::Program program, ir::OpId start) {
  ir::Op& op = program.ops[start.index()];
  const ir::TensorId input = std::get<ir::TensorId>(op.arguments[0]);
  const int64_t rows_in = program.tensor(input).shape[0];
  const int64_t rows_out = program.tensor(op.results[0]).shape[0];
  op.kind = ir::OpKind::kCompute;
  op.group = {};
  if (op.target == "c10d.all_reduce") {
    op.target = "aten.mul_.Scalar";
    op.arguments = {input, 1.0};
  } else if (op.target == "c10d.all_gather" && op.arguments.size() == 2) {  // into a tensor that exists: it keeps what it has
    op.target = "aten.mul_.Scalar";
    op.arguments = {std::get<ir::TensorId>(op.arguments[1]), 1.0};
  } else if (op.target == "c10d.all_gather") {
    ir::Shape repeats(program.tensor(input).shape.size(), 1);
    repeats[0] = rows_out / rows_in;
    op.target = "aten.repeat";
    op.arguments = {input, repeats};
  } else if (op.target == "c10d.all_to_all") {
    op.target = "aten.clone";
    op.arguments = {input};
  } else {
    HELM_CHECK(op.target == "c10d.reduce_scatter", "the collectives of a training step");
    op.target = "aten.slice_copy.Tensor";
    op.arguments = {input, int64_t{0}, int64_t{0}, rows_out, int64_t{1}};
  }
  std::vector<size_t> waits;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (program.ops[i].kind == ir::OpKind::kWait && ir::StartOf(program.ops[i]) == start) {
      for (const ir::TensorId result : program.ops[i].results) HELM_CHECK(!result.valid(), "a wait has no results");
      waits.push_back(i);
    }
  }
  return Without(program, waits);
}

struct Mutation {
  std::string name;
  ir::Program program;
};

}  // namespace helm::exec
