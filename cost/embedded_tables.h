// The kernel tables of traces/kernels/ as texts inside the program: name of the file without its ending, and its content. Defined in a
// source that cost/CMakeLists.txt generates.
#pragma once

#include <string_view>
#include <vector>

namespace helm::cost {

struct EmbeddedTable {
  std::string_view name;
  std::string_view text;
};
std::vector<EmbeddedTable> EmbeddedTables();  // sorted by name

}  // namespace helm::cost
