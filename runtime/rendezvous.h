// How the ranks of a job find each other: the store at which they meet, and the roll call there. Internal to runtime/ (shows torch types).
#pragma once

#include <string>
#include <vector>

#include <c10/util/intrusive_ptr.h>

#include "core/status.h"
#include "runtime/communicator.h"

namespace c10d {
class Store;
class TCPStore;
}  // namespace c10d

namespace helm::runtime {

bool IsLoopback(const std::string& host);

// Ranks in words: {1, 3, 4, 5} is "1, 3-5". REQUIRES: ascending.
std::string RankRanges(const std::vector<int64_t>& ranks);

// A store that listens on the loopback interface only; port 0: any free one.
Result<c10::intrusive_ptr<c10d::TCPStore>> ServeOnLoopback(int port);

// Serves the store (rank 0, unless it is served already) or connects to it. A store for a loopback host listens on loopback only, any other
// on all interfaces of its machine. Blocks for `timeout` at most.
Result<c10::intrusive_ptr<c10d::Store>> ConnectStore(const Rendezvous& rendezvous);

// Blocks until every rank has called it, or for `timeout` (a few seconds more on ranks other than 0, which hear from rank 0). The error
// names the ranks that never came. Once per store.
Status CallRoll(c10d::Store& store, const Rendezvous& rendezvous);

// Says goodbye. Rank 0 of a store that it serves itself waits a few seconds for the others to do so, since they may still read what it
// holds.
void TakeLeave(c10d::Store& store, const Rendezvous& rendezvous) noexcept;

}  // namespace helm::runtime
