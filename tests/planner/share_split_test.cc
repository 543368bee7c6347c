#include "planner/share_split.h"

#include <algorithm>
#include <limits>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "planner/evaluate.h"
#include "random_config.h"

namespace helm::planner {
namespace {

using Counts = std::vector<int64_t>;

// One fast and one slow rank, 8 micro-batches: with n on the fast one it is done after n, the other after (8 - n) x 3: max(6, 6) is least.
TEST(ShareSplit, FastRanksHaveMore) { EXPECT_EQ(*FastestShares({{1, 1}, {1, 3}}, 8), (Counts{6, 2})); }

// Of two equal ranks neither has more.
TEST(ShareSplit, EqualRanksHaveEqualShares) { EXPECT_EQ(*FastestShares({{2, 5}, {2, 5}}, 8), (Counts{2, 2})); }

// Four fast ranks and two slow ones, 20 micro-batches: 4 a + 2 b = 20. (4, 2): max(4 x 2, 2 x 5) = 10; (3, 4): 20; (2, 6): 30.
TEST(ShareSplit, RanksOfAKindHaveEquallyMany) { EXPECT_EQ(*FastestShares({{4, 2}, {2, 5}}, 20), (Counts{4, 2})); }

// Seven cannot be 2 a + 2 b; two are too few for one each on three ranks.
TEST(ShareSplit, ThereMayBeNoSplit) {
  EXPECT_FALSE(FastestShares({{2, 1}, {2, 3}}, 7).has_value());
  EXPECT_FALSE(FastestShares({{1, 1}, {2, 3}}, 2).has_value());
}

// Against trying all splits of three kinds.
TEST(ShareSplit, IsTheBestOfAllSplits) {
  const std::vector<RankKind> kinds = {{1, 7}, {2, 3}, {3, 5}};
  for (int64_t all = 6; all < 60; ++all) {
    int64_t least = std::numeric_limits<int64_t>::max();
    for (int64_t a = 1; a < all; ++a) {
      for (int64_t b = 1; a + 2 * b < all; ++b) {
        if ((all - a - 2 * b) % 3 != 0) continue;
        least = std::min(least, std::max({a * 7, b * 3, (all - a - 2 * b) / 3 * 5}));
      }
    }
    const auto found = FastestShares(kinds, all);
    ASSERT_TRUE(found.has_value()) << all;
    EXPECT_EQ((*found)[0] + 2 * (*found)[1] + 3 * (*found)[2], all);
    EXPECT_EQ(std::max({(*found)[0] * 7, (*found)[1] * 3, (*found)[2] * 5}), least) << all;
  }
}

// Ranks that have fewer micro-batches wait, on equal devices, for those that have the most: the step is that of a batch in which all have
// as many, to the picosecond, and no rank is fuller in that (one with fewer may be: a zero-bubble order has no steady state then). Where
// gradients are reduced behind all backward passes: beside them a rank may wait in the middle of what it has to do. By prices that do not
// know by what number a loss is divided. Two micro-batches at least: the only one of a rank is both the first and the last, with operators
// that others do not have.
RC_GTEST_PROP(ShareSplit, OnEqualRanksTheLargestShareDecides, ()) {
  config::RunConfig config = LargeConfig();
  ShareUnevenly(config);
  config.software.gradient_reduce_overlap = false;
  RC_PRE(!config.strategy.micro_batches.empty());
  RC_PRE(std::ranges::min(config.strategy.micro_batches) >= 2);
  const BytesEstimator prices;
  const EvaluateOptions options{.record_timeline = false, .form = StepForm::kWrittenOut, .engine = sim::Engine::kStatic};
  const auto price = [&] { return Evaluate(MakePlan(config, config.strategy), config.model, config.cluster, prices, options); };
  const auto uneven = price();
  RC_PRE(uneven.ok());
  const std::vector<int64_t> counts = config.strategy.micro_batches;
  const int64_t most = std::ranges::max(counts);
  config.strategy.micro_batches.clear();
  config.workload.global_batch = most * config.strategy.micro_batch * config.strategy.data;
  const auto equal = price();
  RC_ASSERT(equal.ok());
  RC_LOG() << ir::Describe(config.strategy) << ", " << counts[0] << " and " << counts[1] << ", steps "
           << uneven->prediction.step_time.picoseconds() << " and " << equal->prediction.step_time.picoseconds() << "\n";
  RC_ASSERT(uneven->prediction.step_time == equal->prediction.step_time);
  RC_ASSERT(uneven->prediction.memory_bytes_peak >= equal->prediction.memory_bytes_peak);
}

}  // namespace
}  // namespace helm::planner
