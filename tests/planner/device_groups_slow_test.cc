// Clusters of several kinds of nodes, from enumeration to prediction: what one cluster is when it is described as equal groups, who gets
// how many layers on unlike ones, and what the search finds.
#include "cluster/device_groups.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "cluster/cluster_reader.h"
#include "cluster/group_reader.h"
#include "cost/group_estimator.h"
#include "planner/device_places.h"
#include "planner/evaluate.h"
#include "planner/search.h"
#include "planner/space.h"
#include "planner/stage_refit.h"
#include "planner/stage_split.h"
#include "planner/stage_times.h"
#include "planner/time_bound.h"
#include "random_config.h"

namespace helm::planner {
namespace {

// `nodes` of eight H100, or of an invented GPU that does everything at half the rate.
cluster::Cluster Nodes(const std::string& name, int64_t nodes, double rate = 1.0) {
  cluster::Cluster of;
  of.name = name;
  of.device = {.name = rate == 1.0 ? "h100-sxm-80gb" : "slow",
               .memory = Bytes::Gibibytes(80),
               .memory_bandwidth = BytesPerSecond::Gigabytes(3350 * rate),
               .peak = {{"bf16", FlopsPerSecond::Tera(990 * rate)}, {"f32", FlopsPerSecond::Tera(67 * rate)}},
               .multiprocessors = 132,
               .architecture = "hopper"};
  of.node_count = nodes;
  of.devices_per_node = 8;
  of.devices_used = 8 * nodes;
  of.intra_node = {"nvswitch", BytesPerSecond::Gigabytes(450)};
  of.inter_node = {8, BytesPerSecond::Gigabits(400), "infiniband", Duration::Microseconds(5)};
  return of;
}

cluster::Cluster Grouped(std::vector<cluster::Cluster> groups, std::optional<cluster::InterNodeLink> between = std::nullopt) {
  cluster::Cluster of;
  of.name = "grouped";
  of.between = between ? between : groups.front().inter_node;
  of.groups = std::move(groups);
  cluster::SumUpGroups(of);
  return of;
}

// Llama-like, of a size that eight GPUs train.
config::RunConfig Config(cluster::Cluster cluster) {
  config::RunConfig config = SmallConfig(cluster.devices_used);
  config.cluster = std::move(cluster);
  config.model.layers = 12;
  config.model.hidden = 1024;
  config.model.ffn = 2816;
  config.model.heads = config.model.kv_heads = 16;
  config.model.head_dim = 64;
  config.model.vocab = 32000;
  config.model.max_positions = 2048;
  config.workload.dtype = ir::DataType::kBFloat16;
  config.workload.global_batch = 64;
  config.workload.sequence_length = 2048;
  config.software.framework = "helm";
  config.search.time_limit_s = 600;
  return config;
}

EstimatorFactory EstimatorsOf(const cluster::Cluster& cluster) {
  return [cluster] { return cost::MakeClusterEstimator(cluster, {}); };
}

Result<Evaluation> Price(const config::RunConfig& config, StepForm form = StepForm::kWrittenOut) {
  HELM_ASSIGN_OR_RETURN(const auto estimator, cost::MakeClusterEstimator(config.cluster, {}));
  return Evaluate(MakePlan(config, config.strategy), config.model, config.cluster, *estimator,
                  {.record_timeline = false, .form = form, .replay_allocator = true});
}

// The oracle: nodes of one kind, and the same ones as two groups whose link is that of the nodes. Whatever the strategy, time, memory and
// their parts are the same numbers. Groups end in the middle of a stage too.
RC_GTEST_PROP(DeviceGroups, EqualGroupsAreOneCluster, ()) {
  config::RunConfig config = LargeConfig();
  if (*rc::gen::arbitrary<bool>()) ShareUnevenly(config);
  cluster::Cluster& whole = config.cluster;
  whole.devices_per_node = *rc::gen::element<int64_t>(1, 2, 4, 8);
  whole.node_count = (whole.devices_used + whole.devices_per_node - 1) / whole.devices_per_node;
  RC_PRE(whole.node_count >= 2);
  const StepForm form = *rc::gen::element(StepForm::kWrittenOut, StepForm::kComposed);
  const auto one = Price(config, form);
  cluster::Cluster a = whole, b = whole;
  a.name = "a";
  b.name = "b";
  a.node_count = *rc::gen::inRange<int64_t>(1, whole.node_count);
  b.node_count -= a.node_count;
  a.devices_used = a.node_count * whole.devices_per_node;
  b.devices_used -= a.devices_used;
  config.cluster = Grouped({a, b}, whole.inter_node);
  const auto two = Price(config, form);
  RC_ASSERT(one.status().message() == two.status().message());
  RC_PRE(one.ok());
  RC_LOG() << ir::Describe(config.strategy) << " on " << a.devices_used << " + " << b.devices_used << "\n";
  const Prediction& of_one = one->prediction;
  const Prediction& of_two = two->prediction;
  RC_ASSERT(of_one.step_time == of_two.step_time);
  RC_ASSERT(of_one.breakdown.exposed_communication == of_two.breakdown.exposed_communication);
  RC_ASSERT(of_one.memory_bytes_peak == of_two.memory_bytes_peak);
  RC_ASSERT(of_one.memory_bytes_capacity == of_two.memory_bytes_capacity);
  RC_ASSERT(of_one.memory_bytes_reserved == of_two.memory_bytes_reserved);
  RC_ASSERT(of_one.outside.total() == of_two.outside.total());
  RC_ASSERT(of_one.rank_of_peak == of_two.rank_of_peak);
  RC_ASSERT(of_one.model_flops_utilization == of_two.model_flops_utilization);
}

// What the search finds too: the same plan and the same order of all others.
TEST(DeviceGroups, TheSearchFindsTheSamePlanOnEqualGroups) {
  config::RunConfig config = Config(Nodes("whole", 2));
  config.model.layers = 5;
  config.strategy.micro_batch = 1;
  config.strategy_given = {"micro_batch", "overlap"};
  const auto one = Search(config, EstimatorsOf(config.cluster), {});
  ASSERT_TRUE(one.ok()) << one.status().message();
  config.cluster = Grouped({Nodes("a", 1), Nodes("b", 1)});
  const auto two = Search(config, EstimatorsOf(config.cluster), {});
  ASSERT_TRUE(two.ok()) << two.status().message();
  ASSERT_EQ(one->ranked.size(), two->ranked.size());
  for (size_t i = 0; i < one->ranked.size(); ++i) {
    ir::Strategy strategy = two->ranked[i].strategy;
    strategy.groups.clear();  // there is one order of them
    EXPECT_EQ(one->ranked[i].strategy, strategy);
    EXPECT_EQ(one->ranked[i].prediction.step_time, two->ranked[i].prediction.step_time);
  }
  EXPECT_EQ(one->bounded.size(), two->bounded.size());
}

std::vector<int64_t> Counts(const std::vector<ir::Stage>& stages) {
  std::vector<int64_t> counts;
  for (const ir::Stage& stage : stages) counts.push_back(stage.layers());
  return counts;
}

PartTimes LayersOf(int64_t time) {
  PartTimes times;
  times.layer[0].forward.inner.compute = times.layer[0].backward.inner.compute = time;
  return times;
}

// Two stages, layers of a and b: n on the first and L - n on the second take max(n a, (L - n) b). a = 10 and b = 20 of 24 layers are even
// at n a = (L - n) b, n = L b / (a + b) = 16; the other way round 8. a = 10, b = 15 and 12 layers: 7.2, so 7 or 8; max(70, 75) < max(80,
// 60).
TEST(DeviceGroups, TheFasterStageHasMoreLayers) {
  config::RunConfig config = Config(Nodes("whole", 2));
  config.strategy.pipeline = 2;
  config.strategy.data = 8;
  config.strategy.schedule = "1f1b";
  config.model.layers = 24;
  const PartTimes fast = LayersOf(5), slow = LayersOf(10), between = LayersOf(7);
  EXPECT_THAT(Counts(BalancedStages(config, config.strategy, {&fast, &slow})), testing::ElementsAre(16, 8));
  EXPECT_THAT(Counts(BalancedStages(config, config.strategy, {&slow, &fast})), testing::ElementsAre(8, 16));
  EXPECT_THAT(Counts(BalancedStages(config, config.strategy, {&fast, &fast})), testing::ElementsAre(12, 12));
  config.model.layers = 12;  // 10 and 14: 12 x 14 / 24 = 7
  EXPECT_THAT(Counts(BalancedStages(config, config.strategy, {&fast, &between})), testing::ElementsAre(7, 5));
}

// Of all splits of up to six layers over up to four stages, each with times of its own, none has a faster slowest stage.
RC_GTEST_PROP(DeviceGroups, NoSplitIsFaster, ()) {
  config::RunConfig config = Config(Nodes("whole", 2));
  config.strategy.pipeline = *rc::gen::inRange<int64_t>(2, 5);
  config.strategy.schedule = "1f1b";
  config.model.layers = *rc::gen::inRange<int64_t>(config.strategy.pipeline, 9);
  std::vector<PartTimes> times;
  for (int64_t i = 0; i < config.strategy.pipeline; ++i) {
    times.push_back(LayersOf(*rc::gen::inRange<int64_t>(1, 50)));
    times.back().embedding.forward.inner.compute = *rc::gen::inRange<int64_t>(0, 60);
    times.back().head.forward.inner.compute = *rc::gen::inRange<int64_t>(0, 60);
  }
  StageTimes stages;
  for (const PartTimes& of_stage : times) stages.push_back(&of_stage);
  const auto time_of = [&](const std::vector<int64_t>& ends) {
    int64_t most = 0, first = 0;
    for (size_t i = 0; i < ends.size(); ++i) {
      int64_t time = (ends[i] - first) * 2 * times[i].layer[0].forward.inner.compute;
      if (i == 0) time += times[i].embedding.forward.inner.compute;
      if (i + 1 == ends.size()) time += times[i].head.forward.inner.compute;
      most = std::max(most, time);
      first = ends[i];
    }
    return most;
  };
  int64_t least = std::numeric_limits<int64_t>::max();
  std::vector<int64_t> ends;
  // Inner stages hold a layer at least.
  const std::function<void(int64_t)> enumerate = [&](int64_t first) {
    const bool is_last = std::ssize(ends) + 1 == config.strategy.pipeline;
    for (int64_t end = is_last ? config.model.layers : first + (ends.empty() ? 0 : 1); end <= config.model.layers; ++end) {
      ends.push_back(end);
      is_last ? least = std::min(least, time_of(ends)) : (enumerate(end), least);
      ends.pop_back();
    }
  };
  enumerate(0);
  ir::Strategy balanced = config.strategy;
  balanced.stages = BalancedStages(config, balanced, stages);
  RC_ASSERT(SlowestStage(config, balanced, stages).picoseconds() == least);
}

// Never more than the step, on groups of any rates and links, in any order.
RC_GTEST_PROP(DeviceGroups, BoundsNeverExceedTheStep, ()) {
  config::RunConfig config = LargeConfig();
  if (*rc::gen::arbitrary<bool>()) ShareUnevenly(config);
  RC_PRE(config.cluster.devices_used >= 2);
  const int64_t first = *rc::gen::inRange<int64_t>(1, config.cluster.devices_used);
  const auto group = [](const std::string& name, int64_t devices) {
    cluster::Cluster of = Nodes(name, 1, *rc::gen::element(1.0, 0.5, 0.3));
    of.devices_per_node = *rc::gen::element<int64_t>(1, 2, 4, 8);
    of.node_count = (devices + of.devices_per_node - 1) / of.devices_per_node;
    of.devices_used = devices;
    return of;
  };
  const cluster::InterNodeLink link{1, BytesPerSecond::Gigabits(*rc::gen::element(10.0, 100.0, 1000.0)), "ethernet",
                                    Duration::Microseconds(20)};
  config.cluster = Grouped({group("a", first), group("b", config.cluster.devices_used - first)}, link);
  if (*rc::gen::arbitrary<bool>()) config.strategy.groups = {"b", "a"};
  const auto estimator = cost::MakeClusterEstimator(config.cluster, {});
  const auto step = Evaluate(MakePlan(config, config.strategy), config.model, config.cluster, **estimator, {.record_timeline = false});
  RC_PRE(step.ok());
  sim::PriceBook prices = MakePriceBook(**estimator, config.cluster);
  PartBook parts(config, prices);
  const auto bound = TimeLowerBound(config, config.strategy, parts);
  RC_LOG() << ir::Describe(config.strategy) << " first " << first << " bound " << bound->step.seconds() << " step "
           << step->simulation.makespan.seconds() << "\n";
  RC_ASSERT(bound->step <= step->simulation.makespan);
  RC_ASSERT(bound->computing <= step->simulation.makespan);
}

// The search against pricing every strategy of its space, in each order of the groups and each split of the layers: nothing is faster.
TEST(DeviceGroups, TheSearchFindsTheFastestOnUnlikeGroups) {
  config::RunConfig config =
      Config(Grouped({Nodes("fast", 1), Nodes("slow", 1, 0.5)},
                     cluster::InterNodeLink{1, BytesPerSecond::Gigabits(50), "ethernet", Duration::Microseconds(20)}));
  config.model.layers = 6;
  config.strategy.tensor = 2;
  config.strategy.sequence_parallel = true;
  config.strategy.micro_batch = 1;
  config.strategy.zero = 1;
  config.strategy.schedule = "1f1b";
  config.strategy.recompute = "none";
  config.strategy.overlap = "none";
  config.strategy.pipeline = 2;
  config.strategy.data = 4;
  config.strategy_given = {"tensor", "sequence_parallel", "micro_batch", "zero", "recompute", "overlap", "pipeline", "data", "schedule"};
  const auto found = Search(config, EstimatorsOf(config.cluster), {});
  ASSERT_TRUE(found.ok()) << found.status().message();
  const ir::Strategy& best = found->best.plan.strategy;
  std::optional<Duration> fastest;
  ir::Strategy of_fastest;
  for (const std::vector<std::string>& groups : cluster::DistinctOrders(config.cluster)) {
    for (int64_t first = 0; first <= config.model.layers; ++first) {
      config.strategy.groups = groups;
      config.strategy.stages = {{0, first}, {first, config.model.layers}};
      const auto priced = Price(config);
      ASSERT_TRUE(priced.ok()) << priced.status().message();
      if (fastest && *fastest <= priced->prediction.step_time) continue;
      fastest = priced->prediction.step_time;
      of_fastest = config.strategy;
    }
  }
  EXPECT_EQ(found->best.prediction.step_time, *fastest) << ir::Describe(best) << " against " << ir::Describe(of_fastest);
  // 4 layers on the fast group, 2 on the slow one.
  const size_t fast = best.groups.front() == "fast" ? 0 : 1;
  EXPECT_GT(best.stages[fast].layers(), best.stages[1 - fast].layers());
}

// Data-parallel ranks on both groups: of the 64 sequences the fast ones have more, and no other shares are faster. With 8 + 8 ranks those
// are a on each fast rank and 8 - a on each slow one.
TEST(DeviceGroups, FastRanksHaveMoreOfTheBatch) {
  config::RunConfig config = Config(Grouped({Nodes("fast", 1), Nodes("slow", 1, 0.5)}));
  config.strategy.data = 16;
  config.strategy.zero = 1;
  config.strategy_given = {"tensor", "data", "pipeline", "micro_batch", "zero", "recompute", "overlap"};
  const auto found = Search(config, EstimatorsOf(config.cluster), {});
  ASSERT_TRUE(found.ok()) << found.status().message();
  const ir::Strategy& best = found->best.plan.strategy;
  ASSERT_EQ(best.micro_batches.size(), 16U) << ir::Describe(best);
  EXPECT_EQ(found->best.places, "data-parallel ranks 0-7 on fast, 8-15 on slow");
  std::optional<Duration> fastest;
  for (int64_t count = 1; count < 8; ++count) {
    config.strategy.micro_batches.assign(8, count);
    config.strategy.micro_batches.insert(config.strategy.micro_batches.end(), 8, 8 - count);
    const auto priced = Price(config);
    ASSERT_TRUE(priced.ok()) << priced.status().message();
    if (!fastest || priced->prediction.step_time < *fastest) fastest = priced->prediction.step_time;
  }
  EXPECT_EQ(found->best.prediction.step_time, *fastest) << ir::Describe(best);
  config.strategy.micro_batches.clear();
  const auto equal = Price(config);
  ASSERT_TRUE(equal.ok()) << equal.status().message();
  EXPECT_LT(*fastest, equal->prediction.step_time);
}

// Memory is held against what each group has: the same plan fits where both have 80 GiB, and does not where the second stage's has 2.
TEST(DeviceGroups, EachStageHasTheMemoryOfItsGroup) {
  config::RunConfig config = Config(Grouped({Nodes("a", 1), Nodes("b", 1)}));
  config.strategy.pipeline = 2;
  config.strategy.data = 8;
  config.strategy.schedule = "1f1b";
  const auto roomy = Price(config);
  ASSERT_TRUE(roomy.ok()) << roomy.status().message();
  EXPECT_TRUE(roomy->prediction.fits);
  const size_t fullest = roomy->simulation.peak.rank_class;
  EXPECT_EQ(roomy->prediction.group_of_peak, fullest == 0 ? "a" : "b");
  for (const size_t small : {0U, 1U}) {
    std::vector<cluster::Cluster> groups = {Nodes("a", 1), Nodes("b", 1)};
    groups[small].device.memory = Bytes::Gibibytes(2);
    config.cluster = Grouped(groups);
    const auto tight = Price(config);
    ASSERT_TRUE(tight.ok()) << tight.status().message();
    EXPECT_FALSE(tight->prediction.fits);
    EXPECT_EQ(tight->prediction.group_of_peak, small == 0 ? "a" : "b");
    EXPECT_EQ(tight->prediction.rank_of_peak, small == 0 ? 0 : 8);
    EXPECT_EQ(tight->prediction.memory_bytes_capacity, Bytes::Gibibytes(2));
    EXPECT_EQ(tight->prediction.memory_bytes_peak, roomy->simulation.peak_of_class[small]);
    int64_t categories = tight->prediction.peak.workspace.count();
    for (const int64_t bytes : tight->prediction.peak.by_role) categories += bytes;
    EXPECT_EQ(categories, tight->prediction.memory_bytes_peak.count());
  }
}

// 10 layers take 100: of 50, at 10 a layer, 5 too many. With 5 layers still 70, so that a layer takes 6: 20 too many are 4 layers. What
// fits grows: 30 left at 14 a layer are 2 more.
TEST(StageRefit, TwoSplitsTellWhatALayerTakes) {
  EXPECT_EQ(LayersMost({{10, Bytes(100)}}, Bytes(50)), 5);
  EXPECT_EQ(LayersMost({{10, Bytes(100)}, {5, Bytes(70)}}, Bytes(50)), 1);
  EXPECT_EQ(LayersMost({{5, Bytes(70)}}, Bytes(100)), 7);
  EXPECT_EQ(LayersMost({{5, Bytes(70)}, {5, Bytes(70)}}, Bytes(100)), 7);
  EXPECT_EQ(LayersMost({{0, Bytes(70)}}, Bytes(100)), std::nullopt);
  EXPECT_EQ(LayersMost({{0, Bytes(70)}}, Bytes(50)), 0);
}

// Where the faster group has the smaller memory, by a little less than its layers need, it has a layer fewer, and no more than that.
TEST(StageRefit, TheFastGroupHasAsManyLayersAsFit) {
  std::vector<cluster::Cluster> groups = {Nodes("fast", 1), Nodes("slow", 1, 0.5)};
  config::RunConfig config = Config(Grouped(groups));
  config.strategy.pipeline = 2;
  config.strategy.data = 4;
  config.strategy.tensor = 2;
  config.strategy.schedule = "1f1b";
  config.strategy.groups = {"fast", "slow"};
  config.strategy_given = {"pipeline",  "data",   "tensor", "sequence_parallel", "micro_batch", "zero", "schedule",
                           "recompute", "groups", "overlap"};
  const auto roomy = Search(config, EstimatorsOf(config.cluster), {});
  ASSERT_TRUE(roomy.ok()) << roomy.status().message();
  const int64_t layers = roomy->best.plan.strategy.stages.at(0).layers();
  ASSERT_GT(layers, 7);  // of 12, the even split has 6
  groups[0].device.memory = Bytes(std::llround(static_cast<double>(roomy->best.simulation.peak_of_class[0].count()) / 0.94) - (1 << 20));
  config.search.memory_fraction = 0.94;
  config.cluster = Grouped(groups);
  const auto tight = Search(config, EstimatorsOf(config.cluster), {});
  ASSERT_TRUE(tight.ok()) << tight.status().message();
  EXPECT_EQ(tight->best.plan.strategy.stages.at(0).layers(), layers - 1) << ir::Describe(tight->best.plan.strategy);
  EXPECT_TRUE(tight->best.prediction.fits);
}

}  // namespace
}  // namespace helm::planner
