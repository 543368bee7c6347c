#include "exporter/subject.h"

#include <fmt/format.h>

#include "core/text.h"
#include "ir/strategy_text.h"

namespace helm::exporter {

void Refusals::If(bool asked, const std::string& what, const std::string& why) {
  if (asked) lines_.push_back(fmt::format("error: {} cannot express {}: {}", trainer_, what, why));
}

Status Refusals::ToStatus() const { return lines_.empty() ? OkStatus() : InvalidError(Join(lines_, "\n")); }

void RefuseCommon(const Subject& subject, Refusals& refusals) {
  const ir::Strategy& strategy = subject.strategy;
  refusals.If(!subject.cluster.groups.empty(), "a cluster of several kinds of nodes",
              "it places ranks on nodes that are alike; only helm-plan and helm-sim know groups");
  refusals.If(!strategy.micro_batches.empty(), "strategy.micro_batches", "its data-parallel ranks have equally many micro-batches");
  refusals.If(strategy.overlap != "none", "strategy.overlap " + strategy.overlap, "it overlaps as it does by default; use overlap: none");
  refusals.If(strategy.head_stage >= 0 && strategy.head_stage + 1 != strategy.pipeline,
              fmt::format("strategy.head_stage {}", strategy.head_stage), "its last stage has head and loss");
  refusals.If(subject.workload.quantization != ir::Quantization::kNone, "workload.dtype " + ir::DataTypeWord(subject.workload),
              "this version exports no recipe of 8-bit products; use dtype: bf16");
  refusals.If(subject.model.lora.rank > 0, "model.lora", "its file has no adapters beside frozen weights");
  refusals.If(subject.model.position == model::Position::kAlibi, "model.position alibi", "it has no such positions");
}

}  // namespace helm::exporter
