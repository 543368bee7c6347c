// Every export of many random plans reads back to the same programs, and so to the same prediction; what a trainer cannot express is
// refused by name.
#include "exporter/exporter.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "cluster/cluster_reader.h"
#include "core/text.h"
#include "ir/program_text.h"
#include "ir/schedule_check.h"
#include "model/lower.h"
#include "model/model_reader.h"
#include "schedule/materialise.h"
#include "schedule/pipeline_schedule.h"

namespace helm::exporter {
namespace {

cluster::Cluster Gpus(int64_t devices) {
  cluster::Cluster cluster;
  cluster.name = "test";
  cluster.device.name = "test GPU";
  cluster.device.architecture = "hopper";
  cluster.device.memory = Bytes::Gibibytes(80);
  cluster.devices_per_node = 8;
  cluster.node_count = (devices + 7) / 8;
  cluster.devices_used = devices;
  cluster.intra_node = {"nvswitch", BytesPerSecond::Gigabytes(450)};
  cluster.inter_node = {8, BytesPerSecond::Gigabits(400), "infiniband", Duration::Microseconds(5)};
  return cluster;
}

model::ModelSpec Preset(const std::string& name) {
  Diagnostics diagnostics;
  return *model::ReadModel(*ParseYaml(name, "test"), {{{"configs"}}, "."}, diagnostics);
}

model::ModelSpec SmallGpt() {
  model::ModelSpec model = Preset("gpt2");
  model.layers = 8;
  model.hidden = 64;
  model.heads = model.kv_heads = 4;
  model.head_dim = 16;
  model.ffn = 256;
  model.max_positions = 64;
  model.notes.clear();
  return model;
}

class Dice {
 public:
  explicit Dice(uint32_t seed) : random_(seed) {}
  template <typename T>
  T OneOf(std::initializer_list<T> values) {
    return *(values.begin() + random_() % values.size());
  }
  bool Coin() { return OneOf({false, true}); }

 private:
  std::mt19937 random_;
};

model::ModelSpec RandomModel(Dice& dice) {
  model::ModelSpec model = SmallGpt();
  if (dice.Coin()) {
    model.family = model::Family::kLlama;
    model.activation = dice.OneOf({model::Activation::kSwiGlu, model::Activation::kSquaredRelu, model::Activation::kGeGlu});
    model.norm = model::Norm::kRmsNorm;
    model.position = model::Position::kRope;
    model.bias = false;
    model.attention_bias = dice.Coin();
    model.qk_norm = dice.Coin();
    model.kv_heads = dice.OneOf<int64_t>({2, 4});
    model.ffn = 192;
    model.tied_embeddings = dice.Coin();
  }
  model.vocab = dice.OneOf<int64_t>({50257, 50304, 512});
  if (model.family == model::Family::kLlama && dice.Coin()) {
    model.family = model::Family::kMoe;
    model.moe = {
        .experts = 4, .top_k = 2, .ffn = 48, .shared_ffn = dice.OneOf<int64_t>({0, 32}), .dense_layers = dice.OneOf<int64_t>({0, 2})};
    if (dice.Coin()) model.moe.layer_freq = 2;
    if (dice.Coin()) model.mla = {.q_lora = 24, .kv_lora = 32, .qk_nope = 16, .qk_rope = 8, .v = 16};
  }
  return model;
}

// Uneven: the last chunk has one layer less, the first one more.
std::vector<ir::Stage> Uneven(int64_t layers, int64_t chunks) {
  std::vector<ir::Stage> stages;
  int64_t next = 0;
  for (int64_t c = 0; c < chunks; ++c) {
    const int64_t count = layers / chunks + (c == 0 ? 1 : 0) - (c + 1 == chunks ? 1 : 0);
    stages.push_back({next, next + count});
    next += count;
  }
  return stages;
}

// Words, layers at the start of each chunk, or parts that Megatron-LM names too.
void RandomRecompute(Dice& dice, const model::ModelSpec& model, ir::Strategy& strategy) {
  strategy.recompute = dice.OneOf<std::string>({"none", "none", "none", "full", "selective", "custom"});
  if (strategy.recompute != "custom") return;
  if (dice.Coin()) {
    strategy.recompute_layers = dice.OneOf<int64_t>({1, 2});
    return;
  }
  strategy.recompute_ops = {"norm"};
  if (dice.Coin()) strategy.recompute_ops.emplace_back("core_attention");
  if (dice.Coin()) strategy.recompute_ops.emplace_back(model.moe.experts > 0 ? "moe_activation" : "mlp");
}

ir::Strategy RandomStrategy(Dice& dice, const model::ModelSpec& model) {
  ir::Strategy strategy;
  strategy.data = dice.OneOf<int64_t>({1, 2, 4});
  strategy.tensor = dice.OneOf<int64_t>({1, 2});
  strategy.sequence_parallel = strategy.tensor > 1 && dice.Coin();
  strategy.context = dice.OneOf<int64_t>({1, 1, 1, 2});
  strategy.pipeline = dice.OneOf<int64_t>({1, 1, 2, 4});
  strategy.micro_batch = dice.OneOf<int64_t>({1, 2});
  RandomRecompute(dice, model, strategy);
  strategy.zero = dice.OneOf<int64_t>({0, 0, 1, 2, 3});
  if (strategy.zero >= 2 && strategy.data == 4 && dice.Coin()) {
    strategy.fsdp_shard = 2 * strategy.context;
    strategy.fsdp_replicate = 2;
  }
  if (strategy.pipeline > 1) {
    strategy.schedule = dice.OneOf<std::string>({"gpipe", "1f1b", "1f1b", "interleaved-1f1b", "zb-h1", "zb-h2", "zb-v", "dualpipev"});
    const bool two = strategy.schedule == "interleaved-1f1b" || strategy.schedule == "zb-v" || strategy.schedule == "dualpipev";
    if (two) strategy.virtual_pipeline = 2;
    if (dice.Coin()) strategy.stages = Uneven(model.layers, strategy.pipeline * strategy.virtual_pipeline);
  }
  if (model.moe.experts > 0) {
    strategy.expert_tensor = strategy.tensor;
    if (strategy.data > 1 && strategy.zero <= 1 && dice.Coin()) strategy.expert = 2;
  }
  strategy.overlap = dice.OneOf<std::string>({"none", "none", "none", "none", "serial"});
  return strategy;
}

ir::Plan RandomPlan(Dice& dice, const model::ModelSpec& model, int64_t micro_batches) {
  ir::Plan plan;
  plan.strategy = RandomStrategy(dice, model);
  plan.model = model::ToJson(model);
  plan.cluster = cluster::ToJson(Gpus(plan.strategy.world_size()));
  plan.software.framework = "helm";
  plan.software.context_communication =
      dice.OneOf({ir::ContextCommunication::kRing, ir::ContextCommunication::kAllGather, ir::ContextCommunication::kAllToAll});
  plan.workload.sequence_length = 64;
  plan.workload.dtype = dice.OneOf({ir::DataType::kBFloat16, ir::DataType::kBFloat16, ir::DataType::kFloat16});
  plan.workload.global_batch = plan.strategy.data * plan.strategy.micro_batch * micro_batches;
  plan.workload.seed = 7;
  plan.workload.optimizer.learning_rate = 1e-4;
  return plan;
}

std::string HashOf(const ir::Plan& plan) {
  const auto step = schedule::Materialise(plan);
  EXPECT_TRUE(step.ok()) << step.status().message();
  return step.ok() ? ir::ProgramHash(*step) : "";
}

// Whether HELM itself takes the plan.
bool Possible(const ir::Plan& plan, const model::ModelSpec& model) {
  return model::CheckStrategy(model, plan.workload, plan.strategy).ok() &&
         schedule::PipelineSchedules(plan.strategy, MicroBatches(plan.workload, plan.strategy)).ok();
}

// How many of `count` random plans the trainer takes; the others are refused by name.
int RoundTrips(const std::string& trainer, int count, const std::function<model::ModelSpec(Dice&)>& make_model) {
  Dice dice(42);
  int exported = 0;
  for (int i = 0; i < count; ++i) {
    const model::ModelSpec model = make_model(dice);
    const ir::Plan plan = RandomPlan(dice, model, 8);
    if (!Possible(plan, model)) continue;
    const auto text = Export(trainer, plan);
    const Subject subject{model, *cluster::ClusterFromJson(plan.cluster), plan.workload, plan.software, plan.strategy};
    EXPECT_EQ(CheckExpressible(trainer, subject).message(), text.status().message());
    if (!text.ok()) {
      EXPECT_EQ(text.status().code(), StatusCode::kInvalid) << text.status().message();
      EXPECT_TRUE(text.status().message().starts_with("error: " + trainer + " cannot express ")) << text.status().message();
      continue;
    }
    ++exported;
    const auto again = ReadBack(trainer, *text, plan);
    EXPECT_TRUE(again.ok()) << again.status().message();
    if (!again.ok()) return exported;
    EXPECT_EQ(HashOf(*again), HashOf(plan)) << ir::Describe(plan.strategy) << "\n" << text->text;
  }
  return exported;
}

TEST(Exporter, MegatronRoundTrip) { EXPECT_GE(RoundTrips("megatron", 120, RandomModel), 12); }
TEST(Exporter, DeepSpeedRoundTrip) { EXPECT_GE(RoundTrips("deepspeed", 200, RandomModel), 10); }
TEST(Exporter, ScheduleCsvRoundTrip) { EXPECT_GE(RoundTrips("schedule-csv", 60, RandomModel), 15); }
TEST(Exporter, HeiretsuRoundTrip) {
  EXPECT_GE(RoundTrips("heiretsu", 1000, [](Dice&) { return SmallGpt(); }), 20);
}
TEST(Exporter, TorchtitanRoundTrip) {
  EXPECT_GE(RoundTrips("torchtitan", 80, [](Dice&) { return Preset("qwen3-0.6b"); }), 5);
}

ir::Plan LlamaPlan(const ir::Strategy& strategy) {
  Dice dice(1);
  ir::Plan plan = RandomPlan(dice, Preset("llama3-8b"), 1);
  plan.strategy = strategy;
  plan.workload.dtype = ir::DataType::kBFloat16;
  plan.workload.global_batch = 64;
  plan.workload.sequence_length = 8192;
  plan.cluster = cluster::ToJson(Gpus(strategy.world_size()));
  return plan;
}

TEST(Exporter, MegatronSaysWhatItsChecksAskFor) {
  const auto exported = Export("megatron", LlamaPlan({.data = 2,
                                                      .tensor = 4,
                                                      .sequence_parallel = true,
                                                      .pipeline = 2,
                                                      .virtual_pipeline = 2,
                                                      .zero = 1,
                                                      .recompute = "selective",
                                                      .schedule = "interleaved-1f1b"}));
  ASSERT_TRUE(exported.ok()) << exported.status().message();
  for (const char* line : {"export CUDA_DEVICE_MAX_CONNECTIONS=1\n", "  --tensor-model-parallel-size 4\n", "  --sequence-parallel\n",
                           "  --num-virtual-stages-per-pipeline-rank 2\n", "  --recompute-modules core_attn\n",
                           "  --use-distributed-optimizer\n", "  --bf16\n", "  --global-batch-size 64\n", "  --num-query-groups 8\n",
                           "  --make-vocab-size-divisible-by 64\n", "torchrun --nnodes 2 --nproc_per_node 8 "}) {
    EXPECT_NE(exported->text.find(line), std::string::npos) << line << exported->text;
  }
}

// A schedule that PyTorch does not know goes as a file; the layers are counted out.
TEST(Exporter, TorchtitanTakesOwnSchedulesAsCsv) {
  const auto exported = Export("torchtitan", LlamaPlan({.pipeline = 2, .virtual_pipeline = 1, .schedule = "zb-h1"}));
  ASSERT_TRUE(exported.ok()) << exported.status().message();
  ASSERT_EQ(exported->more.size(), 1U);
  EXPECT_EQ(exported->more[0].name, "schedule.csv");
  EXPECT_TRUE(exported->more[0].text.starts_with("0F0,0F1,0I0,0W0,"));
  EXPECT_NE(exported->text.find("pipeline_parallel_schedule_csv = \"schedule.csv\""), std::string::npos);
  EXPECT_NE(exported->text.find("[\"layers.16\""), std::string::npos);
}

std::string RefusalOf(const std::string& trainer, const ir::Strategy& strategy) {
  const auto exported = Export(trainer, LlamaPlan(strategy));
  return exported.ok() ? "" : exported.status().message();
}

// 12 ranks, 8 on the first node and 4 on the second; the batch of 48 divides by 12.
TEST(Exporter, MegatronRefusesNodesWithUnlikeNumbersOfRanks) {
  ir::Plan plan = LlamaPlan({.data = 12});
  plan.workload.global_batch = 48;
  const auto exported = Export("megatron", plan);
  ASSERT_FALSE(exported.ok());
  EXPECT_EQ(exported.status().message(),
            "error: megatron cannot express cluster of 12 GPUs in nodes of 8: torchrun starts as many ranks on each of its nodes");
}

TEST(Exporter, RefusalsNameWhatAndWhy) {
  EXPECT_EQ(RefusalOf("megatron", {.pipeline = 2, .schedule = "gpipe"}),
            "error: megatron cannot express strategy.schedule gpipe: its pipelines run 1f1b or interleaved-1f1b");
  EXPECT_EQ(RefusalOf("torchtitan", {.data = 2, .tensor = 2, .zero = 1}),
            "error: torchtitan cannot express strategy.zero 1: it shards the optimizer's state only together with the parameters (zero 3)\n"
            "error: torchtitan cannot express strategy.tensor 2 without sequence_parallel: its tensor parallelism is always sequence "
            "parallel");
  EXPECT_NE(RefusalOf("deepspeed", {.pipeline = 2, .schedule = "1f1b"}).find("cannot express strategy.pipeline 2"), std::string::npos);
  EXPECT_NE(RefusalOf("heiretsu", {}).find("cannot express model llama3-8b"), std::string::npos);
  EXPECT_NE(RefusalOf("schedule-csv", {}).find("cannot express strategy.pipeline 1"), std::string::npos);
  EXPECT_EQ(RefusalOf("nemo", {}), "error: there is no export 'nemo'\nallowed: megatron, torchtitan, deepspeed, heiretsu, schedule-csv");
}

TEST(Exporter, AdaptersAreRefusedByAllButTheSchedule) {
  ir::Plan plan = LlamaPlan({.data = 2, .pipeline = 2, .schedule = "1f1b"});
  plan.model["lora"] = {{"rank", 8}};
  for (const char* trainer : {"megatron", "torchtitan", "deepspeed", "heiretsu"}) {
    const auto exported = Export(trainer, plan);
    ASSERT_FALSE(exported.ok());
    EXPECT_NE(exported.status().message().find("cannot express model.lora: its file has no adapters"), std::string::npos) << trainer;
  }
  EXPECT_TRUE(Export("schedule-csv", plan).ok());
}

// What somebody else wrote into the lines is not passed over.
// What a framework's plans are suggested to be written for.
TEST(Exporter, FrameworksHaveTheirTrainers) {
  EXPECT_EQ(TrainerOfFramework("megatron-core"), "megatron");
  EXPECT_EQ(TrainerOfFramework("torchtitan"), "torchtitan");
  EXPECT_EQ(TrainerOfFramework("maxtext"), std::nullopt);
}

TEST(Exporter, ReadingBackIsStrict) {
  const ir::Plan plan = LlamaPlan({.data = 2});
  Exported exported = Export("megatron", plan).value();
  exported.text = ReplaceAll(exported.text, "  --bf16\n", "  --bf16\n  --fp8-format hybrid\n");
  EXPECT_EQ(ReadBack("megatron", exported, plan).status().message(), "error: --fp8-format is not known here, or given twice");
  Exported json = Export("deepspeed", plan).value();
  json.text = ReplaceAll(json.text, "\"stage\"", "\"stgae\"");
  EXPECT_NE(ReadBack("deepspeed", json, plan).status().message().find("did you mean 'stage'?"), std::string::npos);
}

}  // namespace
}  // namespace helm::exporter
