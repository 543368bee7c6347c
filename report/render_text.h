// RenderText (report/compare.h) in the parts that tests look at one by one.
#pragma once

#include <string>
#include <vector>

#include "report/compare.h"

namespace helm::report {

// Lines without line ends. Pairs of numbers are predicted/measured.
std::vector<std::string> SummaryLines(const Comparison& comparison, const TextOptions& options);
std::vector<std::string> AttributionLines(const Comparison& comparison, const TextOptions& options);
std::vector<std::string> StageLines(const Comparison& comparison, const TextOptions& options);  // none of steps without pipeline stages
std::vector<std::string> RankLines(const Comparison& comparison, const TextOptions& options);   // none where there is one rank
std::vector<std::string> DifferenceLines(const Comparison& comparison, const TextOptions& options);
std::vector<std::string> CategoryLines(const Comparison& comparison, const TextOptions& options);

}  // namespace helm::report
