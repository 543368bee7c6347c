// epoll_wait for tests that put more ranks on a machine than it has cores. Gloo's event loop asks again at once when a connection's lock is
// taken, and the level-triggered event is still there: it spins for its whole time slice, often on the very core that the holder of the
// lock waits for. Giving the core away after each event halves the time of a run with eight ranks on two cores. An executable's
// definition takes precedence over libc's, also for the calls of libtorch.
#include <sched.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" int epoll_wait(int epoll, epoll_event* events, int events_max, int timeout_ms) {
  const auto ready = static_cast<int>(syscall(SYS_epoll_wait, epoll, events, events_max, timeout_ms));
  if (ready > 0) sched_yield();
  return ready;
}
