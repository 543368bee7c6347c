#include "runtime/in_process.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/ops/zeros.h>
#include <c10/core/Event.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "core/check.h"
#include "runtime/connecting_world.h"
#include "runtime/meeting.h"

namespace helm::runtime {
namespace {

c10::Stream CurrentStream(c10::Device device) { return c10::impl::VirtualGuardImpl(device.type()).getStream(device); }

c10::Event MarkOn(const c10::Stream& stream) {
  c10::Event event(stream.device_type(), c10::EventFlag::BACKEND_DEFAULT);  // with timing
  event.record(stream);
  return event;
}

// When a collective begins and ends on the stream of its group.
struct Marks {
  c10::Event begin, end;
};

// What one rank brings to a collective, and gets.
struct Share {
  CollectiveCall call;
  at::Tensor input;
  at::Tensor output;
  std::optional<c10::Event> ready;  // GPU: the rank's stream has written the tensors
  std::shared_ptr<Marks> marks;     // GPU: set by the act
};

using Shares = std::vector<std::unique_ptr<Share>>;

at::Tensor Reduced(const Shares& shares) {
  const bool narrow =
      shares.front()->input.scalar_type() == c10::ScalarType::BFloat16 || shares.front()->input.scalar_type() == c10::ScalarType::Half;
  at::Tensor total = narrow ? shares.front()->input.to(c10::ScalarType::Float) : shares.front()->input.clone();
  for (size_t i = 1; i < shares.size(); ++i) {
    if (shares[i]->call.reduction == Reduction::kSum) {
      total.add_(shares[i]->input);
    } else {
      total.copy_(total.maximum(shares[i]->input.to(total.scalar_type())));
    }
  }
  return total;
}

// Part `index` of `count` equal ones of dimension 0.
at::Tensor PartOf(const at::Tensor& tensor, size_t index, size_t count) {
  const int64_t length = tensor.size(0) / static_cast<int64_t>(count);
  return tensor.narrow(0, static_cast<int64_t>(index) * length, length);
}

void Act(const Shares& shares) {
  const size_t count = shares.size();
  const CollectiveCall& call = shares.front()->call;
  switch (call.kind) {
    case CollectiveKind::kAllReduce: {
      const at::Tensor total = Reduced(shares);
      for (const auto& share : shares) share->input.copy_(total);
      return;
    }
    case CollectiveKind::kReduceScatter: {
      const at::Tensor total = Reduced(shares);
      for (size_t i = 0; i < count; ++i) shares[i]->output.copy_(PartOf(total, i, count));
      return;
    }
    case CollectiveKind::kAllGather:
    case CollectiveKind::kAllToAll:
      for (size_t to = 0; to < count; ++to) {
        for (size_t from = 0; from < count; ++from) {
          const at::Tensor& input = shares[from]->input;
          PartOf(shares[to]->output, from, count).copy_(call.kind == CollectiveKind::kAllGather ? input : PartOf(input, to, count));
        }
      }
      return;
    case CollectiveKind::kBroadcast:
      for (size_t i = 0; i < count; ++i) {
        const auto root = static_cast<size_t>(call.peer);
        if (i != root) shares[i]->input.copy_(shares[root]->input);
      }
      return;
    case CollectiveKind::kSend:  // the sender's share comes first
    case CollectiveKind::kReceive:
      shares[1]->output.copy_(shares[0]->input);
      return;
  }
  HELM_CHECK(false, "a collective kind without an act");
}

// What the ranks of one group share.
class GroupState {
 public:
  GroupState(size_t members, c10::Device device) : device_(device), all_(members) {
    if (!device.is_cpu()) stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
  }

  Meeting<Share>& all() { return all_; }
  // Messages from one member to another with a tag.
  Meeting<Share>& messages(int64_t from, int64_t to, int64_t tag) {
    const std::lock_guard lock(mutex_);
    auto& meeting = messages_[{from, to, tag}];
    if (meeting == nullptr) meeting = std::make_unique<Meeting<Share>>(2);
    return *meeting;
  }

  // Runs a collective for everybody, on a GPU behind what each of them has launched. The tensors are let go: their ranks hold them until
  // they have waited.
  void Run(Shares& shares) {
    const c10::InferenceMode inference;
    if (stream_) {
      RunOnStream(shares);
    } else {
      Act(shares);
    }
    for (const auto& share : shares) {
      share->input.reset();
      share->output.reset();
    }
  }

 private:
  void RunOnStream(Shares& shares) {
    const std::lock_guard lock(mutex_);  // one after the other
    const c10::StreamGuard guard(*stream_);
    for (const auto& share : shares) share->ready->block(*stream_);
    c10::Event begin = MarkOn(*stream_);
    Act(shares);
    const auto marks = std::make_shared<Marks>(Marks{std::move(begin), MarkOn(*stream_)});
    for (const auto& share : shares) share->marks = marks;
  }

  c10::Device device_;
  std::optional<c10::Stream> stream_;
  Meeting<Share> all_;
  std::mutex mutex_;
  std::map<std::tuple<int64_t, int64_t, int64_t>, std::unique_ptr<Meeting<Share>>> messages_;
};

class PendingShare final : public PendingCollective {
 public:
  PendingShare(std::shared_ptr<Meeting<Share>::Round> round, size_t member, const Alarm& alarm, std::chrono::milliseconds timeout,
               c10::Device device)
      : round_(std::move(round)), member_(member), alarm_(alarm), timeout_(timeout), device_(device) {}

  void Wait() override {
    round_->Wait(alarm_, timeout_);
    marks_ = round_->part(member_).marks;
    if (marks_ != nullptr) marks_->end.block(CurrentStream(device_));
  }
  std::optional<std::chrono::steady_clock::time_point> end() const override {
    return device_.is_cpu() ? std::optional(round_->end()) : std::nullopt;
  }
  std::optional<double> duration_ms() const override {
    return marks_ == nullptr ? std::nullopt : std::optional(marks_->begin.elapsedTime(marks_->end));
  }

 private:
  std::shared_ptr<Meeting<Share>::Round> round_;
  size_t member_;
  const Alarm& alarm_;
  std::chrono::milliseconds timeout_;
  c10::Device device_;
  std::shared_ptr<Marks> marks_;
};

class InProcessGroup final : public ProcessGroup {
 public:
  InProcessGroup(std::shared_ptr<GroupState> state, int64_t rank, c10::Device device, const Alarm& alarm, std::chrono::milliseconds timeout)
      : state_(std::move(state)), rank_(rank), device_(device), alarm_(alarm), timeout_(timeout) {}

  int64_t rank() const override { return rank_; }
  int64_t size() const override { return static_cast<int64_t>(state_->all().members()); }

  std::unique_ptr<PendingCollective> Start(const CollectiveCall& call, const at::Tensor& input, const at::Tensor& output) override {
    auto share = std::make_unique<Share>();
    share->call = call;
    share->input = input;
    share->output = output;
    if (!device_.is_cpu()) share->ready = MarkOn(CurrentStream(device_));
    const bool sends = call.kind == CollectiveKind::kSend;
    const bool is_message = sends || call.kind == CollectiveKind::kReceive;
    Meeting<Share>& meeting = is_message ? state_->messages(sends ? rank_ : call.peer, sends ? call.peer : rank_, call.tag) : state_->all();
    const size_t member = !is_message ? static_cast<size_t>(rank_) : sends ? 0 : 1;
    auto round = meeting.Bring(member, std::move(share), [state = state_.get()](Shares& shares) { state->Run(shares); });
    return std::make_unique<PendingShare>(std::move(round), member, alarm_, timeout_, device_);
  }

  void Barrier() override {
    const at::Tensor one = at::zeros({1}, at::TensorOptions().device(device_));
    Start({.kind = CollectiveKind::kAllReduce}, one, one)->Wait();
  }

 private:
  std::shared_ptr<GroupState> state_;
  int64_t rank_;
  c10::Device device_;
  const Alarm& alarm_;
  std::chrono::milliseconds timeout_;
};

class Ranks;

class InProcessWorld final : public ConnectingWorld {
 public:
  InProcessWorld(Ranks& ranks, int64_t rank) : ranks_(ranks), rank_(rank) {}

  int64_t rank() const override { return rank_; }
  int64_t size() const override;
  bool shares_device() const override { return true; }
  Status Barrier() override { return AllGatherText("").status(); }
  Result<std::vector<std::string>> AllGatherText(const std::string& text) override;
  Result<double> AllReduceMaximum(double value) override;
  Result<std::unique_ptr<ProcessGroup>> Connect(const Device& device, const std::string& name,
                                                const std::vector<int64_t>& members) override;

 private:
  Ranks& ranks_;
  int64_t rank_;
  int64_t round_ = 0;
  std::map<std::pair<int64_t, std::string>, int64_t> connected_;  // groups of this name since that round
};

class Ranks final : public InProcessRanks {
 public:
  Ranks(int64_t ranks, std::chrono::milliseconds timeout) : timeout_(timeout), texts_(static_cast<size_t>(ranks)) {
    for (int64_t rank = 0; rank < ranks; ++rank) worlds_.push_back(std::make_unique<InProcessWorld>(*this, rank));
  }

  World& world(int64_t rank) override { return *worlds_[static_cast<size_t>(rank)]; }
  void Fail(const std::string& cause) override { alarm_.Raise(cause); }

  const Alarm& alarm() const { return alarm_; }
  std::chrono::milliseconds timeout() const { return timeout_; }
  Meeting<std::string>& texts() { return texts_; }
  // The same for all members that ask with the same key.
  std::shared_ptr<GroupState> group(const std::string& key, size_t members, c10::Device device) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<GroupState>& state = groups_[key];
    if (state == nullptr) state = std::make_shared<GroupState>(members, device);
    return state;
  }

 private:
  std::chrono::milliseconds timeout_;
  Alarm alarm_;
  Meeting<std::string> texts_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<GroupState>> groups_;  // kept: a member may come when another has left
  std::vector<std::unique_ptr<InProcessWorld>> worlds_;
};

int64_t InProcessWorld::size() const { return static_cast<int64_t>(ranks_.texts().members()); }

Result<std::vector<std::string>> InProcessWorld::AllGatherText(const std::string& text) {
  ++round_;
  const auto round = ranks_.texts().Bring(static_cast<size_t>(rank_), std::make_unique<std::string>(text), [](auto&) {});
  try {
    round->Wait(ranks_.alarm(), ranks_.timeout());
  } catch (const std::exception& error) {
    return RankFailedError("error: rank " + std::to_string(rank_) + ": " + error.what());
  }
  std::vector<std::string> texts;
  for (int64_t rank = 0; rank < size(); ++rank) texts.push_back(round->part(static_cast<size_t>(rank)));
  return texts;
}

Result<double> InProcessWorld::AllReduceMaximum(double value) {
  HELM_ASSIGN_OR_RETURN(const std::vector<std::string> all, AllGatherText(EncodeExactly(value)));
  return LargestOf(all);
}

Result<std::unique_ptr<ProcessGroup>> InProcessWorld::Connect(const Device& device, const std::string& name,
                                                              const std::vector<int64_t>& members) {
  const int64_t again = connected_[{round_, name}]++;
  const auto own = std::ranges::find(members, rank_);
  if (own == members.end()) return std::unique_ptr<ProcessGroup>();
  const std::string key = std::to_string(round_) + "/" + std::to_string(again) + "/" + name + "/" + std::to_string(members.front());
  auto state = ranks_.group(key, members.size(), device.torch_device());
  return std::unique_ptr<ProcessGroup>(
      std::make_unique<InProcessGroup>(std::move(state), own - members.begin(), device.torch_device(), ranks_.alarm(), ranks_.timeout()));
}

}  // namespace

std::unique_ptr<InProcessRanks> InProcessRanks::Make(int64_t ranks, std::chrono::milliseconds timeout) {
  return std::make_unique<Ranks>(ranks, timeout);
}

}  // namespace helm::runtime
