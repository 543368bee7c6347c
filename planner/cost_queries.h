// CostQueries: every distinct op and collective of the programs of some plans: what a cost table must hold to price them from measurements
// alone. What helm-profile measures for a configuration.
#pragma once

#include <vector>

#include "cluster/cluster.h"
#include "core/status.h"
#include "ir/device_load.h"
#include "ir/plan.h"
#include "ir/signature.h"

namespace helm::planner {

struct CostQueries {
  struct Op {
    ir::OpSignature signature;
    // On a GPU: of the part of the steps that the op belongs to, the optimizer or the rest; of both, by how often it occurs in each. By
    // what HELM expects of the ops before any is measured.
    ir::DeviceLoad load;
  };
  std::vector<Op> ops;
  std::vector<ir::CollectiveSignature> collectives;
};

Result<CostQueries> CostQueriesOf(const std::vector<ir::Plan>& plans, const cluster::Cluster& cluster);

}  // namespace helm::planner
