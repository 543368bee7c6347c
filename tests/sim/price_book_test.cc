#include "sim/price_book.h"

#include <gtest/gtest.h>

#include "sim/simulate.h"
#include "support/fake_estimator.h"
#include "support/program_from_text.h"

namespace helm::sim {
namespace {

using test::FakeEstimator;
using test::ProgramFromText;

// Two ops with one signature, one with another shape, one that differs in a scalar alone.
constexpr std::string_view kOps = R"(helm-program/1
program ops device=cuda
storage x: 80 bytes input persistent
tensor %x: f32[5,4] @x
storage y: 40 bytes input persistent
tensor %y: f32[5,2] @y
#0 %a: f32[5,4] = aten.neg(%x)
#1 %b: f32[5,4] = aten.neg(%a)
#2 %c: f32[5,2] = aten.neg(%y)
#3 %d: f32[5,4] = aten.mul.Scalar(%b, 2.0)
#4 %e: f32[5,4] = aten.mul.Scalar(%d, 3.0)
output c = %c
output e = %e
)";

// #0 and #1 read an input and an activation: both warm, one signature.
TEST(PriceBook, FingerprintsTellSignaturesApart) {
  const ir::Program program = ProgramFromText(kOps);
  const auto of = [&](size_t op) { return ir::FingerprintOf(program, program.ops[op]); };
  EXPECT_EQ(of(0), of(1));
  for (size_t a = 1; a < program.ops.size(); ++a) {
    for (size_t b = 1; b < a; ++b) EXPECT_NE(of(a), of(b)) << a << " and " << b;
  }
}

TEST(PriceBook, AsksOnceOverManySteps) {
  FakeEstimator estimator;
  estimator.Set("aten.neg", Duration::Picoseconds(5)).Set("aten.mul.Scalar", Duration::Picoseconds(7));
  PriceBook prices(estimator, 1);
  const ir::StepPrograms step{{ProgramFromText(kOps)}};
  const auto first = Simulate(step, prices, {});
  const auto second = Simulate(step, prices, {});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(estimator.asked(), (std::map<std::string, int>{{"aten.neg", 2}, {"aten.mul.Scalar", 2}}));  // two signatures of each
  EXPECT_EQ(first->makespan, second->makespan);
  EXPECT_EQ(first->makespan, Duration::Picoseconds(3 * 5 + 2 * 7));
}

// What was refused once is refused again, with its reason.
TEST(PriceBook, RemembersRefusals) {
  FakeEstimator estimator;
  estimator.Set("aten.neg", Duration::Picoseconds(5));
  PriceBook prices(estimator, 1);
  const ir::StepPrograms step{{ProgramFromText(kOps)}};
  const auto first = Simulate(step, prices, {});
  const auto second = Simulate(step, prices, {});
  ASSERT_FALSE(first.ok() || second.ok());
  EXPECT_EQ(first.status().message(), second.status().message());
  EXPECT_EQ(estimator.asked().at("aten.mul.Scalar"), 2);
}

}  // namespace
}  // namespace helm::sim
