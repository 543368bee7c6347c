// PartTimes: how long a rank takes at least to run one micro-batch through one layer, the embedding or the head, forward and backward.
// PartBook remembers them from plan to plan.
//
// They depend on how a layer is split (tensor, sequence, context, expert), on the micro-batch and on recomputation, not on how many layers,
// stages, data-parallel ranks and micro-batches there are: so a model of one layer of each kind on one stage is lowered, priced and cut
// into pieces (sim/stage_template.h) once for all plans that have these in common. Times are along one resource alone (the compute stream,
// or the host thread), as if everything else were ready, and without what slows down ops that run at the same time: never longer than in
// the step (property test of planner/time_bound.h).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "config/run_config.h"
#include "core/cancellation.h"
#include "core/status.h"
#include "ir/strategy.h"
#include "sim/price_book.h"

namespace helm::planner {

// Picoseconds from the end of what a resource did before to the end of what it does for the part. `busy` is what of the compute stream's is
// computing; `gathering` what the data-parallel ranks' links do to gather parameters, `scattering` what they do to reduce gradients into
// shards.
struct ResourceTimes {
  int64_t compute = 0, host = 0, busy = 0, gathering = 0, scattering = 0;

  ResourceTimes& operator+=(const ResourceTimes& other);
  bool operator==(const ResourceTimes&) const = default;
};

// In a micro-batch that is neither the first nor the last, and in any.
struct PassTimes {
  ResourceTimes inner, any;

  PassTimes& operator+=(const PassTimes& other);
};

struct Part {
  PassTimes forward, backward;

  Part& operator+=(const Part& other);
};

struct PartTimes {
  std::array<Part, 2> layer;  // dense; with experts
  Part embedding;
  Part head;  // with the loss
  // By kind of layer, picoseconds. Of the model's last layer: what its passes do not gather since it is kept between them
  // (`fsdp_last_kept`).
  std::array<int64_t, 2> kept_of_last{};
  // What is reduced into shards once, with the last micro-batch, however many there are.
  std::array<int64_t, 2> scattered_once{};
  // Bytes that a forward pass leaves for the backward one, by kind of layer, with its output; of the head what lies behind the layers.
  std::array<int64_t, 2> kept_of_layer{};
  int64_t kept_of_head = 0;
};

// What parts were found to take. Not safe for concurrent use; references stay valid. `config` and `prices` outlive it.
class PartBook {
 public:
  PartBook(const config::RunConfig& config, sim::PriceBook& prices);
  ~PartBook();

  // All 0 where they cannot be found (prices are missing, or the pieces cannot be cut). Where parameters are sharded, those of the same
  // with whole ones and what gathering takes. Fails only when it is cancelled.
  Result<const PartTimes*> Of(const ir::Strategy& strategy, const Cancellation& cancellation);

  // What they take in one group of a cluster of several kinds of nodes.
  PartBook& InGroup(size_t group);

  int64_t found() const { return static_cast<int64_t>(times_.size()); }

 private:
  // data, tensor, context, expert, expert_tensor, micro_batch, sequence_parallel, recompute; zero, fsdp_shard, fsdp_replicate
  using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool, std::string, int64_t, int64_t, int64_t, bool>;

  struct GroupBook;

  Result<PartTimes> Find(const ir::Strategy& strategy, const Cancellation& cancellation);

  const config::RunConfig& config_;
  sim::PriceBook& prices_;
  std::map<Key, PartTimes> times_;
  std::map<size_t, std::unique_ptr<GroupBook>> groups_;
};

}  // namespace helm::planner
