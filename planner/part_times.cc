#include "planner/part_times.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "cluster/device_groups.h"
#include "ir/lifetime.h"
#include "ir/sharding.h"
#include "model/parameter_plan.h"
#include "planner/evaluate.h"
#include "schedule/materialise_excerpt.h"
#include "sim/memory.h"
#include "sim/op_places.h"
#include "sim/stage_template.h"

namespace helm::planner {
namespace {

constexpr int32_t kFirst = 0, kInner = 1, kLast = 2;  // micro-batches of the excerpt, where the second stands for the third
constexpr int64_t kMicroBatches = 4;                  // sharded gradients: all are written, and the third is an inner one too

ResourceTimes LeastOf(const ResourceTimes& a, const ResourceTimes& b) {
  return {std::min(a.compute, b.compute), std::min(a.host, b.host), std::min(a.busy, b.busy), std::min(a.gathering, b.gathering),
          std::min(a.scattering, b.scattering)};
}

// What data-parallel ranks do for their gradients is the same for two as for many, until the last micro-batch. Experts have to lie as they
// lie: where the ranks that hold all of them once, taken a few times, fill whole nodes, so do all the others in the same way.
int64_t DataRanksThatTell(const ir::Strategy& strategy, int64_t ranks_per_node) {
  if (strategy.expert == 1) return std::min<int64_t>(strategy.data, 2);
  const int64_t once = ir::ExpertDataRanks(strategy), times = strategy.data / once;
  for (int64_t few = std::min<int64_t>(2, times); few < times; ++few) {
    const int64_t data = few * once;
    if (times % few == 0 && data * strategy.tensor * strategy.context % ranks_per_node == 0) return data;
  }
  return strategy.data;
}

// One rank that has one layer of each kind.
ir::Strategy OnOneStage(const ir::Strategy& strategy, int64_t ranks_per_node) {
  ir::Strategy one;
  one.data = DataRanksThatTell(strategy, ranks_per_node);
  one.tensor = strategy.tensor;
  one.sequence_parallel = strategy.sequence_parallel;
  one.context = strategy.context;
  one.expert = strategy.expert;
  one.expert_tensor = strategy.expert_tensor;
  one.micro_batch = strategy.micro_batch;
  // Parts that are computed again in some layers only: the others are not.
  one.recompute = strategy.recompute == "custom" ? "none" : strategy.recompute;
  if (!model::ShardingOf(strategy).parameters) return one;
  one.data = strategy.data;
  one.zero = strategy.zero;
  one.fsdp_shard = strategy.fsdp_shard;
  one.fsdp_replicate = strategy.fsdp_replicate;
  return one;
}

ir::Strategy WithWholeParameters(ir::Strategy strategy) {
  strategy.zero = 0;
  strategy.fsdp_shard = 0;
  strategy.fsdp_replicate = 1;
  return strategy;
}

// First the dense ones.
model::ModelSpec LayersOfEachKind(model::ModelSpec model, int64_t each) {
  const bool both = model.moe.experts > 0 && model::HasDenseLayers(model);
  model.layers = both ? 2 * each : each;
  model.moe.dense_layers = both ? each : 0;
  model.moe.layer_freq = 1;
  return model;
}

// The times of the pieces, by the action that they are of and what of it.
class PieceTimes {
 public:
  PieceTimes(const ir::Program& program, const sim::StageTemplate& stage)
      : program_(program), stage_(stage), places_(sim::PlacesOf(program)), runner_(stage.layout) {
    for (const sim::Piece& piece : stage.pieces) {
      if (ResourceTimes* const times = Of(piece.op_first)) *times += TimesOf(piece);
    }
  }

  // No pieces: only what it takes to gather parameters and to reduce gradients into shards, and what is computing.
  PieceTimes(const ir::Program& program, const sim::TaskCosts& costs)
      : program_(program), stage_(kNoTemplate), places_(sim::PlacesOf(program)), runner_(stage_.layout) {
    for (size_t op = 0; op < program.ops.size(); ++op) {
      const ir::Op& of = program.ops[op];
      const bool gathers = of.target == "c10d.all_gather", scatters = of.target == "c10d.reduce_scatter";
      const bool by_links = (gathers || scatters) && program.group(of.group).name == "data";
      if (!by_links && (of.kind != ir::OpKind::kCompute || costs.follows[op])) continue;
      ResourceTimes* const times = Of(op);
      if (times != nullptr)
        (gathers ? times->gathering : scatters ? times->scattering : times->busy) += costs.ops[op].duration.picoseconds();
    }
  }

  // Of the first layer of each kind.
  PartTimes Sum(const model::ModelSpec& model) const {
    PartTimes times;
    for (int64_t layer = model.layers - 1; layer >= 0; --layer) {
      times.layer[model::HasExperts(model, layer) ? 1 : 0] = PartOf(static_cast<int32_t>(layer), static_cast<int32_t>(layer));
    }
    times.embedding = PartOf(kBefore, kBehind);
    times.head = PartOf(kBehind, kBefore);
    return times;
  }

  // What is allocated in the forward pass of an inner micro-batch and freed after it, by the part that allocates it.
  void FindKept(const model::ModelSpec& model, PartTimes& times) const {
    const auto forward = std::ranges::find_if(program_.schedule, [](const ir::Action& action) {
      return action.kind == ir::ActionKind::kForward && action.micro_batch == kInner;
    });
    if (forward == program_.schedule.end()) return;
    const auto part = static_cast<size_t>(forward - program_.schedule.begin()) + 1;
    const size_t first = places_.first[part], end = places_.first[part + 1];
    const ir::Lifetimes lifetimes = ir::ComputeLifetimes(program_);
    std::vector<bool> freed(program_.storages.size());
    for (size_t op = first; op < end; ++op) {
      for (const ir::StorageId storage : lifetimes.freed_after[op]) freed[storage.index()] = true;
    }
    std::map<int32_t, int64_t> kept;
    bool begun = false;
    for (size_t op = first; op < end; ++op) {
      begun = begun || places_.layer[op] >= 0;
      const int32_t where = places_.layer[op] >= 0 ? places_.layer[op] : begun ? kBehind : kBefore;
      for (const ir::StorageId storage : lifetimes.allocated_by[op]) {
        if (!freed[storage.index()]) kept[where] += sim::AllocatedBytes(program_, storage);
      }
    }
    for (int64_t layer = model.layers - 1; layer >= 0; --layer) {
      times.kept_of_layer[model::HasExperts(model, layer) ? 1 : 0] = kept[static_cast<int32_t>(layer)];
    }
    times.kept_of_head = kept[kBehind];
  }

  // What the links do in the backward pass of the layer in the last micro-batch, which reduces gradients in any case.
  int64_t ScatteredInLast(int64_t layer) const {
    const auto found = by_part_.find({ir::ActionKind::kFullBackward, kLast, static_cast<int32_t>(layer)});
    return found == by_part_.end() ? 0 : found->second.scattering;
  }
  // What both passes of the layer gather.
  int64_t Gathered(int64_t layer) const {
    const Part part = PartOf(static_cast<int32_t>(layer), static_cast<int32_t>(layer));
    return part.forward.any.gathering + part.backward.any.gathering;
  }

 private:
  // What an action does before its layers and behind them.
  static constexpr int32_t kBefore = -2, kBehind = -1;
  inline static const sim::StageTemplate kNoTemplate;
  using Key = std::tuple<ir::ActionKind, int32_t, int32_t>;  // micro-batch; layer, kBefore, kBehind

  // Of the part that the op is of; none outside of actions. REQUIRES: asked for in the order of the program.
  ResourceTimes* Of(size_t op) {
    const auto part = static_cast<size_t>(std::ranges::upper_bound(places_.first, op) - places_.first.begin()) - 1;
    if (part == 0 || part > program_.schedule.size()) return nullptr;
    const ir::Action& action = program_.schedule[part - 1];
    begun_ = (begun_ && part == part_) || places_.layer[op] >= 0;
    part_ = part;
    const int32_t where = places_.layer[op] >= 0 ? places_.layer[op] : begun_ ? kBehind : kBefore;
    return &by_part_[{action.kind, action.micro_batch, where}];
  }

  ResourceTimes TimesOf(const sim::Piece& piece) {
    ResourceTimes times;
    for (size_t task = 0; task < piece.durations.size(); ++task) {
      if (piece.kinds[task] == sim::TaskKind::kLaunch) times.host += piece.durations[task];
      if (piece.on_compute[task]) times.compute += piece.durations[task];
      if (piece.kinds[task] == sim::TaskKind::kCompute) times.busy += piece.durations[task];
    }
    sim::Idle idle;
    const std::optional<sim::MaxPlusMatrix> matrix = runner_.MatrixOf(piece, idle);
    if (!matrix) return times;  // it has to do with collectives of other pieces: at least what it does itself
    const size_t compute = stage_.layout.compute;
    times.compute = std::max(times.compute, matrix->At(compute, compute));
    times.host = std::max(times.host, matrix->At(0, 0));
    return times;
  }

  PassTimes PassOf(ir::ActionKind kind, int32_t where) const {
    const auto of = [&](int32_t micro_batch) {
      const auto found = by_part_.find({kind, micro_batch, where});
      return found == by_part_.end() ? ResourceTimes() : found->second;
    };
    return {of(kInner), LeastOf(of(kInner), LeastOf(of(kFirst), of(kLast)))};
  }

  Part PartOf(int32_t in_forward, int32_t in_backward) const {
    return {PassOf(ir::ActionKind::kForward, in_forward), PassOf(ir::ActionKind::kFullBackward, in_backward)};
  }

  const ir::Program& program_;
  const sim::StageTemplate& stage_;
  const sim::OpPlaces places_;
  sim::PieceRunner runner_;
  std::map<Key, ResourceTimes> by_part_;
  size_t part_ = 0;     // of the schedule, that the last piece was of
  bool begun_ = false;  // its layers
};

}  // namespace

ResourceTimes& ResourceTimes::operator+=(const ResourceTimes& other) {
  compute += other.compute;
  host += other.host;
  busy += other.busy;
  gathering += other.gathering;
  scattering += other.scattering;
  return *this;
}

PassTimes& PassTimes::operator+=(const PassTimes& other) {
  inner += other.inner;
  any += other.any;
  return *this;
}

Part& Part::operator+=(const Part& other) {
  forward += other.forward;
  backward += other.backward;
  return *this;
}

namespace {

// In a pipeline what is gathered stays for the whole step (model/unit_gathers.h): the root, and the layers too unless zero is 3. It takes
// its time once, not with each micro-batch; here it is left out. Gradients are reduced with the last micro-batch alone (model/lower.cc).
void LeaveOutWhatPipelinesKeep(const ir::Strategy& strategy, PartTimes& times) {
  std::vector<Part*> parts = {&times.embedding, &times.head};
  for (Part& layer : times.layer) parts.push_back(&layer);
  for (Part* const part : parts) {
    const bool is_layer = part != &times.embedding && part != &times.head;
    for (PassTimes* const pass : {&part->forward, &part->backward}) {
      pass->inner.scattering = pass->any.scattering = 0;
      if (!is_layer || strategy.zero < 3) pass->inner.gathering = pass->any.gathering = 0;
    }
  }
  times.kept_of_last = {};  // a pipeline keeps none
}

// The time of computing as with whole parameters, but for kernels that are not needed where parameters are sharded (gradients of the
// micro-batches are not always added up): without them no path is shorter by more than they take.
void TakeComputing(const Part& whole, Part& sharded) {
  const auto take = [](const ResourceTimes& from, ResourceTimes& to) {
    const int64_t spared = std::max<int64_t>(0, from.busy - to.busy);
    to.compute = std::max<int64_t>(0, from.compute - spared);
    to.host = std::min(from.host, to.host);  // sharded steps launch other ones, not always more
    to.busy = from.busy - spared;
  };
  const auto take_both = [&take](const PassTimes& from, PassTimes& to) {
    take(from.inner, to.inner);
    take(from.any, to.any);
  };
  take_both(whole.forward, sharded.forward);
  take_both(whole.backward, sharded.backward);
}

}  // namespace

struct PartBook::GroupBook {
  GroupBook(const config::RunConfig& config, sim::PriceBook of_group) : prices(std::move(of_group)), parts(config, prices) {}
  sim::PriceBook prices;
  PartBook parts;
};

PartBook::PartBook(const config::RunConfig& config, sim::PriceBook& prices) : config_(config), prices_(prices) {}
PartBook::~PartBook() = default;

PartBook& PartBook::InGroup(size_t group) {
  std::unique_ptr<GroupBook>& book = groups_[group];
  if (book == nullptr) {
    book = std::make_unique<GroupBook>(config_, prices_.WithLayout(cluster::LayoutInGroup(config_.cluster, group)));
  }
  return book->parts;
}

Result<const PartTimes*> PartBook::Of(const ir::Strategy& strategy, const Cancellation& cancellation) {
  const ir::Strategy one = OnOneStage(strategy, prices_.layout().blocks().front().ranks_per_node);
  const bool keeps = strategy.pipeline > 1 && model::ShardingOf(strategy).parameters;
  const Key key{one.data,          one.tensor,      one.context,           one.expert,
                one.expert_tensor, one.micro_batch, one.sequence_parallel, one.recompute,
                one.zero,          one.fsdp_shard,  one.fsdp_replicate,    keeps};
  if (const auto known = times_.find(key); known != times_.end()) return &known->second;
  Result<PartTimes> found = Find(one, cancellation);
  if (!found.ok() && found.status().code() == StatusCode::kInterrupted) return found.status();
  if (found.ok() && keeps) LeaveOutWhatPipelinesKeep(strategy, *found);
  if (found.ok() && !keeps) found->scattered_once = {};
  return &times_.emplace(key, found.ok() ? *std::move(found) : PartTimes()).first->second;
}

Result<PartTimes> PartBook::Find(const ir::Strategy& strategy, const Cancellation& cancellation) {
  const ir::DeviceKind device = config_.cluster.device.is_cpu ? ir::DeviceKind::kCpu : ir::DeviceKind::kCuda;
  const bool sharded = model::ShardingOf(strategy).parameters;
  // What the last layer gathers may not be what others do.
  const model::ModelSpec model = LayersOfEachKind(config_.model, sharded ? 2 : 1);
  ir::Plan plan;
  plan.workload = config_.workload;
  plan.workload.global_batch = kMicroBatches * strategy.micro_batch * strategy.data;
  plan.software = config_.software;
  plan.strategy = strategy;
  plan.strategy.micro_batches.clear();
  HELM_ASSIGN_OR_RETURN(const sim::StepExcerpt excerpt,
                        schedule::MaterialiseExcerpt(plan, model, device, schedule::LayersLeftOut::kMost, cancellation));
  HELM_ASSIGN_OR_RETURN(const std::vector<sim::TaskCosts> costs, sim::PriceStep(excerpt.programs, prices_, cancellation));
  if (sharded) {
    HELM_ASSIGN_OR_RETURN(const PartTimes* whole, Of(WithWholeParameters(strategy), cancellation));
    const PieceTimes pieces(excerpt.programs.classes[0], costs[0]);
    PartTimes times = pieces.Sum(model);
    for (int64_t layer = model.layers - 1; layer >= 0; --layer) {
      times.scattered_once[model::HasExperts(model, layer) ? 1 : 0] = pieces.ScatteredInLast(layer);
    }
    const int64_t last = model.layers - 1, before = last - 1;  // of one kind
    times.kept_of_last[model::HasExperts(model, last) ? 1 : 0] = std::max<int64_t>(0, pieces.Gathered(before) - pieces.Gathered(last));
    for (size_t kind = 0; kind < times.layer.size(); ++kind) TakeComputing(whole->layer[kind], times.layer[kind]);
    TakeComputing(whole->embedding, times.embedding);
    TakeComputing(whole->head, times.head);
    times.kept_of_layer = whole->kept_of_layer;
    times.kept_of_head = whole->kept_of_head;
    return times;
  }
  sim::SimulationOptions options = SimulationOptionsFor(config_.cluster, prices_);
  options.cancellation = cancellation;
  HELM_ASSIGN_OR_RETURN(const sim::StageTemplate stage, sim::MakeStageTemplate(excerpt, 0, costs[0], options));
  const PieceTimes pieces(excerpt.programs.classes[0], stage);
  PartTimes times = pieces.Sum(model);
  pieces.FindKept(model, times);
  return times;
}

}  // namespace helm::planner
