// Communicators: the process groups of one rank, one per group of the program, over Gloo (CPU) or NCCL (CUDA).
//
// No torch type is visible here. Creation is collective: every rank of the world calls Create with the same groups in the same order.
// A lost or late peer is a Status (kRankFailed) after `timeout`, never a hang.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "core/status.h"
#include "ir/program.h"

namespace helm::runtime {

// Where the ranks meet: a TCP store that rank 0 serves.
struct Rendezvous {
  std::string host = "127.0.0.1";
  int port = 0;
  int64_t rank = 0;
  int64_t world_size = 1;
  // True when something else (torchrun's agent, helm-exec's parent process) already serves the store at host:port.
  bool external_store = false;
  std::chrono::milliseconds timeout{60000};
  std::optional<cluster::Link> network;  // CPU: between the ranks, emulated (runtime/emulated_backend.h); for ranks of one machine alone
};

class Store;  // a c10d store client; opaque

// Serves a store on an ephemeral loopback port from this process (for the parent that spawns ranks).
class StoreServer {
 public:
  static Result<std::unique_ptr<StoreServer>> Start();
  virtual ~StoreServer() = default;
  virtual int port() const = 0;
};

// The rendezvous of one rank: key-value exchange between ranks, and barriers.
class World {
 public:
  // Waits for every rank; the error after `timeout` names those that never came.
  static Result<std::unique_ptr<World>> Join(const Rendezvous& rendezvous, ir::DeviceKind device);
  virtual ~World() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t size() const = 0;
  virtual bool shares_device() const { return false; }  // all ranks run on the first device (runtime/in_process.h)
  virtual Status Barrier() = 0;
  // Every rank gives a string and gets everybody's, by rank.
  virtual Result<std::vector<std::string>> AllGatherText(const std::string& text) = 0;
  // Largest float over all ranks (used to agree on a stopping decision).
  virtual Result<double> AllReduceMaximum(double value) = 0;
};

}  // namespace helm::runtime
