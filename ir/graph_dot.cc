// Graphviz text of a dependency graph.
#include <fmt/format.h>

#include "core/text.h"
#include "ir/graph.h"
#include "ir/text_values.h"

namespace helm::ir {
namespace {

std::string Escaped(const std::string& text) { return ReplaceAll(ReplaceAll(text, "\\", "\\\\"), "\"", "\\\""); }

std::string_view NodeStyle(const Op& op) {
  switch (op.kind) {
    case OpKind::kCompute:
      return "shape=box";
    case OpKind::kView:
      return "shape=box style=dotted";
    case OpKind::kCollectiveStart:
      return "shape=hexagon style=filled fillcolor=\"#cfe2f3\"";
    case OpKind::kWait:
      return "shape=diamond style=filled fillcolor=\"#cfe2f3\"";
  }
  return "";
}

std::string_view EdgeStyle(DependencyKind kind) {
  switch (kind) {
    case DependencyKind::kData:
      return "";
    case DependencyKind::kWait:
      return " [color=\"#1f5fa8\" penwidth=2]";
    case DependencyKind::kVersion:
      return " [style=dashed color=gray50]";
    case DependencyKind::kGroup:
      return " [style=bold color=\"#1f5fa8\" arrowhead=empty]";
    case DependencyKind::kHost:
      return " [style=dotted color=gray70]";
  }
  return "";
}

std::string NodeText(const Program& program, OpId id) {
  const Op& op = program.op(id);
  std::string label = Escaped(Describe(program, id));
  if (op.group.valid()) label += "\\non " + Escaped(program.group(op.group).name);
  for (const TensorId result : op.results) {
    if (!result.valid()) continue;
    const Tensor& tensor = program.tensor(result);
    label += "\\n" + Escaped(tensor.name) + ": " + TypeText(tensor.dtype, tensor.shape, tensor.strides);
  }
  return fmt::format("  op{} [label=\"{}\" {}];\n", id.value, label, NodeStyle(op));
}

}  // namespace

std::string ToDot(const Program& program, const DependencyGraph& graph) {
  std::string text = fmt::format("digraph \"{}\" {{\n  node [fontname=\"monospace\" fontsize=10];\n", Escaped(program.name));
  for (size_t i = 0; i < graph.op_count; ++i) text += NodeText(program, OpId(i));
  for (const Dependency& edge : graph.edges)
    text += fmt::format("  op{} -> op{}{};\n", edge.from.value, edge.to.value, EdgeStyle(edge.kind));
  return text + "}\n";
}

}  // namespace helm::ir
