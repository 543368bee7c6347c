#include "exec/node_list.h"

#include <gtest/gtest.h>

namespace helm::exec {
namespace {

using Names = std::vector<std::string>;

Names Expand(std::string_view list) {
  const auto hosts = ExpandNodeList(list);
  EXPECT_TRUE(hosts.ok()) << hosts.status().message();
  return hosts.ok() ? *hosts : Names();
}

TEST(ExpandNodeList, PlainNames) {
  EXPECT_EQ(Expand("node7"), (Names{"node7"}));
  EXPECT_EQ(Expand("gpu-a.cluster.org,gpu-b"), (Names{"gpu-a.cluster.org", "gpu-b"}));
}

TEST(ExpandNodeList, RangesKeepTheDigitsOfTheirFirstNumber) {
  EXPECT_EQ(Expand("node[01-04,7]"), (Names{"node01", "node02", "node03", "node04", "node7"}));
  EXPECT_EQ(Expand("n[9-11]"), (Names{"n9", "n10", "n11"}));
  EXPECT_EQ(Expand("n[098-101]"), (Names{"n098", "n099", "n100", "n101"}));
}

TEST(ExpandNodeList, CommasInsideBracketsBelongToThem) {
  EXPECT_EQ(Expand("login1,node[2,4]-ib,x"), (Names{"login1", "node2-ib", "node4-ib", "x"}));
}

TEST(ExpandNodeList, SeveralBracketsAreAProduct) {
  EXPECT_EQ(Expand("rack[1-2]n[01,3]"), (Names{"rack1n01", "rack1n3", "rack2n01", "rack2n3"}));
  EXPECT_EQ(Expand("[1-2]"), (Names{"1", "2"}));
}

TEST(ExpandNodeList, QuotesWhatIsNoList) {
  for (const char* list : {"", "a,,b", "node[1-", "node1]", "n[[1]]", "n[4-2]", "n[]", "n[a-b]", "n[1-2-3]", "n[-3]", "n[1-9999999]",
                           "n[0-2000][0-2000]", "n[9999999999]"}) {
    const auto hosts = ExpandNodeList(list);
    ASSERT_FALSE(hosts.ok()) << list;
    EXPECT_EQ(hosts.status().code(), StatusCode::kInvalid);
    EXPECT_EQ(hosts.status().message(),
              "'" + std::string(list) + "' is no list of nodes; allowed: names with ranges, such as node[01-04,7],login1");
  }
}

}  // namespace
}  // namespace helm::exec
