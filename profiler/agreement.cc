#include "profiler/agreement.h"

#include <string>

namespace helm::profiler {

Status AgreeOnStatus(runtime::World& world, const Status& mine) {
  HELM_ASSIGN_OR_RETURN(auto messages, world.AllGatherText(mine.message()));
  for (size_t rank = 0; rank < messages.size(); ++rank) {
    if (!messages[rank].empty()) return RankFailedError("rank " + std::to_string(rank) + ": " + messages[rank]);
  }
  return OkStatus();
}

}  // namespace helm::profiler
