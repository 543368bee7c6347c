#include "tools/terminal.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <fmt/format.h>

namespace helm::tools {
namespace {

// A signal handler can reach nothing but a global.
std::atomic<bool> interrupt_flag = false;

void OnInterrupt(int signal_number) {
  if (interrupt_flag.exchange(true)) _exit(128 + signal_number);
}

void Write(std::FILE* stream, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

bool NamesItself(const std::string& message) { return message.find("error:") != std::string::npos; }

constexpr std::chrono::steady_clock::duration kLineInterval = std::chrono::milliseconds(100);  // on a terminal
constexpr std::chrono::steady_clock::duration kLogInterval = std::chrono::seconds(30);         // elsewhere

std::string Seconds(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s", seconds);
  return fmt::format("{:.0f} min", seconds / 60);
}

}  // namespace

int Fail(const Status& status) {
  HELM_CHECK(!status.ok(), "Fail needs a failure");
  Write(stderr, fmt::format("{}{}\n", NamesItself(status.message()) ? "" : "error: ", status.message()));
  return static_cast<int>(status.code());
}

int ExitCodeOf(const std::function<Status()>& command) {
  Status status = OkStatus();
  try {
    status = command();
  } catch (const std::bad_alloc&) {
    status = UnavailableError(
        "error: there is not enough memory for this\n  fix: ask for less: fewer micro-batches or layers, a shorter sequence; "
        "workload.global_batch counts sequences, not tokens");
  }
  return status.ok() ? 0 : Fail(status);
}

void PrintResult(std::string_view text) { Write(stdout, text); }

void PrintJson(const nlohmann::ordered_json& document) { Write(stdout, document.dump(2) + "\n"); }

void PrintNote(std::string_view line) { Write(stderr, fmt::format("{}\n", line)); }

bool ColourWanted() { return isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr; }

const std::atomic<bool>* WatchInterrupt() {
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return &interrupt_flag;
}

Progress::Progress(std::string title)
    : title_(std::move(title)), terminal_(isatty(STDERR_FILENO) != 0), start_(std::chrono::steady_clock::now()) {
  last_ = terminal_ ? start_ - kLineInterval : start_;
}

Progress::~Progress() { Clear(); }

void Progress::Update(int64_t done, int64_t total, std::string_view detail) {
  const auto now = std::chrono::steady_clock::now();
  if (total <= 0 || now - last_ < (terminal_ ? kLineInterval : kLogInterval)) return;
  last_ = now;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double remaining = done > 0 ? elapsed / static_cast<double>(done) * static_cast<double>(total - done) : 0;
  const std::string eta = done > 0 ? Seconds(remaining) + " left" : "";
  if (!terminal_) {
    PrintNote(fmt::format("{} {}/{} {}", title_, done, total, eta));
    return;
  }
  constexpr int64_t kWidth = 24;
  const auto filled = static_cast<size_t>(std::clamp<int64_t>(done * kWidth / total, 0, kWidth));
  const std::string bar = std::string(filled, '=') + std::string(static_cast<size_t>(kWidth) - filled, ' ');
  Write(stderr, fmt::format("\r\x1b[K{} [{}] {}/{} {}  {}", title_, bar, done, total, eta, detail.substr(0, 50)));
  shown_ = true;
}

void Progress::Clear() {
  if (shown_) Write(stderr, "\r\x1b[K");
  shown_ = false;
}

}  // namespace helm::tools
