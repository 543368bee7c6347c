#include "model/scattered_gradients.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/check.h"
#include "model/layer_excerpt.h"

namespace helm::model {

using ir::DataType;
using ir::Phase;
using ir::TensorId;

namespace {

// Restores the builder's place when it goes.
class Aside {
 public:
  Aside(ProgramBuilder& builder, const Bucket& bucket) : builder_(builder), place_(builder.place()) {
    builder_.SetPhase(Phase::kWeightGradient);
    builder_.Label(fmt::format("gradients.{}", bucket.name));
  }
  ~Aside() { builder_.At(place_); }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

 private:
  ProgramBuilder& builder_;
  const ProgramBuilder::Place place_;
};

}  // namespace

ScatteredGradients::ScatteredGradients(ProgramBuilder& builder, const ParameterPlan& plan, ir::GroupId shards, ir::GroupId copies,
                                       Options options)
    : builder_(builder),
      plan_(plan),
      shards_(shards),
      copies_(copies),
      options_(options),
      gradients_(plan.parameters.size()),
      written_(plan.parameters.size()),
      over_copies_(plan.buckets.size()),
      sums_(plan.buckets.size()),
      skipped_(plan.parameters.size(), false) {
  for (const Bucket& bucket : plan.buckets) missing_.push_back(bucket.parameters.size());
}

void ScatteredGradients::Add(ParameterIndex index, TensorId value) {
  const auto at = static_cast<size_t>(index);
  TensorId& gradient = gradients_[at];
  if (gradient.valid()) {
    gradient = builder_.Add_(gradient, value);
  } else {
    // Over several passes sums are taken in the type of the reduction.
    gradient = options_.passes > 1 ? builder_.ToType(value, options_.reduced) : value;
  }
  if (Count(index)) complete_.push_back(plan_.bucket_of[at]);
}

bool ScatteredGradients::Count(ParameterIndex index) {
  const auto at = static_cast<size_t>(index);
  if (++written_[at] < options_.passes * plan_.parameters[at].writes) return false;
  const size_t bucket = plan_.bucket_of[at];
  HELM_CHECK(missing_[bucket] > 0, "every gradient is completed once a reduction");
  return --missing_[bucket] == 0;
}

void ScatteredGradients::Skip(ParameterIndex index) {
  skipped_[static_cast<size_t>(index)] = true;
  for (int64_t write = 0; write < plan_.parameters[static_cast<size_t>(index)].writes; ++write) {
    if (!Count(index)) continue;
    const size_t bucket = plan_.bucket_of[static_cast<size_t>(index)];
    HELM_CHECK(IsOfOneLayer(plan_, bucket), "a layer that completes a bucket is not left out, unless it is all of it");
    Reset(bucket);  // the layer that stands for this one reduces its own
  }
}

TensorId ScatteredGradients::LeftOut(ir::Shape shape, DataType dtype, ir::StorageRole role) {
  const std::string name = fmt::format("{}{}", kLeftOutStorages, left_out_++);
  const ir::StorageId storage = builder_.AddStorage(name, ir::ElementCount(shape) * ElementBytes(dtype), role);
  return builder_.AddPersistent(name, dtype, std::move(shape), storage);
}

// The sum of the shards of a layer that is left out is kept as those of others are.
TensorId ScatteredGradients::SumLeftOut(const Bucket& bucket) {
  const auto other = std::ranges::find_if(sums_, [](TensorId sum) { return sum.valid(); });
  HELM_CHECK(other != sums_.end(), "some layers are written out");
  const ir::StorageRole role = builder_.program().storage(builder_.tensor(*other).storage).role;
  return LeftOut({bucket.elements / builder_.Size(shards_)}, DataType::kFloat32, role);
}

// Gradients of layers that are left out, in a bucket that others complete.
void ScatteredGradients::FillLeftOut(const Bucket& bucket) {
  const auto of = [this](ParameterIndex index) -> TensorId& { return gradients_[static_cast<size_t>(index)]; };
  const auto other = std::ranges::find_if(bucket.parameters, [&](ParameterIndex index) { return of(index).valid(); });
  for (const ParameterIndex index : bucket.parameters) {
    const auto at = static_cast<size_t>(index);
    if (!skipped_[at]) continue;
    of(index) = LeftOut(plan_.parameters[at].shape, builder_.dtype(of(*other)), ir::StorageRole::kActivation);
  }
}

void ScatteredGradients::ReduceComplete() {
  if (complete_.empty()) return;
  EndScatters();
  for (; !complete_.empty(); complete_.pop_front()) Reduce(complete_.front());
}

// All gradients of the bucket one after the other, zeros behind them where the shards need more elements.
TensorId ScatteredGradients::Flat(const Bucket& bucket) {
  FillLeftOut(bucket);
  std::vector<TensorId> parts;
  int64_t elements = 0;
  for (const ParameterIndex index : bucket.parameters) {
    const TensorId gradient = std::exchange(gradients_[static_cast<size_t>(index)], {});
    const int64_t count = ir::ElementCount(builder_.shape(gradient));
    parts.push_back(builder_.View(gradient, {count}));
    elements += count;
  }
  if (elements < bucket.elements) {
    parts.push_back(builder_.NewZeros(parts.front(), {bucket.elements - elements}, builder_.dtype(parts.front())));
  }
  const TensorId flat = parts.size() == 1 ? parts.front() : builder_.Cat(parts, 0);
  const TensorId cast = builder_.ToType(flat, options_.reduced);
  return options_.divisor == 1 ? cast : builder_.DivScalar_(cast, options_.divisor);
}

void ScatteredGradients::Reduce(size_t index) {
  const Bucket& bucket = plan_.buckets[index];
  const Aside aside(builder_, bucket);
  if (over_copies_[index]) EndOverCopies(index);
  scattering_.push_back({index, builder_.ReduceScatter(Flat(bucket), shards_)});
  Reset(index);
}

void ScatteredGradients::Reset(size_t index) {
  for (const ParameterIndex parameter : plan_.buckets[index].parameters) written_[static_cast<size_t>(parameter)] = 0;
  missing_[index] = plan_.buckets[index].parameters.size();
}

void ScatteredGradients::EndScatters() {
  for (const Scatter& scatter : std::exchange(scattering_, {})) {
    const Aside aside(builder_, plan_.buckets[scatter.bucket]);
    const TensorId shard = builder_.Wait(scatter.pending);
    if (copies_.valid()) {
      over_copies_[scatter.bucket] = builder_.AllReduce(shard, copies_);
    } else {
      AddShard(scatter.bucket, shard);
    }
  }
}

void ScatteredGradients::EndOverCopies(size_t bucket) {
  AddShard(bucket, builder_.Wait(*over_copies_[bucket]));
  over_copies_[bucket].reset();
}

void ScatteredGradients::AddShard(size_t bucket, TensorId shard) {
  TensorId& sum = sums_[bucket];
  TensorId wide = builder_.ToType(shard, DataType::kFloat32);
  if (options_.divisor != 1) wide = builder_.MulScalar_(wide, options_.divisor);
  sum = sum.valid() ? builder_.Add_(sum, wide) : wide;
}

TensorId ScatteredGradients::Finish(size_t bucket) {
  const Aside aside(builder_, plan_.buckets[bucket]);
  EndScatters();
  if (over_copies_[bucket]) EndOverCopies(bucket);
  if (!sums_[bucket].valid() && skipped_[static_cast<size_t>(plan_.buckets[bucket].parameters.front())]) {
    sums_[bucket] = SumLeftOut(plan_.buckets[bucket]);
  }
  HELM_CHECK(sums_[bucket].valid(), "every gradient was written and reduced");
  return sums_[bucket];
}

}  // namespace helm::model
