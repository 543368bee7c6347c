// Edits of programs that renumber ops and keep everything that refers to them right. Building blocks of passes, of the executor's gradient
// pass and of tests; they choose nothing.
#pragma once

#include <vector>

#include "core/status.h"
#include "ir/program.h"

namespace helm::schedule {

// The program with its ops in this order. REQUIRES: `order` names every op once. The result is verified by the caller.
ir::Program Reorder(const ir::Program& program, const std::vector<ir::OpId>& order);

// The program with only the ops whose flag is set, in their order. Tensors that only left-out ops produce disappear, as do outputs that
// were such tensors. An error when an op that stays reads the result of one that goes.
Result<ir::Program> KeepOps(const ir::Program& program, const std::vector<bool>& keep);

// Also takes out of `keep` the views that no op reads which it keeps, and those that only such views read.
void DropUnreadViews(const ir::Program& program, std::vector<bool>& keep);

// Takes away storages on which no tensor lies.
void DropEmptyStorages(ir::Program& program);

}  // namespace helm::schedule
