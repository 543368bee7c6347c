#include "core/preset.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"

namespace helm {
namespace {

// Every thread gets the document, whoever of them reads the file.
TEST(Preset, ThreadsShareOneDocumentCache) {
  const PresetPath path{{"configs"}, MakeDocumentCache()};
  const auto name = ParseYaml("gpu: a100-sxm-80gb", "test.yaml");
  ASSERT_TRUE(name.ok());
  const YamlValue& value = name->entries.front().value;
  constexpr size_t kThreads = 4;
  constexpr int kReads = 50;
  std::vector<int> loaded(kThreads);
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        for (int read = 0; read < kReads; ++read) {
          Diagnostics diagnostics;
          const auto gpu = LoadReference(value, "gpu", "gpus", path, "", diagnostics);
          if (gpu && gpu->value.is_mapping() && diagnostics.ok()) ++loaded[i];
        }
      });
    }
  }
  EXPECT_EQ(loaded, std::vector<int>(kThreads, kReads));
}

std::vector<std::string> NotesFor(const std::string& model) {
  Diagnostics diagnostics;
  const auto document = ParseYaml("model: " + model, "test.yaml");
  LoadReference(document->entries.front().value, "model", "models", {{"configs"}}, "here", diagnostics);
  return Split(diagnostics.ToStatus().message(), '\n');
}

// "llama3.1-405b" is in the name once dashes and capitals are gone; "llama3-8b" is not in "llama3.18b".
TEST(Preset, TellsANameOfTheHubFromAFile) {
  const std::string fix = "  fix: nothing is downloaded: save the model's config.json and give its path, or give a preset's name";
  const std::vector<std::string> known = NotesFor("meta-llama/Llama-3.1-405B-Instruct");
  EXPECT_THAT(known, testing::IsSupersetOf({std::string("  did you mean the preset 'llama3.1-405b'?"), fix}));
  const std::vector<std::string> unknown = NotesFor("meta-llama/Llama-3.1-8B");
  EXPECT_THAT(unknown, testing::Contains(fix));
  EXPECT_THAT(unknown, testing::Not(testing::Contains(testing::HasSubstr("did you mean"))));
  EXPECT_THAT(NotesFor("models/none.yaml"), testing::Contains("  fix: paths are relative to the file that names them"));
}

std::optional<LoadedReference> Load(const std::string& text, Diagnostics& diagnostics) {
  const auto document = ParseYaml(text, "test.yaml");
  return LoadReference(document->entries.front().value, "cluster", "clusters", {{"configs"}}, "here", diagnostics);
}

// Keys are replaced one by one, also in mappings and in what a name of the preset's stands for; the rest is the preset's.
TEST(Preset, KeysOfOneCanBeReplaced) {
  Diagnostics diagnostics;
  const std::string text = "cluster: {preset: h100-sxm-x64, nodes: 2, inter_node: {latency_us: 9.0}, gpu: {memory_gib: 40}}";
  const auto plain = Load("cluster: h100-sxm-x64", diagnostics), changed = Load(text, diagnostics);
  ASSERT_TRUE(plain && changed) << diagnostics.ToStatus().message();
  nlohmann::ordered_json expected = ToJson(plain->value);
  expected["nodes"] = 2;
  expected["inter_node"]["latency_us"] = 9.0;
  expected["gpu"] = {{"memory_gib", 40}, {"preset", expected["gpu"]}};
  EXPECT_EQ(nlohmann::json(ToJson(changed->value)), nlohmann::json(expected));
  EXPECT_EQ(changed->name, "h100-sxm-x64 with nodes 2, inter_node, gpu");
  EXPECT_EQ(changed->folder, plain->folder);
  EXPECT_TRUE(changed->changed);
  EXPECT_FALSE(plain->changed);
}

TEST(Preset, FilesAreRelativeToTheFileThatReplaces) {
  Diagnostics diagnostics;
  const auto changed = Load("cluster: {preset: h100-sxm-x64, gpu: mine.yaml}", diagnostics);
  ASSERT_TRUE(changed) << diagnostics.ToStatus().message();
  EXPECT_EQ(changed->value.Find("gpu")->text, "here/mine.yaml");
  const auto deeper = Load("cluster: {preset: h100-sxm-x64, gpu: {preset: mine.yaml, memory_gib: 40}}", diagnostics);
  ASSERT_TRUE(deeper) << diagnostics.ToStatus().message();
  EXPECT_EQ(deeper->value.Find("gpu")->Find("preset")->text, "here/mine.yaml");
}

TEST(Preset, WhatIsReplacedMustExist) {
  Diagnostics diagnostics;
  EXPECT_FALSE(Load("cluster: {preset: h100-sxm-x65, nodes: 2}", diagnostics));
  EXPECT_THAT(diagnostics.ToStatus().message(), testing::HasSubstr("there is no cluster preset 'h100-sxm-x65'"));
}

}  // namespace
}  // namespace helm
