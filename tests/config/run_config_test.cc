#include "config/run_config.h"

#include <gtest/gtest.h>

#include "core/text.h"

namespace helm::config {
namespace {

ConfigContext Context() {
  return {{{"configs"}},
          {.cpu_name = "Test CPU",
           .cpu_cores = 8,
           .memory = Bytes::Gibibytes(16),
           .peak = FlopsPerSecond::Of(3.2e11),
           .memory_bandwidth = BytesPerSecond::Of(4e10)}};
}

// Four attention heads, two key-value heads, ffn 96.
constexpr char kModel[] = "model: {family: llama, layers: 2, hidden: 64, ffn: 96, heads: 4, kv_heads: 2, vocab: 256, max_positions: 512}\n";
constexpr char kCluster[] = "cluster: {local: 4}\n";
constexpr char kWorkload[] = "workload: {global_batch: 8, sequence_length: 64, dtype: fp32}\n";

Result<RunConfig> Parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return ParseRunConfig(text, "runs/f.yaml", overrides, Context());
}

// Messages without source lines and carets.
std::string Brief(const std::string& text, const std::vector<std::string>& overrides = {}) {
  std::string brief;
  for (const std::string& line : Split(Parse(text, overrides).status().message(), '\n')) {
    if (line.find(" | ") == std::string::npos) brief += line + "\n";
  }
  return brief;
}

std::string BriefStrategy(const std::string& strategy) {
  return Brief(std::string(kModel) + kCluster + kWorkload + "strategy: " + strategy + "\n");
}
std::string BriefWorkload(const std::string& workload) { return Brief(std::string(kModel) + kCluster + "workload: " + workload + "\n"); }

TEST(RunConfig, AppliesDefaultsAndRemembersWhatWasGiven) {
  const auto config = Parse(std::string(kModel) + kCluster + kWorkload);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->path, "runs/f.yaml");
  EXPECT_EQ(config->strategy, ir::Strategy());
  EXPECT_TRUE(config->strategy_given.empty());
  EXPECT_EQ(config->software.framework, "helm");
  EXPECT_EQ(config->search, SearchOptions());
  EXPECT_EQ(config->tolerance, ir::Tolerance());
  EXPECT_EQ(config->workload, (ir::Workload{.global_batch = 8, .sequence_length = 64}));
  EXPECT_EQ(config->model.heads, 4);
  EXPECT_EQ(config->cluster.devices_used, 4);
}

TEST(RunConfig, ReadsEveryKey) {
  const auto config = Parse(
      std::string(kModel) + kCluster +
      "cost_tables: null\n"
      "software: {framework: helm, flash_attention: true, compile: false, gradient_bucket_bytes: 1000}\n"
      "workload:\n"
      "  kind: training\n  global_batch: 16\n  sequence_length: 32\n  dtype: bf16\n  seed: 18446744073709551615\n  routing: null\n"
      "  optimizer: {kind: adam, learning_rate: 0.001, beta1: 0.8, beta2: 0.99, epsilon: 1e-4, weight_decay: 0, clip_norm: 0.5}\n"
      "strategy: {data: 2, tensor: 2, sequence_parallel: true, context: 1, pipeline: 1, virtual_pipeline: 1, expert: 1,\n"
      "           expert_tensor: 1, zero: 0, micro_batch: 2, recompute: none, schedule: none, overlap: serial}\n"
      "search: {objective: step_time, memory_fraction: 0.9, time_limit_s: 5, forbid: [{tensor: 4}, {data: 4, sequence_parallel: false}]}\n"
      "tolerance: {step_time: 0.15, peak_memory: 0.05}\n");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->software, (ir::Software{.framework = "helm", .gradient_bucket_bytes = 1000}));
  const ir::Optimizer optimizer{.learning_rate = 0.001, .beta1 = 0.8, .beta2 = 0.99, .epsilon = 1e-4, .weight_decay = 0, .clip_norm = 0.5};
  EXPECT_EQ(config->workload,
            (ir::Workload{
                .global_batch = 16, .sequence_length = 32, .dtype = ir::DataType::kBFloat16, .optimizer = optimizer, .seed = UINT64_MAX}));
  EXPECT_EQ(config->strategy, (ir::Strategy{.data = 2, .tensor = 2, .sequence_parallel = true, .micro_batch = 2, .overlap = "serial"}));
  EXPECT_EQ(config->strategy_given,
            (std::set<std::string>{"context", "data", "expert", "expert_tensor", "micro_batch", "overlap", "pipeline", "recompute",
                                   "schedule", "sequence_parallel", "tensor", "virtual_pipeline", "zero"}));
  EXPECT_EQ(config->search.memory_fraction, 0.9);
  EXPECT_EQ(config->search.time_limit_s, 5.0);
  EXPECT_EQ(config->search.forbid,
            (std::vector<ForbiddenStrategy>{{{{"tensor", "4"}}}, {{{"data", "4"}, {"sequence_parallel", "false"}}}}));
  EXPECT_EQ(config->tolerance, (ir::Tolerance{.step_time = 0.15, .peak_memory = 0.05}));
}

TEST(RunConfig, ForbidsWhatAllKeysMatch) {
  const SearchOptions search{.forbid = {{{{"data", "4"}, {"sequence_parallel", "false"}}}, {{{"micro_batch", "8"}}}}};
  EXPECT_TRUE(Forbidden(search, {.data = 4}));
  EXPECT_FALSE(Forbidden(search, {.data = 4, .sequence_parallel = true}));
  EXPECT_FALSE(Forbidden(search, {.data = 2}));
  EXPECT_TRUE(Forbidden(search, {.micro_batch = 8}));
  EXPECT_FALSE(Forbidden(SearchOptions(), {.data = 4}));
}

TEST(RunConfig, TheShippedConfigurationsAreRight) {
  const auto config = ReadRunConfig("configs/runs/demo.yaml", {}, Context());
  EXPECT_TRUE(config.ok()) << config.status().message();
}

TEST(RunConfig, OverridesReplaceAndAdd) {
  const std::string text = std::string(kModel) + kCluster + kWorkload + "strategy: {data: 4}\n";
  const auto config = Parse(text, {"strategy.tensor=2", "strategy.data=2", "tolerance.step_time=0.1", "search={time_limit_s: 3}",
                                   "model.layers=5", "workload.optimizer.epsilon=1e-4"});
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->strategy, (ir::Strategy{.data = 2, .tensor = 2}));
  EXPECT_EQ(config->tolerance.step_time, 0.1);
  EXPECT_EQ(config->search.time_limit_s, 3.0);
  EXPECT_EQ(config->model.layers, 5);
  EXPECT_EQ(config->workload.optimizer.epsilon, 1e-4);
  const auto reset = Parse(text, {"strategy.data=null"});
  ASSERT_TRUE(reset.ok()) << reset.status().message();
  EXPECT_TRUE(reset->strategy_given.empty());
}

TEST(RunConfig, OverridesAreCheckedLikeTheFile) {
  const std::string text = std::string(kModel) + kCluster + kWorkload;
  EXPECT_EQ(Brief(text, {"strategy.tenosr=2"}).substr(0, 115),
            "--set strategy.tenosr=2: error: unknown key 'tenosr' in the strategy\n  did you mean 'tensor'?\n  allowed: data, tens");
  EXPECT_EQ(Brief(text, {"stratgy.tensor=2"}).substr(0, 104),
            "--set stratgy.tensor=2: error: unknown key 'stratgy' in the run configuration\n  did you mean 'strategy'?");
  EXPECT_EQ(Brief(text, {"strategy.tensor=two"}), "--set strategy.tensor=two: error: 'tensor' must be a whole number, found 'two'\n");
  EXPECT_EQ(Brief(text, {"tensor"}),
            "--set tensor: error: this is not key=value\n  fix: write a key of the configuration, for example --set strategy.tensor=2\n");
  EXPECT_EQ(Brief(text, {"strategy..tensor=2"}),
            "--set strategy..tensor=2: error: this is not key=value\n  fix: write a key of the configuration, for example --set "
            "strategy.tensor=2\n");
  EXPECT_EQ(Brief(text, {"workload.dtype.x=2"}),
            "--set workload.dtype.x=2: error: 'workload.dtype' is no mapping in the file, so nothing can be set in it\n"
            "  fix: write 'workload.dtype' inline in the file, or set it as a whole: --set 'workload.dtype={...}'\n");
  const std::vector<std::string> stages = {"strategy.stages=[{layers: [0, 1]}, {layers: [1, 2]}]", "strategy.pipeline=2"};
  const auto with = [&](const std::string& last) { return std::vector{stages[0], stages[1], last}; };
  const auto moved = Parse(text, {"model.layers=4", stages[0], stages[1], "strategy.stages.1.layers=[1, 4]"});
  ASSERT_TRUE(moved.ok()) << moved.status().message();
  EXPECT_EQ(moved->strategy.stages[1].layers(), 3);
  EXPECT_EQ(Brief(text, with("strategy.stages.2.layers=[2, 3]")),
            "--set strategy.stages.2.layers=[2, 3]: error: 'strategy.stages' is a list of 2, and '2' is the number of none of them\n"
            "  allowed: 0 to 1\n");
  EXPECT_EQ(Brief(text, with("strategy.stages.first=3")),
            "--set strategy.stages.first=3: error: 'strategy.stages' is a list of 2, and 'first' is the number of none of them\n"
            "  allowed: 0 to 1\n");
  EXPECT_NE(Brief(text, {"strategy.tensor="}), "");
  EXPECT_NE(Brief(text, {"strategy={tensor: 2"}), "");
}

TEST(RunConfig, SharesOfTheBatchAddUpToIt) {
  EXPECT_EQ(BriefStrategy("{data: 2, micro_batch: 2, micro_batches: [3, 1]}"), "\n");
  EXPECT_EQ(BriefStrategy("{data: 4, micro_batch: 2, micro_batches: [3, 1]}"),
            "runs/f.yaml:4:52: error: 'micro_batches' has 2 items, one for each data-parallel rank, and 'data' is 4\n"
            "  fix: give data: 2, or 4 items\n");
  EXPECT_EQ(
      BriefStrategy("{data: 2, micro_batch: 1, micro_batches: [3, 1]}"),
      "runs/f.yaml:3:26: error: 'global_batch' is 8, 'micro_batches' are 4 in all x 'micro_batch' 1 = 4\n  fix: change one of them\n");
  EXPECT_EQ(BriefStrategy("{data: 2, micro_batches: [2, 1]}"),
            "runs/f.yaml:3:26: error: 'global_batch' 8 is not divisible by the 3 of 'micro_batches'\n  fix: change one of them\n");
  EXPECT_EQ(
      BriefStrategy("{data: 2, tensor: 2, expert: 1, expert_tensor: 1, zero: 3, micro_batch: 2, micro_batches: [3, 1]}"),
      "runs/f.yaml: error: the strategy is not possible for this model\n"
      "  error: strategy.micro_batches with zero 3, which communicates with every micro-batch, is not supported; allowed: zero 0, 1\n");
}

// Four micro-batches are the eight sequences: they have two each. Equally many on all ranks are a strategy without shares.
TEST(RunConfig, SharesOfTheBatchSayItsDegree) {
  const std::string text = std::string(kModel) + kCluster + kWorkload;
  const auto uneven = Parse(text, {"strategy={tensor: 2, micro_batches: [3, 1]}"});
  ASSERT_TRUE(uneven.ok()) << uneven.status().message();
  EXPECT_EQ(uneven->strategy, (ir::Strategy{.data = 2, .tensor = 2, .micro_batch = 2, .micro_batches = {3, 1}}));
  const auto even = Parse(text, {"strategy={tensor: 2, micro_batches: [2, 2]}"});
  ASSERT_TRUE(even.ok()) << even.status().message();
  EXPECT_EQ(even->strategy, (ir::Strategy{.data = 2, .tensor = 2, .micro_batch = 2}));
  EXPECT_EQ(even->strategy_given, (std::set<std::string>{"data", "micro_batch", "micro_batches", "tensor"}));
}

TEST(RunConfig, EightBitsNeedAGpuThatHasThem) {
  const std::string cluster =
      "cluster: {gpu: a100-sxm-80gb, nodes: 1, gpus_per_node: 8, intra_node: {kind: nvswitch, gbytes_per_s: 300}}\n";
  EXPECT_EQ(Brief(std::string(kModel) + cluster + "workload: {global_batch: 8, sequence_length: 64, dtype: fp8}\n"),
            "runs/f.yaml:3:57: error: 'a100-sxm-80gb' has no matrix products of 8-bit operands\n"
            "  fix: dtype: bf16, or a GPU whose peak_tflops name fp8 (Hopper, Ada, Blackwell, MI300)\n");
}

TEST(RunConfig, RequiredKeysAreAllNamed) {
  EXPECT_EQ(Brief("tolerance: {}\n"),
            "runs/f.yaml:1:1: error: the run configuration needs the key 'model'\n  fix: add `model: ...`\n"
            "runs/f.yaml:1:1: error: the run configuration needs the key 'cluster'\n  fix: add `cluster: ...`\n"
            "runs/f.yaml:1:1: error: the run configuration needs the key 'workload'\n  fix: add `workload: ...`\n");
  EXPECT_EQ(BriefWorkload("{}"),
            "runs/f.yaml:3:11: error: the workload needs the key 'global_batch'\n  fix: add `global_batch: ...`\n"
            "runs/f.yaml:3:11: error: the workload needs the key 'sequence_length'\n  fix: add `sequence_length: ...`\n"
            "runs/f.yaml:3:11: error: the workload needs the key 'dtype'\n  allowed: fp32, bf16, fp16, fp8, mxfp8, nvfp4\n"
            "  fix: add `dtype: ...`\n");
  EXPECT_EQ(Brief("- 1\n"), "runs/f.yaml:1:1: error: a run configuration must be a mapping (`key: value` lines)\n");
}

TEST(RunConfig, RefusesByNameWhatThisVersionCannotDo) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{overlap: {tensor: helix}}", "'overlap' by kind of parallelism"},
  };
  for (const auto& [strategy, what] : cases) {
    const std::string message = BriefStrategy(strategy);
    EXPECT_NE(message.find("error: not supported by this version: " + what + "\n"), std::string::npos) << message;
    EXPECT_TRUE(message.starts_with("runs/f.yaml:4:")) << message;
  }
  EXPECT_EQ(BriefWorkload("{global_batch: 8, sequence_length: 64, dtype: fp8, kind: serving, optimizer: sgd}"),
            "runs/f.yaml:3:68: error: not supported by this version: 'kind: serving'\n  allowed: training, prefill\n"
            "runs/f.yaml:3:88: error: not supported by this version: 'optimizer: sgd'\n  allowed: adamw, adam\n");
  EXPECT_EQ(BriefWorkload("{global_batch: 8, sequence_length: 64, dtype: mxfp8}"),
            "runs/f.yaml:3:57: error: not supported by this version: 'dtype: mxfp8'\n  allowed: fp32, bf16, fp16, fp8\n");
  const std::string alibi = "model: {family: gpt, layers: 2, hidden: 64, heads: 4, vocab: 100, position: alibi}\n";
  EXPECT_NE(Brief(alibi + kCluster + kWorkload).find("error: not supported by this version: 'position: alibi' with flash kernels"),
            std::string::npos);
  EXPECT_TRUE(Parse(alibi + kCluster + kWorkload + "software: {flash_attention: false}\n").ok());
  EXPECT_EQ(Brief(std::string(kModel) + kCluster + kWorkload + "software: {flash_attention: false, compile: true}\n"),
            "runs/f.yaml:4:45: error: not supported by this version: 'compile: true' with HELM's own executor\n  allowed: false\n");
}

TEST(RunConfig, ObjectivesNeedWhatTheyMeasure) {
  const std::string text = std::string(kModel) + "cluster: h100-sxm-x8\n" + kWorkload;
  const auto config = Parse(text +
                            "search: {objective: gpus, tokens: 15e12, deadline_days: 60, price_per_gpu_hour: 2.5, "
                            "failures: {mtbf_gpu_hours: 50000, checkpoint_s: 60, restart_s: 600}}\n");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->search.objective, Objective::kGpus);
  EXPECT_EQ(config->search.tokens, 15e12);
  EXPECT_EQ(config->search.deadline_days, 60);
  EXPECT_EQ(config->search.price_per_gpu_hour, 2.5);
  EXPECT_EQ(config->search.failures, (Failures{50000, 60, 600}));
  EXPECT_TRUE(Parse(text + "search: {price_per_gpu_hour: 2.5}\n").ok());
  EXPECT_EQ(Brief(text + "search: {objective: cost}\n"),
            "runs/f.yaml:4:21: error: 'objective: cost' needs 'price_per_gpu_hour': what a GPU costs\n  fix: add 'price_per_gpu_hour'\n");
  EXPECT_NE(Brief(text + "search: {objective: gpus}\n").find("needs 'deadline_days'"), std::string::npos);
  EXPECT_NE(Brief(text + "search: {deadline_days: 3}\n").find("'deadline_days' needs 'tokens'"), std::string::npos);
  // A value out of range is there, and no key is asked for.
  EXPECT_EQ(Brief(text + "search: {objective: cost, price_per_gpu_hour: -1}\n").find("needs"), std::string::npos);
  EXPECT_NE(Brief(text + "search: {tokens: 1e30}\n").find("'tokens'"), std::string::npos);
  EXPECT_NE(Brief(std::string(kModel) + kCluster + kWorkload + "search: {objective: tokens_per_s_per_gpu}\n").find("share its cores"),
            std::string::npos);
  EXPECT_NE(Brief(text + "search: {objective: speed}\n").find("step_time, tokens_per_s_per_gpu, cost, gpus"), std::string::npos);
}

// Eight shards in two copies are 16 data-parallel ranks with sharded parameters.
TEST(RunConfig, ShardsSayHowManyDataParallelRanksThereAre) {
  const std::string cluster =
      "cluster: {gpu: h100-sxm-80gb, nodes: 2, gpus_per_node: 8, intra_node: {kind: nvswitch, gbytes_per_s: 450}, "
      "inter_node: {nics: 8, gbits_per_s: 400, fabric: infiniband, latency_us: 5}}\n";
  const std::string workload = "workload: {global_batch: 16, sequence_length: 64, dtype: bf16}\n";
  const auto config = Parse(kModel + cluster + workload + "strategy: {fsdp: {shard: 8, replicate: 2}}\n");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->strategy.data, 16);
  EXPECT_EQ(config->strategy.zero, 3);
  EXPECT_TRUE(config->strategy_given.contains("data"));
}

TEST(RunConfig, TheFrameworkSetsSwitchesThatTheConfigurationMayChange) {
  const std::string text = std::string(kModel) + kWorkload;
  const auto local = Parse(text + kCluster);
  ASSERT_TRUE(local.ok()) << local.status().message();
  EXPECT_EQ(local->software, (ir::Software{.framework = "helm"}));
  const auto remote = Parse(text + "cluster: h100-sxm-x8\n");
  ASSERT_TRUE(remote.ok()) << remote.status().message();
  EXPECT_EQ(remote->software.framework, "megatron-core");
  EXPECT_TRUE(remote->software.fused.bias_dropout_add);
  const auto changed = Parse(text + "cluster: h100-sxm-x8\nsoftware: {framework: megatron-core, fused_bias_dropout_add: false}\n");
  ASSERT_TRUE(changed.ok()) << changed.status().message();
  EXPECT_FALSE(changed->software.fused.bias_dropout_add);
  EXPECT_NE(Brief(text + std::string(kCluster) + "software: {framework: megatron}\n").find("there is no framework preset 'megatron'"),
            std::string::npos);
}

TEST(RunConfig, APipelineHasASchedule) {
  for (const auto& [strategy, schedule, virtual_pipeline] :
       {std::tuple{"{pipeline: 2}", "1f1b", 1},
        {"{pipeline: 2, schedule: gpipe}", "gpipe", 1},
        {"{pipeline: 2, schedule: zb-1p}", "zb-h1", 1},
        {"{pipeline: 2, schedule: zb-2p}", "zb-h2", 1},
        {"{pipeline: 2, stages: [{layers: [0, 1]}, {layers: [1, 1]}, {layers: [1, 2]}, {layers: [2, 2]}], schedule: zb-v}", "zb-v", 2},
        {"{data: 2}", "none", 1}}) {
    const auto config = Parse(std::string(kModel) + kCluster + kWorkload + "strategy: " + strategy + "\n");
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(config->strategy.schedule, schedule);
    EXPECT_EQ(config->strategy.virtual_pipeline, virtual_pipeline);
  }
}

// Two layers on two stages or four, of two chunks each, would be half a layer or less; eight layers go with two stages and with four.
TEST(RunConfig, ChunksOfAPipelineThatIsChosenLaterAreChecked) {
  EXPECT_EQ(
      BriefStrategy("{virtual_pipeline: 2}"),
      "runs/f.yaml:4:30: error: 'virtual_pipeline' 2 needs stages: no number of them above 1 divides the devices that are left (4) and, "
      "times 2, divides the model's layers (2)\n"
      "  fix: remove 'virtual_pipeline', or use another number of devices or layers\n");
  const std::string text = std::string(kModel) + kCluster + kWorkload;
  EXPECT_EQ(Brief(text + "strategy: {virtual_pipeline: 2}\n", {"model.layers=8"}), "\n");
  EXPECT_NE(
      Brief(text + "strategy: {virtual_pipeline: 2, fsdp: {shard: 2}, zero: 1}\n", {"model.layers=8"}).find("strategy.fsdp needs zero 2"),
      std::string::npos);
}

TEST(RunConfig, TilesNeedAnOverlapThatMakesThem) {
  EXPECT_EQ(BriefStrategy("{overlap: serial, overlap_tiles: 4}"),
            "runs/f.yaml:4:44: error: 'overlap_tiles' 4 does nothing with 'overlap: serial', which makes no tiles\n"
            "  fix: remove 'overlap_tiles', or choose another overlap: async_tp, helix, lattice, bucketed\n");
  EXPECT_TRUE(Parse(std::string(kModel) + kCluster + kWorkload + "strategy: {overlap: auto, overlap_tiles: 4}\n").value().overlap_auto);
}

TEST(RunConfig, StagesFollowOneAnother) {
  EXPECT_NE(BriefStrategy("{stages: [{layers: [0, 1]}, {layers: [2, 2]}]}").find("begin at 1"), std::string::npos);
  EXPECT_NE(BriefStrategy("{stages: [{layers: [0, 1], tensor: 2}]}").find("stages that differ in 'tensor'"), std::string::npos);
}

TEST(RunConfig, UnknownWordsAreNotMistakenForLaterOnes) {
  EXPECT_EQ(
      BriefStrategy("{overlap: helxi}"),
      "runs/f.yaml:4:21: error: 'overlap' cannot be 'helxi'\n  did you mean 'helix'?\n  allowed: none, serial, async_tp, helix, lattice, "
      "bucketed, strands, gradient_buckets, auto\n");
  EXPECT_EQ(BriefStrategy("{zero: 4}"),
            "runs/f.yaml:4:18: error: 'zero' is 4, which is out of range\n  allowed: whole numbers from 0 to 3\n");
  EXPECT_EQ(
      BriefWorkload("{global_batch: 8, sequence_length: 64, dtype: float32}"),
      "runs/f.yaml:3:57: error: 'dtype' cannot be 'float32'\n  did you mean 'fp32'?\n  allowed: fp32, bf16, fp16, fp8, mxfp8, nvfp4\n");
}

// The search decides, as where nothing is given.
TEST(RunConfig, OverlapAutoFixesNothing) {
  const auto config = Parse(std::string(kModel) + kCluster + kWorkload + "strategy: {tensor: 2, overlap: auto, overlap_tiles: 4}\n");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->strategy.overlap, "none");
  EXPECT_EQ(config->strategy_given, (std::set<std::string>{"overlap_tiles", "tensor"}));
}

TEST(RunConfig, ChecksTheWorldSize) {
  EXPECT_EQ(BriefStrategy("{data: 4, tensor: 2}"),
            "runs/f.yaml:4:29: error: the strategy uses 8 devices (data 4 x tensor 2 = 8), the cluster 'local-4' has 4\n"
            "  fix: choose degrees whose product is 4, or use another number of devices\n");
  EXPECT_EQ(BriefStrategy("{data: 1, tensor: 2}"), "\n");  // the search fills the rest with pipeline 2
  EXPECT_EQ(BriefStrategy("{data: 1, tensor: 2, pipeline: 1}"),
            "runs/f.yaml:4:29: error: the strategy uses 2 devices (data 1 x tensor 2 = 2), the cluster 'local-4' has 4\n"
            "  fix: choose degrees whose product is 4, or use another number of devices\n");
  EXPECT_EQ(
      Brief(std::string(kModel) + kCluster + "workload: {global_batch: 6, sequence_length: 64, dtype: fp32}\nstrategy: {data: 3}\n"),
      "runs/f.yaml:4:18: error: 'data' 3 does not divide the 4 devices of the cluster 'local-4'\n  fix: choose a degree that divides 4\n");
  EXPECT_EQ(BriefStrategy("{data: 2}"), "\n");
}

TEST(RunConfig, ChecksDivisibility) {
  EXPECT_EQ(
      Brief(std::string(kModel) + kCluster +
            "workload: {global_batch: 6, sequence_length: 64, dtype: fp32}\nstrategy: {data: 2, micro_batch: 2}\n"),
      "runs/f.yaml:3:26: error: 'global_batch' 6 is not divisible by 'data' 2 x 'micro_batch' 2 = 4\n  fix: choose a multiple of 4\n");
  EXPECT_EQ(BriefStrategy("{micro_batch: 3}"),
            "runs/f.yaml:3:26: error: 'global_batch' 8 is not divisible by 'micro_batch' 3\n  fix: choose a multiple of 3\n");
  EXPECT_EQ(BriefStrategy("{tensor: 4}"),
            "runs/f.yaml:4:20: error: 'tensor' 4 does not divide the model's key-value heads (2)\n  fix: choose a degree that divides 2\n");
  EXPECT_EQ(Brief("model: {family: llama, layers: 2, hidden: 60, ffn: 97, heads: 6, kv_heads: 6, vocab: 256, max_positions: 512}\n" +
                  std::string(kCluster) + kWorkload + "strategy: {tensor: 4}\n"),
            "runs/f.yaml:4:20: error: 'tensor' 4 does not divide the model's attention heads (6)\n  fix: choose a degree that divides 6\n"
            "runs/f.yaml:4:20: error: 'tensor' 4 does not divide the model's key-value heads (6)\n  fix: choose a degree that divides 6\n"
            "runs/f.yaml:4:20: error: 'tensor' 4 does not divide the model's ffn size (97)\n  fix: choose a degree that divides 97\n");
  EXPECT_EQ(BriefStrategy("{tensor: 1, sequence_parallel: true}"),
            "runs/f.yaml:4:42: error: 'sequence_parallel: true' needs 'tensor' above 1\n  fix: remove 'sequence_parallel', or choose a "
            "larger 'tensor'\n");
  EXPECT_EQ(Brief(std::string(kModel) + kCluster +
                  "workload: {global_batch: 8, sequence_length: 63, dtype: fp32}\n"
                  "strategy: {tensor: 2, micro_batch: 1, sequence_parallel: true}\n"),
            "runs/f.yaml:4:58: error: with 'sequence_parallel', 'tensor' 2 must divide the tokens of a micro-batch ('micro_batch' 1 x "
            "'sequence_length' 63 = 63)\n  fix: change one of the three\n");
}

// 4 x 2^62 wraps to 0 in 64 bits: such sizes must not reach any arithmetic.
TEST(RunConfig, RefusesSizesThatNobodyTrainsWith) {
  EXPECT_EQ(BriefStrategy("{data: 4, micro_batch: 4611686018427387904}"),
            "runs/f.yaml:4:34: error: 'micro_batch' is 4611686018427387904, which is out of range\n"
            "  allowed: whole numbers from 1 to 4194304\n");
  EXPECT_EQ(BriefWorkload("{global_batch: 4611686018427387904, sequence_length: 2000000000, dtype: fp32}"),
            "runs/f.yaml:3:26: error: 'global_batch' is 4611686018427387904, which is out of range\n"
            "  allowed: whole numbers from 1 to 1073741824\n"
            "runs/f.yaml:3:64: error: 'sequence_length' is 2000000000, which is out of range\n"
            "  allowed: whole numbers from 1 to 1073741824\n");
}

TEST(RunConfig, ChecksLearnedPositions) {
  EXPECT_EQ(
      Brief("model: {family: gpt, layers: 2, hidden: 64, ffn: 256, heads: 4, vocab: 256, max_positions: 32}\n" + std::string(kCluster) +
            kWorkload),
      "runs/f.yaml:3:46: error: 'sequence_length' 64 is beyond the model's 32 learned positions\n  allowed: whole numbers from 1 to 32\n");
}

TEST(RunConfig, CostTablesMustExist) {
  EXPECT_EQ(Brief(std::string(kModel) + kCluster + kWorkload + "cost_tables: [../none.md, none.json]\n"),
            "runs/f.yaml:4:15: error: cost table '../none.md' does not exist\n  looked for: none.md\n"
            "  fix: measure it with helm-profile; paths are relative to the file that names them\n"
            "runs/f.yaml:4:27: error: cost table 'none.json' does not exist\n  looked for: runs/none.json\n"
            "  fix: measure it with helm-profile; paths are relative to the file that names them\n");
  const auto config = Parse(std::string(kModel) + kCluster + kWorkload + "cost_tables: [../CMakeLists.txt]\n");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->cost_tables, std::vector<std::string>{"CMakeLists.txt"});
}

TEST(RunConfig, ProblemsOfAllSectionsComeOutTogether) {
  const std::string message = Brief(
      "model: no-such-model\ncluster: {local: x}\nworkload: {global_batch: 0, sequence_length: 64, dtype: fp32}\n"
      "strategy: {tensro: 2}\ntolerance: {step_time: 15%}\n");
  for (const char* part :
       {"runs/f.yaml:1:8: error: there is no model preset 'no-such-model'", "runs/f.yaml:2:18: error: 'local' must be a whole number",
        "runs/f.yaml:3:26: error: 'global_batch' is 0", "runs/f.yaml:4:12: error: unknown key 'tensro'",
        "runs/f.yaml:5:24: error: 'step_time' must be a number, found '15%'"}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << "\n" << message;
  }
}

TEST(RunConfig, AMissingFileIsAnError) {
  EXPECT_EQ(ReadRunConfig("none.yaml", {}, Context()).status().message(), "none.yaml: error: cannot open: No such file or directory");
}

}  // namespace
}  // namespace helm::config
