// The pass of the overlap word `serial`: every wait directly behind the start that it names, so that no communication runs beside
// computation.
//
//     start A, mm, start B, add, wait A, wait B      ->      start A, wait A, mm, start B, wait B, add
//
// Always legal: a wait needs nothing but its start, and whatever used the result behind the old place also does behind the new one.
#pragma once

#include "ir/program.h"

namespace helm::schedule {

ir::Program MakeSerial(const ir::Program& program);

}  // namespace helm::schedule
