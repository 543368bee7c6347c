#include "ir/plan.h"

#include <gtest/gtest.h>

namespace helm::ir {
namespace {

Plan Sample() {
  Plan plan;
  plan.model = {{"family", "llama"}, {"layers", 4}, {"hidden", 384}, {"norm_epsilon", 1e-5}, {"bias", false}, {"name", "007"}};
  plan.cluster = {{"local", 2}, {"device", {{"name", "Test CPU: 3.0"}, {"peak_tflops", {{"fp32", 0.25}}}}}};
  plan.workload = {.global_batch = 8, .sequence_length = 256, .dtype = DataType::kBFloat16, .seed = 18446744073709551615u};
  plan.workload.optimizer.learning_rate = 0.1;
  plan.software.framework = "helm";
  plan.strategy.tensor = 2;
  plan.strategy.sequence_parallel = true;
  plan.tolerance = {0.15, 0.05};
  plan.memory_fraction = 0.94;
  plan.passes = {{"bucket_gradients", "25 MiB", "hides 3.2 ms: \"all\" of it"}, {"tiles", "", "nothing to tile"}};
  plan.program_hash = "0123456789012345";  // digits only: must stay a text
  plan.prediction = {0.0123, 123456789012, 0.9, 0.1, 0.0};
  plan.cost_tables = {"traces/cpu/ops.json", "a b.json"};
  plan.stamp = {{"helm", "0.1.0"}, {"seed", 1234}};
  return plan;
}

std::string ErrorsOf(const std::string& text) {
  const Result<Plan> plan = ParsePlan(text, "plan.yaml");
  return plan.ok() ? "no error" : plan.status().message();
}

TEST(Plan, ReadsBack) {
  const Plan plan = Sample();
  const Result<Plan> read = ParsePlan(ToYaml(plan), "plan.yaml");
  ASSERT_TRUE(read.ok()) << read.status().message() << "\n" << ToYaml(plan);
  EXPECT_EQ(read->model, plan.model);
  EXPECT_EQ(read->cluster, plan.cluster);
  EXPECT_EQ(*read, plan);
  EXPECT_EQ(ToYaml(*read), ToYaml(plan));
}

// Every key that is written only where it is used, and switches that are not HELM's own.
TEST(Plan, ReadsBackWhatOnlySomePlansHave) {
  Plan plan = Sample();
  plan.workload.quantization = Quantization::kMxFp8;
  plan.workload.routing_imbalance = 1.5;
  plan.strategy.fsdp_shard = 8;
  plan.strategy.fsdp_replicate = 2;
  plan.strategy.recompute = "custom";
  plan.strategy.recompute_ops = {"norm", "mlp_activation"};
  plan.strategy.recompute_layers = 3;
  plan.strategy.stages = {{0, 1}, {1, 4}, {4, 4}};
  plan.strategy.head_stage = 1;
  plan.software.framework = "megatron-lm";
  plan.software.flash_attention = false;
  plan.software.fused.masked_softmax = true;
  plan.software.attention_dropout = 0.1;
  plan.software.optimizer_kernel = OptimizerKernel::kForeach;
  plan.software.gradient_bucket_elements = 40000000;
  const Result<Plan> read = ParsePlan(ToYaml(plan), "plan.yaml");
  ASSERT_TRUE(read.ok()) << read.status().message() << "\n" << ToYaml(plan);
  EXPECT_EQ(*read, plan);
}

TEST(Plan, BeginsWithWhatItIs) {
  EXPECT_EQ(ToYaml(Sample()).substr(0, 179),
            "# A plan of HELM: run it with helm-exec, price it with helm-sim (docs/formats/plan.md).\n"
            "# data 1, tensor 2, sequence_parallel, micro_batch 1\n"
            "format: helm-plan/1\nmodel:\n  family: l");
}

TEST(Plan, DefaultsAreThoseOfTheStructs) {
  const Result<Plan> read = ParsePlan(R"(format: helm-plan/1
model: {family: gpt}
cluster: {local: 1}
workload: {global_batch: 2, sequence_length: 16}
software: {framework: helm}
strategy: {data: 2}
program_hash: "0"
)",
                                      "plan.yaml");
  ASSERT_TRUE(read.ok()) << read.status().message();
  Plan expected;
  expected.model = {{"family", "gpt"}};
  expected.cluster = {{"local", 1}};
  expected.workload.global_batch = 2;
  expected.workload.sequence_length = 16;
  expected.software.framework = "helm";
  expected.strategy.data = 2;
  expected.program_hash = "0";
  EXPECT_EQ(*read, expected);
}

TEST(Plan, ReportsEverythingThatIsWrong) {
  const std::string errors = ErrorsOf(R"(format: helm-plan/1
model: llama
cluster: {local: 1}
workload: {global_batch: 0, sequence_length: 16, dtype: f32, seed: -1}
software: {framework: helm, compil: true}
strategy: {tensro: 2, zero: 4}
passes: none
memory_fraction: 0
program_hash: "0"
)");
  for (const char* place : {"plan.yaml:2:8: error: ", "plan.yaml:4:26: error: ", "plan.yaml:4:57: error: ", "plan.yaml:4:68: error: ",
                            "plan.yaml:5:29: error: ", "plan.yaml:6:12: error: ", "plan.yaml:6:29: error: ", "plan.yaml:7:9: error: ",
                            "plan.yaml:8:18: error: "}) {
    EXPECT_NE(errors.find(place), std::string::npos) << place << "\n" << errors;
  }
}

TEST(Plan, AnUnknownVersionIsTheOnlyError) {
  EXPECT_EQ(ErrorsOf("format: helm-plan/2\nmodle: 3\n"), R"(plan.yaml:1:9: error: the format is not known
    1 | format: helm-plan/2
      |         ^
  allowed: helm-plan/1)");
}

TEST(Plan, SaysWhatAnotherFileIs) {
  EXPECT_EQ(ErrorsOf("format: helm-timeline/1\n"), R"(plan.yaml:1:9: error: this is a timeline, not a plan
    1 | format: helm-timeline/1
      |         ^
  allowed: helm-plan/1
  fix: helm-compare takes it)");
  EXPECT_EQ(ErrorsOf("{cluster: {local: 1}, workload: {}}\n"), R"(plan.yaml:1:1: error: this is a run configuration, not a plan
    1 | {cluster: {local: 1}, workload: {}}
      | ^
  fix: helm-plan makes a plan of it, helm-sim prices it as it is)");
  EXPECT_NE(ErrorsOf("format: docker/3\n").find("this is a file of format 'docker/3', not a plan"), std::string::npos);
}

}  // namespace
}  // namespace helm::ir
