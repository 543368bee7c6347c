// Drives a fuzz target where there is no libFuzzer (gcc): runs every seed, then mutations of them, the same ones at every run. Takes the
// same arguments as libFuzzer, as far as they are named here, so that one command serves both:
//
//   fuzz_plan -runs=20000 -max_total_time=5 FILE_OR_FOLDER...
//
// An input that aborts or crashes the target is written to ./crash-fuzz_plan, and so is said; `fuzz_plan crash-fuzz_plan` runs it again. No
// feedback from coverage: that is libFuzzer's (tests/fuzz/CMakeLists.txt).
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "core/text.h"
#include "fuzz_support.h"

// Of the sanitizers; absent without them.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());  // NOLINT: their name

namespace {

using Random = std::mt19937_64;

constexpr size_t kSizeMax = size_t{1} << 16;
constexpr size_t kEditsMax = 6;
// What parsers of numbers, texts and trees trip over.
constexpr const char* kWords[] = {"-1",
                                  "0",
                                  "1",
                                  "9223372036854775807",
                                  "9223372036854775808",
                                  "-9223372036854775808",
                                  "4294967296",
                                  "1e999",
                                  "1e-320",
                                  "0.1",
                                  "nan",
                                  "null",
                                  "true",
                                  "\"\"",
                                  "\"",
                                  "'",
                                  "{",
                                  "}",
                                  "[",
                                  "]",
                                  "(",
                                  ")",
                                  ",",
                                  ":",
                                  ": ",
                                  "\n",
                                  "\n  ",
                                  "- ",
                                  "#",
                                  "&a",
                                  "*a",
                                  "\\u0000",
                                  "\\ud800",
                                  "\xff",
                                  "\xc3",
                                  "\t",
                                  "..",
                                  "/",
                                  "~"};

// For the signal handler, which has no other way to them.
const std::string* current_input = nullptr;
std::string crash_path;
std::string crash_message;

void SaveInput() {
  if (current_input == nullptr) return;
  const int file = open(crash_path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0644);
  const bool written = file >= 0 && write(file, current_input->data(), current_input->size()) >= 0;
  if (written && write(STDERR_FILENO, crash_message.data(), crash_message.size()) < 0) _exit(1);
}

void OnSignal(int signal) {
  SaveInput();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void SaveInputOnCrash(const std::string& target) {
  crash_path = "crash-" + target;
  crash_message = "the input is in ./" + crash_path + "\n";
  std::signal(SIGABRT, OnSignal);
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(SaveInput);
  } else {
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, OnSignal);
  }
}

size_t Below(Random& random, size_t bound) { return bound == 0 ? 0 : random() % bound; }  // the distributions of <random> differ by library

void Edit(std::string& text, const std::vector<std::string>& seeds, Random& random) {
  const size_t at = Below(random, text.size() + 1);
  const size_t length = 1 + Below(random, std::min<size_t>(text.size() + 1, 32));
  switch (Below(random, 7)) {
    case 0:
      if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << Below(random, 8)));
      break;
    case 1:
      text.insert(at, 1, static_cast<char>(random()));
      break;
    case 2:
      text.erase(at, length);
      break;
    case 3:
      text.insert(Below(random, text.size() + 1), text.substr(at, length));
      break;
    case 4:
      text.insert(at, kWords[Below(random, std::size(kWords))]);
      break;
    case 5:
      text.replace(at, std::min(length, text.size() - at), kWords[Below(random, std::size(kWords))]);
      break;
    default: {
      const std::string& other = seeds[Below(random, seeds.size())];
      const size_t from = Below(random, other.size() + 1);
      text.replace(at, length, other.substr(from, 4 * length));
    }
  }
}

std::string Mutation(const std::vector<std::string>& seeds, Random& random) {
  std::string text = seeds[Below(random, seeds.size())];
  for (size_t edits = 1 + Below(random, kEditsMax); edits > 0; --edits) Edit(text, seeds, random);
  if (text.size() > kSizeMax) text.resize(kSizeMax);
  return text;
}

std::vector<std::string> ReadSeeds(const std::vector<std::string>& paths) {
  std::vector<std::filesystem::path> files;
  for (const std::string& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.emplace_back(path);
    } else {
      for (const auto& entry : std::filesystem::directory_iterator(path)) {
        if (entry.is_regular_file()) files.push_back(entry.path());
      }
    }
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> seeds;
  for (const auto& file : files) {
    std::ifstream stream(file, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  return seeds;
}

void Feed(const std::string& input) {
  current_input = &input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  current_input = nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  int64_t runs = 0;
  int64_t seconds_max = 60;
  std::vector<std::string> paths;
  for (const std::string& argument : std::vector<std::string>(argv + 1, argv + argc)) {
    if (argument.starts_with("-runs=")) {
      runs = helm::ParseInt64(argument.substr(6)).value_or(0);
    } else if (argument.starts_with("-max_total_time=")) {
      seconds_max = helm::ParseInt64(argument.substr(16)).value_or(0);
    } else {
      paths.push_back(argument);
    }
  }
  SaveInputOnCrash(std::filesystem::path(argv[0]).filename().string());
  const std::vector<std::string> seeds = ReadSeeds(paths);
  if (seeds.empty()) {
    std::fprintf(stderr, "no seeds: name a file or a folder\n");
    return 2;
  }
  for (const std::string& seed : seeds) Feed(seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds_max);
  Random random(1);
  int64_t done = 0;
  for (; done < runs && std::chrono::steady_clock::now() < end; ++done) Feed(Mutation(seeds, random));
  std::printf("%zu seeds, %lld mutations\n", seeds.size(), static_cast<long long>(done));
  return 0;
}
