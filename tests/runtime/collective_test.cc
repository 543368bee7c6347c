#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fork_ranks.h"
#include "program_maker.h"
#include "runtime/interpreter.h"
#include "runtime/measure.h"

namespace helm::runtime {
namespace {

using test::ExpectAllSucceed;
using test::ForkRanks;
using test::ProgramMaker;
using test::RankEnd;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using Doubles = std::vector<double>;

// An output named "y" is the result of one collective on x, which the op before fills with 1 + rank (all elements), plus 0, 1, 2, ...
struct OneCollective {
  ProgramMaker maker;
  ir::TensorId x, mine;
  OneCollective(int64_t ranks, int64_t elements, ir::DataType dtype) : maker({{"data", ranks}}) {
    x = maker.Persistent("ramp", {elements}, ir::DataType::kFloat32);
    maker.program.inputs = {{"ramp", x}};
    mine = maker.Fresh("mine", {elements}, dtype);
    if (dtype == ir::DataType::kFloat32) {
      maker.Op("aten.add.Scalar", {x, ir::RankExpression{1, {{"data", 1}}}}, {mine});
    } else {
      const ir::TensorId cast = mine;
      maker.Op("aten._to_copy", {x, dtype}, {cast});
      mine = maker.Version(cast, "mine.1");
      maker.Op("aten.add_.Scalar", {cast, ir::RankExpression{1, {{"data", 1}}}}, {mine});
    }
  }
  void Finish(ir::OpId start, ir::TensorId result) {
    maker.Wait(start);
    const ir::TensorId y = maker.Fresh("y", maker.program.tensor(result).shape, maker.program.tensor(result).dtype);
    maker.Op("aten.clone", {result}, {y});
    maker.program.outputs = {{"y", y}};
  }
};

Doubles RunY(const ir::Program& program, World& world, int64_t elements) {
  Result<std::unique_ptr<Interpreter>> interpreter = Interpreter::Create(program, &world, world.rank(), {});
  EXPECT_TRUE(interpreter.ok()) << interpreter.status().message();
  if (!interpreter.ok()) return {};
  std::vector<float> ramp(static_cast<size_t>(elements));
  for (size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<float>(i);
  std::vector<std::byte> bytes(ramp.size() * sizeof(float));
  std::memcpy(bytes.data(), ramp.data(), bytes.size());
  EXPECT_TRUE((*interpreter)->WriteInput("ramp", bytes).ok());
  for (int step = 0; step < 2; ++step) {
    const Result<StepRecord> record = (*interpreter)->RunStep();
    EXPECT_TRUE(record.ok()) << record.status().message();
    if (!record.ok()) return {};
    for (size_t i = 0; i < program.ops.size(); ++i) {
      EXPECT_LE(record->ops[i].start, record->ops[i].end) << i;
      EXPECT_LE(record->ops[i].end, record->makespan) << i;
    }
  }
  return (*interpreter)->ReadOutput("y").value();
}

class CollectiveTypes : public ::testing::TestWithParam<ir::DataType> {};
INSTANTIATE_TEST_SUITE_P(Types, CollectiveTypes, ::testing::Values(ir::DataType::kFloat32, ir::DataType::kBFloat16),
                         [](const auto& info) { return std::string(ir::Name(info.param)); });

// Ranks 0, 1, 2 hold [1+i], [2+i], [3+i]: the sum is 6 + 3i, the maximum 3 + i.
TEST_P(CollectiveTypes, AllReduce) {
  for (const std::string word : {"sum", "max"}) {
    OneCollective one(3, 6, GetParam());
    const ir::TensorId reduced = one.maker.Version(one.mine, "reduced");
    one.Finish(one.maker.Collective("c10d.all_reduce", 0, {one.mine, word}, {reduced}), reduced);
    ExpectAllSucceed(ForkRanks(3, [&](World& world) {
      EXPECT_EQ(RunY(one.maker.program, world, 6), word == "sum" ? (Doubles{6, 9, 12, 15, 18, 21}) : (Doubles{3, 4, 5, 6, 7, 8}));
    }));
  }
}

// Two ranks hold [1,2,3] and [2,3,4].
TEST_P(CollectiveTypes, AllGather) {
  OneCollective one(2, 3, GetParam());
  const ir::TensorId gathered = one.maker.Fresh("gathered", {6}, GetParam());
  one.Finish(one.maker.Collective("c10d.all_gather", 0, {one.mine}, {gathered}), gathered);
  ExpectAllSucceed(ForkRanks(2, [&](World& world) { EXPECT_EQ(RunY(one.maker.program, world, 3), (Doubles{1, 2, 3, 2, 3, 4})); }));
}

// Two ranks hold [1,2,3,4] and [2,3,4,5]: the sums are [3,5,7,9]; rank 0 keeps the first half.
TEST_P(CollectiveTypes, ReduceScatter) {
  OneCollective one(2, 4, GetParam());
  const ir::TensorId part = one.maker.Fresh("part", {2}, GetParam());
  one.Finish(one.maker.Collective("c10d.reduce_scatter", 0, {one.mine, std::string("sum")}, {part}), part);
  ExpectAllSucceed(ForkRanks(
      2, [&](World& world) { EXPECT_EQ(RunY(one.maker.program, world, 4), world.rank() == 0 ? (Doubles{3, 5}) : (Doubles{7, 9})); }));
}

// Rank 0 holds [1,2,3,4], rank 1 [2,3,4,5]: halves change places.
TEST_P(CollectiveTypes, AllToAll) {
  OneCollective one(2, 4, GetParam());
  const ir::TensorId exchanged = one.maker.Fresh("exchanged", {4}, GetParam());
  one.Finish(one.maker.Collective("c10d.all_to_all", 0, {one.mine}, {exchanged}), exchanged);
  ExpectAllSucceed(ForkRanks(2, [&](World& world) {
    EXPECT_EQ(RunY(one.maker.program, world, 4), world.rank() == 0 ? (Doubles{1, 2, 2, 3}) : (Doubles{3, 4, 4, 5}));
  }));
}

TEST_P(CollectiveTypes, Broadcast) {
  OneCollective one(2, 3, GetParam());
  const ir::TensorId same = one.maker.Version(one.mine, "same");
  one.Finish(one.maker.Collective("c10d.broadcast", 0, {one.mine, int64_t{1}}, {same}), same);
  ExpectAllSucceed(ForkRanks(2, [&](World& world) { EXPECT_EQ(RunY(one.maker.program, world, 3), (Doubles{2, 3, 4})); }));
}

// Around a ring of three: each sends to the next (offset +1) and receives from the one before (offset -1). Rank 0 gets rank 2's [3,4].
TEST_P(CollectiveTypes, SendAndReceive) {
  OneCollective one(3, 2, GetParam());
  const ir::OpId send = one.maker.Collective("c10d.send", 0, {one.mine, int64_t{1}, int64_t{5}}, {});
  const ir::TensorId received = one.maker.Fresh("received", {2}, GetParam());
  const ir::OpId receive = one.maker.Collective("c10d.recv", 0, {int64_t{-1}, int64_t{5}}, {received});
  one.maker.Wait(send);
  one.Finish(receive, received);
  ExpectAllSucceed(ForkRanks(3, [&](World& world) {
    const double first = 1 + static_cast<double>((world.rank() + 2) % 3);
    EXPECT_EQ(RunY(one.maker.program, world, 2), (Doubles{first, first + 1}));
  }));
}

// A 2 x 2 mesh: "tensor" pairs are {0,1} {2,3}, "data" pairs {0,2} {1,3}. The ranks hold 1 + t + 10 d: 1, 2, 11, 12. Summed over tensor: 3,
// 3, 23, 23; these summed over data: 26 everywhere.
TEST(Collectives, GroupsOfAMesh) {
  ProgramMaker maker({{"tensor", 2}, {"data", 2}});
  const ir::TensorId zero = maker.Persistent("ramp", {1});
  maker.program.inputs = {{"ramp", zero}};
  const ir::TensorId mine = maker.Fresh("mine", {1});
  maker.Op("aten.add.Scalar", {zero, ir::RankExpression{1, {{"tensor", 1}, {"data", 10}}}}, {mine});
  const ir::TensorId tensor_sum = maker.Version(mine, "tensor_sum");
  maker.Wait(maker.Collective("c10d.all_reduce", 0, {mine, std::string("sum")}, {tensor_sum}));
  const ir::TensorId kept = maker.Fresh("kept", {1});
  maker.Op("aten.clone", {tensor_sum}, {kept});
  const ir::TensorId data_sum = maker.Version(tensor_sum, "data_sum");
  maker.Wait(maker.Collective("c10d.all_reduce", 1, {tensor_sum, std::string("sum")}, {data_sum}));
  const ir::TensorId y = maker.Fresh("y", {2});
  maker.Op("aten.cat", {std::vector<ir::TensorId>{kept, data_sum}}, {y});
  maker.program.outputs = {{"y", y}};
  ExpectAllSucceed(ForkRanks(4, [&](World& world) {
    EXPECT_EQ(RunY(maker.program, world, 1), world.rank() < 2 ? (Doubles{3, 26}) : (Doubles{23, 26}));
    EXPECT_EQ(RunY(maker.program, world, 1).size(), 2u);  // a second interpreter in the same world
  }));
}

// Two starts a, b on one group; rank 1 is late with b by a second. A wait for a returns before that, a wait for b only after it; a wait for
// b alone ends both.
struct TwoStarts {
  ProgramMaker maker{{{"data", 2}}};
  ir::OpId a, b, wait_first, wait_b;
  explicit TwoStarts(bool wait_for_a) {
    const ir::TensorId x = maker.Persistent("x", {1});
    const ir::TensorId y = maker.Persistent("y", {1});
    const ir::TensorId x1 = maker.Version(x, "x.1");
    a = maker.Collective("c10d.all_reduce", 0, {x, std::string("sum")}, {x1});
    const ir::TensorId y1 = maker.Version(y, "y.1");
    b = maker.Collective("c10d.all_reduce", 0, {y, std::string("sum")}, {y1});
    if (wait_for_a) wait_first = maker.Wait(a);
    wait_b = maker.Wait(b);
    maker.Op("aten.add_.Tensor", {x1, y1}, {maker.Version(x1, "x.2")});
  }
};

TEST(Collectives, AWaitEndsItsStartAndEarlierOnesButNoLaterOne) {
  constexpr std::chrono::milliseconds kLate{1000};
  for (const bool wait_for_a : {true, false}) {
    const TwoStarts two(wait_for_a);
    ExpectAllSucceed(ForkRanks(2, [&](World& world) {
      InterpreterOptions options;
      if (world.rank() == 1) options.fault = Fault{Fault::Action::kDelay, 1, two.b, kLate};
      Result<std::unique_ptr<Interpreter>> interpreter = Interpreter::Create(two.maker.program, &world, world.rank(), options);
      ASSERT_TRUE(interpreter.ok()) << interpreter.status().message();
      ASSERT_TRUE((*interpreter)->RunStep().ok());
      ASSERT_TRUE(world.Barrier().ok());
      const Result<StepRecord> record = (*interpreter)->RunStep();
      ASSERT_TRUE(record.ok()) << record.status().message();
      if (world.rank() == 1) return;
      const auto end_ms = [&](const std::vector<OpTime>& times, ir::OpId op) { return times[op.index()].end.milliseconds(); };
      EXPECT_LT(end_ms(record->ops, two.a), 500);  // when it ended, whoever waited for it
      EXPECT_GT(end_ms(record->ops, two.b), 800);
      EXPECT_LT(end_ms(record->host, two.b), 500);  // starting does not block
      if (wait_for_a) {
        EXPECT_LT(end_ms(record->host, two.wait_first), 500);
      }
      EXPECT_GT(end_ms(record->host, two.wait_b), 800);
    }));
  }
}

// What rank 0 says when rank 1 is hit at the start of the second step's collective.
void ExpectFailureIsNoticed(Fault::Action action, const std::string& cause) {
  const TwoStarts two(true);
  const std::vector<RankEnd> ends = ForkRanks(
      2,
      [&](World& world) {
        InterpreterOptions options;
        if (world.rank() == 1) options.fault = Fault{action, 1, two.b, {}};
        Result<std::unique_ptr<Interpreter>> interpreter = Interpreter::Create(two.maker.program, &world, world.rank(), options);
        ASSERT_TRUE(interpreter.ok());
        ASSERT_TRUE((*interpreter)->RunStep().ok());
        const Status status = (*interpreter)->RunStep().status();
        EXPECT_EQ(status.code(), StatusCode::kRankFailed);
        // A stopped process stops its communication threads too, so that the collective before may not have ended either.
        EXPECT_THAT(status.message(),
                    AnyOf(HasSubstr("rank 0: op 3 c10d.wait (forward) for op 1 c10d.all_reduce (forward) on group 'data': "),
                          HasSubstr("rank 0: op 2 c10d.wait (forward) for op 0 c10d.all_reduce (forward) on group 'data': ")));
        EXPECT_THAT(status.message(), HasSubstr(cause));
      },
      std::chrono::milliseconds(2000));
  EXPECT_TRUE(ends[0].exited);
  EXPECT_EQ(ends[0].code, 0);
  EXPECT_FALSE(ends[1].exited);
  EXPECT_EQ(ends[1].code, SIGKILL);
}

TEST(Collectives, ADeadRankIsAStatus) { ExpectFailureIsNoticed(Fault::Action::kKill, "onnection"); }
TEST(Collectives, AHangingRankIsAStatusAfterTheTimeOut) { ExpectFailureIsNoticed(Fault::Action::kStop, "imed out"); }

// The same collectives between the same processes, over a network that is emulated.
const cluster::Link kNetwork{Duration::Nanoseconds(100000), BytesPerSecond::Gigabits(1)};
std::vector<RankEnd> ForkRanksOverNetwork(int count, const std::function<void(World&)>& body, const cluster::Link& network = kNetwork) {
  return ForkRanks(count, body, std::chrono::seconds(30), network);
}

TEST(EmulatedNetwork, ReducesAndGathers) {
  OneCollective sum(3, 6, ir::DataType::kFloat32);
  const ir::TensorId reduced = sum.maker.Version(sum.mine, "reduced");
  sum.Finish(sum.maker.Collective("c10d.all_reduce", 0, {sum.mine, std::string("sum")}, {reduced}), reduced);
  OneCollective gather(3, 2, ir::DataType::kBFloat16);
  const ir::TensorId gathered = gather.maker.Fresh("gathered", {6}, ir::DataType::kBFloat16);
  gather.Finish(gather.maker.Collective("c10d.all_gather", 0, {gather.mine}, {gathered}), gathered);
  OneCollective scatter(3, 3, ir::DataType::kFloat32);
  const ir::TensorId part = scatter.maker.Fresh("part", {1});
  scatter.Finish(scatter.maker.Collective("c10d.reduce_scatter", 0, {scatter.mine, std::string("sum")}, {part}), part);
  OneCollective exchange(3, 3, ir::DataType::kFloat32);
  const ir::TensorId exchanged = exchange.maker.Fresh("exchanged", {3});
  exchange.Finish(exchange.maker.Collective("c10d.all_to_all", 0, {exchange.mine}, {exchanged}), exchanged);
  OneCollective broadcast(3, 2, ir::DataType::kFloat32);
  const ir::TensorId same = broadcast.maker.Version(broadcast.mine, "same");
  broadcast.Finish(broadcast.maker.Collective("c10d.broadcast", 0, {broadcast.mine, int64_t{1}}, {same}), same);
  // Ranks hold 1, 2, 3 plus 0, 1, 2, ...
  ExpectAllSucceed(ForkRanksOverNetwork(3, [&](World& world) {
    const double rank = static_cast<double>(world.rank());
    EXPECT_EQ(RunY(sum.maker.program, world, 6), (Doubles{6, 9, 12, 15, 18, 21}));
    EXPECT_EQ(RunY(gather.maker.program, world, 2), (Doubles{1, 2, 2, 3, 3, 4}));
    EXPECT_EQ(RunY(scatter.maker.program, world, 3), (Doubles{6 + 3 * rank}));
    EXPECT_EQ(RunY(exchange.maker.program, world, 3), (Doubles{1 + rank, 2 + rank, 3 + rank}));
    EXPECT_EQ(RunY(broadcast.maker.program, world, 2), (Doubles{2, 3}));
  }));
}

// Each waits for its send before it receives from the other one; a send that waits for the other's recv behind it would wait for ever.
TEST(EmulatedNetwork, MessagesInBothDirectionsDoNotWaitForEachOther) {
  OneCollective one(3, 2, ir::DataType::kFloat32);
  const ir::OpId send = one.maker.Collective("c10d.send", 0, {one.mine, int64_t{1}, int64_t{5}}, {});
  const ir::TensorId received = one.maker.Fresh("received", {2});
  const ir::OpId receive = one.maker.Collective("c10d.recv", 0, {int64_t{-1}, int64_t{5}}, {received});
  one.maker.Wait(send);
  one.Finish(receive, received);
  ExpectAllSucceed(ForkRanksOverNetwork(3, [&](World& world) {
    const double first = 1 + static_cast<double>((world.rank() + 2) % 3);
    EXPECT_EQ(RunY(one.maker.program, world, 2), (Doubles{first, first + 1}));
  }));
}

// 1,250,000 bytes at 0.1 Gbit/s take 100 ms. All-reduce by a ring of two: twice half of that, and two latencies of 50 ms: 200 ms. What
// comes between its start and its wait begins while it is under way.
TEST(EmulatedNetwork, ACollectiveTakesItsTimeAndComputationGoesOn) {
  ProgramMaker maker({{"data", 2}});
  const ir::TensorId x = maker.Persistent("x", {312500});
  const ir::TensorId y = maker.Persistent("y", {4});
  const ir::TensorId sum = maker.Version(x, "sum");
  const ir::OpId start = maker.Collective("c10d.all_reduce", 0, {x, std::string("sum")}, {sum});
  const ir::OpId beside = maker.Op("aten.add_.Scalar", {y, int64_t{1}}, {maker.Version(y, "y.1")});
  const ir::OpId wait = maker.Wait(start);
  const cluster::Link slow{Duration::Nanoseconds(50000000), BytesPerSecond::Gigabits(0.1)};
  ExpectAllSucceed(ForkRanksOverNetwork(
      2,
      [&](World& world) {
        Result<std::unique_ptr<Interpreter>> interpreter = Interpreter::Create(maker.program, &world, world.rank(), {});
        ASSERT_TRUE(interpreter.ok()) << interpreter.status().message();
        const Result<StepRecord> record = (*interpreter)->RunStep();
        ASSERT_TRUE(record.ok()) << record.status().message();
        const OpTime& collective = record->ops[start.index()];
        EXPECT_GE((collective.end - collective.start).milliseconds(), 200);
        EXPECT_GE(record->host[wait.index()].end, collective.end);
        EXPECT_LT(record->ops[beside.index()].start, collective.end);
      },
      slow));
}

TEST(EmulatedNetwork, ADeadRankIsAStatus) {
  const TwoStarts two(true);
  const std::vector<RankEnd> ends = ForkRanks(
      2,
      [&](World& world) {
        InterpreterOptions options;
        if (world.rank() == 1) options.fault = Fault{Fault::Action::kKill, 1, two.b, {}};
        Result<std::unique_ptr<Interpreter>> interpreter = Interpreter::Create(two.maker.program, &world, world.rank(), options);
        ASSERT_TRUE(interpreter.ok());
        ASSERT_TRUE((*interpreter)->RunStep().ok());
        const Status status = (*interpreter)->RunStep().status();
        EXPECT_EQ(status.code(), StatusCode::kRankFailed);
        EXPECT_THAT(status.message(), HasSubstr("c10d.all_reduce (forward) on group 'data': "));
      },
      std::chrono::milliseconds(2000), kNetwork);
  EXPECT_EQ(ends[0].code, 0);
  EXPECT_FALSE(ends[1].exited);
}

// What helm-profile measures is what the network takes: 4 ms for half of a million bytes and the latency, and not ten times that.
TEST(EmulatedNetwork, IsWhatTheProfilerMeasures) {
  ExpectAllSucceed(ForkRanksOverNetwork(2, [](World& world) {
    const ir::CollectiveSignature signature{"all_gather", ir::DataType::kFloat32, 2, 2, Bytes(1000000)};
    Result<std::unique_ptr<CollectiveBench>> bench = CollectiveBench::Create(signature, world, ir::DeviceKind::kCpu);
    ASSERT_TRUE(bench.ok()) << bench.status().message();
    const Result<Duration> time = (*bench)->RunOnce();
    ASSERT_TRUE(time.ok()) << time.status().message();
    EXPECT_GE(time->milliseconds(), 4.1);
    EXPECT_GE((*bench)->RunOnce()->milliseconds(), 4.1);
  }));
}

TEST(World, ExchangesTextsAndNumbers) {
  ExpectAllSucceed(ForkRanks(3, [](World& world) {
    for (int round = 0; round < 4; ++round) {
      const std::string own = "rank " + std::to_string(world.rank()) + " round " + std::to_string(round);
      const std::string end = " round " + std::to_string(round);
      EXPECT_EQ(world.AllGatherText(own).value(), (std::vector<std::string>{"rank 0" + end, "rank 1" + end, "rank 2" + end}));
    }
    EXPECT_TRUE(world.Barrier().ok());
    EXPECT_EQ(world.AllReduceMaximum(0.1 * static_cast<double>(world.rank())).value(), 0.1 * 2.0);
  }));
}

TEST(World, NamesTheRankThatIsMissing) {
  ExpectAllSucceed(ForkRanks(
      2,
      [](World& world) {
        if (world.rank() == 1) return;
        const Status status = world.Barrier();
        EXPECT_EQ(status.code(), StatusCode::kRankFailed);
        EXPECT_THAT(status.message(), HasSubstr("waited 1 s at a barrier for rank 1"));
      },
      std::chrono::milliseconds(1000)));
}

TEST(CollectiveBench, MeasuresInSlicesOfTheWorld) {
  ExpectAllSucceed(ForkRanks(3, [](World& world) {
    for (const std::string kind : {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send"}) {
      const ir::CollectiveSignature signature{kind, ir::DataType::kBFloat16, 2, 2, Bytes(40000)};
      Result<std::unique_ptr<CollectiveBench>> bench = CollectiveBench::Create(signature, world, ir::DeviceKind::kCpu);
      ASSERT_TRUE(bench.ok()) << bench.status().message();
      const Result<Duration> time = (*bench)->RunOnce();
      ASSERT_TRUE(time.ok()) << kind << ": " << time.status().message();
      EXPECT_EQ(*time > Duration(), world.rank() < 2) << kind;  // rank 2 is left over
    }
    const ir::CollectiveSignature wide{"all_reduce", ir::DataType::kFloat32, 4, 4, Bytes(4)};
    EXPECT_THAT(CollectiveBench::Create(wide, world, ir::DeviceKind::kCpu).status().message(), HasSubstr("needs 4 ranks, there are 3"));
  }));
}

}  // namespace
}  // namespace helm::runtime
