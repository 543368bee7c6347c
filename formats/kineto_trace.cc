#include "formats/kineto_trace.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <memory>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <simdjson.h>

#include "core/diagnostics.h"
#include "core/text.h"
#include "formats/foreign_numbers.h"
#include "formats/gzip.h"

namespace helm::formats {
namespace {

namespace json = simdjson::ondemand;
using Kind = KinetoEvent::Kind;

// A time of the file in whole nanoseconds, exactly: a double would round absolute times of today to a quarter of a microsecond.
std::optional<int64_t> Nanoseconds(std::string_view microseconds) {
  constexpr size_t kDecimals = 3;
  constexpr double kMost = 4e15;  // 120 years: the difference of two times fits in 64 bits
  const std::string_view number = Trim(microseconds);
  const size_t point = number.find('.');
  const auto whole = ParseInt64(number.substr(0, point));
  if (!whole || number.find_first_of("eE") != std::string_view::npos || number.starts_with('-')) {
    const auto value = ParseDouble(number);
    if (!value || !(std::abs(*value) < kMost)) return std::nullopt;
    return std::llround(*value * 1000);
  }
  if (static_cast<double>(*whole) > kMost) return std::nullopt;
  std::string decimals(point == std::string_view::npos ? std::string_view() : number.substr(point + 1).substr(0, kDecimals));
  decimals.resize(kDecimals, '0');
  int64_t nanoseconds = 0;
  for (const char digit : decimals) {
    if (digit < '0' || digit > '9') return std::nullopt;
    nanoseconds = nanoseconds * 10 + (digit - '0');
  }
  return *whole * 1000 + nanoseconds;
}

constexpr std::array<std::pair<std::string_view, Kind>, 7> kCategories = {{{"cpu_op", Kind::kOperator},
                                                                           {"user_annotation", Kind::kAnnotation},
                                                                           {"cuda_runtime", Kind::kLaunch},
                                                                           {"cuda_driver", Kind::kLaunch},
                                                                           {"kernel", Kind::kKernel},
                                                                           {"gpu_memcpy", Kind::kCopy},
                                                                           {"gpu_memset", Kind::kFill}}};

// What repeats other events (flows, names of rows, the GPU's view of annotations), or is about the profiler itself.
constexpr std::array<std::string_view, 6> kRepetitions = {"ac2g", "fwdbwd", "gpu_user_annotation", "Trace", "overhead", ""};

// An event as it stands in the file, before it is known what it is.
struct RawEvent {
  std::string_view phase;  // "X": complete
  std::string_view category;
  std::string_view name;
  std::string_view start;
  std::string_view duration;
  KinetoEvent event;
  KinetoCollective collective;
  std::array<std::vector<std::string>, 2> operand_texts;           // types, values
  std::array<std::vector<std::vector<int64_t>>, 2> operand_sizes;  // shapes, strides
  int64_t device_type = -1;
};

int64_t IntegerOr(json::value value, int64_t otherwise) {
  int64_t number = 0;
  return value.get_int64().get(number) == simdjson::SUCCESS ? number : otherwise;
}

std::string TextOf(json::value value) {
  std::string_view text;
  return value.get_string().get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

// A size; -1: none that can be.
int64_t SizeOf(json::value value) {
  const int64_t size = IntegerOr(value, -1);
  return size >= 0 && size <= kBytesMost ? size : -1;
}

// "[0, 1, 2]"; empty where the list was cut short ("[0, 1, ...]").
std::vector<int64_t> RanksOf(std::string_view text) {
  if (text.size() < 2 || !text.starts_with('[') || !text.ends_with(']')) return {};
  std::vector<int64_t> ranks;
  for (const std::string& part : Split(text.substr(1, text.size() - 2), ',')) {
    const auto rank = ParseInt64(Trim(part));
    if (!rank || *rank < 0 || *rank > kRanksMost) return {};
    ranks.push_back(*rank);
  }
  return ranks;
}

class TraceReader {
 public:
  TraceReader(std::string_view content, const std::string& file) : text_(content), file_(file) {}

  // The parser throws where the text is no JSON; nothing of it leaves this function.
  Result<KinetoTrace> Read() {
    json::parser parser;
    json::document document;
    bool begun = false;
    try {
      document = parser.iterate(text_);
      begun = true;
      ReadDocument(document);
    } catch (const simdjson::simdjson_error& error) {
      return InvalidError(fmt::format("{}: error: this is not the JSON of a trace: {}", begun ? PlaceIn(document) : file_, error.what()));
    }
    if (!events_found_) {
      return InvalidError(fmt::format("{}: error: this is no trace of torch.profiler: the key 'traceEvents' is missing", file_));
    }
    MakeTimesRelative();
    return std::move(trace_);
  }

 private:
  // Where the parser stands. REQUIRES: it has begun.
  std::string PlaceIn(json::document& document) const {
    const char* at = nullptr;
    const char* begin = text_.data();
    if (document.current_location().get(at) != simdjson::SUCCESS || at < begin || at > begin + text_.size()) return file_;
    const std::string_view read(begin, static_cast<size_t>(at - begin));
    const auto line = 1 + std::ranges::count(read, '\n');
    const size_t column = read.size() - (read.rfind('\n') + 1) + 1;
    return fmt::format("{}:{}:{}", file_, line, column);
  }

  void ReadDocument(json::document& document) {
    for (auto field : document.get_object()) {
      const std::string_view key = field.unescaped_key();
      if (key == "traceEvents") {
        events_found_ = true;
        for (json::value event : field.value().get_array()) ReadEvent(event.get_object());
      } else if (key == "deviceProperties") {
        for (json::value device : field.value().get_array()) ReadDevice(device.get_object());
      } else if (key == "distributedInfo") {
        ReadRank(field.value());
      }
    }
  }

  void ReadDevice(json::object object) {
    KinetoDevice device;
    for (auto field : object) {
      const std::string_view key = field.unescaped_key();
      if (key == "id") device.id = IntegerOr(field.value(), 0);
      if (key == "name") device.name = TextOf(field.value());
    }
    trace_.devices.push_back(std::move(device));
  }

  void ReadRank(json::value value) {
    json::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) return;
    for (auto field : object) {
      const std::string_view key = field.unescaped_key();
      if (key != "rank" && key != "world_size") continue;
      const int64_t number = IntegerOr(field.value(), -1);
      if (number >= 0 && number <= kRanksMost) (key == "rank" ? trace_.rank : trace_.world_size) = number;
    }
  }

  void ReadEvent(json::object object) {
    RawEvent raw;
    for (auto field : object) {
      const std::string_view key = field.unescaped_key();
      json::value value = field.value();
      if (key == "ph") {
        raw.phase = value.get_string();
      } else if (key == "cat") {
        raw.category = value.get_string();
      } else if (key == "name") {
        raw.name = value.get_string();
      } else if (key == "ts") {
        raw.start = value.raw_json_token();
      } else if (key == "dur") {
        raw.duration = value.raw_json_token();
      } else if (key == "tid") {
        raw.event.thread = IntegerOr(value, 0);
      } else if (key == "args") {
        ReadArguments(value, raw);
      }
    }
    Keep(raw);
  }

  static void ReadArguments(json::value value, RawEvent& raw) {
    json::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) return;
    for (auto field : object) {
      const std::string_view key = field.unescaped_key();
      ReadArgument(key, field.value(), raw);
    }
  }

  static void ReadArgument(std::string_view key, json::value value, RawEvent& raw) {
    if (key == "External id" || key == "external id") {
      raw.event.external_id = IntegerOr(value, 0);
    } else if (key == "correlation") {
      raw.event.correlation = IntegerOr(value, 0);
    } else if (key == "device" || key == "Device Id") {
      raw.event.device = IntegerOr(value, -1);
    } else if (key == "Device Type") {
      raw.device_type = IntegerOr(value, -1);
    } else if (key == "stream") {
      raw.event.stream = IntegerOr(value, -1);
    } else if (key == "Total Allocated") {
      raw.event.bytes_allocated = SizeOf(value);
    } else if (key == "Input Dims") {
      ReadSizes(value, raw.operand_sizes[0]);
    } else if (key == "Input Strides") {
      ReadSizes(value, raw.operand_sizes[1]);
    } else if (key == "Input type") {
      ReadTexts(value, raw.operand_texts[0]);
    } else if (key == "Concrete Inputs") {
      ReadTexts(value, raw.operand_texts[1]);
    } else {
      ReadCollective(key, value, raw.collective);
    }
  }

  static void ReadCollective(std::string_view key, json::value value, KinetoCollective& collective) {
    if (key == "Collective name") {
      collective.name = TextOf(value);
    } else if (key == "dtype") {
      collective.dtype = TextOf(value);
    } else if (key == "In msg nelems") {
      collective.elements_in = SizeOf(value);
    } else if (key == "Out msg nelems") {
      collective.elements_out = SizeOf(value);
    } else if (key == "Group size") {
      collective.group_size = std::min(SizeOf(value), kRanksMost);
    } else if (key == "Seq") {
      collective.sequence = IntegerOr(value, -1);
    } else if (key == "Process Group Name") {
      collective.group_name = TextOf(value);
    } else if (key == "Process Group Description") {
      collective.group_description = TextOf(value);
    } else if (key == "Process Group Ranks") {
      collective.group_ranks = RanksOf(TextOf(value));
    }
  }

  // [[32, 64], [], ...]; of a list of tensors [[[32, 64], [8]], ...]: empty, since one operand is meant.
  static void ReadSizes(json::value value, std::vector<std::vector<int64_t>>& sizes) {
    json::array list;
    if (value.get_array().get(list) != simdjson::SUCCESS) return;
    for (json::value operand : list) {
      sizes.emplace_back();
      json::array shape;
      if (operand.get_array().get(shape) != simdjson::SUCCESS) continue;
      for (json::value size : shape) {
        int64_t number = 0;
        if (size.get_int64().get(number) == simdjson::SUCCESS) sizes.back().push_back(number);
      }
    }
  }

  static void ReadTexts(json::value value, std::vector<std::string>& texts) {
    json::array list;
    if (value.get_array().get(list) != simdjson::SUCCESS) return;
    for (json::value text : list) texts.push_back(TextOf(text));
  }

  void Keep(RawEvent& raw) {
    const auto category = std::ranges::find(kCategories, raw.category, &std::pair<std::string_view, Kind>::first);
    if (raw.phase == "X" && category != kCategories.end()) {
      raw.event.kind = category->second;
    } else if (raw.category == "cpu_instant_event" && raw.name == "[memory]") {
      if (raw.device_type == 0 || raw.event.bytes_allocated < 0) return;  // the CPU's
      raw.event.kind = Kind::kMemory;
    } else if (std::ranges::find(kRepetitions, raw.category) != kRepetitions.end() || raw.phase == "M") {
      return;
    } else {
      trace_.omissions.Add(fmt::format("events of the category '{}'", raw.category));
      return;
    }
    const auto start = Nanoseconds(raw.start);
    const auto duration = raw.duration.empty() ? std::optional<int64_t>(0) : Nanoseconds(raw.duration);
    if (!start || !duration || *duration < 0) {
      trace_.omissions.Add(fmt::format("events of the category '{}' without a time", raw.category));
      return;
    }
    raw.event.start_ns = *start;
    raw.event.duration_ns = *duration;
    raw.event.name = IndexOf(raw.name);
    KeepDetails(raw);
    trace_.events.push_back(raw.event);
  }

  void KeepDetails(RawEvent& raw) {
    if (!raw.collective.name.empty()) {
      raw.event.collective = static_cast<int32_t>(trace_.collectives.size());
      trace_.collectives.push_back(std::move(raw.collective));
    }
    auto& [types, values] = raw.operand_texts;
    auto& [shapes, strides] = raw.operand_sizes;
    if (shapes.empty() || types.size() != shapes.size()) return;
    strides.resize(shapes.size());
    values.resize(shapes.size());
    std::vector<KinetoOperand> operands;
    for (size_t i = 0; i < shapes.size(); ++i) {
      operands.push_back({std::move(types[i]), std::move(shapes[i]), std::move(strides[i]), std::move(values[i])});
    }
    raw.event.operands = static_cast<int32_t>(trace_.operands.size());
    trace_.operands.push_back(std::move(operands));
  }

  int32_t IndexOf(std::string_view name) {
    const auto [entry, added] = name_indices_.try_emplace(std::string(name), static_cast<int32_t>(trace_.names.size()));
    if (added) trace_.names.emplace_back(name);
    return entry->second;
  }

  void MakeTimesRelative() {
    int64_t first = std::numeric_limits<int64_t>::max();
    for (const KinetoEvent& event : trace_.events) first = std::min(first, event.start_ns);
    for (KinetoEvent& event : trace_.events) event.start_ns -= first;
    const auto late = [](const KinetoEvent& event) { return event.start_ns > kNanosecondsMost || event.duration_ns > kNanosecondsMost; };
    const auto count = std::erase_if(trace_.events, late);
    trace_.omissions.Add("events days after the first one", {}, static_cast<int64_t>(count));
  }

  simdjson::padded_string text_;
  const std::string& file_;
  bool events_found_ = false;
  std::unordered_map<std::string, int32_t> name_indices_;  // only looked up, never iterated
  KinetoTrace trace_;
};

}  // namespace

Result<KinetoTrace> ParseKinetoTrace(std::string_view content, const std::string& file) {
  if (!IsGzip(content)) return TraceReader(content, file).Read();
  HELM_ASSIGN_OR_RETURN(const std::string unpacked, Gunzip(content, file));
  return TraceReader(unpacked, file).Read();
}

}  // namespace helm::formats
