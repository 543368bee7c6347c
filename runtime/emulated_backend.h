// A backend of c10d that makes the network between the ranks of one machine as slow as another one: it has another backend move the data
// and ends each collective no earlier than the emulated link would (runtime/emulated_link.h). Internal to runtime/ (shows torch types).
//
// Each rank has a link of its own to all others, as with one network card a machine. What a collective takes on it is cluster::RingTime
// with one rank a node; a message its latency and its bytes at the link's rate. A group's collectives share its link, one at a time; its
// messages have one for each peer and direction, and begin when both ends are ready. Groups do not slow each other down, nor do they in a
// prediction.
//
// The ranks are processes of one machine, since they compare times of one clock. Not thread-safe.
#pragma once

#include <c10/util/intrusive_ptr.h>

#include "cluster/cluster.h"

namespace c10d {
class Backend;
class Work;
}  // namespace c10d

namespace helm::runtime {

// `backend`: for CPU tensors; it is called by the links' threads, one call at a time.
c10::intrusive_ptr<c10d::Backend> EmulateNetwork(c10::intrusive_ptr<c10d::Backend> backend, const cluster::Link& link);

// Whether the work can say when it ended (c10d::Work::getFuture). Gloo's messages cannot.
bool SaysWhenItEnded(const c10d::Work& work);

}  // namespace helm::runtime
