#include "ir/timeline_ranks.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace helm::ir {
namespace {

struct OpRange {
  OpId first;
  OpId last;
  int32_t rank = 0;
};

// "communication.pipeline_forward.send+1": group and offset of the peer.
struct Direction {
  std::string group;
  int64_t offset = 0;
};

std::optional<Direction> DirectionOf(std::string_view stream_name) {
  const size_t dot = stream_name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  std::string_view row = stream_name.substr(dot + 1);
  if (!row.starts_with("send") && !row.starts_with("recv")) return std::nullopt;
  row.remove_prefix(4);
  if (row.starts_with('+')) row.remove_prefix(1);
  Direction direction{std::string(stream_name.substr(0, dot)), 0};
  const auto [end, error] = std::from_chars(row.data(), row.data() + row.size(), direction.offset);
  if (error != std::errc() || end != row.data() + row.size()) return std::nullopt;
  return direction;
}

// Neighbours along another dimension run the same ops: who meets whom there, only the mesh says. True where the groups are not known.
bool LiesAcrossStages(const Timeline& timeline, const Stream& stream) {
  const auto index = static_cast<size_t>(stream.index);
  if (index >= timeline.groups.size()) return true;
  const std::vector<std::string>& dimensions = timeline.groups[index].dimensions;
  return std::ranges::find(dimensions, "pipeline") != dimensions.end();
}

// Who has which peer so many stages on.
class StagePeers {
 public:
  explicit StagePeers(const Timeline& timeline)
      : mesh_(timeline.mesh), pipeline_(std::ranges::find(mesh_, "pipeline", &MeshDimension::name)), stages_(StagesOf(timeline)) {
    for (size_t stage = 0; stage < stages_.size(); ++stage) {
      for (size_t index = 0; index < stages_[stage].size(); ++index) places_[stages_[stage][index]] = {stage, index};
    }
  }

  std::optional<int32_t> Of(int32_t rank, int64_t offset) const {
    return pipeline_ == mesh_.end() ? ByOps(rank, offset) : OnMesh(rank, offset);
  }

 private:
  struct Place {
    size_t stage = 0;
    size_t index = 0;
  };

  static int64_t Around(int64_t stage, int64_t stages) { return (stage % stages + stages) % stages; }

  int32_t OnMesh(int32_t rank, int64_t offset) const {
    int64_t stride = 1;
    for (auto dimension = mesh_.begin(); dimension != pipeline_; ++dimension) stride *= dimension->size;
    const int64_t stage = rank / stride % pipeline_->size;
    return static_cast<int32_t>(rank + (Around(stage + offset, pipeline_->size) - stage) * stride);
  }

  std::optional<int32_t> ByOps(int32_t rank, int64_t offset) const {
    const Place own = places_.at(rank);
    const int64_t peer_stage = Around(static_cast<int64_t>(own.stage) + offset, std::ssize(stages_));
    const std::vector<int32_t>& peers = stages_[static_cast<size_t>(peer_stage)];
    if (own.index >= peers.size() || peers.size() != stages_[own.stage].size()) return std::nullopt;
    return peers[own.index];
  }

  const std::vector<MeshDimension>& mesh_;
  const std::vector<MeshDimension>::const_iterator pipeline_;
  const std::vector<std::vector<int32_t>> stages_;
  std::map<int32_t, Place> places_;
};

// Sender, receiver, group.
using RankLink = std::tuple<int32_t, int32_t, std::string>;

// What the members of one instance of a group share, their coordinates along the other dimensions; none: the rank is in no such group.
// Unlike GroupMembers it lists no ranks, of which a file may claim millions.
std::optional<std::vector<int64_t>> InstanceOf(const std::vector<MeshDimension>& mesh, const Group& group, int64_t rank) {
  const std::vector<int64_t> own = Coordinates(mesh, rank);
  std::vector<int64_t> others;
  for (size_t i = 0; i < mesh.size(); ++i) {
    if (std::ranges::find(group.dimensions, mesh[i].name) == group.dimensions.end()) {
      others.push_back(own[i]);
    } else if (!group.coordinates.empty() && std::ranges::find(group.coordinates, own[i]) == group.coordinates.end()) {
      return std::nullopt;
    }
  }
  return others;
}

}  // namespace

bool IsTransfer(const TimelineOp& op) { return op.target == "c10d.send" || op.target == "c10d.recv"; }

std::vector<std::vector<int32_t>> StagesOf(const Timeline& timeline) {
  std::map<int32_t, OpRange> by_rank;
  for (const TimelineEvent& event : timeline.events) {
    OpRange& range = by_rank.try_emplace(event.rank, OpRange{event.op, event.op, event.rank}).first->second;
    range.first = std::min(range.first, event.op);
    range.last = std::max(range.last, event.op);
  }
  std::vector<OpRange> ranges;
  for (const auto& [rank, range] : by_rank) ranges.push_back(range);
  std::ranges::stable_sort(ranges, {}, &OpRange::first);
  std::vector<std::vector<int32_t>> stages;
  OpId last;
  for (const OpRange& range : ranges) {
    if (stages.empty() || range.first > last) stages.emplace_back();
    stages.back().push_back(range.rank);
    last = stages.back().size() == 1 ? range.last : std::max(last, range.last);
  }
  for (std::vector<int32_t>& ranks : stages) std::ranges::sort(ranks);
  return stages;
}

std::vector<Message> MessagesOf(const Timeline& timeline) {
  const StagePeers peers(timeline);
  std::map<RankLink, std::vector<size_t>> sends, receives;
  for (size_t i = 0; i < timeline.events.size(); ++i) {
    const TimelineEvent& event = timeline.events[i];
    const Stream& stream = timeline.streams[static_cast<size_t>(event.stream)];
    const TimelineOp& op = timeline.ops[event.op.index()];
    if (stream.kind != Stream::Kind::kCommunication || !IsTransfer(op)) continue;
    const std::optional<Direction> direction = DirectionOf(stream.name);
    if (!direction || !LiesAcrossStages(timeline, stream)) continue;
    const std::optional<int32_t> peer = peers.Of(event.rank, direction->offset);
    if (!peer) continue;
    if (op.target == "c10d.send") {
      sends[{event.rank, *peer, direction->group}].push_back(i);
    } else {
      receives[{*peer, event.rank, direction->group}].push_back(i);
    }
  }
  std::vector<Message> messages;
  const auto by_op = [&](size_t i) { return timeline.events[i].op; };
  for (auto& [link, sent] : sends) {
    std::vector<size_t>& received = receives[link];
    std::ranges::sort(sent, {}, by_op);
    std::ranges::sort(received, {}, by_op);
    for (size_t k = 0; k < std::min(sent.size(), received.size()); ++k) messages.push_back({sent[k], received[k]});
  }
  std::ranges::sort(messages, {}, &Message::send);
  return messages;
}

void EndSendsWithTheirReceives(Timeline& timeline) {
  for (const Message& message : MessagesOf(timeline)) {
    TimelineEvent& send = timeline.events[message.send];
    const TimelineEvent& receive = timeline.events[message.receive];
    const Duration over = std::max(send.start, receive.start + receive.duration);
    send.duration = std::min(send.duration, over - send.start);
  }
}

std::vector<std::vector<size_t>> CollectivesOf(const Timeline& timeline) {
  if (timeline.mesh.empty()) return {};
  std::map<std::pair<int32_t, int32_t>, std::map<OpId, size_t>> by_stream;  // of a rank and stream: its collectives in order
  for (size_t i = 0; i < timeline.events.size(); ++i) {
    const TimelineEvent& event = timeline.events[i];
    const bool communicates = timeline.streams[static_cast<size_t>(event.stream)].kind == Stream::Kind::kCommunication;
    if (communicates && !IsTransfer(timeline.ops[event.op.index()])) by_stream[{event.rank, event.stream}].try_emplace(event.op, i);
  }
  std::map<std::tuple<int32_t, std::vector<int64_t>, size_t>, std::vector<size_t>> members;  // of stream, instance, place in the order
  for (const auto& [place, events] : by_stream) {
    const auto [rank, stream] = place;
    const Group& group = timeline.groups[static_cast<size_t>(timeline.streams[static_cast<size_t>(stream)].index)];
    const std::optional<std::vector<int64_t>> instance = InstanceOf(timeline.mesh, group, rank);
    if (!instance) continue;
    size_t k = 0;
    for (const auto& [op, event] : events) members[{stream, *instance, k++}].push_back(event);
  }
  std::vector<std::vector<size_t>> collectives;
  for (auto& [key, events] : members) {
    if (events.size() > 1) collectives.push_back(std::move(events));
  }
  return collectives;
}

}  // namespace helm::ir
