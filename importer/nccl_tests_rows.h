// From what nccl-tests measured (formats/nccl_tests.h) to rows of a cost table.
#pragma once

#include "core/status.h"
#include "formats/nccl_tests.h"
#include "importer/imported_rows.h"

namespace helm::importer {

// Of each size the form that PyTorch uses: in place for all_reduce and broadcast, out of place for the others; the other one where that was
// not run. `sendrecv_perf`, in which every rank sends to the next one and receives from the one before at the same time, becomes `send` to
// the farthest of them: another node where there are several. Left out and counted: collectives, element types and reductions that HELM's
// programs do not have, results that were wrong, times of the launching thread.
//
// Fails when a run lists no ranks, when the ranks are of several devices, and when the test is not named and no hint names it. `file` is
// the name in messages.
Result<ImportedRows> RowsOf(const formats::NcclTestsFile& measured, const ImportHints& hints, const std::string& file);

}  // namespace helm::importer
