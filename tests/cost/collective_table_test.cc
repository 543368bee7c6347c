#include "cost/collective_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace helm::cost {
namespace {

using testing::HasSubstr;

constexpr std::string_view kTable = R"({
  "format": "helm-collective-table/1", "device": "chip", "architecture": "hopper", "nvlink_gbytes_per_s": 450, "network_gbits_per_s": 400,
  "network_latency_us": 5, "licence": "Apache-2.0", "sources": ["a measurement"], "made_by": "by hand",
  "curves": [{"kind": "all_reduce", "ranks": 8, "ranks_per_node": 8, "points": [[1024, 9000], [2048, 10000]]},
             {"kind": "send", "ranks": 2, "ranks_per_node": 1, "points": [[1024, 20000], [2048, 21000]]}]
})";

TEST(CollectiveTable, ReadsEveryField) {
  const auto table = ParseCollectiveTable(kTable, "chip.json");
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_EQ(table->device, "chip");
  EXPECT_EQ(table->architecture, "hopper");
  EXPECT_DOUBLE_EQ(table->reference.intra_node->bandwidth.gigabytes(), 450);
  EXPECT_DOUBLE_EQ(table->reference.inter_node->bandwidth.gigabytes(), 50);
  EXPECT_EQ(table->reference.inter_node->nics, table->reference.devices_per_node);
  ASSERT_EQ(table->curves.size(), 2U);
  EXPECT_EQ(table->curves[0].ranks, 8);
  EXPECT_EQ(table->curves[1].kind, "send");
  EXPECT_EQ(table->curves[1].ranks_per_node, 1);
  EXPECT_DOUBLE_EQ(table->curves[1].points[1].bytes, 2048);
  EXPECT_DOUBLE_EQ(table->curves[1].points[1].seconds, 21e-6);
}

struct Broken {
  const char* name;
  const char* from;
  const char* to;
  const char* message;
};

class BrokenCollectiveTables : public testing::TestWithParam<Broken> {};

TEST_P(BrokenCollectiveTables, AreRefused) {
  std::string text(kTable);
  const size_t at = text.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, std::string_view(GetParam().from).size(), GetParam().to);
  const auto table = ParseCollectiveTable(text, "chip.json");
  ASSERT_FALSE(table.ok());
  EXPECT_THAT(table.status().message(), HasSubstr(GetParam().message));
  EXPECT_THAT(table.status().message(), HasSubstr("chip.json"));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, BrokenCollectiveTables,
    testing::Values(Broken{"Version", "helm-collective-table/1", "helm-collective-table/9", "allowed: 'helm-collective-table/1'"},
                    Broken{"UnknownKey", "\"licence\"", "\"license\"", "licen"},
                    Broken{"OnePoint", "[[1024, 9000], [2048, 10000]]", "[[1024, 9000]]", "two sizes or more"},
                    Broken{"NotAscending", "[2048, 10000]", "[1024, 10000]", "ascending"},
                    Broken{"NoTime", "[2048, 10000]", "[2048, 0]", "positive whole numbers"},
                    Broken{"HalfANode", "\"ranks\": 8, \"ranks_per_node\": 8", "\"ranks\": 8, \"ranks_per_node\": 4", "one on each"},
                    Broken{"Twice", "\"kind\": \"send\", \"ranks\": 2, \"ranks_per_node\": 1",
                           "\"kind\": \"all_reduce\", \"ranks\": 8, \"ranks_per_node\": 8", "a second curve"},
                    Broken{"NoLink", "\"nvlink_gbytes_per_s\": 450", "\"nvlink_gbytes_per_s\": 0", "must be positive"}),
    [](const auto& info) { return info.param.name; });

// Every collective over 2, 4 and 8 GPUs of a node, messages on two of them (docs/cost_model.md).
TEST(CollectiveTable, BuiltinTablesAreComplete) {
  const auto& tables = BuiltinCollectiveTables();
  ASSERT_EQ(tables.size(), 5U);
  EXPECT_TRUE(std::ranges::is_sorted(tables, {}, &CollectiveTable::device));
  for (const CollectiveTable& table : tables) {
    const auto count = std::ranges::count_if(table.curves, [](const CollectiveCurve& curve) { return curve.kind != "send"; });
    EXPECT_EQ(count, table.device == "gb200-186gb" ? 8 : 12) << table.device;
  }
}

}  // namespace
}  // namespace helm::cost
