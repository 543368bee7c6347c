// HELM_CHECK: programmer errors. On in every build; prints the place, the condition and a sentence, then aborts (exit code of a bug).
//
// Never for anything a user, a file or the machine can cause: those are a Status (core/status.h).
#pragma once

#include <cstdio>
#include <cstdlib>

namespace helm {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition, const char* message) {
  std::fprintf(stderr, "%s:%d: internal error: %s (%s)\nThis is a bug in HELM; please report it.\n", file, line, message, condition);
  std::abort();
}

}  // namespace helm

#define HELM_CHECK(condition, message)                                                \
  do {                                                                                \
    if (!(condition)) ::helm::CheckFailed(__FILE__, __LINE__, #condition, (message)); \
  } while (false)
