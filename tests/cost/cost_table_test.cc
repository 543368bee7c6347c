#include "cost/cost_table.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace helm::cost {
namespace {

constexpr std::string_view kText = R"json({
  "format": "helm-cost-table/1",
  "device": {
    "kind": "cpu",
    "name": "AMD EPYC",
    "threads_per_rank": 1,
    "ranks_per_machine": 2
  },
  "host": {
    "per_op_us": 1.5,
    "per_collective_us": 20.0,
    "per_wait_us": 0.25
  },
  "ops": {
    "aten.mm(f32[8,4], f32[4,2])": {
      "median_us": 1.000001,
      "mean_us": 1.25,
      "quartile_lower_us": 0.5,
      "quartile_upper_us": 2.0,
      "samples": 11,
      "workspace_bytes": 64
    }
  },
  "collectives": {
    "all_reduce f32 ranks=2 per_node=2 bytes=8": {
      "median_us": 10.0,
      "mean_us": 10.5,
      "quartile_lower_us": 9.0,
      "quartile_upper_us": 12.0,
      "samples": 7,
      "workspace_bytes": 0
    }
  },
  "stamp": {
    "helm": "0.1.0"
  }
})json";

std::string Replaced(const std::string& from, const std::string& to) {
  std::string text(kText);
  const size_t at = text.find(from);
  HELM_CHECK(at != std::string::npos, "the text to replace must be there");
  return text.replace(at, from.size(), to);
}

// A table of another version may have thousands of rows that cannot be read.
TEST(CostTable, NamesTheFirstHundredRowsThatCannotBeRead) {
  std::string rows;
  for (int i = 0; i < 150; ++i) rows += fmt::format("\"no signature {}\": {{}},", i);
  const std::string message = ParseCostTable(Replaced("\"ops\": {", "\"ops\": {" + rows), "ops.json").status().message();
  EXPECT_NE(message.find("\"no signature 99\""), std::string::npos);
  EXPECT_EQ(message.find("no signature 100: "), std::string::npos);
  EXPECT_NE(message.find("ops.json: error: 50 more rows cannot be read either"), std::string::npos) << message;
}

constexpr std::string_view kPairsText = R"json(  "pairs": {
    "aten.mm(f32[8,4], f32[4,2]) beside all_reduce f32 ranks=2 per_node=2 bytes=8": {
      "op_runs": 7,
      "collective_runs": 1,
      "op_alone_us": 10.0,
      "collective_alone_us": 10.5,
      "op_beside_us": 12.500001,
      "collective_beside_us": 16.0,
      "samples": 18
    }
  },
)json";

// The table above as version 2, with one pair.
std::string WithPairs() {
  std::string text = Replaced("helm-cost-table/1", "helm-cost-table/2");
  return text.insert(text.find("  \"stamp\""), kPairsText);
}

TEST(CostTable, PairsAreReadAsTheyAreWritten) {
  const auto table = ParseCostTable(WithPairs(), "ops.json");
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_EQ(ToJson(*table).dump(2), WithPairs());
  const PairMeasurement& pair = table->pairs.begin()->second;
  EXPECT_EQ(pair.op_runs, 7);
  EXPECT_EQ(pair.op_beside, Duration::Picoseconds(12500001));
  EXPECT_EQ(pair.samples, 18);
}

TEST(CostTable, PairsOfALaterTableReplaceTheSameOnes) {
  CostTable into = *ParseCostTable(kText, "old.json");
  CostTable from = *ParseCostTable(WithPairs(), "new.json");
  ASSERT_TRUE(Merge(into, from).ok());
  EXPECT_EQ(into.pairs, from.pairs);
  from.pairs.begin()->second.op_beside = Duration::Microseconds(11);
  ASSERT_TRUE(Merge(into, from).ok());
  EXPECT_EQ(into.pairs, from.pairs);
}

// The row's key is in line 35, as in tests/fuzz/corpus/cost_table/pairs.json.
TEST(CostTable, SaysWhereAPairCannotBeRead) {
  const auto problem = [](const std::string& from, const std::string& to) {
    std::string text = WithPairs();
    text.replace(text.find(from), from.size(), to);
    return ParseCostTable(text, "ops.json").status().message();
  };
  const std::string op_beside = problem("12.500001", "0");
  EXPECT_NE(op_beside.find("'op_beside_us' is 0; it must be a time above zero"), std::string::npos) << op_beside;
  EXPECT_TRUE(op_beside.starts_with("ops.json:35:5: error:")) << op_beside;
  EXPECT_NE(problem("\"op_runs\": 7", "\"op_runs\": 0").find("'op_runs' is 0; it must be a whole number above zero"), std::string::npos);
  EXPECT_NE(problem("\"op_runs\"", "\"runs\"").find("unknown key 'runs' in a row of a pair"), std::string::npos);
  EXPECT_NE(problem(" beside ", " and ").find("the key of this row cannot be read: "), std::string::npos);
  EXPECT_NE(problem("helm-cost-table/2", "helm-cost-table/1").find("unknown key 'pairs'"), std::string::npos);
  EXPECT_NE(ParseCostTable(Replaced("helm-cost-table/1", "helm-cost-table/2"), "ops.json").status().message().find("missing key 'pairs'"),
            std::string::npos);
}

TEST(CostTable, ReadsAndWritesTheSameText) {
  const auto table = ParseCostTable(kText, "ops.json");
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_EQ(ToJson(*table).dump(2), kText);
  const Measurement& row = table->ops.at("aten.mm(f32[8,4], f32[4,2])");
  EXPECT_EQ(row.median, Duration::Picoseconds(1000001));
  EXPECT_EQ(row.workspace, Bytes(64));
  EXPECT_EQ(row.mean, Duration::Microseconds(1.25));
  EXPECT_EQ(table->host->per_collective, Duration::Microseconds(20));
  EXPECT_EQ(table->file, "ops.json");
}

// What a GPU's rows have besides.
TEST(CostTable, RowsOfAGpuReadAndWriteTheSame) {
  const std::string text = Replaced(R"("workspace_bytes": 64
    })",
                                    R"("workspace_bytes": 64,
      "launch_us": 7.5,
      "clock_mhz": 1755.0,
      "kernels": [
        {
          "name": "memset",
          "blocks": 0,
          "us": 0.5
        },
        {
          "name": "gemm",
          "blocks": 132,
          "us": 150.25
        }
      ]
    })");
  const auto table = ParseCostTable(text, "ops.json");
  ASSERT_TRUE(table.ok()) << table.status().message();
  const Measurement& row = table->ops.begin()->second;
  EXPECT_EQ(row.launch, Duration::Microseconds(7.5));
  EXPECT_EQ(row.clock_megahertz, 1755.0);
  EXPECT_EQ(row.kernels,
            (std::vector<KernelMeasurement>{{"memset", 0, Duration::Microseconds(0.5)}, {"gemm", 132, Duration::Microseconds(150.25)}}));
  EXPECT_EQ(ToJson(*table).dump(2), text);
  for (const std::string wrong : {R"("launch_us": -1)", R"("clock_mhz": "fast")", R"("kernels": [{"name": "k"}])", R"("kernel": 1)"}) {
    EXPECT_FALSE(ParseCostTable(Replaced(R"("workspace_bytes": 64)", R"("workspace_bytes": 64, )" + wrong), "ops.json").ok()) << wrong;
  }
}

// What rows of several CPU ranks have besides.
TEST(CostTable, RowsOfRanksThatWaitReadAndWriteTheSame) {
  const std::string text = Replaced(R"("workspace_bytes": 64
    })",
                                    R"("workspace_bytes": 64,
      "ranks_wait_us": 2.25
    })");
  const auto table = ParseCostTable(text, "ops.json");
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_EQ(table->ops.begin()->second.ranks_wait, Duration::Microseconds(2.25));
  EXPECT_EQ(ToJson(*table).dump(2), text);
  EXPECT_FALSE(ParseCostTable(Replaced(R"("workspace_bytes": 64)", R"("workspace_bytes": 64, "ranks_wait_us": -1)"), "ops.json").ok());
}

TEST(CostTable, HostCostsMayBeMissing) {
  CostTable table = *ParseCostTable(kText, "ops.json");
  table.host.reset();
  const auto again = ParseCostTable(ToJson(table).dump(), "ops.json");
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_FALSE(again->host.has_value());
}

struct BadCase {
  std::string name;
  std::string from;
  std::string to;
  std::string expected;  // the message begins so
};

class BadTables : public testing::TestWithParam<BadCase> {};

TEST_P(BadTables, AreRefusedWithThePlace) {
  const auto table = ParseCostTable(Replaced(GetParam().from, GetParam().to), "ops.json");
  ASSERT_FALSE(table.ok());
  EXPECT_EQ(table.status().code(), StatusCode::kInvalid);
  EXPECT_THAT(table.status().message(), testing::StartsWith(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, BadTables,
    testing::Values(BadCase{"UnknownVersion", "table/1", "table/3",
                            "ops.json:1:1: error: not a cost table of a known version: format is \"helm-cost-table/3\""},
                    BadCase{"UnknownKey", "\"host\"", "\"hosts\"", "ops.json:9:3: error: unknown key 'hosts'; did you mean 'host'?"},
                    BadCase{"UnknownKindOfDevice", "\"cpu\"", "\"tpu\"", "ops.json:3:3: error: unknown kind of device 'tpu'"},
                    BadCase{"NoThreads", "\"threads_per_rank\": 1", "\"threads_per_rank\": 0",
                            "ops.json:3:3: error: 'threads_per_rank' is 0; it must be a whole number of at least 1"},
                    BadCase{"NegativeTime", "\"median_us\": 10.0", "\"median_us\": -1.0",
                            "ops.json:25:5: error: 'median_us' is -1.0; it must be a time that is not negative"},
                    BadCase{"FractionOfASample", "\"samples\": 11", "\"samples\": 11.5",
                            "ops.json:15:5: error: 'samples' is 11.5; it must be a whole number that is not negative"},
                    BadCase{"RowWithoutSamples", "\"samples\": 11,", "", "ops.json:15:5: error: a row without 'samples'"},
                    BadCase{"UnknownKeyInARow", "\"samples\": 11", "\"samples\": 11, \"average_us\": 3",
                            "ops.json:15:5: error: unknown key 'average_us' in a row"},
                    BadCase{"KeyThatIsNoOp", "aten.mm(f32[8,4]", "aten.mm(f99[8,4]",
                            "ops.json:15:5: error: the key of this row cannot be read"},
                    BadCase{"KeyInAnotherForm", "aten.mm(f32[8,4], f32", "aten.mm( f32[8,4], f32",
                            "ops.json:15:5: error: the key of this row cannot be read"},
                    BadCase{"KeyThatIsNoCollective", "all_reduce f32 ranks=2", "all_reduce f32 ranks=two",
                            "ops.json:25:5: error: the key of this row cannot be read"},
                    BadCase{"NoObject", "\"stamp\": {\n    \"helm\": \"0.1.0\"\n  }", "\"stamp\": 3",
                            "ops.json:34:3: error: 'stamp' is number; it must be an object"}),
    [](const auto& info) { return info.param.name; });

TEST(CostTable, AllProblemsOfAFileAreSaidAtOnce) {
  std::string text = Replaced("\"samples\": 11", "\"samples\": -1");
  text.replace(text.find("\"per_op_us\": 1.5"), 16, "\"per_op_us\": \"x\"");
  const auto table = ParseCostTable(text, "ops.json");
  EXPECT_THAT(table.status().message(), testing::AllOf(testing::HasSubstr("ops.json:9:3: error: 'per_op_us' is \"x\""),
                                                       testing::HasSubstr("ops.json:15:5: error: 'samples' is -1")));
}

TEST(CostTable, TextThatIsNoJsonIsRefused) { EXPECT_FALSE(ParseCostTable("{\"format\": ", "ops.json").ok()); }

TEST(CostTable, MergeRefusesAnotherDevice) {
  CostTable one = *ParseCostTable(kText, "one.json");
  CostTable other = one;
  other.device.name = "Intel Xeon";
  other.file = "other.json";
  EXPECT_EQ(
      Merge(one, other).message(),
      "other.json:1:1: error: a table of cpu 'Intel Xeon' with 2 ranks of 1 thread cannot be merged into one of cpu 'AMD EPYC' with 2 "
      "ranks of 1 thread; give tables of one device only");
}

// Extends a table ten times by a row of its own, as helm-profile writes what it has so far.
Status ExtendBy(const std::string& path, int64_t first) {
  CostTable table = ParseCostTable(kText, "table.json").value();
  for (int64_t i = first; i < first + 10; ++i) {
    table.ops[fmt::format("aten.relu(f32[{}])", i)] = table.ops.begin()->second;
    HELM_RETURN_IF_ERROR(ExtendCostTable(table, path));
  }
  return OkStatus();
}

// Twenty rows and the one that was there, whichever process wrote last.
TEST(CostTable, TwoProcessesExtendIt) {
  const std::string path = testing::TempDir() + fmt::format("/extended.{}.json", ::getpid());
  const pid_t child = ::fork();
  if (child == 0) ::_exit(ExtendBy(path, 100).ok() ? 0 : 1);
  EXPECT_EQ(ExtendBy(path, 200).message(), "");
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  const auto table = ReadCostTable(path);
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_EQ(table->ops.size(), 21U);
  CostTable other = *table;
  other.device.name = "another";
  EXPECT_EQ(ExtendCostTable(other, path).code(), StatusCode::kInvalid);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace helm::cost
