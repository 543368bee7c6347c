// Passes by name, as `helm-opt --pass` and a plan's log call them. A pass takes a program and returns a legal rewrite of it; after each
// that changed something the program is verified, and the error of a wrong one names the pass.
//
//   serial        every wait directly behind its start (schedule/serial.h)
//   tile[=K]      the batch in K tiles, 2 if not given (schedule/tiling.h)
//   bucket[=2]    the same, but on all rows at once what is cheaper so (schedule/bucketing.h); needs prices
//   round_robin   segments of the tiles in turn (schedule/round_robin.h)
//   strands       a forward beside a backward of another micro-batch (schedule/strands.h); needs prices
//   lattice       the fastest interleaving of the tiles (schedule/lattice_pass.h); needs prices
//   gradient_buckets  reductions of gradients as one where that is faster (schedule/gradient_buckets.h); needs prices
//   forward_only  of a step what a prefill computes (schedule/forward_only.h): not a rewrite of the same work, and in no plan
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/units.h"
#include "cost/overlap_model.h"
#include "ir/program.h"
#include "ir/strategy.h"
#include "model/model_spec.h"
#include "sim/price_book.h"

namespace helm::schedule {

std::vector<std::string> PassNames();

// "name" or "name=value", apart.
struct PassSpec {
  std::string_view name;
  std::optional<std::string_view> value;
};
PassSpec SplitPass(std::string_view spec);

struct PassContext {
  sim::PriceBook* prices = nullptr;             // of passes that need durations; null: there are none
  cost::OverlapLosses overlap_losses;           // of the cluster, likewise
  std::optional<Bytes> memory_budget;           // of what the ops of one action allocate
  std::optional<Bytes> memory_more;             // that passes may allocate beside what the program has
  std::vector<std::string>* reasons = nullptr;  // what passes have to say of their choices is added; null: nobody listens
};

// Whether the pass, written as for RunPass, chooses by durations: its context has prices then.
bool NeedsPrices(std::string_view spec);

// `spec`: "name" or "name=value". An unknown name, a value that the pass does not take, or a program that it cannot rewrite is kInvalid.
Result<ir::Program> RunPass(std::string_view spec, const ir::Program& program, const PassContext& context = {});

// Whether the passes of the overlap word can rewrite what such a strategy lowers to: kInvalid, with the reason, where not. What this does
// not foresee, a pass refuses by itself.
Status CheckOverlap(const model::ModelSpec& model, const ir::Workload& workload, const ir::Software& software,
                    const ir::Strategy& strategy);

// The passes that a strategy's overlap word stands for: none for `none`.
std::vector<std::string> PassesOf(const ir::Strategy& strategy);
Result<ir::Program> ApplyOverlap(const ir::Strategy& strategy, ir::Program program, const PassContext& context = {});

}  // namespace helm::schedule
