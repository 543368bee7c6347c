// The door to report/: compares two timelines and renders the result as text, JSON or one self-contained HTML page.
//
// Pure: values in, value or string out; nothing here prints or writes files. Does not know which timeline was real.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "core/status.h"
#include "core/units.h"
#include "ir/timeline.h"
#include "report/comparison.h"

namespace helm::report {

// Ops of one program are paired by id, those of two programs (two plans) by what they are (report/match.h), and the comparison says so.
// Fails (invalid) when the op tables of one program contradict each other, or when a timeline is empty.
Result<Comparison> Compare(const ir::Timeline& predicted, const ir::Timeline& measured);

struct TextOptions {
  bool colour = false;  // ANSI colours (a terminal without NO_COLOR)
};

// At most 70 lines of at most 100 columns: summary, breakdown, attribution of the difference, stages of a pipeline, ranks, the largest
// differences, sums by operator.
std::string RenderText(const Comparison& comparison, const TextOptions& options = {});

// The document of `helm-compare --json` (docs/formats/compare.md).
nlohmann::ordered_json RenderJson(const Comparison& comparison);

struct HtmlOptions {
  std::optional<Bytes> memory_capacity;  // of one rank: drawn as a line over the memory curves
};

// One HTML document that needs no other file and makes no request. REQUIRES: `comparison` was made from these two timelines.
std::string RenderHtml(const Comparison& comparison, const ir::Timeline& predicted, const ir::Timeline& measured,
                       const HtmlOptions& options = {});

}  // namespace helm::report
