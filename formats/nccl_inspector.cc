#include "formats/nccl_inspector.h"

#include <utility>

#include <fmt/format.h>
#include <simdjson.h>

#include "core/text.h"
#include "formats/foreign_numbers.h"

namespace helm::formats {
namespace {

namespace dom = simdjson::dom;

// The value of a key, or `otherwise` where it is missing or something else.
int64_t Integer(const dom::element& object, const char* key, int64_t otherwise) {
  int64_t value = 0;
  return object[key].get(value) == simdjson::SUCCESS ? value : otherwise;
}

std::string Text(const dom::element& object, const char* key) {
  std::string_view value;
  return object[key].get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
}

// The part that times: of a collective, or of a message. `prefix`: of its keys.
bool ReadPerformance(const dom::element& performance, const std::string& prefix, InspectorRecord& record) {
  record.operation = Text(performance, prefix.c_str());
  record.sequence = Integer(performance, (prefix + "_sn").c_str(), -1);
  const int64_t bytes = Integer(performance, (prefix + "_msg_size_bytes").c_str(), -1);
  const int64_t microseconds = Integer(performance, (prefix + "_exec_time_us").c_str(), -1);
  const auto time = TimeOfMicroseconds(static_cast<double>(microseconds));
  record.timing = Text(performance, (prefix + "_timing_source").c_str());
  if (record.operation.empty() || record.sequence < 0 || bytes < 0 || bytes > kBytesMost || !time) return false;
  record.bytes = Bytes(bytes);
  record.time = *time;
  return true;
}

bool ReadRecord(const dom::element& document, InspectorRecord& record) {
  dom::element header, performance;
  if (document["header"].get(header) != simdjson::SUCCESS) return false;
  record.message = document["coll_perf"].get(performance) != simdjson::SUCCESS;
  if (record.message && document["p2p_perf"].get(performance) != simdjson::SUCCESS) return false;
  record.communicator = Text(header, "id");
  record.rank = Integer(header, "rank", -1);
  record.ranks = Integer(header, "n_ranks", -1);
  record.nodes = Integer(header, "nnodes", -1);
  if (dom::element metadata; document["metadata"].get(metadata) == simdjson::SUCCESS) record.host = Text(metadata, "hostname");
  const bool placed = record.ranks >= 1 && record.ranks <= kRanksMost && record.rank >= 0 && record.rank < record.ranks &&
                      record.nodes >= 1 && record.nodes <= record.ranks;
  return placed && ReadPerformance(performance, record.message ? "p2p" : "coll", record);
}

}  // namespace

Result<InspectorDump> ParseInspectorDump(std::string_view text, const std::string& file) {
  InspectorDump dump;
  dom::parser parser;
  int64_t line_number = 0;
  for (const std::string& line : Split(text, '\n')) {
    ++line_number;
    if (Trim(line).empty()) continue;
    dom::element document;
    InspectorRecord record;
    record.where = fmt::format("{}:{}", file, line_number);
    if (parser.parse(line).get(document) == simdjson::SUCCESS && ReadRecord(document, record)) {
      dump.records.push_back(std::move(record));
    } else {
      dump.omissions.Add("lines that are no records of the NCCL Inspector", record.where);
    }
  }
  if (dump.records.empty()) return InvalidError(fmt::format("{}: error: no record of the NCCL Inspector is in this file", file));
  return dump;
}

}  // namespace helm::formats
