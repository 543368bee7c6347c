#include "validation/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace helm::validation {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(OverlapSwitches, ReadsWhatSourcesWrite) {
  EXPECT_THAT(*OverlapSwitches("data", "none (use_gradient_bucket false)"),
              ElementsAre(Pair("gradient_reduce_overlap", "false"), Pair("parameter_gather_overlap", "false")));
  EXPECT_THAT(*OverlapSwitches("data", "grad_reduce param_gather"),
              ElementsAre(Pair("gradient_reduce_overlap", "true"), Pair("parameter_gather_overlap", "true")));
  EXPECT_THAT(*OverlapSwitches("data", "overlap_grad_sync"),
              ElementsAre(Pair("gradient_reduce_overlap", "true"), Pair("parameter_gather_overlap", "false")));
  EXPECT_THAT(*OverlapSwitches("data", "ZeRO-1 reduce-scatter at end"),
              ElementsAre(Pair("gradient_reduce_overlap", "false"), Pair("parameter_gather_overlap", "false"),
                          Pair("gradient_reduction", "reduce_scatter")));
  // 25 MB: 25 x 2^20 = 26214400 bytes, instead of a count of elements.
  EXPECT_THAT(*OverlapSwitches("data", "DDP bucket 25 MB"),
              ElementsAre(Pair("gradient_reduce_overlap", "true"), Pair("parameter_gather_overlap", "false"),
                          Pair("gradient_bucket_bytes", "26214400"), Pair("gradient_bucket_elements", "0"),
                          Pair("gradient_bucket_elements_per_rank", "0")));
  EXPECT_THAT(*OverlapSwitches("data", "FSDP prefetch (limit_all_gathers true)"), ElementsAre(Pair("fsdp_limit_all_gathers", "true")));
  EXPECT_THAT(*OverlapSwitches("tensor", "userbuffers (explicit cfg in yaml)"), ElementsAre(Pair("tensor_overlap", "user_buffers")));
  EXPECT_THAT(*OverlapSwitches("tensor", "tp_linear_async_communication true"), ElementsAre(Pair("tensor_overlap", "own_shard")));
  EXPECT_THAT(*OverlapSwitches("pipeline", "sync p2p (--no-overlap-p2p)"), ElementsAre(Pair("pipeline_overlap", "none")));
  EXPECT_THAT(*OverlapSwitches("pipeline", "overlap_p2p (VPP)"), ElementsAre(Pair("pipeline_overlap", "interleaved")));
  EXPECT_THAT(*OverlapSwitches("expert", "plain EP overlap"), ElementsAre(Pair("expert_overlap", "true")));
}

TEST(OverlapSwitches, SaysWhatItDoesNotUnderstand) {
  EXPECT_FALSE(OverlapSwitches("data", "as usual").has_value());
  EXPECT_FALSE(OverlapSwitches("sequence", "none").has_value());
}

TEST(PrecisionSwitches, GradientsAndScales) {
  EXPECT_THAT(PrecisionSwitches("bf16, fp32 grad accumulation, fp32 master weights"),
              ElementsAre(Pair("gradients", "fp32"), Pair("gradients_reduced", "fp32")));
  EXPECT_THAT(PrecisionSwitches("fp16, fp16 grad accumulation"),
              ElementsAre(Pair("gradients", "compute"), Pair("gradients_reduced", "compute")));
  EXPECT_THAT(PrecisionSwitches("bf16, FSDP mixed_precision PURE"), ElementsAre(Pair("gradients_reduced", "compute")));
  EXPECT_THAT(PrecisionSwitches("fp8 (delayed scaling hybrid), bf16 rest"), ElementsAre(Pair("fp8_recipe", "delayed")));
  EXPECT_THAT(PrecisionSwitches("fp8 hybrid (fp8_params), bf16 rest"), ElementsAre(Pair("parameter_gather_fp8", "true")));
  EXPECT_THAT(PrecisionSwitches("fp16 mixed"), ElementsAre());
}

TEST(RecipeSwitches, NarrowMomentsAreOfSomeModels) {
  EXPECT_THAT(RecipeSwitches("megatron-bridge", "Megatron-Bridge performance, DeepSeek V3"),
              ElementsAre(Pair("gradients", "compute"), Pair("gradients_reduced", "compute"), Pair("optimizer_state", "compute")));
  EXPECT_THAT(RecipeSwitches("megatron-bridge", "Megatron-Bridge performance, Qwen3 30B"), ElementsAre());
  EXPECT_THAT(RecipeSwitches("megatron-core", "DeepSeek V3"), ElementsAre());
}

TEST(RecomputeWords, ModulesAndWhatIsKept) {
  EXPECT_THAT(*RecomputeWords("custom: layernorm+moe_act"), ElementsAre("norm", "moe_activation"));
  EXPECT_THAT(*RecomputeWords("custom: keep matrix products"), ElementsAre("norm", "rope", "core_attention", "mlp_activation"));
  EXPECT_FALSE(RecomputeWords("custom: the odd layers").has_value());
  EXPECT_FALSE(RecomputeWords("custom: mlp+the rest").has_value());
}

TEST(OneLine, KeepsWhatWasSaidWithoutPlaces) {
  EXPECT_EQ(OneLine("f.yaml:3:1: error: what is wrong\n    3 | tensro: 4\n      | ^\n  allowed: tensor\nf.yaml:9:1: error: another"),
            "what is wrong; allowed: tensor; another");
}

}  // namespace
}  // namespace helm::validation
