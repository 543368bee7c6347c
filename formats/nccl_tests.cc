#include "formats/nccl_tests.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "core/json.h"
#include "core/text.h"
#include "formats/foreign_numbers.h"
#include "formats/words.h"

namespace helm::formats {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kWrongElementsMost = 1e15;

// The word behind `key`, or nothing.
std::optional<std::string_view> After(const std::vector<std::string_view>& words, std::string_view key) {
  const auto found = std::ranges::find(words, key);
  if (found == words.end() || found + 1 == words.end()) return std::nullopt;
  return *(found + 1);
}

std::string_view FileNameOf(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Where the values of one time stand in a row.
struct TimeColumns {
  size_t time = 0;
  size_t wrong = 0;
  bool wrong_counted = false;
};

// The columns of a table: `# size count type redop root time algbw busbw #wrong [i_min ...] time algbw busbw #wrong [...]`.
struct Columns {
  size_t bytes = 0;
  std::optional<size_t> type;
  std::optional<size_t> reduction;
  std::vector<TimeColumns> times;  // out of place, in place
  size_t count = 0;                // of columns with a word in every row
  bool host_time = false;
};

// None: not the header of a table. Its word "timestamp" stands for two words of a row, the last ones.
std::optional<Columns> ColumnsOf(const std::vector<std::string_view>& header) {
  if (header.size() < 4 || header[0] != "#" || header[1] != "size" || header[2] != "count") return std::nullopt;
  Columns columns;
  for (size_t i = 1; i < header.size(); ++i) {
    const std::string_view name = header[i];
    const size_t column = i - 1;  // the row has no '#'
    if (name == "timestamp") break;
    if (name == "type") columns.type = column;
    if (name == "redop") columns.reduction = column;
    if (name == "time" || name == "cputime") columns.times.push_back({column});
    if (name == "cputime") columns.host_time = true;
    if ((name == "#wrong" || name == "error") && !columns.times.empty()) {
      columns.times.back().wrong = column;
      columns.times.back().wrong_counted = name == "#wrong";
    }
    columns.count = column + 1;
  }
  const bool complete =
      columns.type && columns.times.size() == 2 && columns.times[0].wrong > 0 && columns.times[1].wrong > columns.times[0].wrong;
  return complete ? std::optional(columns) : std::nullopt;
}

// `#wrong` holds a count, "N/A" with -c 0. The column `error` of before 2.13 holds the largest difference instead, which says nothing
// without the type's precision: not checked.
std::optional<int64_t> WrongElements(std::string_view word, bool counted) {
  if (word == "N/A") return -1;
  const auto value = ParseDouble(word);
  if (!value || *value < 0 || *value > kWrongElementsMost) return std::nullopt;
  return counted ? static_cast<int64_t>(*value) : -1;
}

class TextReader {
 public:
  TextReader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Result<NcclTestsFile> Read() {
    for (const std::string& line : Split(text_, '\n')) {
      ++line_;
      ReadLine(line);
    }
    EndRun();
    if (found_.runs.empty()) {
      return InvalidError(
          fmt::format("{}: error: no result of nccl-tests is in this file\n"
                      "  expected: what all_reduce_perf or another of its tests prints, with `# Using devices` and the table",
                      file_));
    }
    return std::move(found_);
  }

 private:
  std::string Where() const { return fmt::format("{}:{}", file_, line_); }

  void ReadLine(std::string_view line) {
    const auto words = Words(line);
    if (words.empty()) return;
    if (words[0].starts_with('#')) {
      ReadComment(line, words);
    } else if (columns_ && ParseInt64(words[0])) {
      ReadRow(words);
    } else {
      found_.omissions.Add("lines that are not of nccl-tests", Where());
    }
  }

  void ReadComment(std::string_view line, const std::vector<std::string_view>& words) {
    if (words.size() < 2) return;
    if (words[1] == "nccl-tests" || line.starts_with("# Collective test starting:") || words[1] == "nThread") {
      if (!run_.ranks.empty()) EndRun();
    }
    if (line.starts_with("# Collective test starting:")) run_.program = FileNameOf(words.back());
    if (words[1] == "nThread") ReadOptions(words);
    if (words[1] == "Rank") ReadRank(line, words);
    if (words[1] == "nccl-tests") {
      for (const std::string_view word : words) {
        constexpr std::string_view kLibrary = "nccl-library=";
        if (word.starts_with(kLibrary)) run_.nccl_version = word.substr(kLibrary.size());
      }
    }
    if (const auto columns = ColumnsOf(words)) {
      columns_ = columns;
      run_.host_time = columns->host_time;
    }
  }

  // "# nThread 1 nGpus 8 minBytes 8 maxBytes 134217728 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1 validation: 1 graph: 0"
  void ReadOptions(const std::vector<std::string_view>& words) {
    for (size_t i = 1; i + 1 < words.size(); ++i) {
      if (words[i] != "iters:" || words[i - 1] == "warmup") continue;
      const auto count = ParseInt64(words[i + 1]);
      if (count && *count > 0 && *count < 1'000'000 && run_.iterations < 1'000'000) run_.iterations *= *count;
    }
  }

  // "#  Rank  0 Group  0 Pid  3181 on  node-01 device  0 [0000:07:00] NVIDIA H100 80GB HBM3"; "Group" is of 2.13 and later.
  void ReadRank(std::string_view line, const std::vector<std::string_view>& words) {
    const auto host = After(words, "on");
    const size_t bracket = line.find(']');
    if (!host || bracket == std::string_view::npos || !After(words, "device")) {
      found_.omissions.Add("lines `# Rank` that cannot be read", Where());
      return;
    }
    const auto group = After(words, "Group");
    run_.ranks.push_back({group ? ParseInt64(*group).value_or(0) : 0, std::string(*host), std::string(Trim(line.substr(bracket + 1)))});
  }

  void ReadRow(std::vector<std::string_view> words) {
    // Some versions leave `redop` blank where nothing is reduced: its place then holds the root's number.
    const auto& reduction = columns_->reduction;
    if (reduction && *reduction < words.size() && ParseInt64(words[*reduction])) {
      words.insert(words.begin() + static_cast<std::ptrdiff_t>(*reduction), std::string_view());
    }
    const auto bytes = ParseInt64(words[columns_->bytes]);
    if (words.size() < columns_->count || !bytes || *bytes < 0 || *bytes > kBytesMost) {
      found_.omissions.Add("rows that cannot be read", Where());
      return;
    }
    NcclTestsRow row;
    row.bytes = Bytes(*bytes);
    row.type = words[*columns_->type];
    row.reduction = reduction ? std::string(words[*reduction]) : "";
    row.out_of_place = ReadTime(words, columns_->times[0]);
    row.in_place = ReadTime(words, columns_->times[1]);
    row.where = Where();
    if (row.out_of_place || row.in_place) {
      run_.rows.push_back(std::move(row));
    } else {
      found_.omissions.Add("rows that cannot be read", Where());
    }
  }

  static std::optional<NcclTestsTime> ReadTime(const std::vector<std::string_view>& words, const TimeColumns& columns) {
    const auto microseconds = ParseDouble(words[columns.time]);
    const auto wrong = WrongElements(words[columns.wrong], columns.wrong_counted);
    const auto time = microseconds ? TimeOfMicroseconds(*microseconds) : std::nullopt;
    if (!time || !wrong) return std::nullopt;
    return NcclTestsTime{*time, {}, *wrong};
  }

  void EndRun() {
    if (!run_.rows.empty()) found_.runs.push_back(std::move(run_));
    run_ = {};
    columns_.reset();
  }

  std::string_view text_;
  const std::string& file_;
  int64_t line_ = 0;
  NcclTestsRun run_;
  std::optional<Columns> columns_;
  NcclTestsFile found_;
};

// A number that the JSON form writes as a number, or as "nan".
std::optional<double> Number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

class JsonReader {
 public:
  JsonReader(const Json& document, const std::string& file) : document_(document), file_(file) {}

  Result<NcclTestsFile> Read() {
    HELM_ASSIGN_OR_RETURN(const int64_t version, JsonInt64(document_, "version", file_));
    if (version < 1 || version > 3) {
      return InvalidError(
          fmt::format("{}: error: version {} of the JSON of nccl-tests is not known; this HELM reads 1 to 3", file_, version));
    }
    HELM_RETURN_IF_ERROR(ReadConfig());
    HELM_ASSIGN_OR_RETURN(const Json* results, JsonArray(document_, "results", file_));
    for (size_t i = 0; i < results->size(); ++i) {
      HELM_RETURN_IF_ERROR(ReadRow((*results)[i], fmt::format("{}: results[{}]", file_, i)));
    }
    if (run_.rows.empty()) return InvalidError(fmt::format("{}: error: 'results' holds no result; did the run fail?", file_));
    found_.runs.push_back(std::move(run_));
    return std::move(found_);
  }

 private:
  Status ReadConfig() {
    HELM_ASSIGN_OR_RETURN(const Json* arguments, JsonArray(document_, "args", file_));
    if (!arguments->empty() && arguments->front().is_string()) {
      const auto program = arguments->front().get<std::string>();
      run_.program = FileNameOf(program);
    }
    if (const auto version = document_.find("nccl_version"); version != document_.end()) run_.nccl_version = version->dump();
    HELM_ASSIGN_OR_RETURN(const Json* config, JsonObject(document_, "config", file_));
    const std::string where = file_ + ": config";
    HELM_ASSIGN_OR_RETURN(const int64_t threads, JsonInt64(*config, "nthreads", where));
    HELM_ASSIGN_OR_RETURN(const int64_t gpus, JsonInt64(*config, "ngpus", where));
    HELM_ASSIGN_OR_RETURN(const int64_t iterations, JsonInt64(*config, "iterations", where));
    HELM_ASSIGN_OR_RETURN(const int64_t aggregated, JsonInt64(*config, "aggregated_iterations", where));
    for (const int64_t value : {threads, gpus, iterations, aggregated}) {
      if (value < 1 || value > kRanksMost) {
        return InvalidError(fmt::format("{}: error: nthreads, ngpus, iterations and aggregated_iterations must be 1 to {}, found {}", where,
                                        kRanksMost, value));
      }
    }
    run_.iterations = iterations * aggregated;
    aggregated_ = aggregated;
    if (threads * gpus > kRanksMost) return InvalidError(fmt::format("{}: error: {} ranks in one process", where, threads * gpus));
    HELM_ASSIGN_OR_RETURN(const Json* devices, JsonArray(*config, "devices", where));
    for (size_t i = 0; i < devices->size(); ++i) {
      HELM_RETURN_IF_ERROR(ReadRanks((*devices)[i], threads * gpus, fmt::format("{}: config.devices[{}]", file_, i)));
    }
    return OkStatus();
  }

  Status ReadRanks(const Json& device, int64_t count, const std::string& where) {
    HELM_ASSIGN_OR_RETURN(const int64_t group, JsonInt64(device, "group", where));
    HELM_ASSIGN_OR_RETURN(std::string host, JsonString(device, "hostname", where));
    HELM_ASSIGN_OR_RETURN(const std::string name, JsonString(device, "device_info", where));
    run_.ranks.push_back({group, std::move(host), std::string(Trim(name)), count});
    return OkStatus();
  }

  Status ReadRow(const Json& result, const std::string& where) {
    NcclTestsRow row;
    HELM_ASSIGN_OR_RETURN(const int64_t bytes, JsonInt64(result, "size", where));
    if (bytes < 0 || bytes > kBytesMost) return InvalidError(fmt::format("{}: error: a size of {} bytes", where, bytes));
    HELM_ASSIGN_OR_RETURN(row.type, JsonString(result, "type", where));
    HELM_ASSIGN_OR_RETURN(row.reduction, JsonString(result, "redop", where));
    row.bytes = Bytes(bytes);
    row.out_of_place = ReadTime(result, "out_of_place", "out_of_place_per_iter");
    row.in_place = ReadTime(result, "in_place", "in_place_per_iter");
    row.where = where;
    if (row.out_of_place || row.in_place) {
      run_.rows.push_back(std::move(row));
    } else {
      found_.omissions.Add("results without a time", where);
    }
    return OkStatus();
  }

  std::optional<NcclTestsTime> ReadTime(const Json& result, const char* key, const char* iterations_key) {
    const auto found = result.find(key);
    if (found == result.end() || !found->is_object()) return std::nullopt;  // null: this half was not run
    const auto device = Number(*found, "time");
    const auto host = Number(*found, "cpu_time");
    if (host) run_.host_time = true;
    const auto time = device || host ? TimeOfMicroseconds(device ? *device : *host) : std::nullopt;
    if (!time) return std::nullopt;
    const auto wrong = Number(*found, "nwrong");
    NcclTestsTime read{*time, {}, wrong ? static_cast<int64_t>(std::clamp(*wrong, 0.0, kWrongElementsMost)) : -1};
    // Of aggregated collectives an iteration is the sum.
    if (const auto list = result.find(iterations_key); list != result.end() && aggregated_ == 1) read.iterations = IterationsOf(*list);
    return read;
  }

  // The times of -I 1 behind the iterations that -K leaves out.
  static std::vector<Duration> IterationsOf(const Json& object) {
    std::vector<Duration> times;
    const auto list = object.find("times_us");
    if (list == object.end() || !list->is_array()) return times;
    for (const Json& value : *list) {
      const auto time = value.is_number() ? TimeOfMicroseconds(value.get<double>()) : std::nullopt;
      if (!time) return {};
      times.push_back(*time);
    }
    const auto skipped = Number(object, "skipped_iterations").value_or(0);
    if (skipped >= 1 && skipped < static_cast<double>(times.size()))
      times.erase(times.begin(), times.begin() + static_cast<int64_t>(skipped));
    return times;
  }

  const Json& document_;
  const std::string& file_;
  int64_t aggregated_ = 1;
  NcclTestsRun run_;
  NcclTestsFile found_;
};

}  // namespace

Result<NcclTestsFile> ParseNcclTestsText(std::string_view text, const std::string& file) { return TextReader(text, file).Read(); }

Result<NcclTestsFile> ParseNcclTestsJson(std::string_view text, const std::string& file) {
  HELM_ASSIGN_OR_RETURN(const Json document, ParseJson(text, file));
  if (!document.is_object()) return InvalidError(fmt::format("{}: error: this is not the JSON of nccl-tests", file));
  return JsonReader(document, file).Read();
}

}  // namespace helm::formats
