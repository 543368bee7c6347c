#include "schedule/strand_pairing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/check.h"

namespace helm::schedule {
namespace {

using Steps = std::vector<StrandStep>;

// Steps [begin, end). Of an exchange the other strand's work goes in at `split`, right behind its first start.
struct Piece {
  size_t begin = 0, split = 0, end = 0;
  bool exchanges = false;
  int64_t alone = 0;                         // picoseconds
  int64_t products = 0, memory_bound = 0;    // picoseconds of computation
  size_t after_split = 0, before_split = 0;  // steps of the other strand that must come before those behind, and before, the split
  std::vector<size_t> channels;              // of its starts
};

// Times by the lattice's model, from a moment at which everything is free.
class Clock {
 public:
  explicit Clock(size_t channels) : channels_(channels, 0) {}

  void Reset(size_t strand, size_t steps) { ends_[strand].resize(std::max(ends_[strand].size(), steps)); }
  void Clear() {
    compute_ = 0;
    std::ranges::fill(channels_, 0);
  }
  void Compute(int64_t duration) { compute_ += duration; }
  void Run(size_t strand, const Steps& steps, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const LatticeStep& step = steps[i].step;
      if (step.kind == StepKind::kCompute) compute_ += step.duration;
      if (step.kind == StepKind::kStart) {
        int64_t& channel = channels_[step.channel];
        ends_[strand][i] = channel = std::max(channel, compute_) + step.duration;
      }
      if (step.kind == StepKind::kWait && step.start != kNoStep) compute_ = std::max(compute_, ends_[strand][step.start]);
    }
  }
  int64_t compute() const { return compute_; }

 private:
  int64_t compute_ = 0;
  std::vector<int64_t> channels_;
  std::array<std::vector<int64_t>, 2> ends_;  // by step, of its starts
};

class Cutter {
 public:
  explicit Cutter(const Steps& steps) : steps_(steps), last_wait_(steps.size(), kNoStep) {
    for (size_t i = 0; i < steps.size(); ++i) {
      const LatticeStep& step = steps[i].step;
      if (step.kind == StepKind::kWait && step.start != kNoStep) last_wait_[step.start] = i;
    }
  }

  std::vector<Piece> Run() const {
    std::vector<Piece> pieces;
    for (size_t begin = 0; begin < steps_.size(); begin = pieces.back().end) {
      pieces.push_back(Exchanges(begin) ? Exchange(begin) : Computation(begin));
      Sum(pieces.back());
    }
    return pieces;
  }

 private:
  // What no wait of the strand ends (a message, a reduction of gradients) holds nothing up.
  bool Exchanges(size_t i) const { return steps_[i].step.kind == StepKind::kStart && last_wait_[i] != kNoStep; }

  Piece Exchange(size_t begin) const {
    size_t end = last_wait_[begin] + 1;
    for (size_t i = begin; i < end; ++i) {
      if (Exchanges(i)) end = std::max(end, last_wait_[i] + 1);
    }
    return {.begin = begin, .split = begin + 1, .end = end, .exchanges = true};
  }

  // One step that takes time, with those before it that take none.
  Piece Computation(size_t begin) const {
    size_t end = begin;
    while (end < steps_.size() && !Exchanges(end)) {
      const LatticeStep& step = steps_[end++].step;
      if (step.kind == StepKind::kCompute && step.duration > 0) break;
    }
    return {.begin = begin, .split = begin, .end = end};
  }

  void Sum(Piece& piece) const {
    for (size_t i = piece.begin; i < piece.end; ++i) {
      const StrandStep& strand = steps_[i];
      if (strand.step.kind == StepKind::kCompute) (strand.is_product ? piece.products : piece.memory_bound) += strand.step.duration;
      if (strand.step.kind == StepKind::kStart && piece.exchanges) piece.channels.push_back(strand.step.channel);
      size_t& after = i < piece.split ? piece.before_split : piece.after_split;
      after = std::max(after, strand.step.after);
    }
  }

  const Steps& steps_;
  std::vector<size_t> last_wait_;
};

enum class Move : uint8_t { kNone, kA, kB, kAOverB, kBOverA, kBoth };

// How a cell was reached: of a run, over so many pieces.
struct Way {
  Move move = Move::kNone;
  uint32_t count = 0;
};

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

class Pairing {
 public:
  Pairing(const Steps& a, const Steps& b, const std::vector<OverlapEfficiency>& efficiencies)
      : steps_{a, b},
        efficiencies_(efficiencies),
        pieces_{Cutter(a).Run(), Cutter(b).Run()},
        clock_(efficiencies.size()),
        columns_(pieces_[1].size() + 1) {
    for (size_t s = 0; s < 2; ++s) {
      clock_.Reset(s, steps_[s].size());
      for (Piece& piece : pieces_[s]) {
        clock_.Clear();
        clock_.Run(s, steps_[s], piece.begin, piece.end);
        piece.alone = clock_.compute();
      }
    }
  }

  StrandPairing Run() {
    const size_t rows = pieces_[0].size() + 1;
    times_.assign(rows * columns_, kNever);
    ways_.resize(rows * columns_);
    times_[0] = 0;
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < columns_; ++j) {
        if (times_[i * columns_ + j] != kNever) Leave({i, j});
      }
    }
    HELM_CHECK(times_.back() != kNever, "some order of pieces alone is legal");
    StrandPairing result{.duration = times_.back()};
    for (const std::vector<Piece>& pieces : pieces_) {
      for (const Piece& piece : pieces) result.alone += piece.alone;
    }
    result.from_b = Order();
    return result;
  }

 private:
  using Cell = std::array<size_t, 2>;  // pieces of each strand that have gone

  // Steps of the strand that have gone.
  size_t Gone(size_t strand, size_t count) const { return count == 0 ? 0 : pieces_[strand][count - 1].end; }

  void Leave(Cell at) {
    for (const size_t s : {0, 1}) {
      if (at[s] == pieces_[s].size()) continue;
      const Piece& piece = pieces_[s][at[s]];
      if (std::max(piece.before_split, piece.after_split) <= Gone(1 - s, at[1 - s])) {
        Cell to = at;
        ++to[s];
        Reach(at, to, piece.alone, {s == 0 ? Move::kA : Move::kB, 1});
      }
      if (piece.exchanges) LeaveOver(at, s);
    }
    LeaveBoth(at);
  }

  // The next exchange of strand `s` over runs of the other one's computations, no longer than what hides it and what its end needs.
  void LeaveOver(Cell at, size_t s) {
    const Piece& exchange = pieces_[s][at[s]];
    const size_t other = 1 - s;
    if (exchange.before_split > Gone(other, at[other])) return;
    int64_t products = 0, memory_bound = 0;
    for (size_t k = 0; at[other] + k < pieces_[other].size(); ++k) {
      if (products + memory_bound >= exchange.alone && exchange.after_split <= Gone(other, at[other] + k)) return;
      const Piece& piece = pieces_[other][at[other] + k];
      if (piece.exchanges || piece.after_split > exchange.begin + 1) return;
      products += piece.products;
      memory_bound += piece.memory_bound;
      if (exchange.after_split > piece.end) continue;
      clock_.Clear();
      clock_.Run(s, steps_[s], exchange.begin, exchange.split);
      clock_.Compute(products + memory_bound);
      clock_.Run(s, steps_[s], exchange.split, exchange.end);
      const int64_t alone = exchange.alone + products + memory_bound;
      const double efficiency = Efficiency(exchange, products, memory_bound);
      Cell to = at;
      ++to[s];
      to[other] += k + 1;
      Reach(at, to, Together(alone, clock_.compute(), efficiency), {s == 0 ? Move::kAOverB : Move::kBOverA, static_cast<uint32_t>(k + 1)});
    }
  }

  void LeaveBoth(Cell at) {
    if (at[0] == pieces_[0].size() || at[1] == pieces_[1].size()) return;
    const Piece &a = pieces_[0][at[0]], &b = pieces_[1][at[1]];
    if (!a.exchanges || !b.exchanges) return;
    if (a.before_split > Gone(1, at[1]) || a.after_split > b.split || b.before_split > a.split || b.after_split > a.end) return;
    clock_.Clear();
    clock_.Run(0, steps_[0], a.begin, a.split);
    clock_.Run(1, steps_[1], b.begin, b.split);
    clock_.Run(0, steps_[0], a.split, a.end);
    clock_.Run(1, steps_[1], b.split, b.end);
    const double efficiency = std::min(Efficiency(a, b.products, b.memory_bound), Efficiency(b, a.products, a.memory_bound));
    Reach(at, {at[0] + 1, at[1] + 1}, Together(a.alone + b.alone, clock_.compute(), efficiency), {Move::kBoth, 1});
  }

  static int64_t Together(int64_t alone, int64_t unhindered, double efficiency) {
    return alone - std::llround(static_cast<double>(alone - unhindered) * efficiency);
  }

  // Of the slowest of the exchange's channels, by the shares of computation of each kind.
  double Efficiency(const Piece& exchange, int64_t products, int64_t memory_bound) const {
    const auto all = static_cast<double>(products + memory_bound);
    double least = 1;
    for (const size_t channel : exchange.channels) {
      const OverlapEfficiency& of = efficiencies_[channel];
      if (all > 0) {
        least = std::min(least, (of.product * static_cast<double>(products) + of.memory_bound * static_cast<double>(memory_bound)) / all);
      }
    }
    return least;
  }

  void Reach(Cell from, Cell to, int64_t duration, Way way) {
    const size_t cell = to[0] * columns_ + to[1];
    const int64_t time = times_[from[0] * columns_ + from[1]] + duration;
    if (time >= times_[cell]) return;
    times_[cell] = time;
    ways_[cell] = way;
  }

  std::vector<bool> Order() const {
    std::vector<bool> reversed;
    const auto add = [&](bool from_b, size_t count) { reversed.insert(reversed.end(), count, from_b); };
    for (Cell at = {pieces_[0].size(), pieces_[1].size()}; at[0] + at[1] > 0;) {
      const Way way = ways_[at[0] * columns_ + at[1]];
      const bool over_a = way.move == Move::kBOverA;
      switch (way.move) {
        case Move::kA:
        case Move::kB: {
          const size_t s = way.move == Move::kB ? 1 : 0;
          const Piece& piece = pieces_[s][--at[s]];
          add(s == 1, piece.end - piece.begin);
          break;
        }
        case Move::kAOverB:
        case Move::kBOverA: {
          const size_t s = over_a ? 1 : 0;
          const Piece& exchange = pieces_[s][--at[s]];
          const size_t end = Gone(1 - s, at[1 - s]);
          at[1 - s] -= way.count;
          add(over_a, exchange.end - exchange.split);
          add(!over_a, end - Gone(1 - s, at[1 - s]));
          add(over_a, exchange.split - exchange.begin);
          break;
        }
        case Move::kBoth: {
          const Piece &a = pieces_[0][--at[0]], &b = pieces_[1][--at[1]];
          add(true, b.end - b.split);
          add(false, a.end - a.split);
          add(true, b.split - b.begin);
          add(false, a.split - a.begin);
          break;
        }
        case Move::kNone:
          HELM_CHECK(false, "a cell that was left was reached");
      }
    }
    std::reverse(reversed.begin(), reversed.end());
    return reversed;
  }

  const std::array<Steps, 2> steps_;
  const std::vector<OverlapEfficiency>& efficiencies_;
  std::array<std::vector<Piece>, 2> pieces_;
  Clock clock_;
  const size_t columns_;
  std::vector<int64_t> times_;  // row by row
  std::vector<Way> ways_;
};

}  // namespace

StrandPairing PairStrands(const std::vector<StrandStep>& a, const std::vector<StrandStep>& b,
                          const std::vector<OverlapEfficiency>& efficiencies) {
  return Pairing(a, b, efficiencies).Run();
}

}  // namespace helm::schedule
