// ForeignFile: files that other programs wrote, told apart by their content, whatever their names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/status.h"

namespace helm::formats {

enum class ForeignFormat : uint8_t {
  kNcclTestsText,  // nccl_tests.h
  kNcclTestsJson,
  kNcclInspector,   // nccl_inspector.h
  kKineto,          // kineto_trace.h
  kNcclTopology,    // nccl_topology.h
  kNsightSystems,   // nsight_export.h
  kTopologyMatrix,  // topology_matrix.h
};
// In words, for messages: "the output of nccl-tests".
std::string_view Describe(ForeignFormat format);

// None: none of these. A packed file is taken for what is packed here: a trace. A file of a known format may still be broken: that says its
// reader.
std::optional<ForeignFormat> ForeignFormatOf(std::string_view content);
// The formats that ForeignFormatOf knows, for messages.
std::string ForeignFormatsKnown();

}  // namespace helm::formats
