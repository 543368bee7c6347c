// How many plans a second are bounded from parts that are remembered (planner/time_bound.h), priced from templates (sim/compose.h), and
// written out, in the same run: the last lines give the ratios. The last two must find the same makespan and peak, and the bound must not
// exceed it, or the run fails.
//
//     build/NAME/bin/bench/plan_pricing_bench
#include <benchmark/benchmark.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "cost/chain.h"
#include "planner/evaluate.h"
#include "planner/time_bound.h"

namespace helm::planner {
namespace {

struct Case {
  std::string name;
  config::RunConfig config;
};

cluster::Cluster Gpus(int64_t count) {
  cluster::Cluster cluster;
  cluster.name = "h100";
  cluster.device.name = "h100-sxm-80gb";
  cluster.device.architecture = "hopper";
  cluster.device.memory = Bytes::Gibibytes(80);
  cluster.device.peak["bf16"] = FlopsPerSecond::Tera(989);
  cluster.device.memory_bandwidth = BytesPerSecond::Gigabytes(3350);
  cluster.device.multiprocessors = 132;
  cluster.node_count = count / 8;
  cluster.devices_per_node = 8;
  cluster.intra_node = {"nvswitch", BytesPerSecond::Gigabytes(450)};
  cluster.inter_node = {8, BytesPerSecond::Gigabits(400), "infiniband", Duration::Microseconds(5)};
  cluster.devices_used = count;
  return cluster;
}

Case MakeCase(std::string name, int64_t layers, int64_t hidden, const ir::Strategy& strategy, int64_t micro_batches) {
  config::RunConfig config;
  config.model.name = name;
  config.model.layers = layers;
  config.model.hidden = hidden;
  config.model.ffn = 4 * hidden;
  config.model.heads = config.model.kv_heads = hidden / 128;
  config.model.head_dim = 128;
  config.model.vocab = 51200;
  config.model.max_positions = 2048;
  config.workload.sequence_length = 2048;
  config.workload.dtype = ir::DataType::kBFloat16;
  config.workload.global_batch = micro_batches * strategy.data;
  config.strategy = strategy;
  config.cluster = Gpus(strategy.world_size());
  return {std::move(name), std::move(config)};
}

std::vector<Case> Cases() {
  ir::Strategy data;
  data.data = 64;
  data.zero = 1;
  ir::Strategy tensor;
  tensor.data = 8;
  tensor.tensor = 8;
  tensor.sequence_parallel = true;
  ir::Strategy pipeline;
  pipeline.data = 4;
  pipeline.tensor = 8;
  pipeline.pipeline = 8;
  pipeline.schedule = "1f1b";
  return {MakeCase("1.3 B, 24 layers, DP 64 ZeRO-1, 8 micro-batches", 24, 2048, data, 8),
          MakeCase("6.7 B, 32 layers, TP 8 SP DP 8, 16 micro-batches", 32, 4096, tensor, 16),
          MakeCase("175 B, 96 layers, TP 8 PP 8 DP 4, 64 micro-batches", 96, 12288, pipeline, 64)};
}

Prediction Price(const Case& of, sim::PriceBook& prices, bool templates) {
  const auto evaluation = Evaluate(MakePlan(of.config, of.config.strategy), of.config.model, of.config.cluster, prices,
                                   {.record_timeline = false, .form = templates ? StepForm::kComposed : StepForm::kWrittenOut});
  HELM_CHECK(evaluation.ok(), evaluation.status().message().c_str());
  HELM_CHECK(!templates || evaluation->written_out_because.empty(), evaluation->written_out_because.c_str());
  return evaluation->prediction;
}

enum class How { kBound, kTemplates, kWrittenOut };
constexpr std::pair<How, const char*> kHows[] = {
    {How::kBound, ": bound"}, {How::kTemplates, ": templates"}, {How::kWrittenOut, ": written out"}};

struct Outcome {
  double seconds = 0;  // a plan
  Prediction prediction;
};
std::map<std::pair<std::string, How>, Outcome>& Outcomes() {
  static std::map<std::pair<std::string, How>, Outcome> outcomes;
  return outcomes;
}

void Run(benchmark::State& state, const Case& of, How how) {
  const auto estimator = cost::MakeEstimator(of.config.cluster, {});
  HELM_CHECK(estimator.ok(), estimator.status().message().c_str());
  sim::PriceBook prices = MakePriceBook(**estimator, of.config.cluster);
  PartBook parts(of.config, prices);
  const auto price = [&] {
    if (how != How::kBound) return Price(of, prices, how == How::kTemplates);
    Prediction bound;
    bound.step_time = TimeLowerBound(of.config, of.config.strategy, parts)->step;
    return bound;
  };
  Outcomes()[{of.name, how}].prediction = price();  // prices of single ops, and parts, are remembered from here on
  for (auto _ : state) benchmark::DoNotOptimize(price());
  state.counters["plans/s"] = benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

class Keeper : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.iterations == 0) continue;
      const std::string name = run.run_name.function_name;
      const std::string of = name.substr(0, name.rfind(": "));
      for (const auto& [how, suffix] : kHows) {
        if (name.ends_with(suffix)) Outcomes()[{of, how}].seconds = run.cpu_accumulated_time / static_cast<double>(run.iterations);
      }
    }
    ConsoleReporter::ReportRuns(runs);
  }
};

void PrintRatios(const std::vector<Case>& cases) {
  for (const Case& of : cases) {
    const Outcome& bound = Outcomes()[{of.name, How::kBound}];
    const Outcome& fast = Outcomes()[{of.name, How::kTemplates}];
    const Outcome& slow = Outcomes()[{of.name, How::kWrittenOut}];
    if (fast.seconds <= 0 || slow.seconds <= 0) continue;
    HELM_CHECK(fast.prediction.step_time == slow.prediction.step_time, "both find the same makespan");
    HELM_CHECK(fast.prediction.memory_bytes_peak == slow.prediction.memory_bytes_peak, "both find the same peak");
    fmt::print("{}: {:.1f} plans/s from templates, {:.1f} times as many as written out\n", of.name, 1 / fast.seconds,
               slow.seconds / fast.seconds);
    if (bound.seconds <= 0) continue;
    HELM_CHECK(bound.prediction.step_time <= fast.prediction.step_time, "a bound is never longer");
    fmt::print("{}: {:.0f} bounds/s, {:.1f} % of the step\n", of.name, 1 / bound.seconds,
               100 * bound.prediction.step_time.seconds() / fast.prediction.step_time.seconds());
  }
}

}  // namespace
}  // namespace helm::planner

int main(int argc, char** argv) {
  using helm::planner::Keeper;
  const std::vector<helm::planner::Case> cases = helm::planner::Cases();
  for (const helm::planner::Case& of : cases) {
    for (const auto& [how, suffix] : helm::planner::kHows) {
      const std::string name = of.name + suffix;
      benchmark::RegisterBenchmark(name.c_str(), [&of, how = how](benchmark::State& state) {
        Run(state, of, how);
      })->Unit(benchmark::kMillisecond);
    }
  }
  benchmark::Initialize(&argc, argv);
  Keeper keeper;
  benchmark::RunSpecifiedBenchmarks(&keeper);
  helm::planner::PrintRatios(cases);
  return 0;
}
