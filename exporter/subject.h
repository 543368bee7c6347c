// Subject: a plan with its documents read, as the exporters write it and their readers fill it in; Refusals: what a trainer cannot be told.
//
// A trainer's file holds less than a plan: the cluster's links, the software's switches and the loads of experts are not in it. A reader
// therefore starts from the plan that was exported, with the fields that the file does hold reset.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cluster/cluster.h"
#include "core/status.h"
#include "ir/plan.h"
#include "model/model_spec.h"

namespace helm::exporter {

struct Subject {
  model::ModelSpec model;
  cluster::Cluster cluster;
  ir::Workload workload;
  ir::Software software;
  ir::Strategy strategy;
};

// A file that a trainer reads beside its main one.
struct File {
  std::string name;
  std::string text;
};

// What is written for a trainer.
struct Exported {
  std::string text;        // the lines or the file to be pasted
  std::vector<File> more;  // files that it names, to be put beside it
};

class Refusals {
 public:
  explicit Refusals(std::string trainer) : trainer_(std::move(trainer)) {}
  // `what`: the key and value of the plan; `why`: what the trainer has instead.
  void If(bool asked, const std::string& what, const std::string& why);
  bool empty() const { return lines_.empty(); }
  Status ToStatus() const;  // kInvalid, all of them at once

 private:
  std::string trainer_;
  std::vector<std::string> lines_;
};

// The refusals that all trainers share: what no file of theirs can hold.
void RefuseCommon(const Subject& subject, Refusals& refusals);

}  // namespace helm::exporter
