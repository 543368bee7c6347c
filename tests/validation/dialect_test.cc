#include "validation/dialect.h"

#include <gtest/gtest.h>

namespace helm::validation {
namespace {

// A row of the sample with one text replaced, translated.
Result<Translation> TranslateSample(size_t index, const std::string& from = "", const std::string& to = "") {
  const auto document = ReadYamlFile("tests/validation/sample.yaml");
  EXPECT_TRUE(document.ok()) << document.status().message();
  auto json = ToJson(*document);
  std::string text = json["runs"][index].dump();
  const size_t at = from.empty() ? std::string::npos : text.find(from);
  if (!from.empty()) {
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  }
  const auto rows = ParseSuite(R"({"format": "helm-validation/1", "runs": [)" + text + "]}", "s.json");
  if (!rows.ok()) return rows.status();
  return Translate((*rows)[0]);
}

nlohmann::ordered_json DocumentOf(const Result<Translation>& translation) {
  EXPECT_TRUE(translation.ok()) << translation.status().message();
  return translation.ok() ? ToJson(translation->document) : nlohmann::ordered_json();
}

TEST(Dialect, FullyShardedRowsShardOverAllDataParallelRanks) {
  const auto document = DocumentOf(TranslateSample(2));
  EXPECT_EQ(document["strategy"]["fsdp"].dump(), R"({"shard":64})");
  EXPECT_FALSE(document["strategy"].contains("overlap"));
  EXPECT_EQ(document["software"]["fsdp_limit_all_gathers"], true);
  EXPECT_EQ(document["software"]["gradients_reduced"], "fp32");  // FSDP mixed_precision DEFAULT
  EXPECT_EQ(document["model"]["max_positions"], 2048);           // of the sequence, where positions are learned
  EXPECT_EQ(document["cluster"]["inter_node"]["latency_us"], 5);
}

TEST(Dialect, HybridShardingKeepsItsMapping) {
  const auto document = DocumentOf(TranslateSample(2, R"("fsdp":true)", R"("fsdp":{"shard":8,"replicate":8})"));
  EXPECT_EQ(document["strategy"]["fsdp"].dump(), R"({"shard":8,"replicate":8})");
}

TEST(Dialect, StageLayersBecomeStages) {
  const auto document = DocumentOf(TranslateSample(1, R"("schedule")", R"("stage_layers":[7,5],"schedule")"));
  EXPECT_EQ(document["strategy"]["stages"].dump(), R"([{"layers":[0,7]},{"layers":[7,12]}])");
  EXPECT_FALSE(document["strategy"].contains("stage_layers"));
  EXPECT_FALSE(TranslateSample(1, R"("schedule")", R"("stage_layers":[7,6],"schedule")").ok());
  EXPECT_FALSE(TranslateSample(1, R"("schedule")", R"("stage_layers":[12],"schedule")").ok());
}

// 12 layers on 2 x 7 chunks: with embedding and head 14 layers, one a chunk.
TEST(Dialect, EmbeddingAndHeadCountAsLayersWhereTheLayersDoNotDivide) {
  const auto translation = TranslateSample(1, R"("virtual_pipeline":1)", R"("virtual_pipeline":7)");
  const auto document = DocumentOf(translation);
  ASSERT_EQ(document["strategy"]["stages"].size(), 14u);
  EXPECT_EQ(document["strategy"]["stages"][0].dump(), R"({"layers":[0,0]})");
  EXPECT_EQ(document["strategy"]["stages"][13].dump(), R"({"layers":[12,12]})");
  EXPECT_EQ(translation->notes.size(), 1u);
  EXPECT_FALSE(TranslateSample(1, R"("virtual_pipeline":1)", R"("virtual_pipeline":4)").ok());  // neither 12 nor 14 on 8
}

TEST(Dialect, NotesAndOverlapBecomeSwitches) {
  const auto document = DocumentOf(TranslateSample(1));
  const auto& software = document["software"];
  EXPECT_EQ(software["fused_cross_entropy"], true);
  EXPECT_EQ(software["gradient_reduce_overlap"], false);
  EXPECT_EQ(software["pipeline_overlap"], "none");
  EXPECT_EQ(software["tensor_overlap"], "none");
}

// Megatron Core's default, which recipes of models with rotary positions change.
TEST(Dialect, ModelsWithLearnedPositionsHaveDropoutInMegatronCore) {
  const auto software = [](const char* position) {
    return DocumentOf(TranslateSample(1, R"("position":"rope")", std::string(R"("position":")") + position + "\""))["software"];
  };
  EXPECT_EQ(software("learned")["hidden_dropout"], 0.1);
  EXPECT_EQ(software("learned")["attention_dropout"], 0.1);
  EXPECT_FALSE(software("rope").contains("hidden_dropout"));
}

TEST(Dialect, WordsThatAreNotUnderstoodAreNoted) {
  const auto translation = TranslateSample(0, R"("overlap":{"data":"none"})", R"("overlap":{"data":"a little"})");
  ASSERT_TRUE(translation.ok());
  ASSERT_EQ(translation->notes.size(), 1u);
  EXPECT_EQ(translation->notes[0], "overlap.data 'a little' is not understood: the framework's default");
  EXPECT_EQ(TranslateSample(0, R"("recompute":"full")", R"("recompute":"custom: some"})").ok(), false);
}

TEST(Dialect, IncompleteRowsSayWhatIsMissing) {
  EXPECT_EQ(TranslateSample(3).status().message(), "not published: cluster.gpus, cluster.nodes, model.vocab, strategy.data");
}

// Nothing is dropped: the strict reader sees what the dialect does not know.
TEST(Dialect, UnknownKeysAreRefused) {
  const auto rows = ReadSuite("tests/validation/sample.yaml");
  ASSERT_TRUE(rows.ok());
  Row row = (*rows)[0];
  row.software.entries.push_back({"turbo", row.software.where, row.software.entries[0].value});
  const auto run = ReadRun(row, {{{"configs"}}, {}});
  ASSERT_FALSE(run.ok());
  EXPECT_NE(run.status().message().find("unknown key 'turbo' in the software"), std::string::npos) << run.status().message();
}

}  // namespace
}  // namespace helm::validation
