// Text, JSON and HTML of a validation. Pure: values in, document out.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "validation/row.h"
#include "validation/summary.h"
#include "validation/validate.h"

namespace helm::validation {

// A table by source and in total; order and regret; memory by kind; why rows were skipped.
std::string RenderText(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes);

// DESIGN section 4: `{schema_version, rows, summary}`, with `by_source` (a summary for each file) and `skipped` ({id, source, reason})
// beside.
nlohmann::ordered_json RenderJson(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes);

// One row: what is known of it, what is predicted, where the predicted time and memory go, what the prediction leaves out.
std::string Explain(const Row& row, const Outcome& outcome);

// One page that needs nothing else: measured against predicted, error by source, the summary as a table, every row. Light and dark.
std::string RenderHtml(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes);

}  // namespace helm::validation
