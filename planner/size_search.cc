#include "planner/size_search.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/check.h"
#include "core/text.h"
#include "ir/strategy_text.h"

namespace helm::planner {
namespace {

constexpr int64_t kBetween = 3;  // parts that are tried between two

// What is to be least.
double Figure(const config::RunConfig& config, const TrainingRun& run) {
  switch (config.search.objective) {
    case config::Objective::kTokensPerSecondPerGpu:
      return static_cast<double>(run.gpus) / run.tokens_per_s;
    case config::Objective::kCost:
      return *run.cost_of_1e9_tokens;
    case config::Objective::kGpus:
      return static_cast<double>(run.gpus);
    case config::Objective::kStepTime:
      break;
  }
  HELM_CHECK(false, "the step time is least on the whole cluster");
}

std::string WhyNotChosen(const config::RunConfig& config, const TrainingRun& run, const TrainingRun& chosen) {
  if (run.deadline_met == false) return fmt::format("misses the deadline: {:.3g} days", run.days);
  if (config.search.objective == config::Objective::kGpus) return "more GPUs";
  const char* what = config.search.objective == config::Objective::kCost ? "cost" : "GPU time a token";
  return fmt::format("{:+.1f} % {}", 100 * (Figure(config, run) / Figure(config, chosen) - 1), what);
}

class SizeSearcher {
 public:
  SizeSearcher(const config::RunConfig& config, const EstimatorsOfCluster& estimators, const SearchRun& run)
      : config_(config), estimators_(estimators), run_(run), sizes_(PartsOf(config.cluster)) {}

  Result<SizeSearch> Run() {
    for (const int64_t gpus : sizes_) {
      HELM_RETURN_IF_ERROR(Try(gpus));
      if (Enough() || interrupted_) break;
    }
    if (Enough() && !interrupted_) HELM_RETURN_IF_ERROR(TryFewer());
    if (!chosen_ && interrupted_) {
      return Status(StatusCode::kInterrupted, "error: interrupted before a plan was found for the objective");
    }
    if (!chosen_) return NoneChosen();
    for (size_t i = 0; i < parts_.size(); ++i) {
      if (i != chosen_part_ && parts_[i].reason.empty()) parts_[i].reason = WhyNotChosen(config_, parts_[i].run, parts_[chosen_part_].run);
    }
    chosen_->chosen.interrupted = interrupted_;
    chosen_->parts = std::move(parts_);
    return *std::move(chosen_);
  }

 private:
  bool Enough() const { return chosen_ && config_.search.objective == config::Objective::kGpus; }

  // Between the part that was chosen and the one before, up to the first that meets the deadline too.
  Status TryFewer() {
    if (parts_.size() < 2) return OkStatus();
    const int64_t more = parts_[chosen_part_].gpus, fewer = parts_[chosen_part_ - 1].gpus;
    for (const int64_t gpus : PartsBetween(config_.cluster, fewer, more)) {
      HELM_RETURN_IF_ERROR(Try(gpus));
      if (chosen_->config.cluster.devices_used != more || interrupted_) break;
    }
    const int64_t chosen = chosen_->config.cluster.devices_used;
    std::ranges::sort(parts_, {}, &ClusterPart::gpus);
    chosen_part_ = static_cast<size_t>(std::ranges::find(parts_, chosen, &ClusterPart::gpus) - parts_.begin());
    return OkStatus();
  }

  Status Try(int64_t gpus) {
    config::RunConfig part = config_;
    part.cluster.devices_used = gpus;
    part.search.time_limit_s = Share();
    HELM_ASSIGN_OR_RETURN(const EstimatorFactory estimators, estimators_(part.cluster));
    auto found = Search(part, estimators, run_);
    if (!found.ok()) return Refused(gpus, found.status());
    const TrainingRun training = TrainingRunOf(part, found->best.prediction);
    parts_.push_back({gpus, found->ranked.front(), training, found->complete, ""});
    interrupted_ = found->interrupted;
    if (!Progresses(training)) {
      parts_.back().reason = "makes no progress between failures";
      return OkStatus();
    }
    const bool in_time = training.deadline_met.value_or(true);
    if (!in_time || (chosen_ && Figure(part, training) >= Figure(part, parts_[chosen_part_].run))) return OkStatus();
    chosen_part_ = parts_.size() - 1;
    part.search.time_limit_s = config_.search.time_limit_s;
    chosen_ = SizeSearch{std::move(part), std::move(found).value(), {}};
    return OkStatus();
  }

  // Seconds, of those that are left.
  double Share() const {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begun_;
    const double left = std::max(config_.search.time_limit_s - passed.count(), 0.01 * config_.search.time_limit_s);
    const size_t planned = sizes_.size() + (config_.search.objective == config::Objective::kGpus ? kBetween : 0);
    return left / static_cast<double>(planned - parts_.size());
  }

  // Nothing was found on so many; the others may do.
  Status Refused(int64_t gpus, const Status& status) {
    interrupted_ = status.code() == StatusCode::kInterrupted;
    if (interrupted_ && chosen_) return OkStatus();
    if (status.code() != StatusCode::kInfeasible && status.code() != StatusCode::kInvalid) return status;
    refusal_ = status;
    parts_.push_back({gpus, std::nullopt, {}, true, "no plan was found"});
    return OkStatus();
  }

  Status NoneChosen() const {
    const auto days = [](const ClusterPart& part) {
      return part.best && Progresses(part.run) ? part.run.days : std::numeric_limits<double>::infinity();
    };
    const auto fastest = std::ranges::min_element(parts_, {}, days);
    if (fastest == parts_.end() || !fastest->best) return refusal_;
    if (!Progresses(fastest->run)) {
      return InfeasibleError(
          fmt::format("{}: error: a run makes no progress between its failures, on any part of the cluster\n"
                      "  fix: search.failures: a larger mtbf_gpu_hours, shorter checkpoints and restarts",
                      config_.path));
    }
    return InfeasibleError(fmt::format(
        "{}: error: no plan trains {:g} tokens within the deadline of {:g} days\n  fastest of those on {} GPUs: {} take {:.3g} days ({})\n"
        "  fix: more devices, a later deadline (search.deadline_days), fewer tokens (search.tokens), or a longer search",
        config_.path, config_.search.tokens, config_.search.deadline_days, fmt::join(sizes_, ", "), fastest->gpus, fastest->run.days,
        ir::Describe(fastest->best->strategy)));
  }

  const config::RunConfig& config_;
  const EstimatorsOfCluster& estimators_;
  const SearchRun& run_;
  const std::vector<int64_t> sizes_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::vector<ClusterPart> parts_;
  std::optional<SizeSearch> chosen_;
  size_t chosen_part_ = 0;
  bool interrupted_ = false;
  Status refusal_;  // the last
};

}  // namespace

std::vector<int64_t> PartsOf(const cluster::Cluster& cluster) {
  std::vector<int64_t> parts;
  for (int64_t devices = 1; devices < std::min(cluster.devices_used, cluster.devices_per_node); devices *= 2) parts.push_back(devices);
  for (int64_t devices = cluster.devices_per_node; devices < cluster.devices_used; devices *= 2) parts.push_back(devices);
  parts.push_back(cluster.devices_used);
  return parts;
}

std::vector<int64_t> PartsBetween(const cluster::Cluster& cluster, int64_t fewer, int64_t more) {
  const int64_t unit = fewer >= cluster.devices_per_node ? cluster.devices_per_node : 1;
  const int64_t units = (more - fewer) / unit;
  if (units < 2) return {};
  const int64_t step = (units + kBetween) / (kBetween + 1) * unit;
  std::vector<int64_t> parts;
  for (int64_t devices = fewer + step; devices < more; devices += step) parts.push_back(devices);
  return parts;
}

Result<SizeSearch> SearchSizes(const config::RunConfig& config, const EstimatorsOfCluster& estimators, const SearchRun& run) {
  return SizeSearcher(config, estimators, run).Run();
}

std::string ToText(const config::RunConfig& config, const std::vector<ClusterPart>& parts) {
  std::string text = "parts of the cluster, the best plan of each\n";
  for (const ClusterPart& part : parts) {
    text += fmt::format("  {:>6} {:<4}  ", part.gpus, part.gpus == 1 ? "GPU" : "GPUs");
    if (part.best) {
      text += fmt::format("{:>10}  {:>8.0f} tokens/s per device", FormatDuration(part.best->prediction.step_time),
                          part.best->prediction.tokens_per_second_per_device);
      if (config.search.tokens > 0) text += fmt::format("  {:>8.3g} days", part.run.days);
      if (part.run.cost_of_1e9_tokens) text += fmt::format("  {:>10.4g} for 1 G tokens", *part.run.cost_of_1e9_tokens);
      text += "  ";
    }
    text += (part.reason.empty() ? "chosen" : part.reason) + (part.complete ? "" : "; its search was stopped early") + "\n";
  }
  return text;
}

nlohmann::ordered_json ToJson(const config::RunConfig& config, const std::vector<ClusterPart>& parts) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ClusterPart& part : parts) {
    nlohmann::ordered_json json = {{"gpus", part.gpus}};
    if (part.best) {
      json["strategy"] = ir::ToJson(part.best->strategy);
      json["prediction"] = ToJson(part.best->prediction);
      json["run"] = ToJson(config, part.run);
      json["complete"] = part.complete;
    }
    if (!part.reason.empty()) json["reason"] = part.reason;
    list.push_back(json);
  }
  return list;
}

}  // namespace helm::planner
