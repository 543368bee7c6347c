#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"
#include "formats/nccl_topology.h"
#include "formats/topology_matrix.h"

namespace helm::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Sample(const std::string& name) { return ReadFile("tests/samples/topology/" + name).value(); }

TEST(NcclTopology, ReadsGpusLinksAndCards) {
  const NcclTopology topology = ParseNcclTopology(Sample("h100_node.xml"), "t.xml").value();
  ASSERT_EQ(topology.gpus.size(), 8U);
  const TopologyGpu& gpu = topology.gpus[7];
  EXPECT_EQ(gpu.host, "0x9b8c7d6e5f4a3b2c");
  EXPECT_EQ(gpu.compute_capability, 90);
  EXPECT_EQ(gpu.pci_device, "0x2330");
  EXPECT_EQ(gpu.pcie_gigatransfers, 32.0);
  EXPECT_EQ(gpu.pcie_lanes, 16);
  ASSERT_EQ(gpu.links.size(), 4U);
  EXPECT_EQ(gpu.links[2], (NvLink{"0000:c6:00.0", 5, "0x068000"}));
  ASSERT_EQ(topology.nics.size(), 9U);
  EXPECT_EQ(topology.nics[0], (TopologyNic{"0x9b8c7d6e5f4a3b2c", "mlx5_0", 400.0, true}));
  EXPECT_TRUE(topology.omissions.empty());
}

// A cloud's file: no host, no vendor, no compute capability; an element that nobody knows.
TEST(NcclTopology, ToleratesWhatIsMissing) {
  const NcclTopology topology = ParseNcclTopology(Sample("cloud.xml"), "t.xml").value();
  ASSERT_EQ(topology.gpus.size(), 2U);
  EXPECT_EQ(topology.gpus[0].compute_capability, 0);
  EXPECT_EQ(topology.gpus[0].pci_device, "");
  EXPECT_EQ(topology.gpus[1].pcie_gigatransfers, 8.0);
  EXPECT_THAT(topology.omissions.Lines(), ElementsAre("left out: elements <fpga>: 1"));
}

TEST(NcclTopology, SaysWhereItCannotRead) {
  const auto error = [](const std::string& text) { return ParseNcclTopology(text, "t.xml").status().message(); };
  EXPECT_THAT(error("<system version=\"1\">\n<cpu></system>"), HasSubstr("t.xml:2:8: error: this is not XML: Start-end tags mismatch"));
  EXPECT_THAT(error("<graphs version=\"1\"/>"), HasSubstr("the element <system> is missing"));
  EXPECT_THAT(error("<system version=\"2\"/>"), HasSubstr("version '2' of NCCL's topology is not known; this HELM reads 1"));
  EXPECT_THAT(error("<system version=\"1\"/>"), HasSubstr("this topology holds no GPU"));
}

// From a terminal: an underlined heading, tabs between the columns.
TEST(TopologyMatrix, ReadsCellsAndLegend) {
  const TopologyMatrix matrix = ParseTopologyMatrix(Sample("topo_h100.txt"), "topo.txt").value();
  ASSERT_EQ(matrix.names.size(), 18U);
  EXPECT_EQ(matrix.names[0], "GPU0");
  EXPECT_EQ(matrix.names[17], "NIC9");
  EXPECT_EQ(matrix.cells[0][0], "X");
  EXPECT_EQ(matrix.cells[0][7], "NV18");
  EXPECT_EQ(matrix.cells[0][8], "PIX");
  EXPECT_EQ(matrix.cells[17][0], "SYS");
  ASSERT_EQ(matrix.nic_names.size(), 10U);
  EXPECT_EQ(matrix.nic_names[9], "mlx5_9");
}

TEST(TopologyMatrix, ReadsBlanksForTabs) {
  const TopologyMatrix matrix = ParseTopologyMatrix(Sample("topo_pcie.txt"), "topo.txt").value();
  EXPECT_THAT(matrix.names, ElementsAre("GPU0", "GPU1"));
  EXPECT_THAT(matrix.cells[1], ElementsAre("PHB", "X"));
  EXPECT_EQ(NvLinksOf("NV12"), 12);
  EXPECT_EQ(NvLinksOf("NVX"), 0);
}

TEST(TopologyMatrix, SaysWhatItCannotRead) {
  const auto error = [](const std::string& text) { return ParseTopologyMatrix(text, "topo.txt").status().message(); };
  EXPECT_THAT(error("nothing"), HasSubstr("topo.txt: error: the matrix of nvidia-smi topo -m is not in this file"));
  EXPECT_THAT(error("GPU0 GPU1 CPU Affinity\nGPU0 X NV4\n"), HasSubstr("the matrix has 2 columns and only 1 rows"));
  EXPECT_THAT(error("GPU0 GPU1\nGPU1 X NV4\n"), HasSubstr("topo.txt:2: error: expected the row of GPU0, found 'GPU1'"));
  EXPECT_THAT(error("GPU0 GPU1\nGPU0 X\n"), HasSubstr("topo.txt:2: error: the row of GPU0 has 1 cells; there are 2 columns"));
  EXPECT_THAT(error("GPU0 GPU1\nGPU0 X GNS\n"), HasSubstr("topo.txt:2: error: 'GNS' is no cell of this matrix"));
}

}  // namespace
}  // namespace helm::formats
