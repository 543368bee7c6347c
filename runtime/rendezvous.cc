#include "runtime/rendezvous.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

namespace helm::runtime {
namespace {

constexpr const char* kLoopback = "127.0.0.1";
constexpr int kBacklog = 2048;                // ranks that connect at the same moment
constexpr std::chrono::seconds kVerdict{5};   // for rank 0's answer, beyond the time-out
constexpr std::chrono::seconds kFarewell{1};  // for the others to read it before its store goes
constexpr std::chrono::seconds kLeave{5};     // for the others to take leave; those that died never do
constexpr const char* kVerdictKey = "roll/verdict";

// torch's messages go on with a stack trace.
std::string FirstLine(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

std::string Address(const Rendezvous& rendezvous) { return rendezvous.host + ":" + std::to_string(rendezvous.port); }

std::string Seconds(const Rendezvous& rendezvous) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(rendezvous.timeout).count()) + " s";
}

std::string PresenceKey(int64_t rank) { return "roll/" + std::to_string(rank); }
std::string LeaveKey(int64_t rank) { return "left/" + std::to_string(rank); }

std::vector<int64_t> MissingRanks(c10d::Store& store, const Rendezvous& rendezvous) {
  std::vector<int64_t> missing;
  for (int64_t rank = 0; rank < rendezvous.world_size; ++rank) {
    if (!store.check({PresenceKey(rank)})) missing.push_back(rank);
  }
  return missing;
}

Status MissingError(const std::string& ranks, const Rendezvous& rendezvous) {
  return RankFailedError("error: of " + std::to_string(rendezvous.world_size) + " ranks these never arrived at " + Address(rendezvous) +
                         " within " + Seconds(rendezvous) + " (--timeout): " + ranks +
                         "\nfix: see that they were started, with the same MASTER_ADDR and MASTER_PORT, and can reach that address");
}

// What rank 0 found: the missing ranks, nobody in the end.
std::string RankZeroVerdict(c10d::Store& store, const Rendezvous& rendezvous) {
  std::vector<std::string> keys;
  for (int64_t rank = 0; rank < rendezvous.world_size; ++rank) keys.push_back(PresenceKey(rank));
  try {
    store.wait(keys, rendezvous.timeout);
    return "";
  } catch (const std::exception&) {
    return RankRanges(MissingRanks(store, rendezvous));
  }
}

std::string OtherRanksVerdict(c10d::Store& store, const Rendezvous& rendezvous) {
  try {
    store.wait({kVerdictKey}, rendezvous.timeout + kVerdict);
  } catch (const std::exception&) {
    return RankRanges(MissingRanks(store, rendezvous));  // rank 0 is one of them, or began later than this one
  }
  const std::vector<uint8_t> verdict = store.get(kVerdictKey);
  return {verdict.begin(), verdict.end()};
}

}  // namespace

bool IsLoopback(const std::string& host) { return host == kLoopback || host == "localhost" || host == "::1"; }

std::string RankRanges(const std::vector<int64_t>& ranks) {
  std::string text;
  for (size_t first = 0, last = 0; first < ranks.size(); first = last + 1) {
    for (last = first; last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1;) ++last;
    text += (text.empty() ? "" : ", ") + std::to_string(ranks[first]);
    if (last > first) text += (last == first + 1 ? ", " : "-") + std::to_string(ranks[last]);
  }
  return text;
}

Result<c10::intrusive_ptr<c10d::TCPStore>> ServeOnLoopback(int port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 || bind(listener, generic, size) != 0 ||
      listen(listener, kBacklog) != 0 || getsockname(listener, generic, &size) != 0) {
    const std::string cause = std::strerror(errno);
    if (listener >= 0) close(listener);
    return UnavailableError("error: cannot listen at " + std::string(kLoopback) + ":" + std::to_string(port) + ": " + cause);
  }
  try {
    c10d::TCPStoreOptions options;
    options.port = ntohs(address.sin_port);
    options.isServer = true;
    options.waitWorkers = false;
    options.masterListenFd = listener;
    return c10::make_intrusive<c10d::TCPStore>(kLoopback, options);
  } catch (const std::exception& error) {
    return UnavailableError("error: cannot serve a store on the loopback interface: " + FirstLine(error));
  }
}

Result<c10::intrusive_ptr<c10d::Store>> ConnectStore(const Rendezvous& rendezvous) {
  c10::SetStackTraceFetcher([] { return std::string(); });  // torch logs and throws with one; a connection that fails is no bug
  const bool serves = !rendezvous.external_store && rendezvous.rank == 0;
  c10::intrusive_ptr<c10d::Store> store;
  if (serves && IsLoopback(rendezvous.host)) {
    HELM_ASSIGN_OR_RETURN(store, ServeOnLoopback(rendezvous.port));
    store->setTimeout(rendezvous.timeout);
  } else {
    try {
      c10d::TCPStoreOptions options;
      options.port = static_cast<uint16_t>(rendezvous.port);
      options.isServer = serves;
      options.waitWorkers = false;
      options.timeout = rendezvous.timeout;
      store = c10::make_intrusive<c10d::TCPStore>(rendezvous.host, options);
    } catch (const std::exception& error) {
      if (serves) {
        return UnavailableError("error: rank 0 cannot listen at " + Address(rendezvous) + ": " + FirstLine(error) +
                                "\nfix: set MASTER_PORT to a free port and MASTER_ADDR to this machine, on every rank");
      }
      return RankFailedError(
          "error: rank " + std::to_string(rendezvous.rank) + " cannot reach " + Address(rendezvous) + ", where rank 0 of " +
          std::to_string(rendezvous.world_size) + " is to be, within " + Seconds(rendezvous) + " (--timeout): " + FirstLine(error) +
          "\nfix: see that rank 0 was started, with the same MASTER_ADDR and MASTER_PORT, and that this machine can reach it");
    }
  }
  return c10::intrusive_ptr<c10d::Store>(c10::make_intrusive<c10d::PrefixStore>("helm", std::move(store)));
}

Status CallRoll(c10d::Store& store, const Rendezvous& rendezvous) {
  try {
    store.set(PresenceKey(rendezvous.rank), std::string("here"));
    if (rendezvous.rank != 0) {
      const std::string missing = OtherRanksVerdict(store, rendezvous);
      return missing.empty() ? OkStatus() : MissingError(missing, rendezvous);
    }
    const std::string missing = RankZeroVerdict(store, rendezvous);
    store.set(kVerdictKey, missing);
    if (missing.empty()) return OkStatus();
    std::this_thread::sleep_for(kFarewell);
    return MissingError(missing, rendezvous);
  } catch (const std::exception& error) {
    return RankFailedError("error: rank " + std::to_string(rendezvous.rank) + ": lost the store at " + Address(rendezvous) + ": " +
                           FirstLine(error));
  }
}

void TakeLeave(c10d::Store& store, const Rendezvous& rendezvous) noexcept {
  try {
    store.set(LeaveKey(rendezvous.rank), std::string("left"));
    if (rendezvous.rank != 0 || rendezvous.external_store) return;
    std::vector<std::string> keys;
    for (int64_t rank = 0; rank < rendezvous.world_size; ++rank) keys.push_back(LeaveKey(rank));
    store.wait(keys, kLeave);
  } catch (const std::exception&) {
    return;  // the store or a rank is gone: nobody is waited for
  }
}

}  // namespace helm::runtime
