// Id<Tag>: a typed index into one of the arrays of a program, so that an operator's number cannot be used as a tensor's.
//
// Invariant: a default-constructed Id is "none" (value -1); every other one is a valid index into the array that its owner documents.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace helm {

template <typename Tag>
struct Id {
  int32_t value = -1;

  constexpr Id() = default;
  explicit constexpr Id(size_t index) : value(static_cast<int32_t>(index)) {}
  constexpr bool valid() const { return value >= 0; }
  constexpr size_t index() const { return static_cast<size_t>(value); }
  constexpr auto operator<=>(const Id&) const = default;
};

}  // namespace helm

template <typename Tag>
struct std::hash<helm::Id<Tag>> {
  size_t operator()(helm::Id<Tag> id) const noexcept { return std::hash<int32_t>()(id.value); }
};
