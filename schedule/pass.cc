#include "schedule/pass.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "ir/strategy_text.h"
#include "ir/verify.h"
#include "model/lower.h"
#include "schedule/bucketing.h"
#include "schedule/early_starts.h"
#include "schedule/forward_only.h"
#include "schedule/gradient_buckets.h"
#include "schedule/lattice_pass.h"
#include "schedule/round_robin.h"
#include "schedule/serial.h"
#include "schedule/strands.h"
#include "schedule/tiling.h"

namespace helm::schedule {
namespace {

constexpr int64_t kTilesMost = 64;

Result<ir::Program> RunSerial(const ir::Program& program, int64_t /*value*/, const PassContext& /*context*/) { return MakeSerial(program); }

Result<ir::Program> RunForwardOnly(const ir::Program& program, int64_t /*value*/, const PassContext& /*context*/) {
  return ForwardOnly(program);
}

Result<ir::Program> RunTile(const ir::Program& program, int64_t tiles, const PassContext& /*context*/) { return Tile(program, tiles); }

Result<ir::Program> RunRoundRobin(const ir::Program& program, int64_t /*value*/, const PassContext& /*context*/) {
  return RoundRobin(program);
}

Result<ir::Program> RunEarlyStarts(const ir::Program& program, int64_t /*value*/, const PassContext& /*context*/) {
  return StartEarly(program);
}

void Tell(const PassContext& context, const std::vector<std::string>& reasons) {
  if (context.reasons != nullptr) context.reasons->insert(context.reasons->end(), reasons.begin(), reasons.end());
}

Result<ir::Program> RunBucket(const ir::Program& program, int64_t tiles, const PassContext& context) {
  HELM_ASSIGN_OR_RETURN(Bucketed bucketed, Bucket(program, tiles, *context.prices, {.memory_budget = context.memory_budget, .merges = {}}));
  Tell(context, bucketed.reasons);
  return std::move(bucketed.program);
}

Result<ir::Program> RunLattice(const ir::Program& program, int64_t /*value*/, const PassContext& context) {
  return Lattice(program, *context.prices, {.memory_budget = context.memory_budget, .merges = {}});
}

Result<ir::Program> RunStrands(const ir::Program& program, int64_t /*value*/, const PassContext& context) {
  HELM_ASSIGN_OR_RETURN(Strands strands, InterleaveStrands(program, *context.prices, context.overlap_losses));
  Tell(context, strands.reasons);
  return std::move(strands.program);
}

Result<ir::Program> RunGradientBuckets(const ir::Program& program, int64_t /*value*/, const PassContext& context) {
  HELM_ASSIGN_OR_RETURN(GradientBuckets joined, JoinGradientBuckets(program, *context.prices, context.memory_more));
  Tell(context, joined.reasons);
  return std::move(joined.program);
}

struct NamedPass {
  const char* name;
  Result<ir::Program> (*run)(const ir::Program&, int64_t, const PassContext&);
  int64_t value_usual = 0;  // 0: the pass takes no value
  bool needs_prices = false;
};

constexpr NamedPass kPasses[] = {{"serial", RunSerial},
                                 {"tile", RunTile, kTilesUsual},
                                 {"bucket", RunBucket, kTilesUsual, true},
                                 {"early_starts", RunEarlyStarts},
                                 {"round_robin", RunRoundRobin},
                                 {"lattice", RunLattice, 0, true},
                                 {"strands", RunStrands, 0, true},
                                 {"gradient_buckets", RunGradientBuckets, 0, true},
                                 {"forward_only", RunForwardOnly}};

const NamedPass* Find(std::string_view spec) {
  const auto* const found = std::ranges::find(kPasses, SplitPass(spec).name, &NamedPass::name);
  return found == std::end(kPasses) ? nullptr : found;
}

Status CheckPrices(const NamedPass& pass, const PassContext& context) {
  if (!pass.needs_prices || context.prices != nullptr) return OkStatus();
  return InvalidError(
      fmt::format("error: --pass {}: it needs to know how long each op takes\n  fix: give the run configuration of the program: helm-opt "
                  "--config FILE",
                  pass.name));
}

Result<int64_t> ValueOf(std::string_view spec, const NamedPass& pass) {
  const std::optional<std::string_view> given = SplitPass(spec).value;
  if (!given) return pass.value_usual;
  if (pass.value_usual == 0) return InvalidError(fmt::format("error: --pass {}: '{}' takes no value", spec, pass.name));
  const std::string_view text = *given;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > kTilesMost) {
    return InvalidError(fmt::format("error: --pass {}: '{}' takes a number\n  allowed: 1 to {}", spec, pass.name, kTilesMost));
  }
  return value;
}

}  // namespace

PassSpec SplitPass(std::string_view spec) {
  const size_t equals = spec.find('=');
  if (equals == std::string_view::npos) return {spec, std::nullopt};
  return {spec.substr(0, equals), spec.substr(equals + 1)};
}

std::vector<std::string> PassNames() {
  std::vector<std::string> names;
  for (const NamedPass& pass : kPasses) names.emplace_back(pass.name);
  return names;
}

bool NeedsPrices(std::string_view spec) {
  const NamedPass* pass = Find(spec);
  return pass != nullptr && pass->needs_prices;
}

Result<ir::Program> RunPass(std::string_view spec, const ir::Program& program, const PassContext& context) {
  const std::string_view name = SplitPass(spec).name;
  const NamedPass* pass = Find(spec);
  if (pass == nullptr) {
    const auto nearest = DidYouMean(name, PassNames());
    return InvalidError(fmt::format("error: --pass {}: there is no such pass{}\n  allowed: {}", spec,
                                    nearest ? fmt::format("; did you mean '{}'?", *nearest) : "", Join(PassNames(), ", ")));
  }
  HELM_ASSIGN_OR_RETURN(const int64_t value, ValueOf(spec, *pass));
  HELM_RETURN_IF_ERROR(CheckPrices(*pass, context));
  HELM_ASSIGN_OR_RETURN(ir::Program changed, pass->run(program, value, context));
  if (Status status = ir::Verify(changed); !status.ok()) {
    return InternalError(fmt::format("after pass {}: {}", name, status.message()));
  }
  return changed;
}

namespace {

// A tile has its share of each expert's slots.
Status CheckExperts(const std::string& what, const model::ModelSpec& model, const ir::Workload& workload, const ir::Software& software,
                    const ir::Strategy& strategy) {
  if (model.moe.experts == 0) return OkStatus();
  const int64_t tokens = strategy.micro_batch * workload.sequence_length / (strategy.sequence_parallel ? strategy.tensor : 1);
  const int64_t capacity = model::ExpertCapacity(model.moe, tokens, workload.routing_imbalance);
  if (capacity % strategy.overlap_tiles != 0) {
    return InvalidError(
        fmt::format("{}splits the {} slots that an expert has for a rank's tokens of a micro-batch, which {} tiles do not divide\n  fix: "
                    "another moe.capacity_factor, micro_batch or overlap_tiles",
                    what, capacity, strategy.overlap_tiles));
  }
  if (!software.expert_grouped_gemm && model.moe.experts > strategy.expert) {
    return InvalidError(what + "is not possible with experts that are computed one by one\n  fix: software.expert_grouped_gemm: true");
  }
  return OkStatus();
}

}  // namespace

namespace {

// Of one sequence the positions are split, and with sequence parallelism each rank's rows of a micro-batch.
Status CheckPositions(const std::string& what, const ir::Workload& workload, const ir::Strategy& strategy) {
  const int64_t tiles = strategy.overlap_tiles;
  if (tiles > kTilesMost) return InvalidError(fmt::format("{}splits into {} tiles\n  allowed: 2 to {}", what, tiles, kTilesMost));
  if (strategy.micro_batch == 1 && workload.sequence_length % tiles != 0) {
    return InvalidError(fmt::format("{}splits the one sequence of micro_batch 1 into {} tiles, which do not divide sequence_length {}",
                                    what, tiles, workload.sequence_length));
  }
  const int64_t rows = strategy.micro_batch * workload.sequence_length / strategy.context / strategy.tensor;
  if (strategy.sequence_parallel && rows % tiles != 0) {
    return InvalidError(fmt::format("{}splits the {} rows that a rank has with sequence_parallel into {} tiles, which do not divide them",
                                    what, rows, tiles));
  }
  return OkStatus();
}

}  // namespace

Status CheckOverlap(const model::ModelSpec& model, const ir::Workload& workload, const ir::Software& software,
                    const ir::Strategy& strategy) {
  if (workload.kind == "prefill" && !ir::IsTiled(strategy) && ir::HidesCommunication(strategy)) {
    return InvalidError(
        fmt::format("error: strategy.overlap {} needs a backward, and workload.kind prefill has none\n  fix: helix, lattice "
                    "or bucketed",
                    strategy.overlap));
  }
  if (strategy.overlap == "strands") return CheckStrands(workload, software, strategy);
  if (!ir::IsTiled(strategy)) return OkStatus();
  const std::string what = fmt::format("error: strategy.overlap {} ", strategy.overlap);
  if (strategy.micro_batch > 1 && strategy.micro_batch % strategy.overlap_tiles != 0) {
    return InvalidError(
        fmt::format("{}splits a micro-batch into {} tiles, which do not divide micro_batch {}\n  fix: a micro_batch that is a "
                    "multiple of {}, or 1, whose sequence is split",
                    what, strategy.overlap_tiles, strategy.micro_batch, strategy.overlap_tiles));
  }
  HELM_RETURN_IF_ERROR(CheckPositions(what, workload, strategy));
  if (strategy.micro_batch == 1 && !software.flash_attention) {
    return InvalidError(what +
                        "splits the one sequence of micro_batch 1, which needs flash attention\n  fix: software.flash_attention: "
                        "true, or a larger micro_batch");
  }
  if (strategy.overlap == "bucketed" && strategy.overlap_tiles != kTilesUsual) {
    return InvalidError(fmt::format("{}puts two tiles together again, not {}\n  fix: overlap_tiles: 2", what, strategy.overlap_tiles));
  }
  if (strategy.context > 1)
    return InvalidError(what + "is not possible with context parallelism: tiles would send their keys and values one by one");
  if (model.mla.kv_lora > 0 && strategy.micro_batch == 1) {
    return InvalidError(what +
                        "cannot split the one sequence of micro_batch 1 with latent attention, whose kernels take the first query to "
                        "see the first key only\n  fix: a larger micro_batch");
  }
  if (workload.quantization != ir::Quantization::kNone) {
    return InvalidError(
        fmt::format("{}is not possible with workload.dtype {}: the largest magnitude that scales a tensor is not that of a tile", what,
                    ir::DataTypeWord(workload)));
  }
  HELM_RETURN_IF_ERROR(CheckExperts(what, model, workload, software, strategy));
  if (software.hidden_dropout > 0 || software.attention_dropout > 0) {
    return InvalidError(what + "is not possible with dropout: tiles would draw other random numbers");
  }
  return OkStatus();
}

std::vector<std::string> PassesOf(const ir::Strategy& strategy) {
  const std::string tile = fmt::format("tile={}", strategy.overlap_tiles);
  if (strategy.overlap == "serial") return {"serial"};
  if (strategy.overlap == "async_tp") return {tile, "early_starts"};
  if (strategy.overlap == "helix") return {tile, "round_robin"};
  if (strategy.overlap == "lattice") return {tile, "lattice"};
  if (strategy.overlap == "strands") return {"strands"};
  if (strategy.overlap == "gradient_buckets") return {"gradient_buckets"};
  if (strategy.overlap == "bucketed") return {fmt::format("bucket={}", strategy.overlap_tiles), "lattice", "gradient_buckets"};
  return {};
}

Result<ir::Program> ApplyOverlap(const ir::Strategy& strategy, ir::Program program, const PassContext& context) {
  const std::vector<std::string>& words = ir::OverlapWords();
  if (std::ranges::find(words, strategy.overlap) == words.end()) {
    return InvalidError(fmt::format("error: overlap '{}' is not known to this version\nallowed: {}", strategy.overlap, Join(words, ", ")));
  }
  for (const std::string& pass : PassesOf(strategy)) {
    HELM_ASSIGN_OR_RETURN(program, RunPass(pass, program, context));
  }
  return program;
}

}  // namespace helm::schedule
