// The tables of traces/kernels/ and traces/collectives/ as texts inside the program: name of the file without its ending, and its content.
// Defined in a source that cost/CMakeLists.txt generates.
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

}  // namespace helm::cost
