// Units as types: a bare number of seconds or bytes does not cross a module boundary.
//
// Duration is simulated or measured time in whole picoseconds (int64: up to 106 days), so that sums are exact and a simulation gives the
// same bytes on every machine. Bytes is a whole number of bytes. Rates are doubles with their unit in the constructor's name.
#pragma once

#include <cmath>
#include <compare>
#include <cstdint>

namespace helm {

class Duration {
 public:
  constexpr Duration() = default;
  static constexpr Duration Picoseconds(int64_t value) { return Duration(value); }
  static constexpr Duration Nanoseconds(int64_t value) { return Duration(value * 1000); }
  static Duration Microseconds(double value) { return Duration(std::llround(value * 1e6)); }
  static Duration Milliseconds(double value) { return Duration(std::llround(value * 1e9)); }
  static Duration Seconds(double value) { return Duration(std::llround(value * 1e12)); }

  constexpr int64_t picoseconds() const { return picoseconds_; }
  constexpr int64_t nanoseconds() const { return picoseconds_ / 1000; }
  constexpr double microseconds() const { return static_cast<double>(picoseconds_) * 1e-6; }
  constexpr double milliseconds() const { return static_cast<double>(picoseconds_) * 1e-9; }
  constexpr double seconds() const { return static_cast<double>(picoseconds_) * 1e-12; }

  constexpr auto operator<=>(const Duration&) const = default;
  constexpr Duration& operator+=(Duration other) {
    picoseconds_ += other.picoseconds_;
    return *this;
  }
  constexpr Duration& operator-=(Duration other) {
    picoseconds_ -= other.picoseconds_;
    return *this;
  }
  friend constexpr Duration operator+(Duration a, Duration b) { return a += b; }
  friend constexpr Duration operator-(Duration a, Duration b) { return a -= b; }
  friend constexpr Duration operator*(Duration a, int64_t n) { return Duration(a.picoseconds_ * n); }

 private:
  explicit constexpr Duration(int64_t picoseconds) : picoseconds_(picoseconds) {}
  int64_t picoseconds_ = 0;
};

class Bytes {
 public:
  constexpr Bytes() = default;
  explicit constexpr Bytes(int64_t count) : count_(count) {}
  static Bytes Gibibytes(double value) { return Bytes(std::llround(value * 1073741824.0)); }

  constexpr int64_t count() const { return count_; }
  constexpr double gibibytes() const { return static_cast<double>(count_) / 1073741824.0; }

  constexpr auto operator<=>(const Bytes&) const = default;
  constexpr Bytes& operator+=(Bytes other) {
    count_ += other.count_;
    return *this;
  }
  constexpr Bytes& operator-=(Bytes other) {
    count_ -= other.count_;
    return *this;
  }
  friend constexpr Bytes operator+(Bytes a, Bytes b) { return a += b; }
  friend constexpr Bytes operator-(Bytes a, Bytes b) { return a -= b; }
  friend constexpr Bytes operator*(Bytes a, int64_t n) { return Bytes(a.count_ * n); }

 private:
  int64_t count_ = 0;
};

// Bandwidth, per direction.
class BytesPerSecond {
 public:
  constexpr BytesPerSecond() = default;
  static constexpr BytesPerSecond Of(double value) { return BytesPerSecond(value); }
  static constexpr BytesPerSecond Gigabytes(double value) { return BytesPerSecond(value * 1e9); }    // 1e9 bytes a second
  static constexpr BytesPerSecond Gigabits(double value) { return BytesPerSecond(value * 1.25e8); }  // 1e9 bits a second

  constexpr double value() const { return value_; }
  constexpr double gigabytes() const { return value_ * 1e-9; }
  constexpr auto operator<=>(const BytesPerSecond&) const = default;

 private:
  explicit constexpr BytesPerSecond(double value) : value_(value) {}
  double value_ = 0;
};

// Floating-point operations (a multiply-add counts two) and their rate.
class Flops {
 public:
  constexpr Flops() = default;
  explicit constexpr Flops(double count) : count_(count) {}
  constexpr double count() const { return count_; }
  constexpr auto operator<=>(const Flops&) const = default;
  constexpr Flops& operator+=(Flops other) {
    count_ += other.count_;
    return *this;
  }
  friend constexpr Flops operator+(Flops a, Flops b) { return a += b; }

 private:
  double count_ = 0;
};

class FlopsPerSecond {
 public:
  constexpr FlopsPerSecond() = default;
  static constexpr FlopsPerSecond Of(double value) { return FlopsPerSecond(value); }
  static constexpr FlopsPerSecond Tera(double value) { return FlopsPerSecond(value * 1e12); }
  constexpr double value() const { return value_; }
  constexpr auto operator<=>(const FlopsPerSecond&) const = default;

 private:
  explicit constexpr FlopsPerSecond(double value) : value_(value) {}
  double value_ = 0;
};

// Time to move `bytes` at `rate`, or to compute `flops` at `rate`. REQUIRES: rate > 0.
inline Duration TimeFor(Bytes bytes, BytesPerSecond rate) { return Duration::Seconds(static_cast<double>(bytes.count()) / rate.value()); }
inline Duration TimeFor(Flops flops, FlopsPerSecond rate) { return Duration::Seconds(flops.count() / rate.value()); }

}  // namespace helm
