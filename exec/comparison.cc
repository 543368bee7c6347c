#include "exec/comparison.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/check.h"

namespace helm::exec {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSmallTensorShare = 1e-3;  // of the largest value of the kind: DESIGN section 4

double LargestMagnitude(const std::vector<float>& values) {
  double largest = 0;
  for (const float value : values) largest = std::max(largest, std::isfinite(value) ? std::abs(static_cast<double>(value)) : kInfinity);
  return largest;
}

double LargestMagnitude(const UnsplitState& state) {
  double largest = 0;
  for (const auto& [name, tensor] : state) largest = std::max(largest, LargestMagnitude(tensor.values));
  return largest;
}

// What is not a number is as wrong as can be, on either side.
double Ratio(double difference, double scale) {
  if (!std::isfinite(difference) || !std::isfinite(scale)) return kInfinity;
  if (difference == 0) return 0;
  return scale > 0 ? difference / scale : kInfinity;
}

double LargestDifference(const std::vector<ElementRun>& runs, const std::vector<float>& segment, const std::vector<float>& reference) {
  double largest = 0;
  for (const ElementRun& run : runs) {
    for (int64_t i = 0; i < run.count; ++i) {
      const double difference = std::abs(static_cast<double>(segment[static_cast<size_t>(run.in_segment + i)]) -
                                         static_cast<double>(reference[static_cast<size_t>(run.in_parameter + i)]));
      if (!(difference <= largest)) largest = std::isnan(difference) ? kInfinity : difference;
    }
  }
  return largest;
}

double RootMeanSquareDifference(const std::vector<ElementRun>& runs, const std::vector<float>& segment,
                                const std::vector<float>& reference) {
  double sum = 0;
  int64_t count = 0;
  for (const ElementRun& run : runs) {
    for (int64_t i = 0; i < run.count; ++i) {
      sum += std::pow(static_cast<double>(segment[static_cast<size_t>(run.in_segment + i)]) -
                          static_cast<double>(reference[static_cast<size_t>(run.in_parameter + i)]),
                      2);
    }
    count += run.count;
  }
  return count == 0 ? 0 : std::sqrt(sum / static_cast<double>(count));
}

// What a rank holds of a parameter, and the parameter.
struct Held {
  std::vector<ElementRun> runs;
  const std::vector<float>& segment;
  const std::vector<float>& reference;
};

void ForEachPiece(const ir::Program& program, int64_t rank, const RankState& state, const UnsplitState& reference,
                  const std::function<void(const std::string& name, const Held&)>& visit) {
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  for (size_t s = 0; s < program.segments.size(); ++s) {
    if (state.segments[s].empty()) continue;  // gradients of what is frozen
    for (const ir::ParameterPiece& piece : program.segments[s].pieces) {
      const auto found = reference.find(piece.name);
      HELM_CHECK(found != reference.end() && found->second.shape == piece.global_shape, "both programs have the same parameters");
      visit(piece.name, {OwnRunsOf(program.segments[s], piece, program.mesh, coordinates), state.segments[s], found->second.values});
    }
  }
}

// In relation to the bound; with a bound of zero any error is infinitely too large.
double Excess(const VerifyError& error, const VerifyBounds& bounds) { return Ratio(error.error, bounds.Of(error.kind)); }

}  // namespace

std::string_view Name(VerifyKind kind) {
  switch (kind) {
    case VerifyKind::kLoss:
      return "loss";
    case VerifyKind::kGradient:
      return "gradient";
    case VerifyKind::kParameter:
      return "parameter";
  }
  return "";
}

double VerifyBounds::Of(VerifyKind kind) const {
  switch (kind) {
    case VerifyKind::kLoss:
      return loss;
    case VerifyKind::kGradient:
      return gradient;
    case VerifyKind::kParameter:
      return parameter;
  }
  return 0;
}

double VerifyEpsilon(ir::DataType dtype, bool adapters) {
  constexpr double kWithAdapters = 0.1;
  return adapters && dtype == ir::DataType::kFloat32 ? kWithAdapters : kVerifyEpsilon;
}

VerifyBounds BoundsFor(ir::DataType dtype) {
  // docs/execution.md says what was measured and why the bounds are these.
  if (dtype == ir::DataType::kFloat32) return {.loss = 1e-5, .gradient = 1e-5, .parameter = 1e-5};
  return {.loss = 2e-3, .gradient = 5e-2, .parameter = 3e-2, .parameter_by_update = true};
}

void Comparison::Add(VerifyKind kind, const std::string& tensor, int64_t rank, double error) {
  const auto [entry, inserted] = worst_of_.try_emplace({kind, tensor}, VerifyError{kind, tensor, rank, error});
  if (!inserted && error > entry->second.error) entry->second = {kind, tensor, rank, error};
}

void Comparison::AddLosses(std::span<const double> losses, std::span<const double> reference) {
  HELM_CHECK(losses.size() == reference.size(), "both runs made the same steps");
  for (size_t step = 0; step < losses.size(); ++step) {
    Add(VerifyKind::kLoss, "step " + std::to_string(first_step_ + static_cast<int64_t>(step)), 0,
        Ratio(std::abs(losses[step] - reference[step]), std::abs(reference[step])));
  }
}

void Comparison::AddState(VerifyKind kind, const ir::Program& program, int64_t rank, const RankState& state,
                          const UnsplitState& reference) {
  const double smallest_scale = kSmallTensorShare * LargestMagnitude(reference);
  ForEachPiece(program, rank, state, reference, [&](const std::string& name, const Held& held) {
    const double difference = LargestDifference(held.runs, held.segment, held.reference);
    Add(kind, name, rank, Ratio(difference, std::max(LargestMagnitude(held.reference), smallest_scale)));
  });
}

void Comparison::AddUpdates(const ir::Program& program, int64_t rank, const RankState& state, const UnsplitState& reference,
                            double largest_update) {
  ForEachPiece(program, rank, state, reference, [&](const std::string& name, const Held& held) {
    Add(VerifyKind::kParameter, name, rank, Ratio(RootMeanSquareDifference(held.runs, held.segment, held.reference), largest_update));
  });
}

VerifyResult Comparison::Finish() const {
  VerifyResult result{.steps = steps_, .bounds = bounds_};
  for (const auto kind : {VerifyKind::kLoss, VerifyKind::kGradient, VerifyKind::kParameter}) {
    const VerifyError* worst = nullptr;
    for (const auto& [key, error] : worst_of_) {
      if (key.first != kind) continue;
      if (kind != VerifyKind::kLoss) ++result.tensors;
      if (worst == nullptr || error.error > worst->error) worst = &error;
    }
    if (worst == nullptr) continue;
    result.by_kind.push_back(*worst);
    if (result.by_kind.size() == 1 || Excess(*worst, bounds_) > Excess(result.worst, bounds_)) result.worst = *worst;
  }
  return result;
}

}  // namespace helm::exec
