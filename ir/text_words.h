// The words of the program's text form that stand for values of an enumeration, and reading one of them. Internal to ir/.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/text.h"
#include "ir/program.h"
#include "ir/text_scanner.h"

namespace helm::ir {

// `what`: in the message that names the words that are allowed.
template <typename Value, size_t kCount>
bool ParseEnum(TextScanner& scanner, std::string_view what, const std::array<Value, kCount>& values, Value& value) {
  for (const Value candidate : values) {
    if (!scanner.TryWord(Name(candidate))) continue;
    value = candidate;
    return true;
  }
  std::vector<std::string> names;
  for (const Value candidate : values) names.emplace_back(Name(candidate));
  return scanner.Expected(fmt::format("{} ({})", what, Join(names, ", ")));
}

// Begins the line before the programs of a step whose data-parallel ranks have different numbers of micro-batches.
inline constexpr std::string_view kSharesWord = "shares";

inline constexpr std::array kDevices = {DeviceKind::kCpu, DeviceKind::kCuda};
inline constexpr std::array kKinds = {OpKind::kCompute, OpKind::kView, OpKind::kCollectiveStart, OpKind::kWait};
inline constexpr std::array kPhases = {Phase::kForward, Phase::kInputGradient, Phase::kWeightGradient, Phase::kRecompute,
                                       Phase::kOptimizer};
inline constexpr std::array kRoles = {StorageRole::kParameter,  StorageRole::kGradient, StorageRole::kOptimizerState,
                                      StorageRole::kActivation, StorageRole::kInput,    StorageRole::kCommunicationBuffer};
inline constexpr std::array kInitializations = {Initialization::kNormal, Initialization::kZeros, Initialization::kOnes};

}  // namespace helm::ir
