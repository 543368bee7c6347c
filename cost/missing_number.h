// What a cost model says when the cluster description lacks a number of the device that it needs, with the key that gives it.
#pragma once

#include <string_view>

#include "cluster/cluster.h"
#include "core/status.h"

namespace helm::cost {

Status NoMemoryBandwidth(const cluster::Device& device);
Status NoPeakRate(const cluster::Device& device, std::string_view dtype);

}  // namespace helm::cost
