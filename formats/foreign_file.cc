#include "formats/foreign_file.h"

#include <array>
#include <utility>
#include <vector>

#include "core/text.h"
#include "formats/gzip.h"
#include "formats/nsight_export.h"

namespace helm::formats {
namespace {

constexpr std::array<std::pair<ForeignFormat, std::string_view>, 7> kNames = {{
    {ForeignFormat::kNcclTestsText, "the output of nccl-tests"},
    {ForeignFormat::kNcclTestsJson, "the JSON of nccl-tests (-J)"},
    {ForeignFormat::kNcclInspector, "records of the NCCL Inspector"},
    {ForeignFormat::kKineto, "a trace of torch.profiler (.json, .json.gz)"},
    {ForeignFormat::kNsightSystems, "an SQLite export of Nsight Systems"},
    {ForeignFormat::kNcclTopology, "a topology of NCCL (XML)"},
    {ForeignFormat::kTopologyMatrix, "the output of nvidia-smi topo -m"},
}};

bool Has(std::string_view content, std::string_view part) { return content.find(part) != std::string_view::npos; }

std::optional<ForeignFormat> JsonFormatOf(std::string_view content) {
  if (Has(content, "\"traceEvents\"")) return ForeignFormat::kKineto;
  if (Has(content, "\"coll_perf\"") || Has(content, "\"p2p_perf\"")) return ForeignFormat::kNcclInspector;
  if (Has(content, "\"results\"") && Has(content, "\"nthreads\"")) return ForeignFormat::kNcclTestsJson;
  return std::nullopt;
}

}  // namespace

std::string_view Describe(ForeignFormat format) {
  for (const auto& [known, name] : kNames) {
    if (known == format) return name;
  }
  return "unknown";
}

std::optional<ForeignFormat> ForeignFormatOf(std::string_view content) {
  if (IsSqlite(content)) return ForeignFormat::kNsightSystems;
  if (IsGzip(content)) return ForeignFormat::kKineto;
  const std::string_view text = Trim(content);
  if (text.starts_with('{')) return JsonFormatOf(text);
  if (text.starts_with('<') && Has(text, "<system")) return ForeignFormat::kNcclTopology;
  if (Has(text, "GPU0") && (Has(text, "CPU Affinity") || Has(text, "Legend:"))) return ForeignFormat::kTopologyMatrix;
  if (Has(text, "# nThread") || Has(text, "# Using devices")) return ForeignFormat::kNcclTestsText;
  return std::nullopt;
}

std::string ForeignFormatsKnown() {
  std::vector<std::string> names;
  for (const auto& [format, name] : kNames) names.emplace_back(name);
  return Join(names, ", ");
}

}  // namespace helm::formats
