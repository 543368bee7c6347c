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

}  // namespace
}  // namespace helm
