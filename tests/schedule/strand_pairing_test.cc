// Strand pairing against all pairings of small strands, whole timelines compared, and closed forms.
#include "schedule/strand_pairing.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>

namespace helm::schedule {
namespace {

using Steps = std::vector<StrandStep>;

// A strand of computations (one duration) and exchanges (the collective's duration and what the strand computes meanwhile).
class Strand {
 public:
  Strand& Compute(int64_t duration, bool is_product = false) {
    ends_.push_back(steps.size());
    steps.push_back({{.duration = duration}, is_product});
    return *this;
  }
  Strand& Exchange(int64_t duration, const std::vector<int64_t>& inner = {}, size_t channel = 0) {
    ends_.push_back(steps.size());
    const size_t start = steps.size();
    steps.push_back({{.kind = StepKind::kStart, .duration = duration, .channel = channel}});
    for (const int64_t computation : inner) steps.push_back({{.duration = computation}});
    steps.push_back({{.kind = StepKind::kWait, .start = start}});
    return *this;
  }

  size_t pieces() const { return ends_.size(); }
  size_t begin(size_t piece) const { return piece < ends_.size() ? ends_[piece] : steps.size(); }
  size_t size(size_t piece) const { return begin(piece + 1) - begin(piece); }
  bool exchanges(size_t piece) const { return steps[begin(piece)].step.kind == StepKind::kStart; }

  Steps steps;

 private:
  std::vector<size_t> ends_;  // where each piece begins
};

std::vector<LatticeStep> Plain(const Steps& steps) {
  std::vector<LatticeStep> plain;
  for (const StrandStep& strand : steps) plain.push_back(strand.step);
  return plain;
}

int64_t Played(const Strand& a, const Strand& b, const std::vector<bool>& from_b) {
  return Play(Plain(a.steps), Plain(b.steps), 2, from_b).makespan;
}

const std::vector<OverlapEfficiency> kUnhindered(2);

// F: 1, exchange of 4, 1. B: one computation of 5, which hides the exchange: 1 + 5 + 1 instead of 6 + 5.
TEST(PairStrands, HidesAnExchangeUnderAComputation) {
  const Strand a = Strand().Compute(1).Exchange(4).Compute(1), b = Strand().Compute(5);
  const StrandPairing pairing = PairStrands(a.steps, b.steps, kUnhindered);
  EXPECT_EQ(pairing.alone, 11);
  EXPECT_EQ(pairing.duration, 7);
  EXPECT_EQ(pairing.from_b, (std::vector<bool>{false, false, true, false, false}));
}

// n layers of computation c and exchange c on both strands. The first computation has nothing to hide and the last exchange nothing to
// hide under; every other exchange lies under the other strand's computation: (2n + 1) c instead of 4n c.
TEST(PairStrands, HidesAllButTheLastOfEqualLayers) {
  for (const int64_t layers : {1, 2, 7, 40}) {
    Strand strand;
    for (int64_t layer = 0; layer < layers; ++layer) strand.Compute(10).Exchange(10);
    const StrandPairing pairing = PairStrands(strand.steps, strand.steps, kUnhindered);
    EXPECT_EQ(pairing.alone, 40 * layers);
    EXPECT_EQ(pairing.duration, 20 * layers + 10);
  }
}

// An exchange of 10 with a computation of 4 of its own, beside 6 of the other strand: all within 10. A gather of 10 between nodes beside a
// scatter of 8 inside one are on channels of their own; on one channel one follows the other.
TEST(PairStrands, CountsWhatAnExchangeComputesItself) {
  EXPECT_EQ(PairStrands(Strand().Exchange(10, {4}).steps, Strand().Compute(6).steps, kUnhindered).duration, 10);
  const Strand network = Strand().Exchange(10), inside = Strand().Exchange(8, {}, 1), same = Strand().Exchange(8);
  EXPECT_EQ(PairStrands(network.steps, inside.steps, kUnhindered).duration, 10);
  EXPECT_EQ(PairStrands(network.steps, same.steps, kUnhindered).duration, 18);
}

// 10 beside 10 saves 10 times the efficiency: of a product 0.75, of another kernel 0.5; half of each 0.625; none at 0, so that nothing is
// paired.
TEST(PairStrands, SavesByTheEfficiency) {
  const std::vector<OverlapEfficiency> efficiencies = {{.product = 0.75, .memory_bound = 0.5}};
  const auto beside = [&](const Strand& strand) {
    const Strand exchange = Strand().Exchange(1000);
    return PairStrands(exchange.steps, strand.steps, efficiencies).duration;
  };
  EXPECT_EQ(beside(Strand().Compute(1000, true)), 1250);
  EXPECT_EQ(beside(Strand().Compute(1000)), 1500);
  EXPECT_EQ(beside(Strand().Compute(500, true).Compute(500)), 1375);
  const auto useless = PairStrands(Strand().Exchange(10).steps, Strand().Compute(10).steps, {{.product = 0, .memory_bound = 0}});
  EXPECT_EQ(useless.duration, useless.alone);
}

// What needs another strand's last step waits for it.
TEST(PairStrands, KeepsWhatMustComeFirst) {
  const Strand a = Strand().Compute(3).Exchange(9);
  Strand b = Strand().Compute(5).Compute(4);
  EXPECT_EQ(PairStrands(a.steps, b.steps, kUnhindered).duration, 12);
  b.steps[0].step.after = 3;
  EXPECT_EQ(PairStrands(a.steps, b.steps, kUnhindered).duration, 21);
  b.steps[0].step.after = 2;  // the start, not the wait
  EXPECT_EQ(PairStrands(a.steps, b.steps, kUnhindered).duration, 12);
}

Strand RandomStrand() {
  Strand strand;
  const auto pieces = *rc::gen::inRange(0, 5);
  for (int i = 0; i < pieces; ++i) {
    if (*rc::gen::arbitrary<bool>()) {
      strand.Compute(*rc::gen::inRange<int64_t>(1, 9));
      continue;
    }
    const auto inner = *rc::gen::container<std::vector<int64_t>>(*rc::gen::inRange<size_t>(0, 2), rc::gen::inRange<int64_t>(0, 9));
    strand.Exchange(*rc::gen::inRange<int64_t>(0, 12), inner, *rc::gen::inRange<size_t>(0, 2));
  }
  return strand;
}

// B's steps may need A's, never the other way around.
void AddNeeds(const Strand& a, Strand& b) {
  for (StrandStep& strand : b.steps) {
    if (*rc::gen::inRange(0, 5) == 0) strand.step.after = *rc::gen::inRange<size_t>(0, a.steps.size() + 1);
  }
}

// All pairings, one by one, each as an order of all steps that is played from the beginning.
class AllPairings {
 public:
  AllPairings(const Strand& a, const Strand& b) : strands_{&a, &b} {}

  int64_t Fastest() {
    Extend(0, 0);
    return best_;
  }

 private:
  void Add(size_t strand, size_t count) { word_.insert(word_.end(), count, strand == 1); }

  bool IsLegal() const {
    size_t gone[2] = {0, 0};
    for (const bool second : word_) {
      const size_t s = second ? 1 : 0;
      if (gone[1 - s] < strands_[s]->steps[gone[s]++].step.after) return false;
    }
    return true;
  }

  void Extend(size_t i, size_t j) {
    if (!IsLegal()) return;
    const Strand &a = *strands_[0], &b = *strands_[1];
    if (i == a.pieces() && j == b.pieces()) {
      best_ = std::min(best_, Played(a, b, word_));
      return;
    }
    const std::vector<bool> before = word_;
    const auto back = [&] { word_ = before; };
    const size_t at[2] = {i, j};
    for (const size_t s : {0, 1}) {
      const Strand &own = *strands_[s], &other = *strands_[1 - s];
      if (at[s] == own.pieces()) continue;
      const auto next = [&](size_t of_own, size_t of_other) {
        s == 0 ? Extend(i + of_own, j + of_other) : Extend(i + of_other, j + of_own);
      };
      Add(s, own.size(at[s]));
      next(1, 0);
      back();
      if (!own.exchanges(at[s])) continue;
      size_t steps = 0;
      for (size_t k = 1; at[1 - s] + k <= other.pieces() && !other.exchanges(at[1 - s] + k - 1); ++k) {
        steps += other.size(at[1 - s] + k - 1);
        Add(s, 1);
        Add(1 - s, steps);
        Add(s, own.size(at[s]) - 1);
        next(1, k);
        back();
      }
    }
    if (i < a.pieces() && j < b.pieces() && a.exchanges(i) && b.exchanges(j)) {
      Add(0, 1);
      Add(1, 1);
      Add(0, a.size(i) - 1);
      Add(1, b.size(j) - 1);
      Extend(i + 1, j + 1);
      back();
    }
  }

  const Strand* strands_[2];
  std::vector<bool> word_;
  int64_t best_ = std::numeric_limits<int64_t>::max();
};

RC_GTEST_PROP(PairStrandsProperty, IsTheFastestOfAllPairings, ()) {
  const Strand a = RandomStrand();
  Strand b = RandomStrand();
  AddNeeds(a, b);
  const StrandPairing pairing = PairStrands(a.steps, b.steps, kUnhindered);
  RC_ASSERT(pairing.duration == AllPairings(a, b).Fastest());
  RC_ASSERT(Played(a, b, pairing.from_b) == pairing.duration);  // on the whole timeline, without barriers
  RC_ASSERT(pairing.duration <= pairing.alone);
}

// The lattice has no barriers between pairs, so it is as fast or faster.
RC_GTEST_PROP(PairStrandsProperty, IsNoFasterThanTheLattice, ()) {
  const Strand a = RandomStrand(), b = RandomStrand();
  const auto lattice = FastestInterleaving(Plain(a.steps), Plain(b.steps), 2, {.beam = 1000});
  RC_ASSERT(lattice.has_value());
  RC_ASSERT(lattice->makespan <= PairStrands(a.steps, b.steps, kUnhindered).duration);
}

}  // namespace
}  // namespace helm::schedule
