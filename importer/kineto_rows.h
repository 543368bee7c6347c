// From traces of torch.profiler (formats/kineto_trace.h) to rows of a cost table: the collectives and matrix products in them.
#pragma once

#include <vector>

#include "core/status.h"
#include "formats/kineto_trace.h"
#include "importer/imported_rows.h"

namespace helm::importer {

// The traces of the ranks of one run, read together: a collective takes what the rank saw that came last. Ranks are numbered node by node,
// as torchrun does, so `hints.devices_per_node` says where a group lies; the groups of a mesh fill the nodes, so devices_per_node over the
// ranks of a group on one node are that many groups that share it. Left out and counted: collectives whose group's ranks the trace does not
// list (it cuts long lists short), element types and collectives that no program has, messages. Fails without `hints.devices_per_node`.
Result<ImportedRows> RowsOf(const std::vector<formats::KinetoTrace>& traces, const ImportHints& hints);

}  // namespace helm::importer
