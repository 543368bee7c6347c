#include "core/preset.h"

#include <thread>

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace helm
