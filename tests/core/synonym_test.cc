#include "core/synonym.h"

#include <gtest/gtest.h>

namespace helm {
namespace {

TEST(Synonym, OtherToolsWordsStandForHelms) {
  const std::vector<std::string> keys = {"data", "tensor", "pipeline", "micro_batch"};
  EXPECT_EQ(WhatIsMeant("tp", keys), "tensor");
  EXPECT_EQ(WhatIsMeant("pipeline-model-parallel-size", keys), "pipeline");
  EXPECT_EQ(WhatIsMeant("float32", {"fp32", "bf16"}), "fp32");
}

// Where the key that is meant is none of those allowed here, spelling decides.
TEST(Synonym, OnlyWhatIsAllowedIsMeant) {
  EXPECT_EQ(WhatIsMeant("tp", {"layers", "hidden"}), std::nullopt);
  EXPECT_EQ(WhatIsMeant("tenosr", {"data", "tensor"}), "tensor");
  EXPECT_EQ(WhatIsMeant("banana", {"data", "tensor"}), std::nullopt);
}

}  // namespace
}  // namespace helm
