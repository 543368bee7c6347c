// Profile: measures a list of ops and collectives on this machine into a cost table.
//
// Collective call: every rank of the world runs it with the same work list, so that all ranks of the machine measure the same op at the
// same time, as they do in a training step, and share its caches and memory as they will then. A row's median and quartiles are taken
// over the samples of all ranks. What is measured is the interpreter's own op code (runtime/measure.h), on random data.
//
// The list is walked `rounds` times and each item takes a share of its samples in every round: a machine that others share changes its
// speed within seconds (steal, turbo), and a row that was measured in one go would hold the speed of that moment. Spread over the whole
// profile, all rows hold the same mixture of speeds, so that plans made of different rows are still ranked right.
//
// It does not know where the list comes from (planner/evaluate.h) and does not touch files: rows that are already in `table` are
// skipped, so that an interrupted run can be resumed.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "cost/cost_table.h"
#include "ir/device_load.h"
#include "ir/program.h"
#include "ir/signature.h"
#include "profiler/stopping_rule.h"
#include "runtime/communicator.h"
#include "runtime/gpu_state.h"

namespace helm::profiler {

// An op and, for a GPU, what else its part of the step does.
struct OpWork {
  ir::OpSignature op;
  ir::DeviceLoad load;
};

// An op and a collective that run at once.
struct PairWork {
  OpWork op;
  ir::CollectiveSignature collective;
};

struct WorkList {
  std::vector<OpWork> ops;                           // distinct
  std::vector<ir::CollectiveSignature> collectives;  // distinct
  std::vector<PairWork> pairs;                       // distinct
};

std::string KeyOf(const PairWork& pair);   // of its row
std::string ToText(const WorkList& work);  // one signature a line
Result<WorkList> ParseWorkList(std::string_view text);

struct ProfileOptions {
  ir::DeviceKind device = ir::DeviceKind::kCpu;
  StoppingRuleOptions stopping;
  int64_t rounds = 1;          // rank 0's count
  std::string gpu_pci_bus_id;  // of rank 0's GPU; empty: its state is not recorded
  // Collectives are few, and their mean needs many samples.
  StoppingRuleOptions stopping_collectives{.samples_minimum = 100, .samples_maximum = 400, .time_maximum = Duration::Milliseconds(800)};
  StoppingRuleOptions stopping_pairs{.samples_maximum = 60, .time_maximum = Duration::Milliseconds(800)};
  int64_t warm_up_samples = 2;
  std::function<void(int64_t done, int64_t total, const std::string& key)> progress;  // on rank 0, in visits; may be empty
  // On rank 0, now and then: a chance to write the table so far, so that a killed run loses seconds, not minutes. May be empty.
  std::function<Status(const cost::CostTable&)> checkpoint;
  std::chrono::seconds checkpoint_interval{10};
  const std::atomic<bool>* interrupted = nullptr;  // on rank 0; may be null
};

struct ProfileResult {
  cost::CostTable table;
  bool interrupted = false;
  std::string kernels_unknown;                // why rows have no kernels, where CUPTI refused; empty else
  std::vector<runtime::GpuState> gpu_states;  // rank 0's GPU after each measurement; empty on a CPU
};

// The range of each quantity, for the stamp of a table; null without states.
nlohmann::ordered_json Summary(const std::vector<runtime::GpuState>& states);

// `table` (rank 0's counts) holds the rows that are known already and the device key. The result is complete on rank 0.
Result<ProfileResult> Profile(const WorkList& work, cost::CostTable table, runtime::World& world, const ProfileOptions& options);

}  // namespace helm::profiler
