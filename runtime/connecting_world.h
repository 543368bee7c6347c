// ConnectingWorld: a World that can also make process groups. Internal to runtime/ (shows torch types): World is what others see.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "runtime/communicator.h"
#include "runtime/device.h"
#include "runtime/process_group.h"

namespace helm::runtime {

class ConnectingWorld : public World {
 public:
  // As MakeProcessGroup of runtime/process_group.h.
  virtual Result<std::unique_ptr<ProcessGroup>> Connect(const Device& device, const std::string& name,
                                                        const std::vector<int64_t>& members) = 0;
};

// A number as text that reads back to the same bits, and the largest of such texts.
std::string EncodeExactly(double value);
double LargestOf(const std::vector<std::string>& texts);

}  // namespace helm::runtime
