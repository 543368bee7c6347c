// Any bytes are a model (Hugging Face's config.json, or the inline form) or an error; the JSON form of a model reads back to the same.
#include "core/diagnostics.h"
#include "core/located_yaml.h"
#include "fuzz_support.h"
#include "model/hugging_face.h"
#include "model/model_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto value = helm::ParseYaml(helm::fuzz::Text(data, size), "fuzz");  // JSON too
  if (!value.ok()) return 0;
  helm::Diagnostics diagnostics;
  const auto model = helm::model::IsHuggingFaceConfig(*value) ? helm::model::ReadHuggingFaceConfig(*value, "fuzz", diagnostics)
                                                              : helm::model::ReadInlineModel(*value, "fuzz", diagnostics);
  HELM_CHECK(model.has_value() == diagnostics.ok(), "a model or an error");
  if (!model) return 0;
  const auto again = helm::model::ModelFromJson(helm::model::ToJson(*model));
  HELM_CHECK(again.ok() && *again == *model, "the model reads back");
  return 0;
}
