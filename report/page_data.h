// The data of the HTML page (docs/formats/compare.md, "the report's data"): compact JSON, times in whole nanoseconds, starts as
// differences, each text once. For the page's own script (report/html/model.js), not an interface.
#pragma once

#include <nlohmann/json.hpp>

#include "ir/timeline.h"
#include "report/compare.h"

namespace helm::report {

// REQUIRES: `comparison` was made from these two timelines.
nlohmann::ordered_json PageData(const Comparison& comparison, const ir::Timeline& predicted, const ir::Timeline& measured,
                                const HtmlOptions& options);

}  // namespace helm::report
