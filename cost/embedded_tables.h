// The tables of traces/kernels/, traces/collectives/, traces/errors/ and of operators (traces/DEVICE/ops.json) as texts inside the program:
// name of the file without its ending, or of the device, and its content. Defined in a source that cost/CMakeLists.txt generates.
#pragma once

#include <string_view>
#include <vector>

namespace helm::cost {

struct EmbeddedTable {
  std::string_view name;
  std::string_view text;
};
// Sorted by name.
std::vector<EmbeddedTable> EmbeddedKernelTables();
std::vector<EmbeddedTable> EmbeddedCollectiveTables();
std::vector<EmbeddedTable> EmbeddedErrorTables();
std::vector<EmbeddedTable> EmbeddedOperatorTables();  // cost tables

}  // namespace helm::cost
