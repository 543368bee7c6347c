// All combinations: five models x fp32 and bf16 x data x tensor x sequence parallelism x pipelines x ZeRO x recomputation on up to eight
// ranks. By hand: ctest -L grid.
#include <gtest/gtest.h>

#include <iostream>

#include "parity.h"

namespace helm::exec {
namespace {

struct Split {
  int64_t data;
  int64_t tensor;
  bool sequence_parallel;
};

// All degrees that fit; a tensor degree has to divide the heads.
std::vector<Split> Splits(const model::ModelSpec& model, int64_t ranks) {
  std::vector<Split> splits;
  for (int64_t data = 1; data <= ranks; ++data) {
    for (const int64_t tensor : {1, 2, 4, 8}) {
      if (data * tensor > ranks || model.kv_heads % tensor != 0) continue;
      splits.push_back({data, tensor, false});
      if (tensor > 1) splits.push_back({data, tensor, true});
    }
  }
  return splits;
}

// Data x tensor x sequence parallelism x micro-batches.
void AddFlat(const model::ModelSpec& model, ir::DataType dtype, std::vector<ParityCase>* grid) {
  for (const Split& split : Splits(model, kParityRanks)) {
    for (const auto& [micro_batch, micro_batches] : {std::pair(1, 1), std::pair(1, 3), std::pair(2, 2)}) {
      grid->push_back(MakeCase(model, {.strategy = {.data = split.data,
                                                    .tensor = split.tensor,
                                                    .sequence_parallel = split.sequence_parallel,
                                                    .micro_batch = micro_batch},
                                       .dtype = dtype,
                                       .global_batch = split.data * micro_batch * micro_batches,
                                       .sequence_length = split.tensor == 8 ? 16 : 12}));  // eight ranks share it
    }
  }
}

// The same splits with pipelines of every schedule, ZeRO-1 and recomputation. Four micro-batches: a multiple of the stages, as interleaving
// wants, and more than a warm-up.
void AddComposed(const model::ModelSpec& model, ir::DataType dtype, std::vector<ParityCase>* grid) {
  const std::vector<std::pair<int64_t, std::string>> pipelines = {{1, "none"}, {2, "gpipe"}, {2, "1f1b"}, {2, "zb-h1"}, {2, "zb-h2"}};
  for (const auto& [pipeline, schedule] : pipelines) {
    for (const Split& split : Splits(model, kParityRanks / 2)) {
      for (const int64_t zero : {0, 1}) {
        for (const std::string recompute : {"none", "selective", "full"}) {
          if (pipeline == 1 && zero == 0 && recompute == "none") continue;  // AddFlat has these
          grid->push_back(MakeCase(model, {.strategy = {.data = split.data,
                                                        .tensor = split.tensor,
                                                        .sequence_parallel = split.sequence_parallel,
                                                        .pipeline = pipeline,
                                                        .zero = zero,
                                                        .micro_batch = 1,
                                                        .recompute = recompute,
                                                        .schedule = schedule},
                                           .dtype = dtype,
                                           .global_batch = split.data * 4}));
        }
      }
    }
  }
}

// Two chunks of one layer on each of two stages.
void AddInterleaved(const model::ModelSpec& of, ir::DataType dtype, std::vector<ParityCase>* grid) {
  model::ModelSpec model = of;
  model.layers = 4;
  for (const std::string schedule : {"interleaved-1f1b", "zb-v", "dualpipev"}) {
    for (const Split& split : Splits(model, kParityRanks / 2)) {
      grid->push_back(MakeCase(model, {.strategy = {.data = split.data,
                                                    .tensor = split.tensor,
                                                    .sequence_parallel = split.sequence_parallel,
                                                    .pipeline = 2,
                                                    .virtual_pipeline = 2,
                                                    .micro_batch = 1,
                                                    .schedule = schedule},
                                       .dtype = dtype,
                                       .global_batch = split.data * 4}));
    }
  }
}

class ParityGrid : public testing::TestWithParam<model::ModelSpec> {
 protected:
  using AddCases = void (*)(const model::ModelSpec&, ir::DataType, std::vector<ParityCase>*);

  void CheckAll(AddCases add) {
    std::vector<ParityCase> grid;
    add(GetParam(), ir::DataType::kFloat32, &grid);
    add(GetParam(), ir::DataType::kBFloat16, &grid);
    Result<std::unique_ptr<ParityRunner>> runner = ParityRunner::Start();
    ASSERT_TRUE(runner.ok()) << runner.status().message();
    for (const ParityCase& parity : grid) {
      const Result<VerifyResult> result = (*runner)->Check(parity);
      ASSERT_TRUE(result.ok()) << parity.name << ": " << result.status().message();
      std::cout << Describe(parity, *result) << std::endl;
      EXPECT_TRUE(result->passed()) << Describe(parity, *result);
    }
  }
};

TEST_P(ParityGrid, DataTensorSequence) { CheckAll(AddFlat); }
TEST_P(ParityGrid, PipelineZeroRecompute) { CheckAll(AddComposed); }
TEST_P(ParityGrid, TwoChunksAStage) { CheckAll(AddInterleaved); }

INSTANTIATE_TEST_SUITE_P(Models, ParityGrid, testing::Values(LlamaModel(), Gpt2Model(), Qwen2Model(), Qwen3Model(), PaddedModel()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace helm::exec
