#include "report/match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/sample_timelines.h"

namespace helm::report {
namespace {

using Kind = ir::Stream::Kind;
using ir::OpId;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Ops by label, each run for one microsecond after the other; "-" in front: listed, but without an event.
ir::Timeline Ops(const std::string& title, const std::string& hash, const std::vector<std::string>& labels) {
  test::TimelineBuilder builder(title, hash);
  const int32_t compute = builder.Stream(Kind::kCompute, "compute");
  double time = 0;
  for (const std::string& label : labels) {
    const bool silent = label.starts_with("-");
    const OpId op = builder.Op("compute", "aten.mm", silent ? label.substr(1) : label);
    if (!silent) builder.Event(0, compute, op, time, time + 1);
    time += 1;
  }
  return builder.Build();
}

TEST(MatchOps, PairsOpsOfOneProgramById) {
  const Result<Match> match = MatchOps(Ops("predicted", "h", {"a", "b", "-c", "-d"}), Ops("measured", "h", {"a", "-b", "c", "-d"}));
  ASSERT_TRUE(match.ok()) << match.status().message();
  EXPECT_TRUE(match->by_id);
  EXPECT_THAT(match->pairs, ElementsAre(Sides<OpId>{OpId(0), OpId(0)}));
  EXPECT_THAT(match->predicted_only, ElementsAre(OpId(1)));
  EXPECT_THAT(match->measured_only, ElementsAre(OpId(2)));
}

TEST(MatchOps, RefusesTablesThatContradictTheirHash) {
  const Result<Match> other_label = MatchOps(Ops("predicted", "h", {"a", "b"}), Ops("measured", "h", {"a", "c"}));
  ASSERT_FALSE(other_label.ok());
  EXPECT_THAT(other_label.status().message(), HasSubstr("op 1 is aten.mm (b) in one and aten.mm (c) in the other"));
  const Result<Match> other_count = MatchOps(Ops("predicted", "h", {"a", "b"}), Ops("measured", "h", {"a"}));
  ASSERT_FALSE(other_count.ok());
  EXPECT_THAT(other_count.status().message(), HasSubstr("list 2 and 1 ops"));
}

// The second "a" of one is the second "a" of the other, wherever it stands; a third has no partner.
TEST(MatchOps, PairsOpsOfTwoPlansByNameAndOccurrence) {
  const Result<Match> match = MatchOps(Ops("one", "h1", {"a", "b", "a", "c"}), Ops("other", "h2", {"b", "a", "a", "a", "e"}));
  ASSERT_TRUE(match.ok()) << match.status().message();
  EXPECT_FALSE(match->by_id);
  EXPECT_THAT(match->pairs, ElementsAre(Sides<OpId>{OpId(0), OpId(1)}, Sides<OpId>{OpId(1), OpId(0)}, Sides<OpId>{OpId(2), OpId(2)}));
  EXPECT_THAT(match->predicted_only, ElementsAre(OpId(3)));
  EXPECT_THAT(match->measured_only, ElementsAre(OpId(3), OpId(4)));
}

}  // namespace
}  // namespace helm::report
