// DeviceLoad: what a GPU spends its time on while a part of a step runs. Not a utilisation: the shares are of the busy time.
//
// It matters because a GPU at its power limit lowers its clock by what it does: matrix products need the most power, memory traffic the
// least. An op is measured in the load of the part of the step that it belongs to (runtime/training_load.h).
#pragma once

namespace helm::ir {

struct DeviceLoad {
  // Shares of the time, each in [0, 1], together at most 1; the rest moves memory. The defaults are those of an unknown training step.
  double products = 0.6;
  double attention = 0.1;
  bool operator==(const DeviceLoad&) const = default;
};

}  // namespace helm::ir
