#include "ir/graph.h"

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/depth_first_search.hpp>
#include <boost/graph/transitive_reduction.hpp>

#include <algorithm>
#include <set>

#include "core/check.h"

namespace helm::ir {
namespace {

using BoostGraph = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS>;
using Vertex = boost::graph_traits<BoostGraph>::vertex_descriptor;
using Edge = boost::graph_traits<BoostGraph>::edge_descriptor;

constexpr size_t kReducedOpsMost = 20'000;  // boost::transitive_reduction keeps a bit for each pair of vertices

BoostGraph ToBoost(const DependencyGraph& graph) {
  BoostGraph boost_graph(graph.op_count);
  for (const Dependency& edge : graph.edges) boost::add_edge(edge.from.index(), edge.to.index(), boost_graph);
  return boost_graph;
}

// Keeps the path of the depth-first search, and copies it at the first back edge: those are the ops of a cycle.
class CycleFinder : public boost::default_dfs_visitor {
 public:
  CycleFinder(std::vector<Vertex>& path, std::vector<OpId>& cycle) : path_(path), cycle_(cycle) {}
  void discover_vertex(Vertex vertex, const BoostGraph&) { path_.push_back(vertex); }
  void finish_vertex(Vertex, const BoostGraph&) { path_.pop_back(); }
  void back_edge(Edge edge, const BoostGraph& graph) {
    if (!cycle_.empty()) return;
    const auto begin = std::ranges::find(path_, boost::target(edge, graph));
    for (auto vertex = begin; vertex != path_.end(); ++vertex) cycle_.push_back(OpId(*vertex));
  }

 private:
  std::vector<Vertex>& path_;  // boost copies visitors
  std::vector<OpId>& cycle_;
};

Status CheckAcyclic(const Program& program, const DependencyGraph& graph) {
  const std::vector<OpId> cycle = FindCycle(graph);
  if (cycle.empty()) return OkStatus();
  std::string text = "program '" + program.name + "': these ops wait for each other:";
  for (const OpId op : cycle) text += "\n  " + Describe(program, op);
  return InvalidError(text);
}

// REQUIRES: no cycle. Of the ops that could come next, the one with the smallest id does: boost's order would depend on the search.
std::vector<OpId> SmallestFirst(const DependencyGraph& graph) {
  std::vector<size_t> missing(graph.op_count, 0);
  std::vector<std::vector<OpId>> next(graph.op_count);
  for (const Dependency& edge : graph.edges) {
    ++missing[edge.to.index()];
    next[edge.from.index()].push_back(edge.to);
  }
  std::set<OpId> ready;
  for (size_t i = 0; i < graph.op_count; ++i) {
    if (missing[i] == 0) ready.insert(OpId(i));
  }
  std::vector<OpId> order;
  while (!ready.empty()) {
    const OpId op = *ready.begin();
    ready.erase(ready.begin());
    order.push_back(op);
    for (const OpId successor : next[op.index()]) {
      if (--missing[successor.index()] == 0) ready.insert(successor);
    }
  }
  return order;
}

}  // namespace

std::vector<OpId> FindCycle(const DependencyGraph& graph) {
  const BoostGraph boost_graph = ToBoost(graph);
  std::vector<Vertex> path;
  std::vector<OpId> cycle;
  boost::depth_first_search(boost_graph, boost::visitor(CycleFinder(path, cycle)));
  return cycle;
}

Result<std::vector<OpId>> TopologicalOrder(const Program& program, const DependencyGraph& graph) {
  HELM_RETURN_IF_ERROR(CheckAcyclic(program, graph));
  return SmallestFirst(graph);
}

std::vector<OpId> IsolatedOps(const DependencyGraph& graph) {
  std::vector<bool> connected(graph.op_count, false);
  for (const Dependency& edge : graph.edges) connected[edge.from.index()] = connected[edge.to.index()] = true;
  std::vector<OpId> isolated;
  for (size_t i = 0; i < graph.op_count; ++i) {
    if (!connected[i]) isolated.push_back(OpId(i));
  }
  return isolated;
}

Result<DependencyGraph> TransitiveReduction(const Program& program, const DependencyGraph& graph) {
  HELM_RETURN_IF_ERROR(CheckAcyclic(program, graph));
  if (graph.op_count > kReducedOpsMost) {
    return InvalidError("program '" + program.name + "' has " + std::to_string(graph.op_count) + " ops; its graph can be reduced up to " +
                        std::to_string(kReducedOpsMost));
  }
  const BoostGraph boost_graph = ToBoost(graph);
  BoostGraph reduced;
  std::vector<Vertex> to_reduced(graph.op_count);
  const auto index = boost::get(boost::vertex_index, boost_graph);
  boost::transitive_reduction(boost_graph, reduced, boost::make_iterator_property_map(to_reduced.begin(), index), index);
  DependencyGraph result{graph.op_count, {}};
  for (const Dependency& edge : graph.edges) {
    if (boost::edge(to_reduced[edge.from.index()], to_reduced[edge.to.index()], reduced).second) result.edges.push_back(edge);
  }
  return result;
}

std::vector<OpId> LongestChain(const DependencyGraph& graph, const std::vector<int64_t>& weights) {
  HELM_CHECK(weights.size() == graph.op_count, "one weight for each op");
  const std::vector<OpId> order = SmallestFirst(graph);
  HELM_CHECK(order.size() == graph.op_count, "the longest chain of a graph with a cycle");
  std::vector<std::vector<OpId>> before(graph.op_count);
  for (const Dependency& edge : graph.edges) before[edge.to.index()].push_back(edge.from);
  std::vector<int64_t> length(graph.op_count, 0);
  std::vector<OpId> previous(graph.op_count);
  OpId last;
  for (const OpId op : order) {
    const size_t i = op.index();
    for (const OpId candidate : before[i]) {  // ascending, so that a tie goes to the smaller id
      if (!previous[i].valid() || length[candidate.index()] > length[previous[i].index()]) previous[i] = candidate;
    }
    length[i] = weights[i] + (previous[i].valid() ? length[previous[i].index()] : 0);
  }
  for (size_t i = 0; i < graph.op_count; ++i) {
    if (!last.valid() || length[i] > length[last.index()]) last = OpId(i);
  }
  std::vector<OpId> chain;
  for (OpId op = last; op.valid(); op = previous[op.index()]) chain.push_back(op);
  std::ranges::reverse(chain);
  return chain;
}

}  // namespace helm::ir
