#include "planner/memory_bound.h"

namespace helm::planner {
namespace {

// Adam: parameter + fp32 gradient + two fp32 moments, and an fp32 master copy where the parameter is narrower (techniques.md 4.4).
int64_t BytesPerParameter(ir::DataType dtype) {
  const int64_t parameter = ir::ElementBytes(dtype);
  const int64_t master = dtype == ir::DataType::kFloat32 ? 0 : 4;
  return parameter + 4 + 8 + master;
}

}  // namespace

Bytes MemoryLowerBound(const model::ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy) {
  // A rank holds at least its share of all parameters (norms and biases are not even split), rounded down.
  const Bytes resident = Bytes(model::ParameterCount(model) / strategy.tensor * BytesPerParameter(workload.dtype));
  // The backward pass of a layer needs its input: one row per token, split over the tensor group at most, for each layer.
  const int64_t tokens = strategy.micro_batch * workload.sequence_length;
  const int64_t row_bytes = model.hidden * ir::ElementBytes(workload.dtype);
  return resident + Bytes(model.layers * tokens / strategy.tensor * row_bytes);
}

}  // namespace helm::planner
