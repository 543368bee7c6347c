// Configurations drawn by rapidcheck: small models, split, scheduled and run in every way that HELM lowers, with prices of no order; and
// the same of models of a size that is trained.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "core/hash.h"
#include "ir/signature.h"
#include "model/lora.h"
#include "planner_fixture.h"
#include "support/any_recompute.h"

namespace helm::planner {

inline void RunOnGpus(cluster::Cluster& cluster) {
  cluster.local = false;
  cluster.device.is_cpu = false;
  cluster.device.architecture = "hopper";
  cluster.device.multiprocessors = 132;
  cluster.node_count = 8;
  cluster.intra_node = {"nvswitch", BytesPerSecond::Gigabytes(450)};
  cluster.inter_node = {8, BytesPerSecond::Gigabits(400), "infiniband", Duration::Microseconds(5)};
}

// SmallConfig in bf16 on GPUs whose rates the passes that choose an order ask for.
inline config::RunConfig SmallGpuConfig(int64_t devices) {
  config::RunConfig config = SmallConfig(devices);
  RunOnGpus(config.cluster);
  config.cluster.device.peak = {{"bf16", FlopsPerSecond::Tera(989)}, {"f32", FlopsPerSecond::Tera(60)}};
  config.cluster.device.memory_bandwidth = BytesPerSecond::Gigabytes(3350);
  config.workload.dtype = ir::DataType::kBFloat16;
  return config;
}

// In every layer, or not in the first ones, or in each second or third one; the experts over the data-parallel ranks, over these and the
// tensor ranks, or on each.
inline void GiveExperts(config::RunConfig& config) {
  ir::Strategy& strategy = config.strategy;
  config.model.family = model::Family::kMoe;
  config.model.moe = {.experts = 4, .top_k = 2, .ffn = 24};
  config.model.moe.shared_ffn = *rc::gen::element<int64_t>(0, 16);
  strategy.expert = *rc::gen::element<int64_t>(1, strategy.data);
  strategy.expert_tensor = strategy.tensor;
  if (strategy.sequence_parallel && *rc::gen::arbitrary<bool>()) {
    strategy.expert *= strategy.tensor;
    strategy.expert_tensor = 1;
  }
  if (!strategy.sequence_parallel) {  // planner/step_form.cc
    config.model.moe.dense_layers = *rc::gen::element<int64_t>(0, 0, 1, 3);
    config.model.moe.layer_freq = *rc::gen::element<int64_t>(1, 1, 2, 3);
  }
  if (*rc::gen::arbitrary<bool>()) config.model.mla = {.q_lora = 12, .kv_lora = 16, .qk_nope = 8, .qk_rope = 4, .v = 8};
}

// On all linear layers, or on some, so that backward ends elsewhere in the first layer.
inline void GiveAdapters(config::RunConfig& config) {
  const std::vector<std::string> all = model::LoraTargetsOf(config.model);
  config.model.lora = {.rank = 4, .alpha = 8, .targets = all};
  if (*rc::gen::arbitrary<bool>()) config.model.lora.targets = {*rc::gen::elementOf(all)};
}

// Products of 8-bit operands, by either recipe.
inline void GiveEightBits(config::RunConfig& config) {
  config.workload.dtype = ir::DataType::kBFloat16;
  config.workload.quantization = ir::Quantization::kFp8;
  config.software.fp8_recipe = *rc::gen::element(ir::Fp8Recipe::kDelayed, ir::Fp8Recipe::kCurrent);
  config.software.fused.norm_linear = *rc::gen::arbitrary<bool>();
}

// Up to 16 layers of any kind that HELM lowers, up to 40 micro-batches, every way to split, schedule, overlap and recompute them, on CPUs
// and GPUs, where the host, the kernels or the collectives may be the slowest.
inline config::RunConfig RandomConfig() {
  config::RunConfig config = SmallConfig(8);
  const bool gpu = *rc::gen::arbitrary<bool>();
  if (gpu) RunOnGpus(config.cluster);
  config.workload.dtype = gpu ? ir::DataType::kBFloat16 : *rc::gen::element(ir::DataType::kFloat32, ir::DataType::kBFloat16);
  if (*rc::gen::arbitrary<bool>()) {
    config.model.family = model::Family::kGpt;
    config.model.norm = model::Norm::kLayerNorm;
    config.model.position = model::Position::kLearned;
    config.model.activation = model::Activation::kGelu;
    config.model.bias = true;
  }
  config.model.tied_embeddings = *rc::gen::arbitrary<bool>();
  config.model.vocab = *rc::gen::element<int64_t>(64, 67);
  config.software.gradient_bucket_bytes = *rc::gen::element<int64_t>(20'000, 100'000, 1'000'000);
  config.software.gradients = *rc::gen::element(ir::Precision::kFloat32, ir::Precision::kCompute);
  config.software.gradient_accumulation_fusion = *rc::gen::arbitrary<bool>();
  config.software.gradient_reduce_overlap = *rc::gen::arbitrary<bool>();
  config.software.fused.elementwise = *rc::gen::arbitrary<bool>();
  if (*rc::gen::weightedElement<bool>({{2, false}, {1, true}})) GiveEightBits(config);
  ir::Strategy& strategy = config.strategy;
  strategy.pipeline = *rc::gen::element<int64_t>(1, 2, 4);
  strategy.tensor = *rc::gen::element<int64_t>(1, 2);
  strategy.sequence_parallel = strategy.tensor > 1 && *rc::gen::arbitrary<bool>();
  strategy.data = *rc::gen::element<int64_t>(1, 2);
  strategy.zero = *rc::gen::element<int64_t>(0, 1);
  if (config.model.family == model::Family::kLlama && *rc::gen::arbitrary<bool>()) {
    GiveExperts(config);
  } else {
    strategy.context = *rc::gen::element<int64_t>(1, 2);
    config.software.context_communication =
        *rc::gen::element(ir::ContextCommunication::kRing, ir::ContextCommunication::kAllGather, ir::ContextCommunication::kAllToAll);
  }
  strategy.micro_batch = *rc::gen::element<int64_t>(1, 2);
  test::RecomputeAnything(config.model, strategy);
  const bool adaptable = config.model.moe.experts == 0 && config.workload.quantization == ir::Quantization::kNone;
  if (adaptable && *rc::gen::arbitrary<bool>()) GiveAdapters(config);
  strategy.overlap = *rc::gen::weightedElement<std::string>({{3, "none"}, {1, "serial"}});
  if (strategy.pipeline > 1) {
    strategy.schedule = *rc::gen::element<std::string>("gpipe", "1f1b", "zb-h1", "zb-h2", "interleaved-1f1b", "zb-v", "dualpipev");
  }
  const bool two_chunks = strategy.schedule == "interleaved-1f1b" || strategy.schedule == "zb-v" || strategy.schedule == "dualpipev";
  if (two_chunks) strategy.virtual_pipeline = 2;
  const int64_t chunks = strategy.pipeline * strategy.virtual_pipeline;
  config.model.layers = chunks * *rc::gen::inRange<int64_t>(1, 16 / chunks + 3);
  const bool grouped = strategy.schedule == "interleaved-1f1b";
  const int64_t micro_batches = grouped ? strategy.pipeline * *rc::gen::inRange<int64_t>(1, 6) : *rc::gen::inRange<int64_t>(1, 20);
  config.workload.global_batch = micro_batches * strategy.micro_batch * strategy.data;
  config.cluster.devices_used = strategy.world_size();
  config.cluster.devices_per_node = *rc::gen::element<int64_t>(2, 4, 8);
  return config;
}

// Other numbers of micro-batches for each data-parallel rank, where they can differ.
inline void ShareUnevenly(config::RunConfig& config) {
  ir::Strategy& strategy = config.strategy;
  if (strategy.data == 1 || strategy.expert > 1 || strategy.zero > 1 || strategy.overlap != "none") return;
  const int64_t unit = strategy.schedule == "interleaved-1f1b" ? strategy.pipeline : 1;
  int64_t in_all = 0;
  for (int64_t rank = 0; rank < strategy.data; ++rank) {
    strategy.micro_batches.push_back(unit * *rc::gen::inRange<int64_t>(1, 8));
    in_all += strategy.micro_batches.back();
  }
  config.workload.global_batch = in_all * strategy.micro_batch;
}

// ZeRO-2, ZeRO-3 or FSDP in place of what the configuration has, with one copy of the shards or two, gathered ahead in every way.
inline void ShardParameters(config::RunConfig& config) {
  ir::Strategy& strategy = config.strategy;
  strategy.pipeline = strategy.virtual_pipeline = 1;  // planner/step_form.cc
  strategy.schedule = "none";
  config.model.layers = *rc::gen::inRange<int64_t>(1, 13);
  const int64_t micro_batches = config.workload.global_batch / (strategy.micro_batch * strategy.data);
  strategy.data = *rc::gen::element<int64_t>(2, 4);
  strategy.expert = 1;
  strategy.expert_tensor = config.model.moe.experts > 0 ? strategy.tensor : 1;
  strategy.zero = *rc::gen::element<int64_t>(2, 3);
  if (*rc::gen::arbitrary<bool>()) {
    strategy.fsdp_replicate = *rc::gen::element<int64_t>(1, 1, 2);
    strategy.fsdp_shard = strategy.data * strategy.context / strategy.fsdp_replicate;
    if (strategy.fsdp_shard == 1 || strategy.fsdp_shard % strategy.context != 0) {
      strategy.fsdp_shard = strategy.data * strategy.context;
      strategy.fsdp_replicate = 1;
    }
  }
  config.workload.global_batch = micro_batches * strategy.micro_batch * strategy.data;
  config.cluster.devices_used = strategy.world_size();
  ir::Software& software = config.software;
  software.fsdp_backward_prefetch = *rc::gen::element(ir::BackwardPrefetch::kPre, ir::BackwardPrefetch::kPost, ir::BackwardPrefetch::kNone);
  software.fsdp_prefetch = *rc::gen::element<int64_t>(0, 1, 1, 2, 3);
  software.fsdp_root_kept = *rc::gen::arbitrary<bool>();
  software.fsdp_last_kept = *rc::gen::arbitrary<bool>();
  software.fsdp_no_sync = *rc::gen::arbitrary<bool>();
  software.fsdp_gather_copied = *rc::gen::arbitrary<bool>();
  software.fsdp_gradient_divided = *rc::gen::arbitrary<bool>();
  software.gradients_reduced = *rc::gen::element(ir::Precision::kFloat32, ir::Precision::kCompute);
}

// Prices without any regularity, so that nothing agrees by accident: from the text of the signature. Some from each source, some with
// workspace.
class ScatteredEstimator : public cost::Estimator {
 public:
  explicit ScatteredEstimator(cost::HostCosts host, int64_t collective_most) : host_(host), collective_most_(collective_most) {}

  Result<cost::Estimate> EstimateOp(const ir::OpSignature& op) const override {
    const uint64_t hash = Hash64(ir::ToText(op));
    const int64_t workspace = hash % 5 == 0 ? static_cast<int64_t>(hash >> 40) % 100'000 : 0;
    return cost::Estimate{Duration::Picoseconds(1'000 + static_cast<int64_t>(hash % 1'000'003)), SourceOf(hash), Bytes(workspace)};
  }
  Result<cost::Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override {
    const uint64_t hash = Hash64(ir::ToText(collective));
    return cost::Estimate{Duration::Picoseconds(static_cast<int64_t>(hash % static_cast<uint64_t>(collective_most_))), SourceOf(hash),
                          Bytes()};
  }
  Result<cost::HostCosts> EstimateHost() const override { return host_; }

 private:
  static cost::Source SourceOf(uint64_t hash) { return static_cast<cost::Source>((hash >> 32) % 3); }

  cost::HostCosts host_;
  int64_t collective_most_;
};

inline ScatteredEstimator RandomPrices() {
  const auto up_to = [](int64_t most) { return Duration::Picoseconds(*rc::gen::inRange<int64_t>(0, most)); };
  const int64_t launch = *rc::gen::element<int64_t>(1, 100'000, 1'000'000);
  cost::HostCosts host{up_to(launch), up_to(launch), up_to(launch), cost::Source::kMeasured};
  host.blocking = *rc::gen::weightedElement<bool>({{4, false}, {1, true}});
  host.waits_for_messages = *rc::gen::arbitrary<bool>();
  host.waits_for_norm = *rc::gen::arbitrary<bool>();
  return ScatteredEstimator(host, *rc::gen::element<int64_t>(1, 1'000'000, 30'000'000));
}

// A model of a size that is trained on many GPUs, on nodes of eight of them, with reductions that run beside the backward pass.
inline config::RunConfig LargeConfig() {
  config::RunConfig config = RandomConfig();
  RunOnGpus(config.cluster);
  cluster::Device& device = config.cluster.device;
  device.peak = {{"bf16", FlopsPerSecond::Tera(989)}, {"fp8", FlopsPerSecond::Tera(1979)}};
  device.memory_bandwidth = BytesPerSecond::Gigabytes(3350);
  config.cluster.devices_per_node = 8;
  config.workload.dtype = ir::DataType::kBFloat16;
  config.workload.sequence_length = 2048;
  config.model.hidden = *rc::gen::element<int64_t>(1024, 4096);
  config.model.heads = config.model.kv_heads = 16;
  config.model.head_dim = config.model.hidden / 16;
  config.model.ffn = 4 * config.model.hidden;
  config.model.vocab = 32000;
  config.model.max_positions = 4096;
  const ir::Fp8Recipe recipe = config.software.fp8_recipe;
  config.software = {};
  config.software.fp8_recipe = recipe;
  config.software.gradient_bucket_bytes = *rc::gen::element<int64_t>(25 << 20, 200 << 20);
  return config;
}

}  // namespace helm::planner
