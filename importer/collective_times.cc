#include "importer/collective_times.h"

#include <algorithm>

#include <fmt/format.h>

namespace helm::importer {

void CollectiveTimes::Add(const std::string& run, int64_t rank, const ir::CollectiveSignature& collective, Duration time) {
  Run& entry = runs_.try_emplace(run, Run{collective, {}}).first->second;
  entry.by_rank[rank] += time;
}

void CollectiveTimes::AddTo(ImportedRows& rows) const {
  int64_t partly = 0;
  for (const auto& [name, run] : runs_) {
    const auto last = std::ranges::min_element(run.by_rank, {}, [](const auto& entry) { return entry.second; });
    AddSample(rows, run.collective, last->second, 1);
    if (std::ssize(run.by_rank) < run.collective.ranks) ++partly;
  }
  if (partly == 0) return;
  rows.remarks.push_back(
      fmt::format("{} of {} collectives were recorded by some of their ranks only: their times may include waiting for "
                  "the others; import the files of all ranks together",
                  partly, runs_.size()));
}

}  // namespace helm::importer
