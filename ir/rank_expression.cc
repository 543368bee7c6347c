#include "ir/rank_expression.h"

#include <algorithm>

#include "core/check.h"
#include "ir/program.h"
#include "ir/text_scanner.h"

namespace helm::ir {

int64_t Evaluate(const RankExpression& expression, const std::vector<MeshDimension>& mesh, const std::vector<int64_t>& coordinates) {
  HELM_CHECK(mesh.size() == coordinates.size(), "one coordinate for each mesh dimension");
  int64_t value = expression.constant;
  for (const RankTerm& term : expression.terms) {
    const auto dimension = std::ranges::find(mesh, term.dimension, &MeshDimension::name);
    HELM_CHECK(dimension != mesh.end(), "a rank expression names a dimension that the mesh does not have");
    value += term.coefficient * coordinates[static_cast<size_t>(dimension - mesh.begin())];
  }
  return value;
}

std::string ToText(const RankExpression& expression) {
  std::string text = std::to_string(expression.constant);
  for (const RankTerm& term : expression.terms) {
    if (term.coefficient >= 0) text += '+';  // a negative coefficient brings its own sign
    text += std::to_string(term.coefficient) + "*" + NameText(term.dimension);
  }
  return text;
}

}  // namespace helm::ir
