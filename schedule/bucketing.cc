#include "schedule/bucketing.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "ir/step_programs.h"
#include "schedule/lattice_pass.h"
#include "schedule/streams.h"
#include "schedule/tiling.h"
#include "sim/task_costs.h"

namespace helm::schedule {
namespace {

using ir::OpId;
using ir::TensorId;

constexpr size_t kRunMost = 12;  // ops that are merged at once
constexpr size_t kBeam = 16;     // of the search for merges; the order is searched again without them
constexpr size_t kTilesMerged = 2;

// The steps of one tile in the layers that are searched.
struct Stream {
  std::vector<LatticeStep> steps;
  std::vector<OpId> ops;             // by step, of the tiled program; none for what holds several
  std::vector<size_t> steps_before;  // by item of the span's stream, and their number at the end
};

// Where an op lies in its layer, the same for all layers that are alike.
using Position = std::tuple<ir::Phase, size_t>;

class Bucketer {
 public:
  Bucketer(const ir::Program& program, const LatticeOptions& options, sim::PriceBook& prices)
      : program_(program), options_(options), prices_(prices), joined_(program.ops.size(), false) {}

  Result<Bucketed> Run() {
    HELM_ASSIGN_OR_RETURN(tiled_, TileWithJoined(program_, kTilesMerged, {}));
    HELM_ASSIGN_OR_RETURN(whole_costs_, Priced(program_));
    HELM_ASSIGN_OR_RETURN(tiled_costs_, Priced(tiled_.program));
    FindPositions();
    for (const Span& span : SpansOf(tiled_.program)) {
      if (span.streams.size() == kTilesMerged) ChooseIn(span);
    }
    if (std::ranges::none_of(joined_, [](bool joined) { return joined; })) return Bucketed{std::move(tiled_.program), {}};
    HELM_ASSIGN_OR_RETURN(TiledProgram bucketed, TileWithJoined(program_, kTilesMerged, joined_));
    return Bucketed{std::move(bucketed.program), std::move(reasons_)};
  }

 private:
  Result<std::vector<OpCosts>> Priced(const ir::Program& program) {
    HELM_ASSIGN_OR_RETURN(const std::vector<sim::TaskCosts> priced, sim::PriceStep(ir::StepPrograms{{program}}, prices_));
    return CostsOf(program, priced.front());
  }

  void FindPositions() {
    std::map<std::tuple<int32_t, int32_t, ir::Phase>, size_t> counts;
    for (const ir::Op& op : program_.ops) positions_.push_back({op.phase, counts[{op.action, op.layer, op.phase}]++});
  }

  // Three layers around the middle one of those that the span's first tile has.
  std::vector<int32_t> LayersOf(const Span& span) const {
    std::vector<int32_t> layers;
    for (const Item& item : span.streams[0]) {
      const int32_t layer = tiled_.program.op(item.ops.front()).layer;
      if (layer >= 0 && std::ranges::find(layers, layer) == layers.end()) layers.push_back(layer);
    }
    if (layers.size() <= 3) return layers;
    const auto middle = layers.begin() + static_cast<std::ptrdiff_t>(layers.size() / 2);
    return {middle - 1, middle + 2};
  }

  void ChooseIn(const Span& span) {
    const std::vector<int32_t> layers = LayersOf(span);
    if (layers.empty()) return;
    Stream a = StreamOf(span, 0, layers), b = StreamOf(span, 1, layers);
    SetAfter(span, 0, a, b);
    SetAfter(span, 1, b, a);
    const std::vector<LatticeMerge> merges = MergesOf(a, b);
    if (merges.empty()) return;
    const auto [known, is_new] = chosen_.try_emplace(KeyOf(a, b));
    if (is_new) known->second = Search(a, b, merges, layers[layers.size() / 2]);
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      const ir::Op& op = program_.ops[i];
      const bool here = op.action == tiled_.program.op(span.streams[0].front().ops.front()).action && op.layer >= 0;
      if (here && known->second.contains(positions_[i])) joined_[i] = true;
    }
  }

  Stream StreamOf(const Span& span, size_t which, const std::vector<int32_t>& layers) const {
    Stream stream;
    std::map<OpId, size_t> start_steps;
    for (const Item& item : span.streams[which]) {
      stream.steps_before.push_back(stream.steps.size());
      const ir::Op& op = tiled_.program.op(item.ops.front());
      if (op.kind == ir::OpKind::kView || std::ranges::find(layers, op.layer) == layers.end()) continue;
      if (op.kind == ir::OpKind::kCollectiveStart) start_steps[item.ops.front()] = stream.steps.size();
      stream.steps.push_back(StepOf(tiled_.program, item, tiled_costs_, start_steps));
      stream.ops.push_back(item.ops.size() == 1 ? item.ops.front() : OpId());
    }
    stream.steps_before.push_back(stream.steps.size());
    return stream;
  }

  // What steps need of the other tile: as many of its steps as lie before what the item needs.
  void SetAfter(const Span& span, size_t which, Stream& stream, const Stream& other) const {
    const std::vector<Item>& items = span.streams[which];
    for (size_t item = 0; item < items.size(); ++item) {
      if (stream.steps_before[item + 1] == stream.steps_before[item]) continue;
      stream.steps[stream.steps_before[item]].after = other.steps_before[items[item].after[1 - which]];
    }
  }

  OpId OriginOf(const Stream& stream, size_t step) const {
    const OpId op = stream.ops[step];
    return op.valid() ? tiled_.origin[op.index()] : OpId();
  }

  bool CanMerge(const Stream& a, size_t i, const Stream& b, size_t j) const {
    const OpId origin = OriginOf(a, i);
    return origin.valid() && origin == OriginOf(b, j) && tiled_.can_be_joined[origin.index()];
  }

  // Every run of ops that both tiles have in the same order, of all lengths.
  std::vector<LatticeMerge> MergesOf(const Stream& a, const Stream& b) {
    std::map<OpId, size_t> step_of_b;
    for (size_t j = 0; j < b.steps.size(); ++j) {
      if (const OpId origin = OriginOf(b, j); origin.valid()) step_of_b[origin] = j;
    }
    std::vector<LatticeMerge> merges;
    for (size_t i = 0; i < a.steps.size(); ++i) {
      const auto found = step_of_b.find(OriginOf(a, i));
      if (!OriginOf(a, i).valid() || found == step_of_b.end()) continue;
      LatticeMerge merge{.a = i, .b = found->second};
      while (merge.count < kRunMost && merge.a + merge.count < a.steps.size() && merge.b + merge.count < b.steps.size() &&
             CanMerge(a, merge.a + merge.count, b, merge.b + merge.count)) {
        ++merge.count;
        if (Price(a, b, merge)) merges.push_back(merge);
      }
    }
    return merges;
  }

  // What the merge takes; false where a copy has no price.
  bool Price(const Stream& a, const Stream& b, LatticeMerge& merge) {
    merge.duration = merge.allocates = 0;
    std::set<ir::StorageId> inside, copied;
    for (size_t k = 0; k < merge.count; ++k) {
      const ir::Op &of_a = tiled_.program.op(a.ops[merge.a + k]), &of_b = tiled_.program.op(b.ops[merge.b + k]);
      merge.duration += whole_costs_[OriginOf(a, merge.a + k).index()].duration;
      const std::vector<TensorId> parts_a = ir::TensorArguments(of_a), parts_b = ir::TensorArguments(of_b);
      for (size_t n = 0; n < std::min(parts_a.size(), parts_b.size()); ++n) {
        const ir::StorageId storage = tiled_.program.tensor(parts_a[n]).storage;
        const bool apart = storage != tiled_.program.tensor(parts_b[n]).storage;
        if (!apart || inside.contains(storage) || !copied.insert(storage).second) continue;
        if (!AddCopy(parts_a[n], parts_b[n], merge)) return false;
      }
      for (const TensorId result : of_a.results) {
        if (result.valid()) inside.insert(tiled_.program.tensor(result).storage);
      }
    }
    return true;
  }

  bool AddCopy(TensorId a, TensorId b, LatticeMerge& merge) {
    const ir::Program& program = tiled_.program;
    const ir::OpSignature cat{"aten.cat",
                              {std::vector<ir::TensorSignature>{ir::SignatureOf(program, a), ir::SignatureOf(program, b)}, int64_t{0}}};
    const sim::Price& price = prices_.OfRegion(cat);  // by its signature: no program has this op
    if (!price.refusal.empty()) return false;
    merge.duration += price.estimate.duration.picoseconds();
    merge.allocates += ir::TensorBytes(program.tensor(a)).count() + ir::TensorBytes(program.tensor(b)).count();
    return true;
  }

  // What tells apart spans that need a search of their own.
  using Key = std::vector<std::array<int64_t, 3>>;
  static Key KeyOf(const Stream& a, const Stream& b) {
    Key key;
    for (const Stream* stream : {&a, &b}) {
      for (const LatticeStep& step : stream->steps)
        key.push_back({static_cast<int64_t>(step.kind), step.duration, static_cast<int64_t>(step.after)});
      key.push_back({-1, 0, 0});
    }
    return key;
  }

  std::set<Position> Search(const Stream& a, const Stream& b, const std::vector<LatticeMerge>& merges, int32_t layer) {
    LatticeOptions options = options_;
    options.beam = std::min(options.beam, kBeam);
    options.merges = merges;
    std::set<Position> positions;
    const auto found = FastestInterleaving(a.steps, b.steps, program_.groups.size(), options);
    if (!found) return positions;
    for (const size_t index : found->merged) {
      const LatticeMerge& merge = merges[index];
      std::vector<std::string> names;
      int64_t apart = 0;
      for (size_t k = 0; k < merge.count; ++k) {
        const OpId origin = OriginOf(a, merge.a + k);
        apart += a.steps[merge.a + k].duration + b.steps[merge.b + k].duration;
        if (program_.op(origin).layer != layer) continue;
        positions.insert(positions_[origin.index()]);
        names.push_back(program_.op(origin).target);
      }
      if (names.empty()) continue;
      reasons_.push_back(fmt::format("bucket: {} of layer {} on all rows at once, copies included {} instead of {} in tiles",
                                     Join(names, ", "), layer, FormatDuration(Duration::Picoseconds(merge.duration)),
                                     FormatDuration(Duration::Picoseconds(apart))));
    }
    return positions;
  }

  const ir::Program& program_;
  const LatticeOptions& options_;
  sim::PriceBook& prices_;
  TiledProgram tiled_;
  std::vector<OpCosts> whole_costs_, tiled_costs_;
  std::vector<Position> positions_;  // by op of program_
  std::map<Key, std::set<Position>> chosen_;
  std::vector<bool> joined_;  // by op of program_
  std::vector<std::string> reasons_;
};

}  // namespace

Result<Bucketed> Bucket(const ir::Program& program, int64_t tiles, sim::PriceBook& prices, const LatticeOptions& options) {
  if (tiles != static_cast<int64_t>(kTilesMerged)) {
    return InvalidError(fmt::format("error: bucket: {} tiles; only two are put together again\n  fix: bucket=2, or tile={}", tiles, tiles));
  }
  return Bucketer(program, options, prices).Run();
}

}  // namespace helm::schedule
