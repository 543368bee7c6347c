// ClusterFacts: what a description of one machine's topology says about a cluster, and the cluster file that it gives.
//
// Not a cluster::Cluster, which is complete: what the file does not tell stays unknown here and is for a person to fill in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "core/status.h"
#include "formats/nccl_topology.h"
#include "formats/omissions.h"
#include "formats/topology_matrix.h"

namespace helm::importer {

struct ClusterFacts {
  std::string gpu;  // a preset's name; empty: unknown
  int64_t nodes = 1;
  int64_t gpus_per_node = 1;
  std::string link_kind;                    // nvswitch | nvlink-mesh | pcie; empty for a single GPU
  std::optional<double> link_gbytes_per_s;  // of a GPU, one direction
  int64_t nics = 0;                         // of a node
  std::optional<double> nic_gbits_per_s;
  std::string fabric;  // empty: unknown
  formats::Omissions omissions;
  std::vector<std::string> remarks;
};

// The GPU is known by its PCI device number, the rate of an NVLink by the compute capability (docs/formats/imports.md), that of PCIe by
// what the file says of the slot. Network cards are those with the highest rate. Fails when the nodes have different numbers of GPUs.
Result<ClusterFacts> FactsOf(const formats::NcclTopology& topology, const std::string& file);

// The matrix names neither GPU nor rates: `gpu` does. NVLinks to all others, more of them than a GPU has, go through a switch. Network
// cards are those that a GPU reaches without the CPU (PIX, PXB), or all where there are none.
ClusterFacts FactsOf(const formats::TopologyMatrix& matrix, const std::optional<cluster::Device>& gpu);

// YAML (docs/formats/cluster.md) of one node, what is unknown as `null`; `source` is said in a comment.
std::string ClusterFileOf(const ClusterFacts& facts, const std::string& source);

}  // namespace helm::importer
