#include "planner/cost_queries.h"

#include <gtest/gtest.h>

#include "planner/evaluate.h"
#include "planner_fixture.h"

namespace helm::planner {
namespace {

CostQueries QueriesOn(bool cpu) {
  config::RunConfig config = SmallConfig(1);
  config.workload.dtype = ir::DataType::kBFloat16;
  if (!cpu) {
    config.cluster.device = {.name = "a GPU", .memory = Bytes::Gibibytes(80), .memory_bandwidth = BytesPerSecond::Gigabytes(1000)};
    config.cluster.device.peak["bf16"] = FlopsPerSecond::Tera(100);
  }
  ir::Strategy strategy;
  strategy.micro_batch = 4;
  const auto queries = CostQueriesOf({MakePlan(config, strategy)}, config.cluster);
  EXPECT_TRUE(queries.ok()) << queries.status().message();
  return *queries;
}

const CostQueries::Op& Find(const CostQueries& queries, std::string_view target) {
  for (const CostQueries::Op& op : queries.ops) {
    if (op.signature.target.starts_with(target)) return op;
  }
  ADD_FAILURE() << "no " << target;
  return queries.ops.front();
}

// AdamW runs in the optimizer only, which has neither products nor attention; products run in forward and backward only, beside everything
// else that does.
TEST(CostQueries, OpsHaveTheLoadOfTheirPartOfTheStep) {
  const CostQueries queries = QueriesOn(/*cpu=*/false);
  EXPECT_EQ(Find(queries, "aten._fused_adamw_").load, (ir::DeviceLoad{0, 0}));
  const ir::DeviceLoad forward = Find(queries, "aten.mm").load;
  EXPECT_GT(forward.products, 0);
  EXPECT_GT(forward.attention, 0);
  EXPECT_LT(forward.products + forward.attention, 1);
  EXPECT_EQ(Find(queries, "aten._scaled_dot_product_flash_attention").load, forward);
}

TEST(CostQueries, AreDistinctAndInOrder) {
  const CostQueries queries = QueriesOn(/*cpu=*/true);
  ASSERT_GT(queries.ops.size(), 10u);
  for (size_t i = 1; i < queries.ops.size(); ++i) {
    EXPECT_LT(ir::ToText(queries.ops[i - 1].signature), ir::ToText(queries.ops[i].signature));
  }
  EXPECT_TRUE(queries.collectives.empty()) << "one rank";
}

}  // namespace
}  // namespace helm::planner
