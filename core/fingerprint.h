// Fingerprint, Fingerprinter: a key of 128 bits for a content that would be long to keep or to compare, made number by number without any
// allocation. For tables in memory; a name that stands in a file is a Hash64 (core/hash.h).
//
// Two contents have the same fingerprint by chance only: with a million contents in a table, once in 10^26 tables. Not for contents that
// somebody chooses so as to deceive. Strings and lists must be added with their lengths, or a content can be cut in two ways.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace helm {

struct Fingerprint {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Fingerprint&) const = default;
};

// The lower half is as good as any hash of it.
struct FingerprintHash {
  size_t operator()(const Fingerprint& fingerprint) const noexcept { return static_cast<size_t>(fingerprint.low); }
};

class Fingerprinter {
 public:
  void Add(uint64_t value) {
    state_.low = Mixed(state_.low ^ value);
    state_.high = Mixed(std::rotl(state_.high, 23) + value * 0x9e3779b97f4a7c15);
  }
  void Add(int64_t value) { Add(static_cast<uint64_t>(value)); }
  void Add(double value) { Add(std::bit_cast<uint64_t>(value)); }
  void Add(std::string_view text) {
    Add(static_cast<uint64_t>(text.size()));
    for (; !text.empty(); text.remove_prefix(text.size() < 8 ? text.size() : 8)) {
      uint64_t word = 0;
      std::memcpy(&word, text.data(), text.size() < 8 ? text.size() : 8);
      Add(word);
    }
  }
  Fingerprint value() const { return state_; }

 private:
  // The finalizer of MurmurHash3 (Appleby, public domain): every bit of the input changes every bit of the output with probability 1/2.
  static uint64_t Mixed(uint64_t x) {
    x = (x ^ (x >> 33)) * 0xff51afd7ed558ccd;
    x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53;
    return x ^ (x >> 33);
  }

  Fingerprint state_{0x243f6a8885a308d3, 0x13198a2e03707344};  // digits of pi
};

}  // namespace helm
