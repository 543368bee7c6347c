// Fault injection: each rank of a run of two is killed, stopped, made to hang, late or to fail at the first op of each kind. Every run ends
// cleanly, in time, with the rank, the op and the cause named; nothing is left running or half-written; a rank that is only late is no
// fault.
#include <chrono>
#include <filesystem>
#include <optional>
#include <tuple>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/private_folder.h"
#include "exec/rank_pool.h"
#include "run_fixture.h"
#include "schedule/materialise.h"
#include "training_plan.h"

namespace helm::exec {
namespace {

using runtime::Fault;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kTimeout{8000};  // a busy machine may keep a rank from its disk for seconds
constexpr milliseconds kLate{1000};
constexpr milliseconds kForEver{3'600'000};  // longer than any test
constexpr milliseconds kEndsWithin{40000};   // of the step before: time-out, and two seconds to stop the others; this machine may be busy
constexpr int64_t kSteps = 3;
constexpr int64_t kFaultStep = 1;

enum class OpClass : uint8_t { kCompute, kView, kCollective, kWait, kSend, kReceive, kOptimizer };
constexpr OpClass kOpClasses[] = {OpClass::kCompute, OpClass::kView,    OpClass::kCollective, OpClass::kWait,
                                  OpClass::kSend,    OpClass::kReceive, OpClass::kOptimizer};

bool IsOf(const ir::Op& op, OpClass op_class) {
  const bool compute = op.kind == ir::OpKind::kCompute;
  switch (op_class) {
    case OpClass::kCompute:
      return compute && op.phase != ir::Phase::kOptimizer;
    case OpClass::kView:
      return op.kind == ir::OpKind::kView;
    case OpClass::kCollective:
      return op.kind == ir::OpKind::kCollectiveStart && !ir::IsPointToPoint(op);
    case OpClass::kWait:
      return op.kind == ir::OpKind::kWait;
    case OpClass::kSend:
      return op.target == "c10d.send";
    case OpClass::kReceive:
      return op.target == "c10d.recv";
    case OpClass::kOptimizer:
      return compute && op.phase == ir::Phase::kOptimizer;
  }
  return false;
}

std::vector<ir::OpId> FirstOps(const ir::Program& program) {
  std::vector<ir::OpId> first;
  for (const OpClass op_class : kOpClasses) {
    const auto found = std::ranges::find_if(program.ops, [&](const ir::Op& op) { return IsOf(op, op_class); });
    if (found != program.ops.end()) first.emplace_back(static_cast<size_t>(found - program.ops.begin()));
  }
  return first;
}

struct Split {
  std::string name;
  ir::Strategy strategy;
  size_t op_classes;  // that its programs have
  friend void PrintTo(const Split& split, std::ostream* stream) { *stream << split.name; }
};

std::vector<Split> Splits() {
  ir::Strategy pipeline{.micro_batch = 1};
  pipeline.pipeline = 2;
  pipeline.schedule = "1f1b";
  return {{"data", {.data = 2, .micro_batch = 1}, 5}, {"pipeline", pipeline, 7}};
}

class FaultTest : public RunTest, public testing::WithParamInterface<std::tuple<Split, int64_t>> {
 protected:
  void SetUp() override {
    RunTest::SetUp();
    const auto& [split, rank] = GetParam();
    plan_ = MakePlan(LlamaModel(), {.strategy = split.strategy});
    rank_ = rank;
    Result<ir::StepPrograms> step = schedule::Materialise(plan_);
    ASSERT_TRUE(step.ok()) << step.status().message();
    program_ = step->OfRank(rank);
    ops_ = FirstOps(program_);
    ASSERT_EQ(ops_.size(), split.op_classes);
  }

  RankFault FaultAt(ir::OpId op, Fault::Action action, milliseconds delay = milliseconds(0)) const {
    return {rank_, {action, kFaultStep, op, delay}};
  }

  std::string At(ir::OpId op) const {
    return fmt::format("while training, in step {}, at op {} {} (", kFaultStep, op.value, program_.op(op).target);
  }

  // Runs with the fault, whose rank must be said to `end` so; asks for files, none of which may be there.
  void ExpectFailure(const RankFault& fault, const std::string& end) {
    const std::string dump = folder_ + "/dump";
    Clock::time_point step_before;
    const Result<RunResult> result = RunWatched(plan_, {.steps = kSteps, .dump_state = dump, .timeout = kTimeout, .fault = fault},
                                                [&](int64_t) { step_before = Clock::now(); });
    EXPECT_LT(Clock::now() - step_before, kEndsWithin);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), StatusCode::kRankFailed);
    EXPECT_THAT(result.status().message(), HasSubstr(fmt::format("error: rank {} {} {}", rank_, end, At(fault.fault.op))));
    EXPECT_FALSE(std::filesystem::exists(dump));
    EXPECT_EQ(processes_.size(), 2U);
    ExpectNothingLeft();
  }

  ir::Plan plan_;
  int64_t rank_ = 0;
  ir::Program program_;
  std::vector<ir::OpId> ops_;
};

INSTANTIATE_TEST_SUITE_P(Ranks, FaultTest, testing::Combine(testing::ValuesIn(Splits()), testing::Values(0, 1)),
                         [](const auto& info) { return fmt::format("{}_rank{}", std::get<0>(info.param).name, std::get<1>(info.param)); });

TEST_P(FaultTest, KilledAtEachKindOfOp) {
  for (const ir::OpId op : ops_) {
    SCOPED_TRACE(ir::Describe(program_, op));
    ExpectFailure(FaultAt(op, Fault::Action::kKill), "was killed by signal 9 (Killed)");
  }
}

TEST_P(FaultTest, StoppedAtEachKindOfOp) {
  for (const ir::OpId op : ops_) {
    SCOPED_TRACE(ir::Describe(program_, op));
    ExpectFailure(FaultAt(op, Fault::Action::kStop), "is stopped");
  }
}

TEST_P(FaultTest, HangingAtEachKindOfOp) {
  for (const ir::OpId op : ops_) {
    SCOPED_TRACE(ir::Describe(program_, op));
    ExpectFailure(FaultAt(op, Fault::Action::kDelay, kForEver), "hangs");
  }
}

// A rank that is late, or that reports an error, lives on: jobs of one pool.
class FaultPoolTest : public FaultTest {
 protected:
  Result<JobRecord> RunInPool(std::optional<RankFault> fault) {
    if (folder_of_jobs_ == nullptr) {
      HELM_ASSIGN_OR_RETURN(folder_of_jobs_, PrivateFolder::Make());
    }
    if (pool_ == nullptr || pool_->failed()) {
      HELM_ASSIGN_OR_RETURN(pool_, RankPool::Start({.ranks = 2, .timeout = kTimeout}));
      const std::vector<int> started = pool_->processes();
      processes_.insert(processes_.end(), started.begin(), started.end());
    }
    const Job job{.plan = plan_,
                  .plan_path = "plan.yaml",
                  .steps = kSteps,
                  .folder = folder_of_jobs_->path(),
                  .tag = "fault",
                  .threads_per_rank = 1,
                  .fault = fault};
    return pool_->Run(job, {});
  }
  void TearDown() override {
    pool_.reset();
    folder_of_jobs_.reset();
    FaultTest::TearDown();
  }

  std::unique_ptr<PrivateFolder> folder_of_jobs_;
  std::unique_ptr<RankPool> pool_;
};

INSTANTIATE_TEST_SUITE_P(Ranks, FaultPoolTest, testing::Combine(testing::ValuesIn(Splits()), testing::Values(0, 1)),
                         [](const auto& info) { return fmt::format("{}_rank{}", std::get<0>(info.param).name, std::get<1>(info.param)); });

TEST_P(FaultPoolTest, LateAtEachKindOfOpIsNoFault) {
  const Result<JobRecord> undisturbed = RunInPool(std::nullopt);
  ASSERT_TRUE(undisturbed.ok()) << undisturbed.status().message();
  for (const ir::OpId op : ops_) {
    SCOPED_TRACE(ir::Describe(program_, op));
    const Result<JobRecord> late = RunInPool(FaultAt(op, Fault::Action::kDelay, kLate));
    ASSERT_TRUE(late.ok()) << late.status().message();
    EXPECT_EQ(late->losses, undisturbed->losses);
    EXPECT_GT(late->makespans[kFaultStep].milliseconds(), kLate.count());
  }
}

// An error of an op is a bug of HELM, not a rank that failed; it names rank, op and cause itself.
TEST_P(FaultPoolTest, AnErrorAtEachKindOfOpIsReportedAsItIs) {
  for (const ir::OpId op : ops_) {
    SCOPED_TRACE(ir::Describe(program_, op));
    const Result<JobRecord> failed = RunInPool(FaultAt(op, Fault::Action::kError));
    EXPECT_EQ(failed.status().code(), StatusCode::kInternal);
    EXPECT_THAT(failed.status().message(), HasSubstr(fmt::format("rank {}: op {} {} (", rank_, op.value, program_.op(op).target)));
    EXPECT_THAT(failed.status().message(), HasSubstr("failed on purpose"));
  }
  const Result<JobRecord> next = RunInPool(std::nullopt);
  EXPECT_TRUE(next.ok()) << next.status().message();
}

}  // namespace
}  // namespace helm::exec
