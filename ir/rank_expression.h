// RankExpression: a whole number that depends on the rank only through its mesh coordinates: constant + sum of coefficient x coordinate.
// Used for vocabulary offsets, mask offsets and shard offsets, so that one program serves every rank of its class.
// Text form: "0+16000*tensor", "7" (docs/formats/program.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace helm::ir {

struct RankTerm {
  std::string dimension;
  int64_t coefficient = 0;
  bool operator==(const RankTerm&) const = default;
};

struct RankExpression {
  int64_t constant = 0;
  std::vector<RankTerm> terms;
  bool operator==(const RankExpression&) const = default;
};

struct MeshDimension;

// The value on the rank with these coordinates (in mesh order). REQUIRES: every dimension named is in the mesh.
int64_t Evaluate(const RankExpression& expression, const std::vector<MeshDimension>& mesh, const std::vector<int64_t>& coordinates);

std::string ToText(const RankExpression& expression);

}  // namespace helm::ir
