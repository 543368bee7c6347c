// DependencyGraph: which op of a program must come before which, and why; and the questions asked of such a graph: order, cycles, isolated
// ops, transitive reduction, longest chain, a picture. Answered by Boost.Graph, which stays inside graph.cc.
//
// Derived, never stored: storages and extents say what an op reads and overwrites. Not the simulator's graph (sim/ adds streams and
// durations). Invariant: edges are sorted by (to, from) and there is one edge for a pair of ops, of the first kind that applies.
#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "ir/program.h"

namespace helm::ir {

enum class DependencyKind : uint8_t {
  kData,     // `to` reads what `from` wrote, or views it
  kWait,     // `from` is a start and `to` the wait that ends it; or `to` touches what the wait `from` has released
  kVersion,  // `to` overwrites what `from` reads or wrote
  kGroup,    // collectives of one group start in launch order, on all ranks the same
  kHost,     // the launching thread calls `from` before `to`
};
std::string_view Name(DependencyKind kind);  // "data", "wait", "version", "group", "host"

struct Dependency {
  OpId from;
  OpId to;
  DependencyKind kind = DependencyKind::kData;
  bool operator==(const Dependency&) const = default;
};

struct DependencyGraph {
  size_t op_count = 0;
  std::vector<Dependency> edges;
  bool operator==(const DependencyGraph&) const = default;
};

struct DependencyOptions {
  bool host_order = false;  // with the order in which the host thread launches
};

// REQUIRES: Verify(program) is ok.
DependencyGraph BuildDependencies(const Program& program, const DependencyOptions& options = {});

// Ops such that every edge goes forward. Error: there is a cycle; its ops are named.
Result<std::vector<OpId>> TopologicalOrder(const Program& program, const DependencyGraph& graph);

// The ops of one cycle, each before the next and the last before the first; empty when there is none.
std::vector<OpId> FindCycle(const DependencyGraph& graph);

// Ops without any edge.
std::vector<OpId> IsolatedOps(const DependencyGraph& graph);

// The graph without the edges that longer paths imply. Needs memory of ops^2 / 8 bytes; more than 20,000 ops are an error, as is a cycle.
Result<DependencyGraph> TransitiveReduction(const Program& program, const DependencyGraph& graph);

// The path with the largest sum of weights (ties: the one that ends, then goes, through smaller ids). REQUIRES: one non-negative weight for
// each op; no cycle.
std::vector<OpId> LongestChain(const DependencyGraph& graph, const std::vector<int64_t>& weights);

// Graphviz: one node for each op with label, place in the model and result types; communication edges stand out.
std::string ToDot(const Program& program, const DependencyGraph& graph);

}  // namespace helm::ir
