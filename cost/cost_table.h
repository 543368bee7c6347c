// CostTable: measured durations of ops and collectives on one kind of device, with how they were measured. Written by helm-profile, read by
// estimators. On disk JSON, `format: helm-cost-table/1`, with pairs `helm-cost-table/2` (docs/formats/cost_table.md).
//
// Keys are ir::ToText of the signatures. Invariant: rows are sorted by key and unique. A table holds for one DeviceKey; using it for
// another is refused by the reader's caller (cost/chain.h), never silent.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/status.h"
#include "core/units.h"
#include "cost/pair.h"
#include "ir/signature.h"

namespace helm::cost {

// What a measurement depends on besides the op.
struct DeviceKey {
  std::string kind;               // "cpu" or "cuda"
  std::string name;               // "AMD EPYC" or "NVIDIA H200"
  int64_t threads_per_rank = 1;   // CPU: threads that one rank computes with
  int64_t ranks_per_machine = 1;  // CPU: ranks that ran at the same time while measuring (they share cores, caches and memory)
  std::string network = {};       // CPU: the emulated one between the ranks, cluster::Describe; empty: none
  bool operator==(const DeviceKey&) const = default;
};
std::string ToText(const DeviceKey& key);
// Whether a table of one holds for the other. Threads and ranks count only for a CPU, whose cores, caches and memory the ranks share.
bool SameDevice(const DeviceKey& a, const DeviceKey& b);

// One kernel, copy or fill that an op launches on a GPU.
struct KernelMeasurement {
  std::string name;    // as the compiler mangled it
  int64_t blocks = 0;  // of its grid; 0 for a copy
  Duration duration;   // of one run, by CUPTI
  bool operator==(const KernelMeasurement&) const = default;
};

struct Measurement {
  Duration median;
  Duration quartile_lower;
  Duration quartile_upper;
  int64_t samples = 0;
  Bytes workspace;
  // Of all samples but the slowest hundredth. A collective's price: between processes of one machine a transfer takes either what moving
  // the bytes takes or that plus a wait for the operating system's scheduler, and a step adds hundreds of them up, so that the mean counts.
  Duration mean;
  // CPU, ops, several ranks: how long the ranks wait for the slowest of them when all do the op at the same moment, on average (of all
  // samples but the slowest hundredth).
  std::optional<Duration> ranks_wait;
  // GPU, ops: the host thread's time in the call (median), and what the call launched.
  std::optional<Duration> launch;
  std::vector<KernelMeasurement> kernels;
  std::optional<double> clock_megahertz;  // GPU, ops: of its multiprocessors while they were measured
};

struct HostMeasurement {
  Duration per_op;  // besides the call itself
  Duration per_collective;
  Duration per_wait;
};

struct CostTable {
  DeviceKey device;
  std::map<std::string, Measurement> ops;
  std::map<std::string, Measurement> collectives;
  std::map<std::string, PairMeasurement> pairs;  // cost/pair.h
  std::optional<HostMeasurement> host;
  nlohmann::ordered_json stamp;
  std::string file;  // where it was read from, for messages; empty when made in memory; not written
};

nlohmann::ordered_json ToJson(const CostTable& table);
// Strict: unknown and missing keys, wrong types, an unknown format version, keys that are no signatures: all of a file at once.
Result<CostTable> ParseCostTable(std::string_view text, std::string_view file);
Result<CostTable> ReadCostTable(const std::string& path);
Status WriteCostTable(const CostTable& table, const std::string& path);  // atomic
// Merges the table into the file as it is by now: what another process has added since it was read stays. Fails when the file's table is of
// another device.
Status ExtendCostTable(const CostTable& table, const std::string& path);
// Rows of `from` replace those of `into`. Fails when the devices differ.
Status Merge(CostTable& into, const CostTable& from);

}  // namespace helm::cost
