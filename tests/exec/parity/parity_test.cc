// A covering set of strategies: split and unsplit training agree, and each check finds a wrong that is put into its program.
#include <gtest/gtest.h>

#include <iostream>
#include <set>
#include <utility>

#include "core/hash.h"
#include "ir/schedule_csv.h"
#include "mutation.h"
#include "parity.h"
#include "schedule/joined_collectives.h"
#include "schedule/round_robin.h"
#include "schedule/tiling.h"

namespace helm::exec {
namespace {

PlanSettings Split(int64_t data, int64_t tensor, bool sequence_parallel, int64_t micro_batch, int64_t global_batch,
                   const std::string& dtype = "fp32") {
  return {.strategy = {.data = data, .tensor = tensor, .sequence_parallel = sequence_parallel, .micro_batch = micro_batch},
          .dtype = dtype == "fp32" ? ir::DataType::kFloat32 : ir::DataType::kBFloat16,
          .global_batch = global_batch};
}

PlanSettings Pipeline(int64_t stages, const std::string& schedule, PlanSettings settings) {
  settings.strategy.pipeline = stages;
  settings.strategy.schedule = schedule;
  return settings;
}

// Two chunks a stage, up the stages and down again.
PlanSettings Folded(int64_t stages, const std::string& schedule, PlanSettings settings) {
  settings.strategy.virtual_pipeline = 2;
  return Pipeline(stages, schedule, std::move(settings));
}

// Three micro-batches on two stages in an order that no named schedule has: the last one first, weight gradients apart on one stage alone.
PlanSettings OwnSchedule(PlanSettings settings) {
  settings.strategy.schedule_rows =
      ir::ParseScheduleCsv("0F2,0F1,0I2,0F0,0I1,0W2,0I0,0W0,0W1\n1F2,1B2,1F1,1B1,1F0,1B0\n", "own.csv").value();
  return Pipeline(2, "csv", std::move(settings));
}

// As many layers as two chunks on each of two stages need.
model::ModelSpec Deep(model::ModelSpec model) {
  model.layers = 4;
  return model;
}

// The first stage has all layers, the second only final norm and head.
PlanSettings HeadAlone(PlanSettings settings) {
  settings.strategy.stages = {{0, 2}, {2, 2}};
  return settings;
}

PlanSettings Zero(PlanSettings settings, int64_t stage = 1) {
  settings.strategy.zero = stage;
  return settings;
}

// FSDP: shards over all data-parallel ranks, or in several copies.
PlanSettings Fsdp(int64_t stage, PlanSettings settings, int64_t replicate = 1) {
  settings.strategy.zero = stage;
  settings.strategy.fsdp_shard = settings.strategy.data / replicate;
  settings.strategy.fsdp_replicate = replicate;
  return settings;
}

PlanSettings Recompute(const std::string& word, PlanSettings settings) {
  settings.strategy.recompute = word;
  return settings;
}

PlanSettings Experts(int64_t expert, int64_t expert_tensor, PlanSettings settings) {
  settings.strategy.expert = expert;
  settings.strategy.expert_tensor = expert_tensor;
  return settings;
}

// Sequences of 12 tokens over two or three ranks.
PlanSettings Context(int64_t context, ir::ContextCommunication how, PlanSettings settings) {
  settings.strategy.context = context;
  settings.context_communication = how;
  return settings;
}
constexpr auto kRing = ir::ContextCommunication::kRing;
constexpr auto kGather = ir::ContextCommunication::kAllGather;
constexpr auto kExchange = ir::ContextCommunication::kAllToAll;

// Of the first `layers` of a chunk, 0: all.
PlanSettings RecomputeParts(std::vector<std::string> parts, int64_t layers, PlanSettings settings) {
  settings.strategy.recompute = "custom";
  settings.strategy.recompute_ops = std::move(parts);
  settings.strategy.recompute_layers = layers;
  return settings;
}

// How many micro-batches each data-parallel rank has.
PlanSettings Shares(std::vector<int64_t> micro_batches, PlanSettings settings) {
  settings.strategy.micro_batches = std::move(micro_batches);
  return settings;
}

// Every model with tensor and data parallelism, with and without sequence parallelism and gradient accumulation, up to eight ranks.
std::vector<ParityCase> TrainedWhole() {
  return {
      MakeCase(LlamaModel(), Split(2, 1, false, 1, 4)),
      MakeCase(LlamaModel(), Split(1, 2, false, 2, 4)),
      MakeCase(LlamaModel(), Split(1, 2, true, 1, 2)),
      MakeCase(LlamaModel(), Split(2, 4, true, 2, 8)),
      MakeCase(LlamaModel(), Split(8, 1, false, 1, 8)),
      MakeCase(Gpt2Model(), Split(3, 1, false, 1, 6)),
      MakeCase(Gpt2Model(), Split(1, 2, false, 1, 2)),
      MakeCase(Gpt2Model(), Split(1, 4, true, 2, 4)),
      MakeCase(Gpt2Model(), Split(2, 2, true, 1, 4)),
      MakeCase(Qwen2Model(), Split(1, 2, false, 1, 2)),
      MakeCase(Qwen2Model(), Split(2, 2, true, 2, 8)),
      MakeCase(Qwen3Model(), Split(1, 4, false, 1, 2)),
      MakeCase(Qwen3Model(), Split(2, 2, true, 1, 4)),
      MakeCase(PaddedModel(), Split(1, 2, false, 1, 2)),
      MakeCase(PaddedModel(), Split(3, 2, true, 1, 6)),
      MakeCase(PaddedModel(), Split(1, 4, true, 1, 2)),
      MakeCase(LlamaModel(), Split(2, 2, true, 1, 4, "bf16")),
      MakeCase(Gpt2Model(), Split(1, 2, false, 2, 4, "bf16")),
      MakeCase(Qwen2Model(), Split(2, 1, false, 2, 8, "bf16")),
      MakeCase(Qwen3Model(), Split(4, 2, false, 1, 8, "bf16")),
      MakeCase(PaddedModel(), Split(1, 4, true, 1, 2, "bf16")),
      // Experts over data-parallel ranks, over tensor ranks, and over both; composed.
      MakeCase(MoeModel(), Experts(2, 1, Zero(Split(4, 1, false, 1, 8)))),
      MakeCase(MoeModel(), Experts(4, 1, Split(2, 2, true, 1, 4))),
      MakeCase(MoeModel(), Experts(2, 2, Recompute("full", Split(2, 2, false, 1, 4)))),
      MakeCase(Deep(MoeModel()), Experts(2, 2, Zero(Folded(2, "zb-v", Split(2, 2, true, 1, 4, "bf16"))))),
      // Context parallelism, each way alone and composed.
      MakeCase(LlamaModel(), Context(2, kRing, Split(1, 1, false, 1, 2))),
      MakeCase(Gpt2Model(), Context(3, kGather, Split(2, 1, false, 1, 4))),
      MakeCase(Qwen3Model(), Context(2, kExchange, Split(1, 2, true, 2, 4))),
      MakeCase(Qwen2Model(), Recompute("selective", Zero(Pipeline(2, "1f1b", Context(2, kRing, Split(2, 1, false, 1, 6)))))),
      MakeCase(LlamaModel(), Recompute("full", Zero(Context(2, kGather, Split(2, 2, true, 1, 4)), 3))),
      // Pipelines, ZeRO and recomputation, alone and composed.
      MakeCase(LlamaModel(), Pipeline(2, "1f1b", Split(1, 1, false, 1, 4))),
      MakeCase(LlamaModel(), Pipeline(2, "gpipe", Split(2, 1, false, 1, 6))),
      MakeCase(PaddedModel(), HeadAlone(Pipeline(2, "1f1b", Split(1, 2, false, 1, 3)))),
      MakeCase(Gpt2Model(), Pipeline(2, "1f1b", Split(1, 2, true, 1, 3))),
      MakeCase(Gpt2Model(), Pipeline(2, "zb-h1", Split(2, 2, false, 1, 8))),
      MakeCase(Qwen3Model(), Pipeline(2, "1f1b", Split(2, 2, true, 1, 6))),
      MakeCase(LlamaModel(), Pipeline(2, "zb-h2", Split(1, 2, false, 1, 4))),
      MakeCase(Deep(Gpt2Model()), Folded(2, "zb-v", Split(2, 2, true, 1, 8))),
      MakeCase(Deep(LlamaModel()), Folded(2, "dualpipev", Split(2, 1, false, 1, 10))),
      MakeCase(Gpt2Model(), OwnSchedule(Split(2, 1, false, 1, 6))),
      MakeCase(LlamaModel(), Zero(Split(2, 1, false, 1, 4))),
      MakeCase(Gpt2Model(), Zero(Split(3, 2, true, 1, 6))),
      MakeCase(Qwen2Model(), Zero(Split(2, 2, false, 2, 8, "bf16"))),
      MakeCase(LlamaModel(), Recompute("full", Split(1, 2, true, 1, 2))),
      MakeCase(Gpt2Model(), Recompute("selective", Split(2, 1, false, 1, 4))),
      MakeCase(Qwen3Model(), Recompute("full", Zero(Pipeline(2, "1f1b", Split(2, 2, true, 1, 8))))),
      MakeCase(PaddedModel(), Recompute("selective", Zero(Pipeline(2, "zb-h1", Split(2, 1, false, 1, 6))))),
      MakeCase(Qwen3Model(), RecomputeParts({"norm", "rope", "core_attention", "mlp_activation"}, 0, Zero(Split(2, 2, true, 1, 4), 3))),
      MakeCase(Deep(Gpt2Model()), RecomputeParts({}, 1, Pipeline(2, "zb-h1", Split(2, 1, false, 1, 6)))),
      // Sharded gradients and parameters: with and without accumulation, uneven shards, tied embeddings, everything else.
      MakeCase(LlamaModel(), Zero(Split(3, 1, false, 1, 6), 2)),
      MakeCase(Gpt2Model(), Zero(Split(2, 2, true, 1, 4), 2)),
      MakeCase(LlamaModel(), Zero(Split(2, 1, false, 1, 4), 3)),
      MakeCase(Gpt2Model(), Zero(Split(5, 1, false, 1, 10), 3)),
      MakeCase(Qwen3Model(), Fsdp(2, Split(2, 2, true, 1, 4))),
      MakeCase(PaddedModel(), Recompute("full", Zero(Split(2, 4, true, 2, 8), 3))),
      MakeCase(Qwen2Model(), Fsdp(3, Split(4, 2, false, 1, 8), 2)),
      MakeCase(LlamaModel(), Zero(Pipeline(2, "1f1b", Split(2, 2, true, 1, 8)), 3)),
      MakeCase(Gpt2Model(), Fsdp(2, Pipeline(2, "zb-h1", Split(4, 1, false, 1, 12)), 2)),
      MakeCase(PaddedModel(), Recompute("selective", Fsdp(3, Split(6, 1, false, 1, 12), 3))),
      MakeCase(Qwen3Model(), Zero(Split(2, 2, true, 1, 4, "bf16"), 2)),
      MakeCase(Qwen2Model(), Zero(Split(4, 1, false, 2, 16, "bf16"), 3)),
      MakeCase(LlamaModel(), Recompute("full", Fsdp(3, Pipeline(2, "1f1b", Split(4, 1, false, 1, 12, "bf16")), 2))),
  };
}

// Adapters beside frozen weights: every kind of split, and where backward ends early.
std::vector<ParityCase> TrainedByAdapters() {
  return {
      MakeCase(Adapted(LlamaModel()), Split(2, 2, true, 1, 4)),
      MakeCase(Adapted(Gpt2Model()), Zero(Split(2, 2, false, 2, 8))),
      MakeCase(Adapted(Qwen3Model(), {"q_proj", "o_proj"}), Pipeline(2, "zb-h1", Split(2, 2, true, 1, 6))),
      MakeCase(Adapted(PaddedModel(), {"down_proj"}), HeadAlone(Pipeline(2, "1f1b", Split(1, 2, false, 1, 3)))),
      MakeCase(Adapted(Deep(Gpt2Model())), Recompute("full", Folded(2, "zb-v", Split(2, 1, false, 1, 8)))),
      MakeCase(Adapted(Qwen2Model()), Recompute("selective", Zero(Split(2, 2, true, 1, 4), 3))),
      MakeCase(Adapted(LlamaModel(), {"v_proj"}), Fsdp(3, Pipeline(2, "1f1b", Split(4, 1, false, 1, 12)), 2)),
      MakeCase(Adapted(Qwen2Model()), Context(2, kRing, Zero(Split(2, 1, false, 1, 4), 2))),
      MakeCase(Adapted(LlamaModel()), Zero(Split(2, 2, true, 1, 4, "bf16"), 1)),
      MakeCase(Adapted(Gpt2Model()), Zero(Split(4, 1, false, 2, 16, "bf16"), 3)),
  };
}

// Data-parallel ranks with different numbers of micro-batches, alone and composed.
std::vector<ParityCase> UnevenShares() {
  return {
      MakeCase(LlamaModel(), Shares({3, 1}, Split(2, 1, false, 1, 4))),
      MakeCase(Gpt2Model(), Shares({1, 3, 3}, Zero(Pipeline(2, "1f1b", Split(3, 1, false, 1, 7))))),
      MakeCase(Qwen3Model(), Shares({2, 1}, Recompute("selective", Zero(Split(2, 2, true, 2, 6, "bf16"))))),
      MakeCase(Adapted(LlamaModel()), Shares({1, 3}, Zero(Pipeline(2, "1f1b", Split(2, 2, true, 1, 4))))),
  };
}

std::vector<ParityCase> CoveringSet() {
  std::vector<ParityCase> all = TrainedWhole();
  for (ParityCase& parity : TrainedByAdapters()) all.push_back(std::move(parity));
  for (ParityCase& parity : UnevenShares()) all.push_back(std::move(parity));
  return all;
}

ir::StepPrograms ProgramsOf(const ParityRunner& runner, const ParityCase& parity) {
  Result<ir::StepPrograms> step = schedule::Materialise(runner.PlanOf(parity));
  HELM_CHECK(step.ok(), step.status().message().c_str());
  return WithoutSpecialValues(*std::move(step));
}

bool IsTensorAddition(const ir::Op& op) {
  return (op.target == "aten.add.Tensor" || op.target == "aten.add_.Tensor") && std::holds_alternative<ir::TensorId>(op.arguments[1]);
}

// Writes its first argument in place, as a computation of its own. Not the copies to bf16 parameters: where an update is below bf16's
// resolution (norm weights near one), leaving one out changes nothing. Not the clamp of the clip coefficient, which is below one here.
bool IsInPlace(const ir::Program& program, const ir::Op& op) {
  // Nor, in bf16, one of the products inside a norm's backward: what it changes can be less than what bf16 rounds away. In fp32 it is
  // found.
  const bool narrow = std::ranges::any_of(program.segments, [](const auto& segment) { return segment.master != segment.parameter; });
  if (narrow && op.label.ends_with("norm") && op.target == "aten.mul_.Tensor") return false;
  if (op.target == "aten.copy_" || op.target == "aten.clamp_max_") return false;
  // Nor the shift of the logits by their maximum, which keeps exp in range and changes no result.
  if (op.target == "aten.sub_.Tensor" && op.label == "loss" && program.tensor(op.results[0]).shape.back() > 1) return false;
  const bool named = op.target.ends_with("_") || op.target.find("_.") != std::string::npos;
  if (op.kind != ir::OpKind::kCompute || !named || op.results.size() != 1 || !op.results[0].valid()) return false;
  const auto* first = std::get_if<ir::TensorId>(&op.arguments[0]);
  return first != nullptr && program.tensor(*first).storage == program.tensor(op.results[0]).storage;
}

enum class Kind { kDrop, kFlip, kCopy };

std::vector<ir::OpId> Candidates(const ir::Program& program, Kind kind) {
  std::vector<ir::OpId> found;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    const bool fits = kind == Kind::kDrop   ? IsInPlace(program, op)
                      : kind == Kind::kFlip ? IsTensorAddition(op)
                                            : op.kind == ir::OpKind::kCollectiveStart && !ir::IsPointToPoint(op);
    if (fits) found.push_back(ir::OpId(i));
  }
  return found;
}

Mutation Mutate(const ir::Program& program, Kind kind, ir::OpId op) {
  const std::string where = program.op(op).target + " (" + program.op(op).label + ", " + std::string(ir::Name(program.op(op).phase)) + ")";
  switch (kind) {
    case Kind::kDrop:
      return {"without op " + where, DropOp(program, op)};
    case Kind::kFlip:
      return {"other sign in " + where, FlipSign(program, op)};
    case Kind::kCopy:
      return {"copy instead of " + where, CopyInsteadOfCollective(program, op)};
  }
  return {};
}

// One candidate, chosen by the case's name; the next one where the edit leaves a program that is not valid (an op that nothing reads any
// more).
Mutation ChooseMutation(const ir::Program& program, Kind kind, const std::string& name) {
  const std::vector<ir::OpId> candidates = Candidates(program, kind);
  const size_t first = Hash64(name, static_cast<uint64_t>(kind)) % candidates.size();
  for (size_t i = 0; i < candidates.size(); ++i) {
    Mutation mutation = Mutate(program, kind, candidates[(first + i) % candidates.size()]);
    if (ir::Verify(mutation.program).ok()) return mutation;
  }
  HELM_CHECK(false, "a program has mutations of every kind");
}

class Parity : public testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<ParityRunner>> runner = ParityRunner::Start();
    ASSERT_TRUE(runner.ok()) << runner.status().message();
    runner_ = std::move(runner).value();
  }

  // A wrong program must be found: by the comparison, or by the run itself.
  void ExpectFound(const ParityCase& parity, ir::StepPrograms step, size_t rank_class, const Mutation& mutation) {
    ASSERT_TRUE(ir::Verify(mutation.program).ok()) << mutation.name << ": " << ir::Verify(mutation.program).message();
    step.classes[rank_class] = mutation.program;
    const Result<VerifyResult> result = runner_->Check(parity, &step);
    std::cout << "  " << mutation.name << ": " << (result.ok() ? Describe(parity, *result) : result.status().message()) << std::endl;
    EXPECT_FALSE(result.ok() && result->passed()) << "not found: " << mutation.name;
  }

  std::unique_ptr<ParityRunner> runner_;
};

TEST_F(Parity, SplitTrainingIsUnsplitTraining) {
  for (const ParityCase& parity : CoveringSet()) {
    const Result<VerifyResult> result = runner_->Check(parity);
    ASSERT_TRUE(result.ok()) << parity.name << ": " << result.status().message();
    std::cout << Describe(parity, *result) << std::endl;
    EXPECT_TRUE(result->passed()) << Describe(parity, *result);
  }
}

TEST_F(Parity, EveryCheckFindsAMutationOfEachKind) {
  for (const ParityCase& parity : CoveringSet()) {
    SCOPED_TRACE(parity.name);
    const ir::StepPrograms step = ProgramsOf(*runner_, parity);
    const size_t rank_class = Hash64(parity.name) % step.classes.size();
    // In bf16 with sharded parameters the ops that the names choose (signs in rotary positions and the gradient norm, a product in a norm's
    // backward) change less than the bound; fp32 cases have theirs found.
    const bool rounded = parity.settings.dtype == ir::DataType::kBFloat16 && parity.settings.strategy.zero >= 2;
    const std::vector<Kind> kinds = rounded ? std::vector{Kind::kCopy} : std::vector{Kind::kDrop, Kind::kFlip, Kind::kCopy};
    for (const Kind kind : kinds) {
      ExpectFound(parity, step, rank_class, ChooseMutation(step.classes[rank_class], kind, parity.name));
    }
  }
}

// Where --verify begins A's gradient is none that nothing could be wrong with: what the second micro-batch adds to that of a layer's A, of
// rank 3 and [3, 48], is subtracted (addmm_'s beta and alpha). From a B of zero the gradients would agree, and only parameters would differ
// behind some steps.
TEST_F(Parity, VerificationFindsAWrongGradientOfAnAdaptersA) {
  ParityCase parity = MakeCase(Adapted(LlamaModel(), {"o_proj"}), Split(2, 1, false, 1, 4));
  parity.as_verified = true;
  const Result<VerifyResult> right = runner_->Check(parity);
  ASSERT_TRUE(right.ok()) << right.status().message();
  EXPECT_TRUE(right->passed()) << Describe(parity, *right);
  const ir::StepPrograms step = schedule::Materialise(runner_->PlanOf(parity)).value();
  const ir::Program& program = step.classes.front();
  const auto adds_to_a = std::ranges::find_if(
      program.ops, [&](const ir::Op& op) { return op.target == "aten.addmm_" && program.tensor(op.results[0]).shape == ir::Shape{3, 48}; });
  ASSERT_NE(adds_to_a, program.ops.end());
  const ir::OpId op(static_cast<size_t>(adds_to_a - program.ops.begin()));
  ir::Program wrong = program;
  wrong.ops[op.index()].arguments.emplace_back(int64_t{1});
  wrong.ops[op.index()].arguments.emplace_back(int64_t{-1});
  ir::StepPrograms changed = step;
  changed.classes.front() = std::move(wrong);
  const Result<VerifyResult> found = runner_->Check(parity, &changed);
  ASSERT_TRUE(found.ok()) << found.status().message();
  const auto gradient = std::ranges::find(found->by_kind, VerifyKind::kGradient, &VerifyError::kind);
  ASSERT_NE(gradient, found->by_kind.end());
  EXPECT_GT(gradient->error, found->bounds.gradient) << Describe(parity, *found);
}

// Of each kind of collective in the model (by what it is for) one is left out.
TEST_F(Parity, EveryKindOfCollectiveIsNeeded) {
  const ParityCase parity = MakeCase(PaddedModel(), Split(2, 2, true, 1, 4));
  const ir::StepPrograms step = ProgramsOf(*runner_, parity);
  const ir::Program& program = step.classes.front();
  std::set<std::pair<std::string, std::string>> seen;
  for (const ir::OpId op : Candidates(program, Kind::kCopy)) {
    if (program.op(op).micro_batch > 0 || !seen.emplace(program.op(op).target, program.op(op).label).second) continue;
    ExpectFound(parity, step, 0, Mutate(program, Kind::kCopy, op));
  }
  EXPECT_GE(seen.size(), 8U);
}

TEST_F(Parity, SerialOverlapComputesTheSame) {
  ParityCase parity = MakeCase(LlamaModel(), Split(2, 2, true, 1, 4));
  parity.settings.strategy.overlap = "serial";
  const Result<VerifyResult> result = runner_->Check(parity);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_TRUE(result->passed()) << Describe(parity, *result);
}

model::ModelSpec Balanced(model::ModelSpec model) {
  model.moe.aux_loss = 0.05;
  return model;
}

ParityCase Overlapped(const std::string& overlap, int64_t tiles, const model::ModelSpec& model, const PlanSettings& settings) {
  ParityCase parity = MakeCase(model, settings);
  parity.name += " " + overlap + " " + std::to_string(tiles);
  parity.settings.strategy.overlap = overlap;
  parity.settings.strategy.overlap_tiles = tiles;
  return parity;
}

// Tiles of a micro-batch, whatever the order of their ops, are the micro-batch: with every kind of split, in both types, and where sums
// over the batch go into gradients, into buckets that are scattered, or over several micro-batches.
TEST_F(Parity, TilesComputeTheSame) {
  const std::vector<ParityCase> cases = {
      Overlapped("helix", 2, LlamaModel(), Split(1, 2, true, 2, 4)),
      Overlapped("lattice", 2, LlamaModel(), Split(2, 2, true, 2, 8)),
      Overlapped("helix", 4, LlamaModel(), Split(2, 2, false, 4, 8, "bf16")),
      Overlapped("lattice", 3, Qwen3Model(), Split(1, 2, true, 3, 6)),
      Overlapped("lattice", 2, Gpt2Model(), Split(2, 2, false, 2, 8)),
      Overlapped("helix", 2, Gpt2Model(), Split(1, 4, true, 4, 8)),
      Overlapped("helix", 2, PaddedModel(), Recompute("full", Zero(Split(2, 4, true, 2, 8)))),
      Overlapped("lattice", 2, PaddedModel(), Recompute("selective", Zero(Split(2, 2, true, 2, 8, "bf16"), 3))),
      Overlapped("helix", 2, Qwen2Model(), Pipeline(2, "1f1b", Split(1, 2, true, 2, 8))),
      Overlapped("lattice", 2, LlamaModel(), Pipeline(2, "zb-h1", Split(1, 2, false, 2, 8))),
      // Micro-batches of one sequence: tiles of its positions.
      Overlapped("helix", 2, LlamaModel(), Split(1, 2, true, 1, 2)),
      Overlapped("lattice", 2, Qwen3Model(), Split(2, 2, true, 1, 4)),
      Overlapped("lattice", 3, Gpt2Model(), Split(1, 4, false, 1, 2)),
      Overlapped("helix", 2, Gpt2Model(), Split(1, 2, true, 1, 2, "bf16")),
      Overlapped("helix", 2, PaddedModel(), Recompute("full", Zero(Split(2, 2, true, 1, 4)))),
      Overlapped("lattice", 2, Qwen2Model(), Recompute("selective", Pipeline(2, "zb-h1", Split(1, 2, true, 1, 4)))),
      Overlapped("bucketed", 2, LlamaModel(), Split(1, 2, true, 1, 2)),
      // Experts: each tile has its share of their slots, and the balancing loss counts all tiles.
      Overlapped("helix", 2, MoeModel(), Experts(2, 1, Zero(Split(2, 1, false, 2, 8)))),
      Overlapped("lattice", 2, MoeModel(), Experts(4, 1, Recompute("full", Split(2, 2, true, 2, 8)))),
      Overlapped("lattice", 2, Balanced(MoeModel()), Experts(2, 2, Split(2, 2, false, 2, 4, "bf16"))),
      Overlapped("bucketed", 2, MoeModel(), Experts(2, 1, Split(2, 1, false, 1, 2))),
      Overlapped("async_tp", 2, LlamaModel(), Split(2, 2, true, 1, 4)),
      Overlapped("lattice", 2, Adapted(LlamaModel()), Zero(Split(2, 2, true, 2, 8))),
      Overlapped("helix", 2, Adapted(Gpt2Model()), Split(1, 2, false, 1, 2, "bf16")),
      Overlapped("async_tp", 4, Qwen2Model(), Pipeline(2, "1f1b", Split(1, 2, true, 4, 16, "bf16"))),
  };
  for (const ParityCase& parity : cases) {
    const Result<VerifyResult> result = runner_->Check(parity);
    ASSERT_TRUE(result.ok()) << parity.name << ": " << result.status().message();
    EXPECT_TRUE(result->passed()) << Describe(parity, *result);
  }
}

// The forward of one micro-batch beside the backward of another, on one stage and in every pipeline that pairs them, with what else changes
// the program; with experts and context parallelism.
TEST_F(Parity, StrandsComputeTheSame) {
  const auto interleaved = [](PlanSettings settings) {
    settings.strategy.virtual_pipeline = 2;
    return Pipeline(2, "interleaved-1f1b", std::move(settings));
  };
  const std::vector<ParityCase> cases = {
      Overlapped("strands", 2, LlamaModel(), Split(1, 2, true, 1, 4)),
      Overlapped("strands", 2, Gpt2Model(), Split(2, 2, false, 1, 8, "bf16")),
      Overlapped("strands", 2, Qwen3Model(), Recompute("full", Zero(Split(2, 2, true, 1, 8)))),
      Overlapped("strands", 2, Deep(LlamaModel()), Folded(2, "dualpipev", Split(1, 2, true, 1, 5))),
      Overlapped("strands", 2, Deep(Gpt2Model()), Recompute("selective", Zero(Folded(2, "dualpipev", Split(2, 2, true, 1, 8))))),
      Overlapped("strands", 2, PaddedModel(), Recompute("full", Pipeline(2, "1f1b", Split(1, 2, false, 1, 4)))),
      Overlapped("strands", 2, Deep(Qwen2Model()), Zero(interleaved(Split(2, 2, true, 1, 8, "bf16")))),
      Overlapped("strands", 2, MoeModel(), Experts(2, 1, Zero(Split(4, 1, false, 1, 16)))),
      Overlapped("strands", 2, Adapted(LlamaModel()), Split(2, 2, true, 1, 8)),
      Overlapped("strands", 2, Qwen3Model(), Context(2, kRing, Split(1, 2, true, 1, 3))),
  };
  for (const ParityCase& parity : cases) {
    const Result<VerifyResult> result = runner_->Check(parity);
    ASSERT_TRUE(result.ok()) << parity.name << ": " << result.status().message();
    EXPECT_TRUE(result->passed()) << Describe(parity, *result);
  }
}

// With every op on all rows at once that can be, and with every third: whatever bucketing chooses computes the same.
TEST_F(Parity, RowsPutTogetherAgainComputeTheSame) {
  const std::vector<ParityCase> cases = {MakeCase(LlamaModel(), Split(1, 2, true, 2, 4)), MakeCase(Gpt2Model(), Split(2, 2, false, 2, 8))};
  for (const ParityCase& parity : cases) {
    for (const size_t one_in : {1, 3}) {
      ir::StepPrograms step = ProgramsOf(*runner_, parity);
      for (ir::Program& program : step.classes) {
        std::vector<bool> joined(program.ops.size());
        for (size_t i = 0; i < joined.size(); ++i) joined[i] = i % one_in == 0;
        Result<schedule::TiledProgram> tiled = schedule::TileWithJoined(program, 2, joined);
        ASSERT_TRUE(tiled.ok()) << parity.name << ": " << tiled.status().message();
        program = schedule::RoundRobin(tiled->program);
      }
      const Result<VerifyResult> result = runner_->Check(parity, &step);
      ASSERT_TRUE(result.ok()) << parity.name << ": " << result.status().message();
      EXPECT_TRUE(result->passed()) << Describe(parity, *result) << " one in " << one_in;
    }
  }
}

// Collectives that may be joined, as one or by twos: reductions in one buffer, scatters, and gathers behind the optimizer; of experts,
// which have buckets of their own, too.
TEST_F(Parity, JoinedCollectivesComputeTheSame) {
  const std::vector<ParityCase> cases = {
      MakeCase(LlamaModel(), Split(2, 2, true, 1, 4)),
      MakeCase(Gpt2Model(), Split(4, 1, false, 1, 8, "bf16")),
      MakeCase(Qwen2Model(), Zero(Split(2, 2, false, 1, 8))),
      MakeCase(Deep(Qwen3Model()), Zero(Pipeline(2, "1f1b", Split(2, 1, false, 1, 8, "bf16")))),
      MakeCase(MoeModel(), Experts(2, 1, Zero(Split(4, 1, false, 2, 8)))),
      MakeCase(LlamaModel(), Zero(Split(2, 1, false, 1, 4), 3)),
      MakeCase(Adapted(LlamaModel()), Zero(Split(2, 2, true, 1, 4))),
  };
  for (const ParityCase& parity : cases) {
    for (const size_t most : {size_t{2}, size_t{1000}}) {
      ir::StepPrograms step = ProgramsOf(*runner_, parity);
      for (ir::Program& program : step.classes) {
        std::vector<std::vector<ir::OpId>> runs;
        for (const schedule::CollectiveChain& chain : schedule::CollectiveChains(program)) {
          for (size_t begin = 0, end = 0; begin < chain.starts.size(); begin = end) {
            end = std::min(begin + most, chain.joined_end[begin]);
            if (end - begin < 2) continue;
            runs.emplace_back(chain.starts.begin() + static_cast<std::ptrdiff_t>(begin),
                              chain.starts.begin() + static_cast<std::ptrdiff_t>(end));
          }
        }
        EXPECT_FALSE(runs.empty()) << parity.name;
        Result<ir::Program> joined = schedule::JoinCollectives(program, runs);
        ASSERT_TRUE(joined.ok()) << parity.name << ": " << joined.status().message();
        program = *std::move(joined);
      }
      const Result<VerifyResult> result = runner_->Check(parity, &step);
      ASSERT_TRUE(result.ok()) << parity.name << ": " << result.status().message();
      EXPECT_TRUE(result->passed()) << Describe(parity, *result) << " at most " << most;
    }
  }
}

}  // namespace
}  // namespace helm::exec
