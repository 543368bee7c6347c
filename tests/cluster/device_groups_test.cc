// Clusters of several kinds of nodes: reading and writing them, orders of their groups, where ranks lie, links among groups.
#include "cluster/device_groups.h"

#include <optional>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/cluster_reader.h"
#include "cluster/placement.h"
#include "core/text.h"

namespace helm::cluster {
namespace {

using testing::ElementsAre;

std::pair<std::optional<Cluster>, std::string> Read(const std::string& text) {
  Diagnostics diagnostics;
  auto cluster = ReadCluster(ParseYaml(text, "f.yaml").value(), {{{"configs"}}, "configs/runs", {}}, diagnostics);
  return {std::move(cluster), diagnostics.ToStatus().message()};
}

// Lines without the quoted source.
std::string Brief(const std::string& text) {
  std::string brief;
  for (const std::string& line : Split(Read(text).second, '\n')) {
    if (line.find(" | ") == std::string::npos) brief += line + "\n";
  }
  return brief;
}

constexpr char kFast[] = "{name: fast, gpu: h100-sxm-80gb, gpus_per_node: 8, intra_node: {kind: nvswitch, gbytes_per_s: 450}}";
constexpr char kSlow[] =
    "{name: slow, gpu: a100-sxm-40gb, nodes: 2, gpus_per_node: 4, intra_node: {kind: pcie, gbytes_per_s: 25}, "
    "inter_node: {nics: 1, gbits_per_s: 100, fabric: roce, latency_us: 5}}";

Cluster FastAndSlow() {
  auto [cluster, message] = Read(std::string("groups: [") + kFast + ", " + kSlow + "]\nbetween: {gbits_per_s: 200, latency_us: 10}\n");
  EXPECT_TRUE(cluster) << message;
  return cluster.value_or(Cluster());
}

// Eight GPUs on one node and eight on two; 200 Gb/s = 25 GB/s; the least memory is that of the A100 with 40 GB.
TEST(DeviceGroups, AreRead) {
  const Cluster cluster = FastAndSlow();
  ASSERT_EQ(cluster.groups.size(), 2U);
  EXPECT_EQ(cluster.name, "fast+slow");
  EXPECT_EQ(cluster.devices_used, 16);
  EXPECT_EQ(cluster.node_count, 3);
  EXPECT_EQ(cluster.groups[1].devices_per_node, 4);
  EXPECT_EQ(*cluster.between, (InterNodeLink{1, BytesPerSecond::Of(2.5e10), "ethernet", Duration::Microseconds(10)}));
  EXPECT_EQ(cluster.device.name, "h100-sxm-80gb + a100-sxm-40gb");
  EXPECT_EQ(cluster.device.memory, cluster.groups[1].device.memory);
  EXPECT_FALSE(cluster.device.memory_bandwidth);
  EXPECT_TRUE(cluster.device.peak.empty());
  EXPECT_FALSE(cluster.intra_node);
}

TEST(DeviceGroups, AreReadFromPresets) {
  const auto [cluster, message] = Read(
      "name: mixed\ngroups: [h100-sxm-x64, dgx-a100-80gb-x64]\n"
      "between: {nics: 2, gbits_per_s: 100, fabric: roce, latency_us: 10}\n");
  ASSERT_TRUE(cluster) << message;
  EXPECT_EQ(cluster->name, "mixed");
  EXPECT_EQ(cluster->groups[0].name, "h100-sxm-x64");
  EXPECT_EQ(cluster->devices_used, 128);
}

TEST(DeviceGroups, ComeBackFromAPlan) {
  const Cluster cluster = FastAndSlow();
  const auto again = ClusterFromJson(ToJson(cluster));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(*again, cluster);
}

// `groups: [` has nine characters and the first group 99, so the second begins at column 111.
TEST(DeviceGroups, WhatIsWrongIsNamedWhereItStands) {
  const std::string between = "between: {gbits_per_s: 200, latency_us: 10}\n";
  EXPECT_EQ(Brief(std::string("groups: [") + kFast + "]\n" + between),
            "f.yaml:1:9: error: 'groups' lists 1\n  allowed: 2 to 6 groups\n"
            "  fix: a cluster of one kind of node is written without 'groups'\n");
  EXPECT_EQ(Brief(std::string("groups: [") + kFast + ", " + kFast + "]\n" + between),
            "f.yaml:1:111: error: two groups are named 'fast'\n  fix: give each a 'name' of its own\n");
  EXPECT_EQ(Brief(std::string("groups: [") + kFast + ", {local: 2, cores: 2}]\n" + between),
            "f.yaml:1:111: error: a group cannot be this machine ('local')\n"
            "  fix: describe GPUs of one kind: gpu, nodes, gpus_per_node, intra_node, inter_node\n");
  EXPECT_EQ(Brief(std::string("groups: [") + kFast + ", " + kSlow + "]\nbetween: {gbits_per_s: 0}\n"),
            "f.yaml:2:10: error: 'between' needs the key 'latency_us'\n  fix: add `latency_us: ...`\n"
            "f.yaml:2:24: error: 'gbits_per_s' is 0, which is out of range\n  allowed: numbers above 0 to 100000\n");
  EXPECT_EQ(Brief(std::string("groups: [") + kFast + ", h100-a100-x64]\n" + between),
            "configs/clusters/h100-a100-x64.yaml:3:1: error: a group cannot have groups of its own\n"
            "  fix: list all groups side by side\n");
  EXPECT_THAT(Brief(std::string("groups: [") + kFast + ", " + kSlow + "]\ngpu: h100-sxm-80gb\n" + between),
              testing::HasSubstr("unknown key 'gpu' in a cluster of several kinds of nodes"));
  EXPECT_THAT(Brief(std::string("groups: [") + kFast + ", {name: b, gpu: h100-sxm-80gb, gpus_per_node: 2}]\n" + between),
              testing::HasSubstr("f.yaml:1:111: error: 'gpus_per_node' is 2, so the cluster needs the key 'intra_node'"));
  EXPECT_THAT(Brief(std::string("groups: [") + kFast + ", " + kSlow + "]\n"), testing::HasSubstr("needs the key 'between'"));
}

// Ranks 0-7 on node 0 of the first block; the second has nodes of four, then one of the third.
TEST(RankLayout, FillsBlocksOneAfterTheOther) {
  const RankLayout layout({{8, 8, 1}, {6, 4, 2}, {2, 2, 4}});
  EXPECT_EQ(layout.NodeOf(7), 0);
  EXPECT_EQ(layout.NodeOf(8), 1);
  EXPECT_EQ(layout.NodeOf(12), 2);
  EXPECT_EQ(layout.NodeOf(13), 2);
  EXPECT_EQ(layout.NodeOf(14), 3);
  EXPECT_EQ(layout.RanksOfNode(2), std::pair(int64_t{12}, int64_t{14}));  // half a node
  EXPECT_EQ(layout.RanksOfNode(3), std::pair(int64_t{14}, int64_t{16}));
  EXPECT_EQ(layout.GroupsOf(0, 8), 1U);
  EXPECT_EQ(layout.GroupsOf(7, 9), 3U);
  EXPECT_EQ(layout.GroupsOf(0, 16), 7U);
  EXPECT_EQ(layout.GroupsOf(8, 14), 2U);
  EXPECT_EQ(RankLayout(4).NodeOf(11), 2);
  EXPECT_EQ(RankLayout(4).GroupsOf(0, 100), 0U);
}

// Sixteen ranks, tensor 4 x data 4: the tensor groups of the slow nodes fill one each; the data groups are on all three, with ranks 0 and 4
// on the first node, and four of them side by side there.
TEST(RankLayout, PlacesGroupsOverUnlikeNodes) {
  const RankLayout layout = LayoutOf(FastAndSlow());
  const std::vector<MeshAxis> tensor = {{4, AxisRole::kInGroup, {}}, {4, AxisRole::kBeside, {}}};
  const std::vector<MeshAxis> data = {{4, AxisRole::kBeside, {}}, {4, AxisRole::kInGroup, {}}};
  EXPECT_EQ(PlaceGroup(tensor, layout, 0),
            (GroupPlacement{.size = 4, .nodes = 1, .ranks_per_node = 4, .groups_per_node = 2, .device_groups = 1}));
  EXPECT_EQ(PlaceGroup(tensor, layout, 8),
            (GroupPlacement{.size = 4, .nodes = 1, .ranks_per_node = 4, .groups_per_node = 1, .device_groups = 2}));
  EXPECT_EQ(PlaceGroup(data, layout, 1),
            (GroupPlacement{.size = 4, .nodes = 3, .ranks_per_node = 2, .groups_per_node = 4, .device_groups = 3}));
  EXPECT_FALSE(LiesEvenly(data, layout));
}

TEST(DeviceGroups, OrdersThatDifferOnlyInNamesAreOne) {
  Cluster cluster = FastAndSlow();
  EXPECT_THAT(DistinctOrders(cluster), ElementsAre(ElementsAre("fast", "slow"), ElementsAre("slow", "fast")));
  cluster.groups.push_back(cluster.groups[0]);
  cluster.groups.back().name = "fast2";
  EXPECT_THAT(DistinctOrders(cluster), ElementsAre(ElementsAre("fast", "slow", "fast2"), ElementsAre("fast", "fast2", "slow"),
                                                   ElementsAre("slow", "fast", "fast2")));
  EXPECT_EQ(LayoutOf(cluster, {"slow", "fast", "fast2"}).blocks().front(), (RankBlock{8, 4, 2}));
  EXPECT_FALSE(GroupOrder(cluster, {"slow", "fast"}).ok());
  EXPECT_FALSE(GroupOrder(Cluster(), {"slow"}).ok());
  EXPECT_EQ(NamesOf(cluster, 6), "slow + fast2");
}

// Among both groups a rank of the fast one has the slow nodes' PCIe inside, and between the nodes the slower of 200 Gb/s and the slow
// nodes' one card of 100 Gb/s, with the longer of the latencies.
TEST(DeviceGroups, ACollectiveAmongThemHasTheSlowerLinks) {
  const Cluster cluster = FastAndSlow();
  EXPECT_EQ(AmongGroups(cluster, 0, 1), cluster.groups[0]);
  const Cluster joint = AmongGroups(cluster, 0, 3);
  EXPECT_EQ(joint.device, cluster.groups[0].device);
  EXPECT_EQ(*joint.intra_node, *cluster.groups[1].intra_node);
  EXPECT_EQ(joint.inter_node->bandwidth, BytesPerSecond::Of(1.25e10));
  EXPECT_EQ(joint.inter_node->latency, Duration::Microseconds(10));
}

TEST(DeviceGroups, AreRefusedByName) {
  EXPECT_TRUE(RefuseGroups(Cluster(), "helm-exec", "").ok());
  const Status refusal = RefuseGroups(FastAndSlow(), "helm-exec", "use one");
  EXPECT_EQ(refusal.code(), StatusCode::kInvalid);
  EXPECT_EQ(refusal.message(),
            "error: not supported by this version: helm-exec on a cluster of several kinds of nodes ('fast+slow': fast, slow)\n"
            "  fix: use one");
}

}  // namespace
}  // namespace helm::cluster
