// What tiling must know of each operator: how the rows of its results come from those of its arguments. Internal to schedule/tiling.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ir/program.h"

namespace helm::schedule {

enum class TileRule : uint8_t {
  kUnknown,      // refused
  kElements,     // element by element, with broadcasting
  kLinear,       // likewise, and of a sum of partial arguments the sum of the results
  kRows,         // each row of the results from the same row of the first argument that has rows; the others are whole
  kReduction,    // over the dimensions that it names: of the rows a partial sum
  kScan,         // over the dimension that it names, which must not be that of the rows
  kProduct,      // a matrix product: over the rows a partial sum
  kRowsAndSums,  // the first result by rows, the others sums over the rows
  kSums,         // all results are sums over the rows
  kFactory,      // a new tensor like the first argument
  kCopy,         // copy_, which becomes add_ for all partial sums but the first
};

TileRule RuleOf(std::string_view target);

// Of queries to keys and values in one kernel, forward or backward.
bool IsAttention(std::string_view target);

// Where a flash kernel has its arguments: the query, behind which are key and value; whether it is causal; the CPU's a mask, CUDA's
// backward the numbers of queries and of keys. -1: it has none.
struct AttentionArguments {
  std::string_view target;
  size_t query = 0, causal = 0;
  int mask = -1, lengths = -1;
  bool backward = false;
};
const AttentionArguments* AttentionArgumentsOf(std::string_view target);  // null: of another op

// Whether the op is attention that can be split by its queries: a causal flash kernel. Whether it is one of backward.
bool HasQueryTiles(const ir::Op& op);
bool IsAttentionBackward(const ir::Op& op);

// The dimension of the rows in a tensor that has them: the outermost in memory. -1 where there is none.
int64_t RowDimension(const ir::Tensor& tensor);

// Where the target's argument list holds the shape of the result; -1: nowhere.
int ShapeArgument(std::string_view target);

}  // namespace helm::schedule
