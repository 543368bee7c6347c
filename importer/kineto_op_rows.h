// Matrix products of a trace of torch.profiler as rows of a cost table: with record_shapes an operator tells the shapes, strides and types
// of its arguments, and its kernels tell what it took.
//
// Only products (mm, bmm, addmm): they are most of a step, and their arguments in a trace are those of a program. The trace does not tell
// overloads, results and in which storage an argument lies, which the signatures of other operators need.
#pragma once

#include "formats/kineto_trace.h"
#include "importer/imported_rows.h"

namespace helm::importer {

// Adds a sample for each run of a product, the sum of its kernels. Whether an operand was in the cache, the step decided, so a run stands
// for the rows of every marking `@` of its operands. Left out and counted: products without shapes, of other types, with factors other
// than 1.
void AddProducts(const formats::KinetoTrace& trace, ImportedRows& rows);

}  // namespace helm::importer
