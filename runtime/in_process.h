// InProcessRanks: the ranks of a world as threads of this process. Their collectives are copies and sums on the device that they all share,
// so that any local plan runs on one GPU (NCCL refuses several ranks on one) or without other processes. No torch type is visible here.
//
// What runs is what a cluster runs, and its results are; its times are those of ranks that share one device, and memory is counted for all
// of them together. Sums are taken in fp32 over the ranks in order.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/communicator.h"

namespace helm::runtime {

class InProcessRanks {
 public:
  // `timeout`: of a rank that waits for others.
  static std::unique_ptr<InProcessRanks> Make(int64_t ranks, std::chrono::milliseconds timeout);
  virtual ~InProcessRanks() = default;

  // Of one rank, for that rank's thread. Lives as long as this object.
  virtual World& world(int64_t rank) = 0;
  // Ends whatever the ranks wait for, with this cause; the first one counts.
  virtual void Fail(const std::string& cause) = 0;
};

}  // namespace helm::runtime
