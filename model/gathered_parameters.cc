#include "model/gathered_parameters.h"

#include <fmt/format.h>

#include "core/check.h"

namespace helm::model {

using ir::TensorId;

GatheredParameters::GatheredParameters(ProgramBuilder& builder, const ParameterPlan& plan, ir::DataType dtype, ir::GroupId group,
                                       bool copied)
    : builder_(builder),
      plan_(plan),
      dtype_(dtype),
      group_(group),
      copied_(copied),
      units_(plan.buckets.size()),
      views_(plan.parameters.size()) {}

void GatheredParameters::Start(size_t bucket) {
  Unit& unit = units_[bucket];
  if (unit.pending) return;
  HELM_CHECK(unit.shard.valid(), "only sharded parameters are gathered");
  const std::string label = builder_.label();
  builder_.Label(fmt::format("parameters.{}", plan_.buckets[bucket].name));
  unit.pending = builder_.AllGather(builder_.ToType(unit.shard, dtype_), group_);
  builder_.Label(label);
}

void GatheredParameters::Finish(size_t bucket) {
  Start(bucket);
  Unit& unit = units_[bucket];
  if (unit.whole.valid()) return;
  const std::string label = builder_.label();
  builder_.Label(fmt::format("parameters.{}", plan_.buckets[bucket].name));
  unit.whole = builder_.Wait(*unit.pending);
  builder_.Label(label);
}

void GatheredParameters::Drop(size_t bucket) {
  Unit& unit = units_[bucket];
  HELM_CHECK(!unit.pending || unit.whole.valid(), "what is gathered is waited for");
  unit.pending.reset();
  unit.whole = unit.copy = {};
  for (const ParameterIndex index : plan_.buckets[bucket].parameters) views_[static_cast<size_t>(index)] = {};
}

TensorId GatheredParameters::Weight(ParameterIndex index) {
  const auto at = static_cast<size_t>(index);
  Unit& unit = units_[plan_.bucket_of[at]];
  HELM_CHECK(unit.whole.valid(), "parameters are gathered before they are used");
  if (!views_[at].valid()) {
    if (!unit.copy.valid()) unit.copy = copied_ ? builder_.Unary("aten.clone", unit.whole) : unit.whole;
    const Parameter& parameter = plan_.parameters[at];
    views_[at] = builder_.AsStrided(unit.copy, parameter.shape, ir::ContiguousStrides(parameter.shape), parameter.offset);
  }
  return views_[at];
}

}  // namespace helm::model
