// Context parallelism: the positions of a sequence are split over ranks, and attention brings queries, keys and values together again.
// Forward and backward.
//
// A sequence is cut into 2 x context equal parts; rank c has the parts c and 2 x context - 1 - c (the zig-zag split, techniques.md 4.1), so
// that under the causal mask all ranks have the same work. Between its own positions, in their order, the mask is the usual one. With the
// positions of rank j there are two halves of work, each one part of queries with one part of keys, none of it masked: its earlier part
// with the own later one always, and then its earlier part with the own earlier one if j < c, or the later with the later if j > c. So
// one program serves all ranks: which half takes part is a number made from the rank's coordinate.
//
// Ring: keys and values go round, one rank a step, while the ones before are worked with; in backward the gradients of keys and values
// follow them one step behind and so end where they belong. All-gather: the same steps on keys and values gathered at once, their gradients
// scattered at once. In both, outputs of parts of the keys are put together by the logarithms of their sums of exponentials, in fp32, and
// the backward kernels of parts read those of the whole: what they return adds up. All-to-all (DeepSpeed Ulysses, arXiv 2309.14509): each
// rank exchanges its positions of all heads for all positions of some heads, and back.
#include <array>
#include <optional>
#include <utility>

#include "model/device_ops.h"
#include "model/step.h"

namespace helm::model {

using ir::ContextCommunication;
using ir::DataType;
using ir::RankExpression;
using ir::Shape;
using ir::TensorId;

namespace {

int64_t Ranks(const Step& step) { return step.strategy.context; }
int64_t HalfPositions(const Step& step) { return step.sizes.positions / 2; }
bool ByRing(const Step& step) { return step.software.context_communication == ContextCommunication::kRing; }
bool ByExchange(const Step& step) { return step.software.context_communication == ContextCommunication::kAllToAll; }

// --- tables ---

// 1, 2, ..., count.
TensorId Count(Step& step, TensorId like, int64_t count) { return step.b.Cumsum(step.b.NewOnes(like, {count}, DataType::kInt64), 0); }

TensorId Number(Step& step, TensorId like, RankExpression value) {
  return step.b.AddScalar_(step.b.NewZeros(like, {1}, DataType::kInt64), std::move(value));
}

// Of step i: rows of the earlier half where the positions are those of a rank before this one (i <= c), otherwise of the later half.
TensorId ChosenHalf(Step& step, TensorId like, int64_t i) {
  ProgramBuilder& b = step.b;
  const int64_t half = HalfPositions(step);
  const TensorId later = b.ToType(b.LtScalar(Number(step, like, {0, {{"context", 1}}}), i), DataType::kInt64);
  const TensorId first = b.AddScalar_(b.Mul(later, Number(step, like, {half, {}})), int64_t{-1});
  return b.Add(Count(step, like, half), first);
}

// --- parts of tensors, [sequences, positions, heads, width] ---

struct Half {
  std::optional<int64_t> which;  // 0 or 1; none: the chosen one of `rows`
  TensorId rows;
};

TensorId Take(Step& step, TensorId x, const Half& half) {
  if (!half.which) return step.b.IndexSelect(x, 1, half.rows);
  return step.b.Slice(x, 1, *half.which * HalfPositions(step), (*half.which + 1) * HalfPositions(step));
}

TensorId Contiguous(Step& step, TensorId x) {
  ProgramBuilder& b = step.b;
  return b.Copy_(b.NewEmpty(x, b.shape(x), b.dtype(x)), x);
}

TensorId AddTo(Step& step, TensorId sum, const Half& half, TensorId part) {
  ProgramBuilder& b = step.b;
  if (!half.which) return b.IndexAdd_(sum, 1, half.rows, part);
  return b.Restride(b.Add_(Take(step, sum, half), part), sum);
}

TensorId OfHeads(Step& step, TensorId by_position) { return step.b.Transpose(by_position, 1, 2); }
TensorId OfPositions(Step& step, TensorId by_head) { return step.b.Transpose(by_head, 1, 2); }

// Keys and values, or their gradients, [sequences, positions, kv_heads, width].
struct KeyValue {
  TensorId key, value;
};

// --- the steps of ring and all-gather ---

// Where the keys and values of step i come from, and where their gradients go. Steps are asked for in ascending order, from 1.
class Travel {
 public:
  Travel(Step& step, const KeyValue& own) : step_(step), own_(own) {}

  // Keys and values are under way to the rank that wants them at step i.
  void Depart(int64_t i) {
    if (!ByRing(step_)) {
      if (i == 1) Gather();
    } else if (i < Ranks(step_)) {
      under_way_ = Pass(i == 1 ? own_ : here_, 2 * i);
    }
  }

  KeyValue Arrive(int64_t i) {
    if (!ByRing(step_)) {
      if (i == 1) all_ = {step_.b.Wait(gathering_[0]), step_.b.Wait(gathering_[1])};
      return here_ = {OfRank(all_.key, i), OfRank(all_.value, i)};
    }
    return here_ = End(under_way_);
  }

  // The sum so far of the gradients of what is here at step i, to be added to.
  KeyValue GradientsHere(int64_t i) {
    if (ByRing(step_) && i > 1) return End(gradients_under_way_);
    ProgramBuilder& b = step_.b;
    return {b.NewZeros(own_.key, b.shape(own_.key), b.dtype(own_.key)), b.NewZeros(own_.value, b.shape(own_.value), b.dtype(own_.value))};
  }

  void SendGradients(int64_t i, const KeyValue& gradients) {
    if (ByRing(step_)) {
      gradients_under_way_ = Pass(gradients, 2 * i + 1);
    } else {
      sums_ = {Put(sums_.key, gradients.key, i), Put(sums_.value, gradients.value, i)};
    }
  }

  // The gradients of the own keys and values: `own` and what all other ranks have found.
  KeyValue Gradients(const KeyValue& own) {
    ProgramBuilder& b = step_.b;
    if (ByRing(step_)) {
      const KeyValue others = End(gradients_under_way_);
      return {b.Add_(own.key, others.key), b.Add_(own.value, others.value)};
    }
    SendGradients(0, own);
    const Pending key = b.ReduceScatter(sums_.key, step_.context_group), value = b.ReduceScatter(sums_.value, step_.context_group);
    return {b.View(b.Wait(key), b.shape(own.key)), b.View(b.Wait(value), b.shape(own.value))};
  }

 private:
  struct Passing {
    Pending key, value;
  };

  // To the next rank, and from the one before; `tag` and tag + 1 of what all ranks pass at once.
  Passing Pass(const KeyValue& parts, int64_t tag) {
    ProgramBuilder& b = step_.b;
    const int32_t batch = b.NewBatch();
    const ir::GroupId group = step_.context_group;
    b.Send(parts.key, group, {1, 2 * tag, batch});
    b.Send(parts.value, group, {1, 2 * tag + 1, batch});
    const Pending key = b.Receive(b.shape(parts.key), b.dtype(parts.key), group, {-1, 2 * tag, batch});
    return {key, b.Receive(b.shape(parts.value), b.dtype(parts.value), group, {-1, 2 * tag + 1, batch})};
  }
  KeyValue End(const Passing& passing) { return {passing.key.result, step_.b.Wait(passing.value)}; }

  void Gather() {
    const auto stacked = [&](TensorId x) {
      Shape shape = step_.b.shape(x);
      shape.insert(shape.begin(), 1);
      return step_.b.View(x, shape);
    };
    gathering_ = {step_.b.AllGather(stacked(own_.key), step_.context_group), step_.b.AllGather(stacked(own_.value), step_.context_group)};
  }
  TensorId OfRank(TensorId all, int64_t i) {
    ProgramBuilder& b = step_.b;
    Shape shape = b.shape(all);
    shape.erase(shape.begin());
    return b.View(b.IndexSelect(all, 0, step_.context.source[static_cast<size_t>(i)]), shape);
  }
  TensorId Put(TensorId all, TensorId part, int64_t i) {
    ProgramBuilder& b = step_.b;
    Shape one = b.shape(part);
    one.insert(one.begin(), 1);
    Shape whole = one;
    whole[0] = Ranks(step_);
    if (!all.valid()) all = b.NewEmpty(part, whole, b.dtype(part));
    return b.IndexCopy_(all, 0, step_.context.source[static_cast<size_t>(i)], b.View(part, one));
  }

  Step& step_;
  const KeyValue own_;
  KeyValue here_, all_, sums_;
  Passing under_way_, gradients_under_way_;
  std::array<Pending, 2> gathering_;
};

KeyValue OwnKeyValue(Step& step, const AttentionSaved& saved) {
  return {Contiguous(step, OfPositions(step, saved.key)), Contiguous(step, OfPositions(step, saved.value))};
}

// Queries of one half with keys of one half.
struct Pairing {
  Half queries, keys;
};
std::array<Pairing, 2> PairingsOf(const Step& step, int64_t i) {
  const Half chosen{std::nullopt, step.context.chosen[static_cast<size_t>(i)]};
  return {{{{1, {}}, {0, {}}}, {chosen, chosen}}};
}

// The output over some keys and the logarithms of its sums.
struct Partial {
  TensorId output;    // [sequences, positions, heads, head_dim], fp32
  TensorId log_sums;  // [sequences, positions, heads]
};

// (o, l) and (o', l') together: o + (o' - o) sigmoid(l' - l), log(exp l + exp l'), the latter where it is wanted. `into` are windows of the
// same rows.
Partial Merge(Step& step, const Partial& into, const Partial& more, bool log_sums) {
  ProgramBuilder& b = step.b;
  const FusedKernel kernel(b, step.cuda);
  const TensorId weight = b.Unary("aten.sigmoid", b.Sub(more.log_sums, into.log_sums));
  const TensorId output = b.Lerp_(into.output, b.ToType(more.output, DataType::kFloat32), b.Unsqueeze(weight, 3));
  return {output, log_sums ? b.Copy_(into.log_sums, b.Logaddexp(into.log_sums, more.log_sums)) : TensorId()};
}

Partial MergeInto(Step& step, const Partial& whole, const Half& half, const Partial& part, bool log_sums) {
  ProgramBuilder& b = step.b;
  const Partial merged = Merge(step, {Take(step, whole.output, half), Take(step, whole.log_sums, half)}, part, log_sums);
  const auto put = [&](TensorId into, TensorId window) {
    return half.which ? b.Restride(window, into) : b.IndexCopy_(into, 1, half.rows, window);
  };
  return {put(whole.output, merged.output), log_sums ? put(whole.log_sums, merged.log_sums) : TensorId()};
}

// Backward reads the logarithms, unless all of this is done again for it.
void TravellingForward(Step& step, AttentionSaved& saved, bool done_again) {
  ProgramBuilder& b = step.b;
  Travel travel(step, OwnKeyValue(step, saved));
  travel.Depart(1);
  const FlashOutputs own = FlashForward(step, {saved.query, saved.key, saved.value});
  Partial whole{b.ToType(OfPositions(step, own.output), DataType::kFloat32), LogSumRows(step, own)};
  const TensorId queries = OfPositions(step, saved.query);
  for (int64_t i = 1; i < Ranks(step); ++i) {
    const KeyValue here = travel.Arrive(i);
    travel.Depart(i + 1);
    const std::array<Pairing, 2> pairings = PairingsOf(step, i);
    for (const Pairing& pair : pairings) {
      const bool last = i + 1 == Ranks(step) && &pair == &pairings.back();
      const FlashInputs inputs{OfHeads(step, Take(step, queries, pair.queries)), OfHeads(step, Take(step, here.key, pair.keys)),
                               OfHeads(step, Take(step, here.value, pair.keys)), false};
      const FlashOutputs outputs = FlashForward(step, inputs);
      whole = MergeInto(step, whole, pair.queries, {OfPositions(step, outputs.output), LogSumRows(step, outputs)}, !last || !done_again);
    }
  }
  saved.output = OfHeads(step, b.ToType(whole.output, step.workload.dtype));
  saved.log_sums = whole.log_sums;
}

AttentionGradients TravellingBackward(Step& step, const AttentionSaved& saved, TensorId gradient) {
  Travel travel(step, OwnKeyValue(step, saved));
  travel.Depart(1);
  const AttentionGradients own =
      FlashBackward(step, {saved.query, saved.key, saved.value}, {saved.output, {LogSumOf(step, saved.log_sums)}}, gradient);
  TensorId of_queries = OfPositions(step, own.query);
  const TensorId queries = OfPositions(step, saved.query), output = OfPositions(step, saved.output),
                 of_output = OfPositions(step, gradient);
  for (int64_t i = 1; i < Ranks(step); ++i) {
    const KeyValue here = travel.Arrive(i);
    travel.Depart(i + 1);
    std::optional<KeyValue> sums;
    for (const Pairing& pair : PairingsOf(step, i)) {
      const auto of = [&](TensorId x, const Half& half) { return OfHeads(step, Take(step, x, half)); };
      const FlashInputs inputs{of(queries, pair.queries), of(here.key, pair.keys), of(here.value, pair.keys), false};
      const TensorId log_sums = LogSumOf(step, Contiguous(step, Take(step, saved.log_sums, pair.queries)));
      const AttentionGradients gradients = FlashBackward(step, inputs, {of(output, pair.queries), {log_sums}}, of(of_output, pair.queries));
      of_queries = AddTo(step, of_queries, pair.queries, OfPositions(step, gradients.query));
      if (!sums) sums = travel.GradientsHere(i);
      sums = {AddTo(step, sums->key, pair.keys, OfPositions(step, gradients.key)),
              AddTo(step, sums->value, pair.keys, OfPositions(step, gradients.value))};
    }
    travel.SendGradients(i, *sums);
  }
  const KeyValue of_own = travel.Gradients({OfPositions(step, own.key), OfPositions(step, own.value)});
  return {OfHeads(step, of_queries), OfHeads(step, of_own.key), OfHeads(step, of_own.value)};
}

// --- all-to-all ---

// The first (0) or second (1) halves of the ranks' positions, x [a, b, 2, half, ..] as [a, b, half, ..].
TensorId HalvesOf(Step& step, TensorId x, int64_t which) {
  Shape shape = step.b.shape(x);
  const TensorId one = step.b.Slice(x, 2, which, which + 1);
  shape.erase(shape.begin() + 2);
  return step.b.View(one, shape);
}

// From this rank's positions of all heads, [sequences, positions, heads, width], to all positions of its share of them.
TensorId ToHeads(Step& step, TensorId x) {
  ProgramBuilder& b = step.b;
  const Shape s = b.shape(x);
  const int64_t ranks = Ranks(step), half = HalfPositions(step), heads = s[2] / ranks, width = s[3];
  const TensorId by_rank = b.Transpose(b.Transpose(b.View(x, {s[0], s[1], ranks, heads, width}), 0, 2), 1, 2);
  const TensorId all = b.Wait(b.AllToAll(Contiguous(step, by_rank), step.context_group));
  // Ranks by their first halves ascend along the sequence, by their second halves they descend.
  const TensorId halves = b.View(all, {ranks, s[0], 2, half, heads, width});
  const TensorId ordered = b.NewEmpty(all, {s[0], 2 * ranks, half, heads, width}, b.dtype(all));
  TensorId newest = b.Copy_(b.Slice(ordered, 1, 0, ranks), b.Transpose(HalvesOf(step, halves, 0), 0, 1));
  const TensorId descending = b.IndexSelect(HalvesOf(step, halves, 1), 0, step.context.reversed);
  newest = b.Copy_(b.Slice(b.Restride(newest, ordered), 1, ranks, 2 * ranks), b.Transpose(descending, 0, 1));
  return b.AsStrided(newest, {s[0], ranks * s[1], heads, width}, ir::ContiguousStrides({s[0], ranks * s[1], heads, width}), 0);
}

// The way back.
TensorId ToPositions(Step& step, TensorId x) {
  ProgramBuilder& b = step.b;
  const Shape s = b.shape(x);
  const int64_t ranks = Ranks(step), half = HalfPositions(step), heads = s[2], width = s[3];
  const TensorId parts = b.View(x, {s[0], 2 * ranks, half, heads, width});
  const TensorId by_rank = b.NewEmpty(x, {ranks, s[0], 2, half, heads, width}, b.dtype(x));
  TensorId newest = b.Copy_(HalvesOf(step, by_rank, 0), b.Transpose(b.Slice(parts, 1, 0, ranks), 0, 1));
  const TensorId ascending = b.IndexSelect(b.Slice(parts, 1, ranks, 2 * ranks), 1, step.context.reversed);
  newest = b.Copy_(HalvesOf(step, b.Restride(newest, by_rank), 1), b.Transpose(ascending, 0, 1));
  const TensorId sent =
      b.AsStrided(newest, {ranks, s[0], 2 * half, heads, width}, ir::ContiguousStrides({ranks, s[0], 2 * half, heads, width}), 0);
  const TensorId all = b.Wait(b.AllToAll(sent, step.context_group));
  const TensorId by_position = Contiguous(step, b.Transpose(b.Transpose(all, 1, 2), 0, 2));
  return b.View(by_position, {s[0], 2 * half, ranks * heads, width});
}

void ExchangingForward(Step& step, AttentionSaved& saved, bool done_again) {
  const auto exchanged = [&](TensorId x) { return OfHeads(step, ToHeads(step, OfPositions(step, x))); };
  const FlashInputs inputs{exchanged(saved.query), exchanged(saved.key), exchanged(saved.value)};
  FlashOutputs outputs = FlashForward(step, inputs);
  saved.exchanged = outputs.output;
  saved.extra = std::move(outputs.extra);
  saved.output = OfHeads(step, ToPositions(step, OfPositions(step, saved.exchanged)));
  if (done_again) return;
  saved.query = inputs.query;
  saved.key = inputs.key;
  saved.value = inputs.value;
}

AttentionGradients ExchangingBackward(Step& step, const AttentionSaved& saved, TensorId gradient) {
  const TensorId of_heads = OfHeads(step, ToHeads(step, OfPositions(step, gradient)));
  const AttentionGradients of_inputs = FlashBackward(step, {saved.query, saved.key, saved.value}, {saved.exchanged, saved.extra}, of_heads);
  const auto returned = [&](TensorId x) { return OfHeads(step, ToPositions(step, OfPositions(step, x))); };
  return {returned(of_inputs.query), returned(of_inputs.key), returned(of_inputs.value)};
}

}  // namespace

void MakeContextPositions(Step& step, TensorId like) {
  ProgramBuilder& b = step.b;
  b.Label("context.tables");
  const int64_t ranks = Ranks(step), half = HalfPositions(step);
  const TensorId count = Count(step, like, half);
  const TensorId first = b.AddScalar(count, RankExpression{-1, {{"context", half}}});
  const TensorId second = b.AddScalar(count, RankExpression{(2 * ranks - 1) * half - 1, {{"context", -half}}});
  step.context.positions = b.Cat({first, second}, 0);
}

void MakeContextTables(Step& step, TensorId like) {
  ProgramBuilder& b = step.b;
  b.Label("context.tables");
  const int64_t ranks = Ranks(step);
  ContextTables& tables = step.context;
  if (ByExchange(step)) {
    tables.reversed = b.Sub(Number(step, like, {ranks, {}}), Count(step, like, ranks));
    return;
  }
  tables.chosen.emplace_back();  // no step 0
  for (int64_t i = 1; i < ranks; ++i) tables.chosen.push_back(ChosenHalf(step, like, i));
  for (int64_t i = 0; i < ranks && !ByRing(step); ++i) {
    tables.source.push_back(b.RemainderScalar_(Number(step, like, {-i, {{"context", 1}}}), ranks));
  }
}

TensorId OwnPositions(Step& step, TensorId whole) {
  if (step.strategy.context == 1) return whole;
  step.b.Label("context.positions");
  return step.b.IndexSelect(whole, 1, step.context.positions);
}

void ContextForward(Step& step, AttentionSaved& saved, bool done_again) {
  ByExchange(step) ? ExchangingForward(step, saved, done_again) : TravellingForward(step, saved, done_again);
}

AttentionGradients ContextBackward(Step& step, const AttentionSaved& saved, TensorId gradient) {
  return ByExchange(step) ? ExchangingBackward(step, saved, gradient) : TravellingBackward(step, saved, gradient);
}

}  // namespace helm::model
