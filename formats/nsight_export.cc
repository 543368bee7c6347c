#include "formats/nsight_export.h"

#include <sqlite3.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "formats/foreign_numbers.h"

namespace helm::formats {
namespace {

constexpr int64_t kPushPop = 59;  // NVTX_EVENTS.eventType of a range on one thread
// Beyond these a difference of two times does not fit in 64 bits.
constexpr int64_t kTimeMost = std::numeric_limits<int64_t>::max() / 4;

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct FinishStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinishStatement>;

// One row of a query.
class Row {
 public:
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
  int64_t Integer(int column) const { return sqlite3_column_int64(statement_, column); }
  bool IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::string Text(int column) const {
    const unsigned char* text = sqlite3_column_text(statement_, column);
    return text == nullptr
               ? std::string()
               : std::string(reinterpret_cast<const char*>(text), static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
  }

 private:
  sqlite3_stmt* statement_;
};

class ExportReader {
 public:
  ExportReader(Database database, const std::string& file) : database_(std::move(database)), file_(file) {}

  Result<NsightExport> Read() {
    HELM_RETURN_IF_ERROR(
        ForEach("SELECT name FROM sqlite_master WHERE type = 'table'", [&](const Row& row) { tables_.insert(row.Text(0)); }));
    if (!Has("StringIds") || !(Has("CUPTI_ACTIVITY_KIND_KERNEL") || Has("CUPTI_ACTIVITY_KIND_RUNTIME") || Has("NVTX_EVENTS"))) {
      return InvalidError(
          fmt::format("{}: error: this database is no export of Nsight Systems with CUDA in it\n"
                      "  fix: nsys profile --trace=cuda,nvtx ..., then nsys export --type sqlite",
                      file_));
    }
    HELM_RETURN_IF_ERROR(ReadStrings());
    HELM_RETURN_IF_ERROR(ReadGpus());
    HELM_RETURN_IF_ERROR(ReadKernels());
    HELM_RETURN_IF_ERROR(ReadCopies("CUPTI_ACTIVITY_KIND_MEMCPY", "Memcpy"));
    HELM_RETURN_IF_ERROR(ReadCopies("CUPTI_ACTIVITY_KIND_MEMSET", "Memset"));
    HELM_RETURN_IF_ERROR(ReadLaunches());
    HELM_RETURN_IF_ERROR(ReadRanges());
    HELM_RETURN_IF_ERROR(CountOthers());
    MakeTimesRelative();
    return std::move(export_);
  }

 private:
  Status Failed() const { return InvalidError(fmt::format("{}: error: {}", file_, sqlite3_errmsg(database_.get()))); }

  // Calls `use` with each row.
  Status ForEach(const std::string& query, const std::function<void(const Row&)>& use) const {
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(database_.get(), query.c_str(), -1, &raw, nullptr) != SQLITE_OK) return Failed();
    const Statement statement(raw);
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(raw)) == SQLITE_ROW) use(Row(raw));
    return code == SQLITE_DONE ? OkStatus() : Failed();
  }

  bool Has(const std::string& table) const { return tables_.contains(table); }

  Status ReadStrings() {
    return ForEach("SELECT id, value FROM StringIds", [&](const Row& row) { strings_[row.Integer(0)] = IndexOf(row.Text(1)); });
  }

  Status ReadGpus() {
    if (!Has("TARGET_INFO_GPU")) return OkStatus();
    return ForEach("SELECT id, name FROM TARGET_INFO_GPU", [&](const Row& row) { export_.gpus[row.Integer(0)] = row.Text(1); });
  }

  Status ReadKernels() {
    if (!Has("CUPTI_ACTIVITY_KIND_KERNEL")) return OkStatus();
    return ForEach("SELECT start, end, globalPid, deviceId, streamId, correlationId, demangledName FROM CUPTI_ACTIVITY_KIND_KERNEL",
                   [&](const Row& row) { AddWork(row, NameOf(row.Integer(6)), /*copies=*/false); });
  }

  Status ReadCopies(const std::string& table, const std::string& name) {
    if (!Has(table)) return OkStatus();
    const int32_t index = IndexOf(name);
    return ForEach(fmt::format("SELECT start, end, globalPid, deviceId, streamId, correlationId FROM {}", table),
                   [&](const Row& row) { AddWork(row, index, /*copies=*/true); });
  }

  void AddWork(const Row& row, int32_t name, bool copies) {
    NsightWork work;
    if (!ReadTimes(row, work.start_ns, work.duration_ns)) return;
    work.process = row.Integer(2);
    work.device = row.Integer(3);
    work.stream = row.Integer(4);
    work.correlation = row.Integer(5);
    work.name = name;
    work.copies = copies;
    export_.work.push_back(work);
  }

  Status ReadLaunches() {
    if (!Has("CUPTI_ACTIVITY_KIND_RUNTIME")) return OkStatus();
    return ForEach("SELECT start, end, globalTid, correlationId, nameId FROM CUPTI_ACTIVITY_KIND_RUNTIME", [&](const Row& row) {
      NsightHostSpan launch;
      if (!ReadTimes(row, launch.start_ns, launch.duration_ns)) return;
      launch.thread = row.Integer(2);
      launch.correlation = row.Integer(3);
      launch.name = NameOf(row.Integer(4));
      export_.launches.push_back(launch);
    });
  }

  // A range's text stands in the row, or in StringIds. One that was open at the end has none.
  Status ReadRanges() {
    if (!Has("NVTX_EVENTS")) return OkStatus();
    return ForEach("SELECT start, end, globalTid, textId, text, eventType FROM NVTX_EVENTS", [&](const Row& row) {
      if (row.Integer(5) != kPushPop) {
        export_.omissions.Add("NVTX events that are no ranges of one thread");
        return;
      }
      NsightHostSpan range;
      if (row.IsNull(1)) {
        export_.omissions.Add("NVTX ranges without an end");
        return;
      }
      if (!ReadTimes(row, range.start_ns, range.duration_ns)) return;
      range.thread = row.Integer(2);
      range.name = row.IsNull(4) ? NameOf(row.Integer(3)) : IndexOf(row.Text(4));
      export_.ranges.push_back(range);
    });
  }

  // What else the GPU did: counted, so that nobody takes a timeline for all of it.
  Status CountOthers() {
    for (const char* table : {"CUPTI_ACTIVITY_KIND_SYNCHRONIZATION", "CUPTI_ACTIVITY_KIND_CUDA_EVENT", "CUPTI_ACTIVITY_KIND_GRAPH_TRACE"}) {
      if (!Has(table)) continue;
      HELM_RETURN_IF_ERROR(ForEach(fmt::format("SELECT count(*) FROM {}", table),
                                   [&](const Row& row) { export_.omissions.Add(fmt::format("rows of {}", table), {}, row.Integer(0)); }));
    }
    return OkStatus();
  }

  bool ReadTimes(const Row& row, int64_t& start, int64_t& duration) {
    start = row.Integer(0);
    const int64_t end = row.Integer(1);
    const bool possible = start > -kTimeMost && start < kTimeMost && end >= start && end < kTimeMost;
    if (!possible) export_.omissions.Add("rows without a time");
    duration = possible ? end - start : 0;
    return possible;
  }

  int32_t NameOf(int64_t string_id) {
    const auto found = strings_.find(string_id);
    return found != strings_.end() ? found->second : IndexOf("unknown");
  }

  int32_t IndexOf(const std::string& name) {
    const auto [entry, added] = name_indices_.try_emplace(name, static_cast<int32_t>(export_.names.size()));
    if (added) export_.names.push_back(name);
    return entry->second;
  }

  // Of work, launches and ranges.
  template <typename Use>
  void ForEachItem(const Use& use) {
    for (NsightWork& item : export_.work) use(item);
    for (NsightHostSpan& item : export_.launches) use(item);
    for (NsightHostSpan& item : export_.ranges) use(item);
  }

  void MakeTimesRelative() {
    int64_t first = kTimeMost;
    ForEachItem([&](const auto& item) { first = std::min(first, item.start_ns); });
    ForEachItem([&](auto& item) { item.start_ns -= first; });
    const auto late = [](const auto& item) { return item.start_ns > kNanosecondsMost || item.duration_ns > kNanosecondsMost; };
    const auto count = std::erase_if(export_.work, late) + std::erase_if(export_.launches, late) + std::erase_if(export_.ranges, late);
    export_.omissions.Add("rows days after the first one", {}, static_cast<int64_t>(count));
  }

  Database database_;
  const std::string& file_;
  std::set<std::string> tables_;
  std::unordered_map<int64_t, int32_t> strings_;           // id -> index of the name; only looked up, never iterated
  std::unordered_map<std::string, int32_t> name_indices_;  // likewise
  NsightExport export_;
};

// The database in memory, without copying it and without write access; its views and triggers are not run.
Result<Database> Open(std::string_view content, const std::string& file) {
  sqlite3* raw = nullptr;
  if (sqlite3_open_v2(":memory:", &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK) {
    sqlite3_close(raw);
    return UnavailableError(fmt::format("{}: error: SQLite cannot start", file));
  }
  Database database(raw);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(content.data()));  // read-only: SQLite does not write to it
  const auto size = static_cast<sqlite3_int64>(content.size());
  if (sqlite3_deserialize(raw, "main", bytes, size, size, SQLITE_DESERIALIZE_READONLY) != SQLITE_OK) {
    return InvalidError(fmt::format("{}: error: {}", file, sqlite3_errmsg(raw)));
  }
  return database;
}

}  // namespace

bool IsSqlite(std::string_view content) { return content.starts_with(std::string_view("SQLite format 3\0", 16)); }

int64_t ProcessOf(int64_t global_id) {
  constexpr int kThreadBits = 24;
  return static_cast<int64_t>(static_cast<uint64_t>(global_id) >> kThreadBits);
}

Result<NsightExport> ParseNsightExport(std::string_view content, const std::string& file) {
  HELM_ASSIGN_OR_RETURN(Database database, Open(content, file));
  return ExportReader(std::move(database), file).Read();
}

}  // namespace helm::formats
