// Prints lowered programs as JSON, one a line, for tests/oracle/run_program.py: reads one case a line from standard input,
//   {"model": {inline model}, "device": "cpu", "dtype": "f32", "global_batch": 4, "sequence_length": 8, "micro_batch": 1, "data": 1,
//   "tensor": 1,
//    "sequence_parallel": false, "bucket_bytes": 1000, "clip_norm": 1.0, "epsilon": 1e-4, ...}
// A case that cannot be lowered gives {"error": message}.
#include <cmath>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "ir/frozen.h"
#include "ir/verify.h"
#include "model/lower.h"
#include "model/model_reader.h"

namespace helm {
namespace {

using Json = nlohmann::ordered_json;

Json Dump(const ir::RankExpression& expression) {
  Json terms = Json::object();
  for (const ir::RankTerm& term : expression.terms) terms[term.dimension] = term.coefficient;
  return {{"constant", expression.constant}, {"terms", terms}};
}

struct ArgumentWriter {
  Json operator()(ir::NoneArgument) const { return {{"none", true}}; }
  Json operator()(ir::TensorId id) const { return {{"tensor", id.value}}; }
  Json operator()(const std::vector<ir::TensorId>& ids) const {
    Json list = Json::array();
    for (const ir::TensorId id : ids) list.push_back(id.value);
    return {{"tensors", list}};
  }
  Json operator()(double value) const {
    if (std::isinf(value)) return {{"infinity", value > 0 ? 1 : -1}};
    return {{"value", value}};
  }
  Json operator()(ir::DataType type) const { return {{"dtype", ir::Name(type)}}; }
  Json operator()(const ir::RankExpression& expression) const { return {{"rank", Dump(expression)}}; }
  Json operator()(ir::OpId id) const { return {{"op", id.value}}; }
  template <typename T>
  Json operator()(const T& value) const {
    return {{"value", value}};
  }
};

Json Dump(const ir::Op& op) {
  Json arguments = Json::array();
  for (const ir::Argument& argument : op.arguments) arguments.push_back(std::visit(ArgumentWriter{}, argument));
  Json results = Json::array();
  for (const ir::TensorId id : op.results) results.push_back(id.value);
  return {{"kind", ir::Name(op.kind)}, {"target", op.target},           {"arguments", arguments},
          {"results", results},        {"group", op.group.value},       {"phase", ir::Name(op.phase)},
          {"layer", op.layer},         {"micro_batch", op.micro_batch}, {"label", op.label}};
}

Json Dump(const ir::ParameterSegment& segment) {
  Json pieces = Json::array();
  for (const ir::ParameterPiece& piece : segment.pieces) {
    Json offsets = Json::array();
    for (const ir::RankExpression& offset : piece.box_offset) offsets.push_back(Dump(offset));
    pieces.push_back({{"name", piece.name},
                      {"global_shape", piece.global_shape},
                      {"transposed", piece.transposed},
                      {"box_offset", offsets},
                      {"box_shape", piece.box_shape},
                      {"offset", piece.offset},
                      {"initialization", static_cast<int>(piece.initialization)},
                      {"standard_deviation", piece.standard_deviation}});
  }
  return {{"name", segment.name},
          {"elements", segment.elements},
          {"gradient_offset", segment.gradient_offset},
          {"weight_decay", segment.weight_decay},
          {"tensor_replicated", segment.tensor_replicated},
          {"frozen", ir::IsFrozen(segment)},
          {"sharded_over", segment.sharded_over},
          {"gradient_sharded", segment.gradient_sharded},
          {"parameter", segment.parameter.value},
          {"gradient", segment.gradient.value},
          {"master", segment.master.value},
          {"pieces", pieces}};
}

Json Dump(const ir::Program& program) {
  Json document;
  document["mesh"] = Json::array();
  for (const ir::MeshDimension& dimension : program.mesh) document["mesh"].push_back({{"name", dimension.name}, {"size", dimension.size}});
  document["groups"] = Json::array();
  for (const ir::Group& group : program.groups) document["groups"].push_back({{"name", group.name}, {"dimensions", group.dimensions}});
  document["storages"] = Json::array();
  for (const ir::Storage& storage : program.storages) {
    document["storages"].push_back({{"name", storage.name}, {"bytes", storage.bytes.count()}, {"persistent", storage.persistent}});
  }
  document["tensors"] = Json::array();
  for (const ir::Tensor& t : program.tensors) {
    document["tensors"].push_back({{"name", t.name},
                                   {"dtype", ir::Name(t.dtype)},
                                   {"shape", t.shape},
                                   {"strides", t.strides},
                                   {"offset", t.offset},
                                   {"storage", t.storage.value},
                                   {"producer", t.producer.value}});
  }
  document["ops"] = Json::array();
  for (const ir::Op& op : program.ops) document["ops"].push_back(Dump(op));
  for (const auto& [name, tensor] : program.inputs) document["inputs"][name] = tensor.value;
  for (const auto& [name, tensor] : program.outputs) document["outputs"][name] = tensor.value;
  document["segments"] = Json::array();
  for (const ir::ParameterSegment& segment : program.segments) document["segments"].push_back(Dump(segment));
  return document;
}

Result<ir::Program> LowerCase(const Json& from) {
  HELM_ASSIGN_OR_RETURN(const model::ModelSpec spec, model::ModelFromJson(from.at("model")));
  ir::Workload workload;
  workload.global_batch = from.at("global_batch");
  workload.sequence_length = from.at("sequence_length");
  workload.routing_imbalance = from.value("imbalance", 1.0);
  workload.dtype = ir::DataTypeFromName(from.value("dtype", std::string("f32"))).value();
  ir::Optimizer& optimizer = workload.optimizer;
  optimizer.learning_rate = from.value("learning_rate", optimizer.learning_rate);
  optimizer.beta1 = from.value("beta1", optimizer.beta1);
  optimizer.beta2 = from.value("beta2", optimizer.beta2);
  optimizer.weight_decay = from.value("weight_decay", optimizer.weight_decay);
  optimizer.clip_norm = from.value("clip_norm", optimizer.clip_norm);
  optimizer.epsilon = from.value("epsilon", optimizer.epsilon);
  ir::Strategy strategy;
  strategy.data = from.value("data", 1);
  strategy.tensor = from.value("tensor", 1);
  strategy.context = from.value("context", 1);
  strategy.expert = from.value("expert", 1);
  strategy.expert_tensor = from.value("expert_tensor", 1);
  strategy.micro_batch = from.value("micro_batch", 1);
  strategy.sequence_parallel = from.value("sequence_parallel", false);
  strategy.zero = from.value("zero", 0);
  strategy.fsdp_shard = from.value("fsdp_shard", 0);
  strategy.fsdp_replicate = from.value("fsdp_replicate", 1);
  if (const auto recompute = from.find("recompute"); recompute != from.end() && recompute->is_object()) {
    strategy.recompute = "custom";
    strategy.recompute_ops = recompute->value("ops", std::vector<std::string>());
    strategy.recompute_layers = recompute->value("layers", 0);
  } else if (recompute != from.end()) {
    strategy.recompute = *recompute;
  }
  ir::Software software;
  software.gradient_bucket_bytes = from.value("bucket_bytes", int64_t{1000});
  software.flash_attention = from.value("flash_attention", true);
  software.activation_recomputed = from.value("activation_recomputed", true);
  software.recompute_whole = from.value("recompute_whole", false);
  software.fused.norm = from.value("fused_norm", true);
  if (from.value("logits", std::string("fp32")) == "compute") software.logits = ir::Precision::kCompute;
  software.fused.linear_bias = from.value("fused_linear_bias", true);
  software.expert_grouped_gemm = from.value("expert_grouped_gemm", true);
  software.fsdp_no_sync = from.value("fsdp_no_sync", false);
  software.fsdp_root_kept = from.value("fsdp_root_kept", true);
  software.fsdp_gather_copied = from.value("fsdp_gather_copied", false);
  software.fsdp_gradient_divided = from.value("fsdp_gradient_divided", false);
  if (from.value("fp8", std::string()) != "") workload.quantization = ir::Quantization::kFp8;
  if (from.value("fp8", std::string()) == "current") software.fp8_recipe = ir::Fp8Recipe::kCurrent;
  const std::string communication = from.value("context_communication", std::string("ring"));
  software.context_communication = communication == "ring"         ? ir::ContextCommunication::kRing
                                   : communication == "all_gather" ? ir::ContextCommunication::kAllGather
                                                                   : ir::ContextCommunication::kAllToAll;
  const bool cuda = from.value("device", std::string("cpu")) == "cuda";
  HELM_ASSIGN_OR_RETURN(ir::Program program,
                        model::Lower(spec, workload, software, strategy, cuda ? ir::DeviceKind::kCuda : ir::DeviceKind::kCpu));
  HELM_RETURN_IF_ERROR(ir::Verify(program));
  return program;
}

}  // namespace
}  // namespace helm

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const auto program = helm::LowerCase(helm::Json::parse(line));
    if (program.ok()) {
      std::cout << helm::Dump(*program).dump() << "\n";
    } else {
      std::cout << helm::Json{{"error", program.status().message()}}.dump() << "\n";
    }
  }
}
