#include "cost/kernel_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/text.h"

namespace helm::cost {
namespace {

using testing::HasSubstr;

// Two cells of eight were not measured.
constexpr std::string_view kTable = R"({
  "format": "helm-kernel-table/1", "device": "chip", "architecture": "hopper", "peak_tflops": {"bf16": 1000}, "memory_gbytes_per_s": 3000,
  "multiprocessors": 100, "licence": "Apache-2.0", "sources": ["a measurement"], "made_by": "by hand",
  "products": [{"dtype": "bf16", "m": [1, 2], "n": [3, 4], "k": [5, 6], "nanoseconds": [10, 20, null, 40, 50, 60, 70, null]}],
  "attention_forward": [[1, 2048, 16, 8, 128, 5000]], "attention_level": 1.1
})";

TEST(KernelTable, ReadsEveryField) {
  const auto table = ParseKernelTable(kTable, "chip.json");
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_EQ(table->device, "chip");
  EXPECT_EQ(table->architecture, "hopper");
  EXPECT_DOUBLE_EQ(table->peak.at("bf16").value(), 1e15);
  EXPECT_DOUBLE_EQ(table->memory_bandwidth.gigabytes(), 3000);
  EXPECT_EQ(table->multiprocessors, 100);
  ASSERT_EQ(table->products.size(), 1U);
  EXPECT_EQ(table->products[0].nanoseconds, (std::vector<int64_t>{10, 20, 0, 40, 50, 60, 70, 0}));
  ASSERT_EQ(table->attention_forward.size(), 1U);
  EXPECT_EQ(table->attention_forward[0].kv_heads, 8);
  EXPECT_EQ(table->attention_forward[0].nanoseconds, 5000);
  EXPECT_DOUBLE_EQ(table->attention_level, 1.1);
}

struct Broken {
  const char* name;
  const char* from;
  const char* to;
  const char* message;
};

class BrokenTables : public testing::TestWithParam<Broken> {};

TEST_P(BrokenTables, AreRefused) {
  std::string text(kTable);
  const size_t at = text.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, std::string_view(GetParam().from).size(), GetParam().to);
  const auto table = ParseKernelTable(text, "chip.json");
  ASSERT_FALSE(table.ok());
  EXPECT_THAT(table.status().message(), HasSubstr(GetParam().message));
  EXPECT_THAT(table.status().message(), HasSubstr("chip.json"));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, BrokenTables,
    testing::Values(Broken{"Version", "helm-kernel-table/1", "helm-kernel-table/9", "allowed: 'helm-kernel-table/1'"},
                    Broken{"UnknownKey", "\"licence\"", "\"license\"", "licen"},
                    Broken{"ShortGrid", "[10, 20, null, 40, 50, 60, 70, null]", "[10, 20]", "2 times, but m, n and k make 8 cells"},
                    Broken{"NegativeTime", "[10, 20,", "[-10, 20,", "positive whole numbers and null"},
                    Broken{"AxisNotAscending", "\"n\": [3, 4]", "\"n\": [4, 3]", "ascending"},
                    Broken{"ShortRow", "[1, 2048, 16, 8, 128, 5000]", "[1, 2048]", "kv_heads"},
                    Broken{"NoPeakOfItsProducts", "{\"bf16\": 1000}", "{\"fp8\": 1000}", "no such key"},
                    Broken{"NoLevel", ", \"attention_level\": 1.1", "", "attention_level"},
                    Broken{"NoBandwidth", "\"memory_gbytes_per_s\": 3000", "\"memory_gbytes_per_s\": 0", "must be positive"}),
    [](const testing::TestParamInfo<Broken>& info) { return info.param.name; });

// Every table that is compiled in can be read, names its source and holds products of bf16 at sizes of training.
TEST(BuiltinKernelTables, HoldEightGpus) {
  const auto& tables = BuiltinKernelTables();
  EXPECT_EQ(tables.size(), 8U);
  EXPECT_TRUE(std::ranges::is_sorted(tables, {}, &KernelTable::device));
  for (const KernelTable& table : tables) {
    SCOPED_TRACE(table.device);
    EXPECT_FALSE(table.sources.empty());
    for (const std::string& source : table.sources) EXPECT_THAT(source, HasSubstr("Apache-2.0"));
    const auto bf16 = std::ranges::find(table.products, "bf16", &ProductTable::dtype);
    ASSERT_NE(bf16, table.products.end());
    EXPECT_LE(bf16->m.front(), 16);
    EXPECT_GE(bf16->m.back(), 8192);
    const auto measured = std::ranges::count_if(bf16->nanoseconds, [](int64_t time) { return time > 0; });
    EXPECT_GT(static_cast<double>(measured), 0.95 * static_cast<double>(bf16->nanoseconds.size()));
  }
}

TEST(BuiltinKernelTables, StandInForTheirArchitecture) {
  EXPECT_EQ(ProductTablesFor("h200-sxm-141gb", "hopper")->device, "h200-sxm-141gb");
  EXPECT_EQ(ProductTablesFor("h800-sxm-80gb", "hopper")->device, "h100-sxm-80gb");
  EXPECT_EQ(ProductTablesFor("a40", "ada")->device, "l40s");
  EXPECT_EQ(ProductTablesFor("mi300x", "cdna3"), nullptr);
  // No attention was carried over for H200: that of H100 stands in.
  EXPECT_EQ(AttentionTableFor("h200-sxm-141gb", "hopper")->device, "h100-sxm-80gb");
}

}  // namespace
}  // namespace helm::cost
