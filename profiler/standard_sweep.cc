#include "profiler/standard_sweep.h"

#include <string>

namespace helm::profiler {
namespace {

std::string Matrix(const char* dtype, int64_t rows, int64_t columns, bool persistent, bool transposed) {
  std::string text = persistent ? "@" : "";
  text += std::string(dtype) + "[" + std::to_string(rows) + "," + std::to_string(columns) + "]";
  if (transposed) text += "{1," + std::to_string(rows) + "}";
  return text;
}

Status Add(const std::string& text, WorkList& work) {
  HELM_ASSIGN_OR_RETURN(auto signature, ir::ParseOpSignature(text));
  work.ops.push_back({std::move(signature), {}});
  return OkStatus();
}

// The three products of a linear layer with `inputs` and `outputs` features: forward, input gradient, weight gradient.
Status AddLinear(const char* dtype, int64_t tokens, int64_t inputs, int64_t outputs, WorkList& work) {
  const std::string forward =
      "aten.mm(" + Matrix(dtype, tokens, inputs, false, false) + ", " + Matrix(dtype, inputs, outputs, true, true) + ")";
  const std::string input_gradient =
      "aten.mm(" + Matrix(dtype, tokens, outputs, false, false) + ", " + Matrix(dtype, outputs, inputs, true, false) + ")";
  const std::string weight_gradient =
      "aten.mm(" + Matrix(dtype, outputs, tokens, false, true) + ", " + Matrix(dtype, tokens, inputs, false, false) + ")";
  HELM_RETURN_IF_ERROR(Add(forward, work));
  HELM_RETURN_IF_ERROR(Add(input_gradient, work));
  return Add(weight_gradient, work);
}

Status AddElementwise(const char* dtype, int64_t tokens, int64_t features, WorkList& work) {
  const std::string matrix = Matrix(dtype, tokens, features, false, false);
  HELM_RETURN_IF_ERROR(Add("aten.add.Tensor(" + matrix + ", " + matrix + ")", work));
  HELM_RETURN_IF_ERROR(Add("aten.mul.Tensor(" + matrix + ", " + matrix + ")", work));
  return Add("aten.silu(" + matrix + ")", work);
}

}  // namespace

Result<WorkList> StandardSweep(int64_t ranks) {
  WorkList work;
  for (const char* dtype : {"f32", "bf16"}) {
    for (int64_t tokens : {256, 1024, 4096}) {
      for (int64_t features : {256, 512, 1024}) {
        HELM_RETURN_IF_ERROR(AddLinear(dtype, tokens, features, features, work));
        HELM_RETURN_IF_ERROR(AddLinear(dtype, tokens, features, 4 * features, work));
        HELM_RETURN_IF_ERROR(AddElementwise(dtype, tokens, features, work));
      }
    }
  }
  for (const char* kind : {"all_reduce", "all_gather", "reduce_scatter"}) {
    for (int64_t bytes = 1024; ranks > 1 && bytes <= (int64_t{64} << 20); bytes *= 4) {
      work.collectives.push_back({kind, ir::DataType::kFloat32, ranks, ranks, Bytes(bytes)});
    }
  }
  return work;
}

}  // namespace helm::profiler
