#include "cost/pair_losses.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "core/check.h"
#include "core/text.h"

namespace helm::cost {
namespace {

enum Place : size_t { kInsideNode, kBetweenNodes };
enum KernelKind : size_t { kProductKernels, kOtherKernels };
constexpr std::array<std::string_view, 2> kPlaceNames = {"within a node", "between nodes"};
constexpr std::array<std::string_view, 2> kKernelNames = {"matrix products and attention", "other kernels"};

// Of all pairs of a kind.
struct PairSamples {
  std::vector<double> op_losses, collective_losses, efficiencies;
};
using SortedPairs = std::array<std::array<PairSamples, 2>, 2>;  // by place and kind of kernel

SortedPairs SortByKind(const PairTable& pairs) {
  SortedPairs sorted;
  for (const auto& [key, pair] : pairs) {
    const auto signature = ParsePairSignature(key);
    HELM_CHECK(signature.ok(), "keys were checked when the table was read");
    const Place place = signature->collective.ranks <= signature->collective.ranks_per_node ? kInsideNode : kBetweenNodes;
    PairSamples& samples = sorted[place][IsProduct(signature->op.target) ? kProductKernels : kOtherKernels];
    const PairRates rates = RatesOf(pair);
    samples.op_losses.push_back(1 - rates.op);
    samples.collective_losses.push_back(1 - rates.collective);
    samples.efficiencies.push_back(EfficiencyOf(pair));
  }
  return sorted;
}

// Of an even number the mean of the two in the middle; none of none.
std::optional<double> MedianOf(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::ranges::sort(values);
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::optional<double> CollectiveLoss(const SortedPairs& sorted, KernelKind kind) {
  std::vector<double> losses = sorted[kInsideNode][kind].collective_losses;
  const std::vector<double>& network = sorted[kBetweenNodes][kind].collective_losses;
  losses.insert(losses.end(), network.begin(), network.end());
  return MedianOf(std::move(losses));
}

void Replace(double& modelled, const std::optional<double>& measured) {
  if (measured) modelled = *measured;
}

}  // namespace

OverlapLosses WithMeasured(OverlapLosses losses, const PairTable& pairs) {
  const SortedPairs sorted = SortByKind(pairs);
  for (const Place place : {kInsideNode, kBetweenNodes}) {
    OverlapLosses::Beside& beside = place == kInsideNode ? losses.inside : losses.network;
    OverlapLosses::Saved& saved = place == kInsideNode ? losses.saved_inside : losses.saved_network;
    Replace(beside.product, MedianOf(sorted[place][kProductKernels].op_losses));
    Replace(beside.memory_bound, MedianOf(sorted[place][kOtherKernels].op_losses));
    saved = {MedianOf(sorted[place][kProductKernels].efficiencies), MedianOf(sorted[place][kOtherKernels].efficiencies)};
  }
  Replace(losses.communication_beside_products, CollectiveLoss(sorted, kProductKernels));
  Replace(losses.communication, CollectiveLoss(sorted, kOtherKernels));
  losses.measured_pairs += static_cast<int64_t>(pairs.size());
  return losses;
}

std::vector<std::string> DescribeMeasured(const PairTable& pairs) {
  if (pairs.empty()) return {};
  const SortedPairs sorted = SortByKind(pairs);
  std::vector<std::string> lines, missing;
  for (const Place place : {kInsideNode, kBetweenNodes}) {
    for (const KernelKind kind : {kProductKernels, kOtherKernels}) {
      const PairSamples& samples = sorted[place][kind];
      const std::string name = fmt::format("{} beside collectives {}", kKernelNames[kind], kPlaceNames[place]);
      if (samples.op_losses.empty()) {
        missing.push_back(name);
        continue;
      }
      lines.push_back(fmt::format("{}: measured, {} pair{}: they lose {:.0f} % of their rate, the collectives {:.0f} %; {:.0f} % is saved",
                                  name, samples.op_losses.size(), samples.op_losses.size() == 1 ? "" : "s",
                                  100 * *MedianOf(samples.op_losses), 100 * *MedianOf(samples.collective_losses),
                                  100 * *MedianOf(samples.efficiencies)));
    }
  }
  if (!missing.empty()) lines.push_back("modelled, since no pair of their kind was measured: " + Join(missing, "; "));
  return lines;
}

}  // namespace helm::cost
