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

// The trace of another profiler names no program and knows neither labels nor overloads: the second mm is the second mm that ran.
TEST(MatchOps, PairsATraceOfNoProgramByOperator) {
  test::TimelineBuilder trace("measured", "");
  const int32_t compute = trace.Stream(Kind::kCompute, "compute");
  const OpId add = trace.Op("compute", "aten.add_", "vectorized_elementwise_kernel", "backward");
  const OpId product = trace.Op("compute", "aten.mm", "gemm", "backward");
  trace.Event(0, compute, add, 0, 1);
  trace.Event(0, compute, product, 1, 2);
  test::TimelineBuilder prediction("predicted", "h");
  prediction.Stream(Kind::kCompute, "compute");
  prediction.Op("compute", "aten.mm", "silent");
  const OpId first = prediction.Op("compute", "aten.mm", "mlp.up");
  const OpId second = prediction.Op("compute", "aten.mm", "mlp.down");
  const OpId sum = prediction.Op("compute", "aten.add.Tensor", "residual");
  for (const OpId op : {first, second, sum}) prediction.Event(0, compute, op, op.value, op.value + 1);
  const Result<Match> match = MatchOps(prediction.Build(), trace.Build());
  ASSERT_TRUE(match.ok()) << match.status().message();
  EXPECT_FALSE(match->by_id);
  EXPECT_THAT(match->pairs, ElementsAre(Sides<OpId>{first, product}, Sides<OpId>{sum, add}));
  EXPECT_THAT(match->predicted_only, ElementsAre(second));
  // Two traces tell the same of their ops, so all of it counts.
  EXPECT_THAT(MatchOps(trace.Build(), trace.Build())->pairs, ElementsAre(Sides<OpId>{add, add}, Sides<OpId>{product, product}));
}

}  // namespace
}  // namespace helm::report
