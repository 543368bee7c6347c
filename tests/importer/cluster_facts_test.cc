#include "importer/cluster_facts.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/cluster_reader.h"
#include "core/file.h"

namespace helm::importer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ClusterFacts OfXml(const std::string& text) { return FactsOf(formats::ParseNcclTopology(text, "t.xml").value(), "t.xml").value(); }
ClusterFacts OfMatrix(const std::string& text, const std::optional<cluster::Device>& gpu = {}) {
  return FactsOf(formats::ParseTopologyMatrix(text, "topo.txt").value(), gpu);
}
std::string Sample(const std::string& name) { return ReadFile("tests/samples/topology/" + name).value(); }

// 18 links of 25 GB/s to four switches; eight cards of 400 Gb/s, a slower one beside. The file that it gives is a cluster.
TEST(ClusterFacts, OfAnNvSwitchNode) {
  const ClusterFacts facts = OfXml(Sample("h100_node.xml"));
  EXPECT_EQ(facts.gpu, "h100-sxm-80gb");
  EXPECT_EQ(facts.nodes, 1);
  EXPECT_EQ(facts.gpus_per_node, 8);
  EXPECT_EQ(facts.link_kind, "nvswitch");
  EXPECT_EQ(facts.link_gbytes_per_s, 450.0);
  EXPECT_EQ(facts.nics, 8);
  EXPECT_EQ(facts.nic_gbits_per_s, 400.0);
  EXPECT_THAT(facts.remarks, IsEmpty());
  EXPECT_THAT(facts.omissions.Lines(), ElementsAre("left out: network cards that are slower than others, or whose rate is not told: 1"));

  Diagnostics diagnostics;
  const YamlValue value = ParseYaml(ClusterFileOf(facts, "t.xml"), "cluster.yaml").value();
  const auto read = cluster::ReadCluster(value, {{{"configs"}}, ".", {}}, diagnostics);
  ASSERT_TRUE(read) << diagnostics.ToStatus().message();
  EXPECT_EQ(read->device.name, "h100-sxm-80gb");
  EXPECT_EQ(read->devices_per_node, 8);
  EXPECT_EQ(read->intra_node, (cluster::IntraNodeLink{"nvswitch", BytesPerSecond::Gigabytes(450)}));
}

// The slower slot counts: 8 GT/s x 16 lanes x 128/130 / 8 = 15.75 GB/s. What is not told is null, which the reader of clusters points at.
TEST(ClusterFacts, OfPcie) {
  const ClusterFacts facts = OfXml(Sample("cloud.xml"));
  EXPECT_EQ(facts.gpu, "");
  EXPECT_EQ(facts.link_kind, "pcie");
  EXPECT_NEAR(*facts.link_gbytes_per_s, 15.754, 0.001);
  EXPECT_EQ(facts.nics, 0);
  EXPECT_THAT(facts.remarks, ElementsAre("the file does not tell which GPU it is"));
  EXPECT_THAT(ClusterFileOf(facts, "t.xml"), HasSubstr("gpu: null\n"));
  EXPECT_THAT(ClusterFileOf(facts, "t.xml"), HasSubstr("intra_node: {kind: pcie, gbytes_per_s: 15.75}\n"));
}

// Two hosts of four A100 in a mesh, 4 links to each of 3 others: 12 x 25 GB/s; four EFA cards of 100 Gb/s a node.
TEST(ClusterFacts, OfTwoNodesInAMesh) {
  std::string text = "<system version=\"1\">";
  for (int node = 0; node < 2; ++node) {
    text += "<cpu host_hash=\"" + std::to_string(node) + "\">";
    for (int gpu = 0; gpu < 4; ++gpu) {
      text += "<pci device=\"0x20b0\"><gpu sm=\"80\">";
      for (int peer = 0; peer < 3; ++peer) text += "<nvlink target=\"x\" count=\"4\" tclass=\"0x030200\"/>";
      text += "</gpu></pci><nic><net name=\"rdmap" + std::to_string(gpu) + "\" speed=\"100000\"/></nic>";
    }
    text += "</cpu>";
  }
  const ClusterFacts facts = OfXml(text + "</system>");
  EXPECT_EQ(facts.gpu, "a100-sxm-40gb");
  EXPECT_EQ(facts.nodes, 2);
  EXPECT_EQ(facts.gpus_per_node, 4);
  EXPECT_EQ(facts.link_kind, "nvlink-mesh");
  EXPECT_EQ(facts.link_gbytes_per_s, 300.0);
  EXPECT_EQ(facts.nics, 4);
  EXPECT_EQ(facts.fabric, "efa");
  EXPECT_THAT(ClusterFileOf(facts, "t.xml"), HasSubstr("\ninter_node: {nics: 4, gbits_per_s: 100, fabric: efa, latency_us: null}\n"));
}

TEST(ClusterFacts, RefusesNodesOfTwoKinds) {
  const auto topology = formats::ParseNcclTopology(
      R"(<system version="1"><cpu host_hash="a"><pci><gpu/><gpu/></pci></cpu><cpu host_hash="b"><pci><gpu/></pci></cpu></system>)",
      "t.xml");
  EXPECT_THAT(FactsOf(*topology, "t.xml").status().message(), HasSubstr("t.xml: error: the hosts of this topology have 2 and 1 GPUs"));
}

// 7 x 18 links are more than a GPU has: a switch. The rate is the GPU's. Eight of ten cards are beside a GPU.
TEST(ClusterFacts, OfAMatrix) {
  cluster::Device gpu{.name = "h100-sxm-80gb"};
  gpu.nvlink = BytesPerSecond::Gigabytes(450);
  const ClusterFacts facts = OfMatrix(Sample("topo_h100.txt"), gpu);
  EXPECT_EQ(facts.gpu, "h100-sxm-80gb");
  EXPECT_EQ(facts.gpus_per_node, 8);
  EXPECT_EQ(facts.link_kind, "nvswitch");
  EXPECT_EQ(facts.link_gbytes_per_s, 450.0);
  EXPECT_EQ(facts.nics, 8);
  EXPECT_THAT(facts.omissions.Lines(), ElementsAre("left out: network cards that no GPU reaches without the CPU: 2"));
}

// Three neighbours by 4 links each: 12, as an A100 has; no switch. Without the GPU nobody knows the rate.
TEST(ClusterFacts, TellsAMeshFromASwitch) {
  const ClusterFacts facts =
      OfMatrix("GPU0 GPU1 GPU2 GPU3\nGPU0 X NV4 NV4 NV4\nGPU1 NV4 X NV4 NV4\nGPU2 NV4 NV4 X NV4\nGPU3 NV4 NV4 NV4 X\n");
  EXPECT_EQ(facts.link_kind, "nvlink-mesh");
  EXPECT_EQ(facts.link_gbytes_per_s, std::nullopt);
  EXPECT_THAT(facts.remarks, ElementsAre("nvidia-smi topo -m does not tell which GPU it is; --gpu does"));
  EXPECT_EQ(OfMatrix(Sample("topo_pcie.txt")).link_kind, "pcie");
}

}  // namespace
}  // namespace helm::importer
