#include "cluster/machine_facts.h"

#include <sched.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "core/file.h"
#include "core/text.h"

namespace helm::cluster {
namespace {

// The clock of a core whose model name does not state one. /proc/cpuinfo's `cpu MHz` is the clock of this moment, so not used.
constexpr double kClockHzAssumed = 2.5e9;
// What one core of a server can stream from memory; 10 to 15 GB/s by single-core STREAM on current x86 servers. Assumed, not measured:
// what the machine really does is what helm-profile is for.
constexpr double kBytesPerSecondOfCoreAssumed = 1e10;

// The value of the first line "key : value".
std::optional<std::string_view> ValueOf(std::string_view text, std::string_view key) {
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && Trim(line.substr(0, colon)) == key) return Trim(line.substr(colon + 1));
    start = end + 1;
  }
  return std::nullopt;
}

// "... @ 2.50GHz", as Intel writes it.
double ClockHz(std::string_view model_name) {
  const size_t at = model_name.find("@ ");
  const size_t unit = model_name.find("GHz");
  if (at == std::string_view::npos || unit == std::string_view::npos || unit < at) return kClockHzAssumed;
  const auto gigahertz = ParseDouble(Trim(model_name.substr(at + 2, unit - at - 2)));
  return gigahertz ? *gigahertz * 1e9 : kClockHzAssumed;
}

// fp32 operations of one core in a cycle: two vector units, a multiply-add counts two. 512-bit vectors hold 16 numbers, 256-bit ones 8;
// without fused multiply-add a 128-bit unit does 4 products and 4 sums.
double FlopsPerCycle(std::string_view flags) {
  const std::vector<std::string> words = Split(flags, ' ');
  const auto has = [&words](const char* word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  if (has("avx512f")) return 64;
  if (has("fma")) return 32;
  return 8;
}

std::optional<int64_t> NumberInFile(const std::string& path) {
  const auto text = ReadFile(path);
  return text.ok() ? ParseInt64(Trim(*text)) : std::nullopt;
}

// Cores that the control group's quota amounts to, rounded down: v2 "QUOTA PERIOD" in microseconds, v1 two files.
std::optional<int64_t> QuotaCores() {
  std::optional<int64_t> quota, period;
  if (const auto text = ReadFile("/sys/fs/cgroup/cpu.max"); text.ok()) {
    const std::vector<std::string> parts = Split(Trim(*text), ' ');
    quota = ParseInt64(parts.front());
    period = ParseInt64(parts.back());
  } else {
    quota = NumberInFile("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    period = NumberInFile("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  }
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return std::max<int64_t>(1, *quota / *period);
}

int64_t UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int64_t cores = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::min(cores, QuotaCores().value_or(cores));
}

Bytes UsableMemory(Bytes machine) {
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    if (const auto limit = NumberInFile(path)) return std::min(machine, Bytes(*limit));
  }
  return machine;
}

}  // namespace

std::string CpuNameFrom(std::string_view cpuinfo) { return std::string(ValueOf(cpuinfo, "model name").value_or("unknown CPU")); }

FlopsPerSecond CorePeakFrom(std::string_view cpuinfo) {
  return FlopsPerSecond::Of(ClockHz(CpuNameFrom(cpuinfo)) * FlopsPerCycle(ValueOf(cpuinfo, "flags").value_or("")));
}

Result<Bytes> MemoryFrom(std::string_view meminfo) {
  std::string_view total = ValueOf(meminfo, "MemTotal").value_or("");
  if (total.ends_with(" kB")) total.remove_suffix(3);
  const auto kibibytes = ParseInt64(Trim(total));
  if (!kibibytes) return UnavailableError("/proc/meminfo: error: no line `MemTotal: ... kB`");
  return Bytes(*kibibytes * 1024);
}

Result<MachineFacts> ReadMachineFacts() {
  HELM_ASSIGN_OR_RETURN(const std::string cpuinfo, ReadFile("/proc/cpuinfo"));
  HELM_ASSIGN_OR_RETURN(const std::string meminfo, ReadFile("/proc/meminfo"));
  MachineFacts facts;
  facts.cpu_name = CpuNameFrom(cpuinfo);
  facts.cpu_cores = UsableCores();
  HELM_ASSIGN_OR_RETURN(const Bytes memory, MemoryFrom(meminfo));
  facts.memory = UsableMemory(memory);
  const double cores = static_cast<double>(facts.cpu_cores);
  facts.peak = FlopsPerSecond::Of(cores * CorePeakFrom(cpuinfo).value());
  facts.memory_bandwidth = BytesPerSecond::Of(cores * kBytesPerSecondOfCoreAssumed);
  facts.gpus = ReadGpuFacts();
  return facts;
}

}  // namespace helm::cluster
