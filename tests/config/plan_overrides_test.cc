#include "config/plan_overrides.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/cluster_reader.h"

namespace helm::config {
namespace {

// Such as a plan has it: 8 nodes of 8, written out.
Result<nlohmann::ordered_json> Overridden(const std::vector<std::string>& overrides) {
  constexpr const char* kPlan = R"(
model: {name: small, family: llama, layers: 2, hidden: 64, ffn: 96, heads: 4, vocab: 256}
cluster:
  name: mine
  gpu: {name: own, memory_gib: 16}
  nodes: 8
  gpus_per_node: 8
  gpus: 64
  intra_node: {kind: nvswitch, gbytes_per_s: 450.0}
  inter_node: {nics: 8, gbits_per_s: 400.0, fabric: infiniband, latency_us: 5.0}
software: {framework: own, logits: compute}
)";
  YamlValue document = ParseYaml(kPlan, "plan.yaml").value();
  HELM_RETURN_IF_ERROR(OverridePlan(overrides, {{{"configs"}}, {}}, document));
  return ToJson(document);
}

TEST(PlanOverrides, APresetNamesTheGpu) {
  const auto plan = Overridden({"cluster.gpu=h200-sxm-141gb"});
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ((*plan)["cluster"]["gpu"]["name"], "h200-sxm-141gb");
  EXPECT_EQ((*plan)["cluster"]["name"], "h200-sxm-141gb-x64");
  EXPECT_EQ((*plan)["cluster"]["inter_node"]["fabric"], "infiniband");
}

TEST(PlanOverrides, PresetsAreGroups) {
  const auto plan =
      Overridden({"cluster={groups: [{preset: h100-sxm-x8, name: fast}, {preset: a100-sxm-80gb-x8, name: slow}], "
                  "between: {gbits_per_s: 100, latency_us: 20}}"});
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ((*plan)["cluster"]["groups"][1]["gpu"]["name"], "a100-sxm-80gb");
}

TEST(PlanOverrides, OtherNodesAreUsedWhole) {
  EXPECT_EQ(Overridden({"cluster.nodes=2"}).value()["cluster"]["gpus"], 16);
  EXPECT_EQ(Overridden({"cluster.nodes=2", "cluster.gpus=8"}).value()["cluster"]["gpus"], 8);
}

TEST(PlanOverrides, AFrameworkBringsItsSwitches) {
  const auto plan = Overridden({"software.logits=fp32", "software.framework=megatron-core"});
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ((*plan)["software"]["framework"], "megatron-core");
  EXPECT_EQ((*plan)["software"]["attention_kernel"], "cudnn");  // configs/frameworks/megatron-core.yaml
  EXPECT_EQ((*plan)["software"]["logits"], "fp32");             // whatever the order
  EXPECT_EQ(Overridden({"software={framework: megatron-core}"}).value()["software"],
            Overridden({"software.framework=megatron-core"}).value()["software"]);
}

TEST(PlanOverrides, ModelsAreNamedAndChanged) {
  EXPECT_EQ(Overridden({"model=llama3-8b"}).value()["model"]["hidden"], 4096);
  EXPECT_EQ(Overridden({"model=llama3-8b", "model.layers=4"}).value()["model"]["layers"], 4);
  EXPECT_EQ(Overridden({"model.layers=4"}).value()["model"]["name"], "small");
}

TEST(PlanOverrides, UnknownNamesAreTold) {
  EXPECT_THAT(Overridden({"cluster.gpu=h2000"}).status().message(), testing::HasSubstr("--set cluster.gpu=h2000"));
  EXPECT_THAT(Overridden({"software.framework=megatrn"}).status().message(), testing::HasSubstr("megatron"));
}

}  // namespace
}  // namespace helm::config
