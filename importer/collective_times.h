// CollectiveTimes: what several ranks say about the same collectives. A rank that comes early waits inside the collective for the others,
// so what the collective itself takes is what the rank saw that came last: the shortest of their times.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "core/units.h"
#include "importer/imported_rows.h"
#include "ir/signature.h"

namespace helm::importer {

class CollectiveTimes {
 public:
  // `run` names one run of a collective: the communicator, the operation and which of them it is. A rank's times of one run add up.
  void Add(const std::string& run, int64_t rank, const ir::CollectiveSignature& collective, Duration time);
  // One sample for each run; remarks how many were not seen by all of their ranks.
  void AddTo(ImportedRows& rows) const;

 private:
  struct Run {
    ir::CollectiveSignature collective;
    std::map<int64_t, Duration> by_rank;
  };
  std::map<std::string, Run> runs_;
};

}  // namespace helm::importer
