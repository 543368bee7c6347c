#include "exec/state_dump.h"

#include "core/file.h"
#include "core/json.h"

namespace helm::exec {
namespace {

Status WriteTokens(const std::string& path, const StateDump& dump, const DataLoader& loader, const ir::Workload& workload) {
  Batch all;
  const auto steps = static_cast<int64_t>(dump.losses.size());
  for (int64_t step = dump.first_step; step < dump.first_step + steps; ++step) {
    const Batch batch = loader.Load(step);
    all.tokens.insert(all.tokens.end(), batch.tokens.begin(), batch.tokens.end());
    all.labels.insert(all.labels.end(), batch.labels.begin(), batch.labels.end());
  }
  const ir::Shape shape{steps, workload.global_batch, workload.sequence_length};
  formats::TensorFile file;
  file.tensors.push_back(formats::IntegerTensor("tokens", shape, all.tokens));
  file.tensors.push_back(formats::IntegerTensor("labels", shape, all.labels));
  return formats::WriteSafetensors(file, path);
}

}  // namespace

Status WriteStateDump(const std::string& folder, const StateDump& dump, const DataLoader& loader, const ir::Plan& plan) {
  HELM_RETURN_IF_ERROR(MakeFolders(folder));
  HELM_RETURN_IF_ERROR(formats::WriteSafetensors(ToTensorFile(dump.initial), folder + "/initial.safetensors"));
  HELM_RETURN_IF_ERROR(WriteTokens(folder + "/tokens.safetensors", dump, loader, plan.workload));
  HELM_RETURN_IF_ERROR(formats::WriteSafetensors(ToTensorFile(dump.gradients), folder + "/gradients.safetensors"));
  HELM_RETURN_IF_ERROR(formats::WriteSafetensors(ToTensorFile(dump.updated), folder + "/updated.safetensors"));
  return WriteJsonFile(folder + "/loss.json", nlohmann::ordered_json(dump.losses));
}

}  // namespace helm::exec
