// The checks that Verify is made of, and the list they report to. Internal to Verify (ir/verify.h).
#pragma once

#include <string>
#include <vector>

#include "ir/program.h"

namespace helm::ir {

// What is wrong with a program, in the order found.
class Problems {
 public:
  explicit Problems(const Program& program) : program_(program) {}
  void Add(std::string message) { messages_.push_back(std::move(message)); }
  void Add(OpId op, const std::string& message) { Add(Describe(program_, op) + ": " + message); }
  bool empty() const { return messages_.empty(); }
  const std::vector<std::string>& messages() const { return messages_; }

 private:
  const Program& program_;
  std::vector<std::string> messages_;
};

// "%x" and "@x", as in the text form.
std::string TensorText(const Program& program, TensorId tensor);
std::string StorageText(const Program& program, StorageId storage);

// Every id is an index of its array. All other checks REQUIRE this one to have found nothing.
void CheckIds(const Program& program, Problems& problems);

void CheckNames(const Program& program, Problems& problems);
void CheckMeshAndGroups(const Program& program, Problems& problems);
void CheckTensors(const Program& program, Problems& problems);
void CheckSegments(const Program& program, Problems& problems);
void CheckPorts(const Program& program, Problems& problems);      // inputs and outputs
void CheckProducers(const Program& program, Problems& problems);  // every tensor is produced once or bound
void CheckOps(const Program& program, Problems& problems);        // kind, target, group, results of each op by itself
void CheckOrder(const Program& program, Problems& problems);      // uses before production, stale versions, collectives in flight
void CheckActions(const Program& program, Problems& problems);
void CheckRegions(const Program& program, Problems& problems);  // each is one run of compute and view ops
void CheckWaits(const Program& program, Problems& problems);
void CheckIsolated(const Program& program, Problems& problems);

}  // namespace helm::ir
