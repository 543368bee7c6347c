// Status and Result: how a function says that it could not do its work because of the user, a file or the machine.
//
// Not for programmer errors: those abort through HELM_CHECK (core/check.h). A Status carries one of a small closed set of codes,
// each of which is one exit code of the command-line tools, and a message that is ready to print: it names the place
// ("FILE:LINE:COLUMN: error: ..."), what was found, what is allowed and how to fix it. A message may hold several lines when a file
// had several errors. Invariant: an ok Status has an empty message, every other one a non-empty message.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "core/check.h"

namespace helm {

// The values are the exit codes of the tools (docs/cli.md).
enum class StatusCode : int {
  kOk = 0,
  kInternal = 1,           // a bug of HELM
  kInvalid = 2,            // usage or configuration error
  kInfeasible = 3,         // no plan satisfies the constraints
  kToleranceExceeded = 4,  // a tolerance that was asked for is exceeded
  kRankFailed = 5,         // a rank died, hung or diverged
  kUnavailable = 6,        // something is missing from the machine
  kVerifyFailed = 7,       // --verify found a difference
  kInterrupted = 130,      // Ctrl-C
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {
    HELM_CHECK((code_ == StatusCode::kOk) == message_.empty(), "a Status is ok exactly when its message is empty");
  }
  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline Status OkStatus() { return Status(); }
inline Status InternalError(std::string message) { return {StatusCode::kInternal, std::move(message)}; }
inline Status InvalidError(std::string message) { return {StatusCode::kInvalid, std::move(message)}; }
inline Status InfeasibleError(std::string message) { return {StatusCode::kInfeasible, std::move(message)}; }
inline Status RankFailedError(std::string message) { return {StatusCode::kRankFailed, std::move(message)}; }
inline Status UnavailableError(std::string message) { return {StatusCode::kUnavailable, std::move(message)}; }

// A value or the Status that says why there is none. Reading the value of a failed Result aborts.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}        // NOLINT: implicit, so that functions can return either
  Result(Status status) : state_(std::move(status)) {  // NOLINT
    HELM_CHECK(!std::get<Status>(state_).ok(), "a Result without a value needs an error");
  }
  bool ok() const { return std::holds_alternative<T>(state_); }
  Status status() const { return ok() ? OkStatus() : std::get<Status>(state_); }
  const T& value() const& {
    HELM_CHECK(ok(), status().message().c_str());
    return std::get<T>(state_);
  }
  T& value() & {
    HELM_CHECK(ok(), status().message().c_str());
    return std::get<T>(state_);
  }
  T&& value() && {
    HELM_CHECK(ok(), status().message().c_str());
    return std::get<T>(std::move(state_));
  }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }

 private:
  std::variant<Status, T> state_;
};

}  // namespace helm

#define HELM_CONCAT_INNER(a, b) a##b
#define HELM_CONCAT(a, b) HELM_CONCAT_INNER(a, b)

// HELM_RETURN_IF_ERROR(Write(file)); leaves the enclosing function with the Status when it is not ok.
#define HELM_RETURN_IF_ERROR(expression)                                                  \
  do {                                                                                    \
    if (::helm::Status helm_status = (expression); !helm_status.ok()) return helm_status; \
  } while (false)

// HELM_ASSIGN_OR_RETURN(auto text, ReadFile(path)); binds the value or leaves with the Status.
#define HELM_ASSIGN_OR_RETURN(target, expression) HELM_ASSIGN_OR_RETURN_NAMED(HELM_CONCAT(helm_result_, __LINE__), target, expression)
#define HELM_ASSIGN_OR_RETURN_NAMED(name, target, expression) \
  auto name = (expression);                                   \
  if (!name.ok()) return name.status();                       \
  target = std::move(name).value()
