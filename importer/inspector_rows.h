// From the records of NCCL's Inspector (formats/nccl_inspector.h) to rows of a cost table.
#pragma once

#include <vector>

#include "core/status.h"
#include "formats/nccl_inspector.h"
#include "importer/imported_rows.h"

namespace helm::importer {

// The dumps of all ranks of a run, read together. The ranks of a node are the ranks of a communicator over its nodes, rounded up; groups
// that share a node are communicators of the same size over as many nodes that one host recorded. Left out and counted: messages (an
// all-to-all is made of them, so they do not stand alone), times that were not taken by the GPU, operations that no program has. Fails
// without `hints.dtype`, which the records do not tell.
Result<ImportedRows> RowsOf(const std::vector<formats::InspectorDump>& dumps, const ImportHints& hints);

}  // namespace helm::importer
