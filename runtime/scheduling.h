// Where and how the operating system runs a rank's threads on a CPU. What a rank measures is only repeatable when ranks do not wander over
// each other's cores, and when the threads that move data get to run at once beside a computing one.
#pragma once

#include <cstdint>

namespace helm::runtime {

// Binds all threads of this process, and those it will start, to `threads` cores of its own: the local rank's slice of the cores that the
// process may use. False, and nothing is changed, when there are fewer cores than local ranks x threads would need.
bool BindToCores(int64_t local_rank, int64_t local_ranks, int64_t threads);

// While it lives, threads that are started inherit a short time slice: Linux (6.12 and later) lets such a thread interrupt a computing one
// when data arrives, instead of after up to a full slice of about 3 ms. Elsewhere it does nothing.
class ShortSliceForNewThreads {
 public:
  ShortSliceForNewThreads();
  ~ShortSliceForNewThreads();
  ShortSliceForNewThreads(const ShortSliceForNewThreads&) = delete;
  ShortSliceForNewThreads& operator=(const ShortSliceForNewThreads&) = delete;
};

}  // namespace helm::runtime
