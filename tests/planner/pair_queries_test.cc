#include "planner/pair_queries.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "cost/overlap_model.h"
#include "planner/evaluate.h"
#include "planner_fixture.h"

namespace helm::planner {
namespace {

PairQueries QueriesOf(const std::vector<ir::Strategy>& strategies, int64_t limit) {
  config::RunConfig config = SmallConfig(2);
  config.cluster.device.memory_bandwidth = BytesPerSecond::Gigabytes(20);
  config.cluster.device.peak = {{"f32", FlopsPerSecond::Tera(0.1)}};
  std::vector<ir::Plan> plans;
  for (const ir::Strategy& strategy : strategies) plans.push_back(MakePlan(config, strategy));
  const auto queries = PairQueriesOf(plans, config.cluster, limit);
  EXPECT_TRUE(queries.ok()) << queries.status().message();
  return queries.ok() ? *queries : PairQueries();
}

// All-reduces of the tensor ranks beside the other strand. The same plan again adds nothing.
TEST(PairQueries, AreWhatRunsAtOnceEachOnce) {
  const ir::Strategy strands{.tensor = 2, .micro_batch = 4, .overlap = "strands"};
  const PairQueries queries = QueriesOf({strands}, 1000);
  ASSERT_FALSE(queries.pairs.empty());
  EXPECT_EQ(queries.distinct, static_cast<int64_t>(queries.pairs.size()));
  std::set<std::string> keys;
  for (const cost::PairSignature& pair : queries.pairs) {
    EXPECT_EQ(pair.collective.kind, "all_reduce");
    EXPECT_EQ(pair.collective.ranks, 2);
    keys.insert(cost::ToText(pair));
  }
  EXPECT_EQ(keys.size(), queries.pairs.size());
  EXPECT_EQ(QueriesOf({strands, strands}, 1000).distinct, queries.distinct);
}

// On one rank nothing communicates.
TEST(PairQueries, AreNoneWithoutCollectives) { EXPECT_EQ(QueriesOf({{.micro_batch = 8}}, 10).distinct, 0); }

// Two pairs of one kind of collective: a product and another kernel. The larger list begins with the smaller.
TEST(PairQueries, TakeKindsInTurn) {
  const ir::Strategy strands{.tensor = 2, .micro_batch = 4, .overlap = "strands"};
  const PairQueries two = QueriesOf({strands}, 2), three = QueriesOf({strands}, 3);
  ASSERT_EQ(two.pairs.size(), 2u);
  EXPECT_NE(cost::IsProduct(two.pairs[0].op.target), cost::IsProduct(two.pairs[1].op.target));
  EXPECT_GT(two.distinct, 2);
  ASSERT_EQ(three.pairs.size(), 3u);
  EXPECT_EQ(three.pairs[0], two.pairs[0]);
  EXPECT_EQ(three.pairs[1], two.pairs[1]);
}

}  // namespace
}  // namespace helm::planner
