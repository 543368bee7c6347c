// All combinations: five models x fp32 and bf16 x data x tensor x sequence parallelism on up to eight ranks x micro-batches. By hand: ctest
// -L grid.
#include <gtest/gtest.h>

#include <iostream>

#include "parity.h"

namespace helm::exec {
namespace {

std::vector<ParityCase> Grid(const model::ModelSpec& model) {
  std::vector<ParityCase> grid;
  for (const ir::DataType dtype : {ir::DataType::kFloat32, ir::DataType::kBFloat16}) {
    for (const int64_t data : {1, 2, 3, 4, 8}) {
      for (const int64_t tensor : {1, 2, 4}) {
        if (data * tensor > kParityRanks) continue;
        for (const bool sequence_parallel : {false, true}) {
          if (sequence_parallel && tensor == 1) continue;
          for (const auto& [micro_batch, micro_batches] : {std::pair(1, 1), std::pair(1, 3), std::pair(2, 2)}) {
            grid.push_back(MakeCase(
                model, {.strategy = {.data = data, .tensor = tensor, .sequence_parallel = sequence_parallel, .micro_batch = micro_batch},
                        .dtype = dtype,
                        .global_batch = data * micro_batch * micro_batches}));
          }
        }
      }
    }
  }
  return grid;
}

class ParityGrid : public testing::TestWithParam<model::ModelSpec> {};

TEST_P(ParityGrid, SplitTrainingIsUnsplitTraining) {
  Result<std::unique_ptr<ParityRunner>> runner = ParityRunner::Start();
  ASSERT_TRUE(runner.ok()) << runner.status().message();
  for (const ParityCase& parity : Grid(GetParam())) {
    const Result<VerifyResult> result = (*runner)->Check(parity);
    ASSERT_TRUE(result.ok()) << parity.name << ": " << result.status().message();
    std::cout << Describe(parity, *result) << std::endl;
    EXPECT_TRUE(result->passed()) << Describe(parity, *result);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ParityGrid, testing::Values(LlamaModel(), Gpt2Model(), Qwen2Model(), Qwen3Model(), PaddedModel()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace helm::exec
