// Cluster: the machines a plan is for: device, nodes, links, how many are used. Plain values, read from YAML or JSON by
// cluster/cluster_reader.h. Bandwidths are per GPU and direction inside a node, per NIC between nodes.
//
// Invariant after reading: node_count x devices_per_node >= devices_used >= 1; `intra_node` is present when devices_per_node > 1 and
// `inter_node` when node_count > 1, except on a local cluster of CPU ranks, whose links are its memory.
//
// A cluster of several kinds of nodes has `groups`, at least two, each a cluster of one kind of node (not local), and the link between
// them. Its own numbers are then sums over the groups (node_count, devices_used), and `device` is that of all of them, or where they differ
// one that has a name, the least of their memories, and no other number, so that nobody computes with those of the wrong one. It has no
// links of its own. What depends on a group: cluster/device_groups.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/units.h"

namespace helm::cluster {

// A kind of device. A number that is not known is absent; using it is an error that names it.
struct Device {
  std::string name;         // equals the name in cost tables
  std::string driver_name;  // as NVIDIA's driver calls it; empty: unknown
  bool is_cpu = false;
  Bytes memory;  // of one device; for a CPU the memory of the machine
  std::optional<BytesPerSecond> memory_bandwidth;
  std::map<std::string, FlopsPerSecond> peak;  // by dtype name (ir::Name): dense
  int64_t multiprocessors = 0;
  // Which kernel tables may stand in for it (cost/kernel_table.h); empty: unknown.
  std::string architecture;
  std::optional<Bytes> l2;
  std::optional<BytesPerSecond> nvlink;  // all its links, one direction
  double power_watts = 0;                // 0: unknown
  double clock_mhz = 0;                  // of tensor products at the rates of `peak`; 0: unknown
  // The share of the measured kernel rates that it holds through a training step, when power and heat limit it. Fitted: docs/cost_model.md.
  double sustained_clock = 1.0;
  // How many times as long as on an x86 server the host thread takes to launch something; above 1: the Arm cores of a superchip.
  double host_slowdown = 1.0;
  bool operator==(const Device&) const = default;
};

struct IntraNodeLink {
  std::string kind;  // nvswitch | nvlink-mesh | pcie
  BytesPerSecond bandwidth;
  bool operator==(const IntraNodeLink&) const = default;
};

struct InterNodeLink {
  int64_t nics = 1;
  BytesPerSecond bandwidth;  // of one NIC
  std::string fabric;        // infiniband | roce | efa | omni-path | ethernet
  Duration latency;
  bool operator==(const InterNodeLink&) const = default;
};

// What connects two ranks: the time to pass on the first byte, and the rate in each direction.
struct Link {
  Duration latency;
  BytesPerSecond bandwidth;
  bool operator==(const Link&) const = default;
};

struct Cluster {
  std::string name;
  Device device;
  int64_t node_count = 1;
  int64_t devices_per_node = 1;  // on a local CPU cluster: ranks
  int64_t devices_used = 1;
  std::optional<IntraNodeLink> intra_node;
  std::optional<InterNodeLink> inter_node;
  int64_t nvlink_domain = 0;  // GPUs; 0: the node
  bool local = false;         // this machine
  int64_t cpu_cores = 0;      // local: shared by the ranks
  // Local, CPU ranks: the link of each rank to all others, which helm-exec and helm-profile emulate (runtime/emulated_backend.h). None:
  // data moves as fast as the machine's memory lets it.
  std::optional<Link> emulated_network;
  std::vector<Cluster> groups;           // several kinds of nodes; empty: one kind
  std::optional<InterNodeLink> between;  // nodes of different groups
  bool operator==(const Cluster&) const = default;
};

// Threads each rank of a local CPU cluster computes with: cores / ranks, at least one.
int64_t ThreadsPerRank(const Cluster& cluster);

// "1 Gbit/s, 50 us": what cost tables and messages call it.
std::string Describe(const Link& link);

}  // namespace helm::cluster
