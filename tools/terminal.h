// What the command-line tools share: how results, progress and errors reach the person. Results go to stdout, everything else to stderr.
//
// Only tools/ prints or exits. Progress is a single rewritten line with an ETA when stderr is a terminal, and otherwise a line every half
// minute; colour only on a terminal without NO_COLOR.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/status.h"

namespace helm::tools {

// Prints the message of a failure on stderr, "error: " first where the message names no file; returns the exit code.
int Fail(const Status& status);

// Runs a command and reports how it ended: 0, or Fail's exit code. Memory that there is not is a failure like others (exit 6).
int ExitCodeOf(const std::function<Status()>& command);

void PrintResult(std::string_view text);                 // stdout, as it is
void PrintJson(const nlohmann::ordered_json& document);  // stdout, indented, with a newline
void PrintNote(std::string_view line);                   // stderr, one line

bool ColourWanted();  // stdout is a terminal and NO_COLOR is not set

// True once Ctrl-C or SIGTERM came. REQUIRES: called before threads are started; later calls return the same flag. A second signal ends the
// process at once.
const std::atomic<bool>* WatchInterrupt();

// A progress line. Safe to make and never update.
class Progress {
 public:
  explicit Progress(std::string title);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void Update(int64_t done, int64_t total, std::string_view detail);
  void Clear();  // removes the line, so that something else can be printed

 private:
  std::string title_;
  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace helm::tools
