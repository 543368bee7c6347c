// A small model and its step as lowered, a program for each stage, for tests of passes.
#pragma once

#include <cstdint>
#include <utility>

#include "core/check.h"
#include "ir/step_programs.h"
#include "model/lower.h"
#include "model/model_spec.h"
#include "schedule/pipeline_schedule.h"

namespace helm::test {

inline model::ModelSpec SmallModel(int64_t layers, bool experts = false) {
  model::ModelSpec model;
  model.name = "small";
  model.layers = layers;
  model.hidden = 32;
  model.ffn = 64;
  model.heads = 4;
  model.kv_heads = 2;
  model.head_dim = 8;
  model.vocab = 64;
  model.max_positions = 16;
  if (experts) {
    model.moe.experts = 4;
    model.moe.top_k = 2;
    model.moe.ffn = 64;
  }
  return model;
}

// Sequences of 16 tokens; bf16 on GPUs.
inline ir::StepPrograms StepOf(const model::ModelSpec& model, const ir::Strategy& strategy, int64_t micro_batches, ir::DeviceKind device,
                               const ir::Software& software = {}) {
  ir::Workload workload;
  workload.sequence_length = 16;
  workload.global_batch = strategy.data * strategy.micro_batch * micro_batches;
  if (device == ir::DeviceKind::kCuda) workload.dtype = ir::DataType::kBFloat16;
  ir::StepPrograms step;
  const auto schedules = schedule::PipelineSchedules(strategy, micro_batches);
  HELM_CHECK(schedules.ok(), schedules.status().message().c_str());
  for (size_t stage = 0; stage < schedules->size(); ++stage) {
    auto program = model::LowerStage(model, workload, software, strategy, device, (*schedules)[stage], static_cast<int64_t>(stage));
    HELM_CHECK(program.ok(), program.status().message().c_str());
    step.classes.push_back(std::move(program).value());
  }
  return step;
}

}  // namespace helm::test
