#include "sim/compose.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "sim/schedule_times.h"
#include "sim/stage_template.h"

namespace helm::sim {
namespace {

// A message, or a collective over several classes, as one of its members posts it.
struct Posting {
  int64_t ready = 0;     // when this member could begin
  int64_t duration = 0;  // as this member prices it
  int32_t micro_batch = -1;
};

// What two or more classes do together, in order.
class Meeting {
 public:
  explicit Meeting(size_t members) : posted_(members) {}

  // False when the members do not mean the same: the programs would wait for each other for ever.
  bool Add(size_t member, const Posting& posting) {
    posted_[member].push_back(posting);
    while (std::ranges::all_of(posted_, [this](const auto& of_member) { return of_member.size() > ends_.size(); })) {
      const size_t next = ends_.size();
      int64_t start = ends_.empty() ? 0 : ends_.back();
      int64_t duration = 0;
      for (const auto& of_member : posted_) {
        if (of_member[next].micro_batch != posted_[0][next].micro_batch) return false;
        start = std::max(start, of_member[next].ready);
        duration = std::max(duration, of_member[next].duration);
      }
      starts_.push_back(start);
      ends_.push_back(start + duration);
    }
    return true;
  }
  bool Begun(size_t index) const { return index < ends_.size(); }
  bool Complete() const {
    return std::ranges::all_of(posted_, [this](const auto& of_member) { return of_member.size() == ends_.size(); });
  }
  int64_t StartOf(size_t index) const { return starts_[index]; }
  int64_t EndOf(size_t index) const { return ends_[index]; }
  int64_t LastEnd() const { return ends_.empty() ? 0 : ends_.back(); }

 private:
  std::vector<std::vector<Posting>> posted_;  // by member
  std::vector<int64_t> starts_, ends_;
};

// Where a class meets others, by channel of its template.
struct Seat {
  Meeting* meeting = nullptr;
  size_t member = 0;
  size_t posted = 0;
};

// One class's walk through its schedule.
class ClassWalk {
 public:
  ClassWalk(const StageTemplate& stage, const std::vector<const ActionTemplate*>& actions, const std::vector<int32_t>& micro_batches,
            std::vector<Seat> seats, std::vector<cost::Estimate> prices)
      : stage_(stage),
        actions_(actions),
        micro_batches_(micro_batches),
        seats_(std::move(seats)),
        prices_(std::move(prices)),
        runner_(stage.layout),
        ports_(stage.layout.kinds.size(), 0),
        past_(stage.layout, stage.open_slots) {}

  // As far as it goes until something is waited for that has not begun. False when it could go nowhere.
  Result<bool> Advance(const Cancellation& cancellation) {
    bool moved = false;
    for (; action_ < actions_.size(); ++action_, element_ = 0) {
      HELM_RETURN_IF_ERROR(cancellation.CheckAt(action_));
      for (; element_ < actions_[action_]->elements.size(); ++element_) {
        const Element& element = actions_[action_]->elements[element_];
        if (element.kind == Element::Kind::kWait && !CanWait(stage_.waits[element.index])) return moved;
        HELM_RETURN_IF_ERROR(Run(element));
        moved = true;
      }
    }
    return moved;
  }
  bool finished() const { return action_ == actions_.size(); }
  int64_t LastFinish() const { return *std::ranges::max_element(ports_); }

  Totals Sums() const {
    Totals totals;
    totals.by_source = posted_by_source_;
    for (const ActionTemplate* action : actions_) totals.Add(action->totals);
    return totals;
  }

  Breakdown BreakdownOf(int64_t makespan, bool alone) const {
    const Totals totals = Sums();
    Breakdown breakdown;
    breakdown.compute = Duration::Picoseconds(totals.compute);
    breakdown.optimizer = Duration::Picoseconds(totals.optimizer);
    breakdown.host = Duration::Picoseconds(totals.host + idle_.host);
    breakdown.exposed_communication = Duration::Picoseconds(idle_.communication);
    breakdown.bubble = Duration::Picoseconds(bubble_);
    (alone ? breakdown.host : breakdown.bubble) += Duration::Picoseconds(makespan - ports_[stage_.layout.compute]);
    return breakdown;
  }

 private:
  bool CanWait(const WaitEnd& wait) const {
    const Seat& seat = seats_[wait.channel];
    return seat.meeting->Begun(seat.posted - 1 - wait.back);
  }

  Status Run(const Element& element) {
    switch (element.kind) {
      case Element::Kind::kPiece:
        HELM_RETURN_IF_ERROR(CheckKnown(stage_.pieces[element.index].awaited));
        runner_.Run(stage_.pieces[element.index], ports_, past_, idle_);
        break;
      case Element::Kind::kRepeated:
        HELM_RETURN_IF_ERROR(CheckKnown(stage_.repeated[element.index].awaited));
        Repeat(stage_.repeated[element.index]);
        break;
      case Element::Kind::kPost:
        return DoPost(element.index);
      case Element::Kind::kWait:
        return Wait(stage_.waits[element.index]);
    }
    return OkStatus();
  }

  Status CheckKnown(const std::vector<Piece::Awaited>& awaited) const {
    const bool known = std::ranges::all_of(awaited, [this](const Piece::Awaited& of) { return past_.Knows(of); });
    return known ? OkStatus() : UnavailableError("a collective is waited for that no earlier action starts");
  }

  void Repeat(const RepeatedPiece& piece) {
    const int64_t before = ports_[stage_.layout.compute];
    times_.assign(piece.matrix.size(), kNever);
    std::ranges::copy(ports_, times_.begin());
    for (size_t i = 0; i < piece.awaited.size(); ++i) times_[ports_.size() + i] = past_.EndOf(piece.awaited[i]);
    piece.matrix.Apply(times_);
    std::copy_n(times_.begin(), ports_.size(), ports_.begin());
    for (size_t i = 0; i < piece.ended.size(); ++i) past_.ended[piece.ended[i]].push_back(times_[ports_.size() + i]);
    const int64_t idle = ports_[stage_.layout.compute] - before - piece.busy;
    const int64_t communication = std::min(idle, piece.idle.communication);
    idle_.communication += communication;
    idle_.host += idle - communication;
  }

  Status DoPost(size_t index) {
    const Post& post = stage_.posts[index];
    Seat& seat = seats_[post.channel];
    const int64_t duration = prices_[index].duration.picoseconds();
    posted_by_source_[static_cast<size_t>(prices_[index].source)] += duration;
    Posting posting{0, duration, micro_batches_[action_]};
    for (const size_t port : post.ports) posting.ready = std::max(posting.ready, ports_[port]);
    ++seat.posted;
    if (seat.meeting->Add(seat.member, posting)) return OkStatus();
    return UnavailableError("the classes send and receive in different orders");
  }

  // As the breakdown of a step that is written out has it (sim/schedule_times.h): of a message only the transfer is communication.
  Status Wait(const WaitEnd& wait) {
    const Seat& seat = seats_[wait.channel];
    const size_t index = seat.posted - 1 - wait.back;
    const bool message = stage_.channels[wait.channel].peer != 0;
    int64_t& compute = ports_[stage_.layout.compute];
    const int64_t launched = std::max(compute, ports_[0]);
    const int64_t end = std::max(launched, seat.meeting->EndOf(index));
    const int64_t begun = message ? std::clamp(seat.meeting->StartOf(index), launched, end) : launched;
    idle_.host += launched - compute;
    bubble_ += begun - launched;
    idle_.communication += end - begun;
    compute = end;
    // What contends was found as if nobody had to wait: a collective that has all of it to itself now would end sooner.
    const bool in_action = micro_batches_[action_] >= 0;
    if (stage_.contends && in_action && begun > launched && std::ranges::any_of(past_.open, [&](int64_t ends) { return ends > launched; }))
      return UnavailableError("a reduction of gradients runs on while another stage is waited for");
    return OkStatus();
  }

  const StageTemplate& stage_;
  std::vector<const ActionTemplate*> actions_;
  std::vector<int32_t> micro_batches_;  // by action
  std::vector<Seat> seats_;             // by channel
  std::vector<cost::Estimate> prices_;  // by post
  PieceRunner runner_;
  std::vector<int64_t> ports_;
  std::vector<int64_t> times_;  // of a repeated piece: of the ports and what is awaited
  Past past_;
  Idle idle_;
  int64_t bubble_ = 0;
  std::array<int64_t, 3> posted_by_source_{};
  size_t action_ = 0;
  size_t element_ = 0;
};

class Composer {
 public:
  Composer(const StepExcerpt& excerpt, PriceBook& prices, const SimulationOptions& options)
      : excerpt_(excerpt), prices_(prices), options_(options), classes_(excerpt.told_by.size()) {}

  // Fails when prices are missing.
  Status Price() {
    HELM_ASSIGN_OR_RETURN(std::vector<TaskCosts> costs, PriceStep(excerpt_.programs, prices_, options_.cancellation));
    for (size_t c = 0; c < classes_.size(); ++c) {
      const size_t from = excerpt_.told_by[c];
      classes_[c].costs = std::make_shared<TaskCosts>(costs[from]);
      if (from == c) continue;
      HELM_RETURN_IF_ERROR(PriceAsClass(excerpt_.programs, from, c, prices_, *classes_[c].costs));
    }
    return OkStatus();
  }

  // Fails when it does not apply.
  Result<Composition> Compose() {
    if (std::ranges::any_of(classes_, [](const ClassPlan& plan) { return HaveWaits(*plan.costs); })) {
      return UnavailableError("its collectives wait for the slowest rank in all that comes before them");
    }
    HELM_RETURN_IF_ERROR(MakeTemplates());
    std::vector<ClassWalk> walks;
    for (size_t c = 0; c < classes_.size(); ++c) {
      HELM_ASSIGN_OR_RETURN(ClassWalk walk, WalkOf(c));
      walks.push_back(std::move(walk));
    }
    HELM_RETURN_IF_ERROR(RunAll(walks));
    int64_t makespan = 0;
    for (const ClassWalk& walk : walks) makespan = std::max(makespan, walk.LastFinish());
    for (const auto& [key, meeting] : meetings_) makespan = std::max(makespan, meeting.LastEnd());
    Simulation simulation;
    simulation.makespan = Duration::Picoseconds(makespan);
    for (const ClassWalk& walk : walks) simulation.breakdown_of_class.push_back(walk.BreakdownOf(makespan, walks.size() == 1));
    simulation.breakdown = MeanOf(simulation.breakdown_of_class, simulation.makespan);
    HELM_RETURN_IF_ERROR(AddMemory(simulation));
    Totals totals;
    for (const ClassWalk& walk : walks) totals.Add(walk.Sums());
    simulation.shares = SharesOf(totals.by_source);
    return Composition{std::move(simulation), "", totals.ops};
  }

 private:
  using MeetingKey = std::pair<std::string, std::vector<size_t>>;  // group; sender and receiver, or all members

  struct ClassPlan {
    std::shared_ptr<TaskCosts> costs;
    std::shared_ptr<const StageTemplate> stage;
    std::vector<const ActionTemplate*> actions;  // before, the schedule's, after
    std::vector<int32_t> micro_batches;          // by action; -1: of none
  };

  const ir::Program& ProgramOf(size_t rank_class) const { return excerpt_.programs.classes[excerpt_.told_by[rank_class]]; }

  // Classes of one program whose ops and collectives cost the same share a template.
  Status MakeTemplates() {
    for (size_t c = 0; c < classes_.size(); ++c) {
      for (size_t other = 0; other < c && classes_[c].stage == nullptr; ++other) {
        if (excerpt_.told_by[other] == excerpt_.told_by[c] && SameCosts(c, other)) classes_[c].stage = classes_[other].stage;
      }
      if (classes_[c].stage == nullptr) {
        HELM_ASSIGN_OR_RETURN(StageTemplate stage, MakeStageTemplate(excerpt_, excerpt_.told_by[c], *classes_[c].costs, options_, c));
        classes_[c].stage = std::make_shared<const StageTemplate>(std::move(stage));
      }
      HELM_RETURN_IF_ERROR(FindActions(c));
    }
    return OkStatus();
  }

  // Collectives that are not over several classes (these meet one by one), and all else, which is the same in the same groups.
  bool SameCosts(size_t a, size_t b) const {
    const ir::Program& program = ProgramOf(a);
    const auto groups_of = [this](size_t c) { return GroupsOfClass(excerpt_.programs, c, prices_.layout()); };
    if (groups_of(a) != groups_of(b)) return false;
    std::vector<bool> posted(program.ops.size(), false);
    for (const Post& post : classes_[b].stage->posts) posted[post.op.index()] = true;
    for (size_t i = 0; i < program.ops.size(); ++i) {
      if (program.ops[i].kind != ir::OpKind::kCollectiveStart || posted[i]) continue;
      const cost::Estimate& x = classes_[a].costs->ops[i];
      const cost::Estimate& y = classes_[b].costs->ops[i];
      if (x.duration != y.duration || x.source != y.source || x.workspace != y.workspace) return false;
    }
    return true;
  }

  // The template of each action of the class's schedule: of the same chunk of the stage, kind and place among the micro-batches.
  Status FindActions(size_t rank_class) {
    ClassPlan& plan = classes_[rank_class];
    const auto classes = static_cast<int32_t>(classes_.size());
    const ir::Schedule& written = ProgramOf(rank_class).schedule;
    std::map<std::tuple<int32_t, ir::ActionKind, int32_t>, size_t> known;
    for (size_t i = 0; i < written.size(); ++i) known[{written[i].stage / classes, written[i].kind, written[i].micro_batch}] = i;
    plan.actions.push_back(&plan.stage->before);
    plan.micro_batches.push_back(-1);
    for (const ir::Action& action : excerpt_.schedules[rank_class]) {
      const auto written_as = [&](int32_t micro_batch) { return known.find({action.stage / classes, action.kind, micro_batch}); };
      auto found = written_as(excerpt_.StandIn(action.micro_batch));
      const bool inner = excerpt_.IsInner(excerpt_.StandIn(action.micro_batch));
      for (int32_t other = 0; inner && found == known.end() && other < excerpt_.micro_batches_written; ++other) {
        if (excerpt_.IsInner(other)) found = written_as(other);
      }
      if (found == known.end()) return UnavailableError("no template for action " + ToText(action));
      plan.actions.push_back(&plan.stage->actions[found->second]);
      plan.micro_batches.push_back(action.micro_batch);
    }
    plan.actions.push_back(&plan.stage->after);
    plan.micro_batches.push_back(-1);
    return OkStatus();
  }

  std::vector<size_t> MembersOf(size_t rank_class, const Channel& channel) const {
    const auto count = static_cast<int64_t>(classes_.size());
    const auto self = static_cast<int64_t>(rank_class);
    if (channel.peer > 0) return {rank_class, static_cast<size_t>((self + channel.peer) % count)};
    if (channel.peer < 0) return {static_cast<size_t>((self - channel.peer) % count), rank_class};
    const std::vector<int64_t>& coordinates = ProgramOf(rank_class).group(channel.group).coordinates;
    std::vector<size_t> members(coordinates.begin(), coordinates.end());
    for (size_t c = 0; coordinates.empty() && c < classes_.size(); ++c) members.push_back(c);
    return members;
  }

  Result<ClassWalk> WalkOf(size_t rank_class) {
    const ClassPlan& plan = classes_[rank_class];
    std::vector<Seat> seats;
    for (const Channel& channel : plan.stage->channels) {
      MeetingKey key{ProgramOf(rank_class).group(channel.group).name, MembersOf(rank_class, channel)};
      const auto member = std::ranges::find(key.second, rank_class);
      if (member == key.second.end()) return UnavailableError("a collective of group " + key.first + " is not of its class");
      const auto place = static_cast<size_t>(member - key.second.begin());
      const size_t members = key.second.size();
      seats.push_back({&meetings_.try_emplace(std::move(key), members).first->second, place, 0});
    }
    std::vector<cost::Estimate> prices;
    for (const Post& post : plan.stage->posts) prices.push_back(plan.costs->ops[post.op.index()]);
    return ClassWalk(*plan.stage, plan.actions, plan.micro_batches, std::move(seats), std::move(prices));
  }

  Status RunAll(std::vector<ClassWalk>& walks) const {
    for (bool moved = true; moved;) {
      moved = false;
      for (ClassWalk& walk : walks) {
        HELM_ASSIGN_OR_RETURN(const bool further, walk.Advance(options_.cancellation));
        moved = moved || further;
      }
    }
    const bool finished = std::ranges::all_of(walks, &ClassWalk::finished) &&
                          std::ranges::all_of(meetings_, [](const auto& meeting) { return meeting.second.Complete(); });
    return finished ? OkStatus() : UnavailableError("the classes wait for each other for ever");
  }

  Status AddMemory(Simulation& simulation) const {
    for (size_t c = 0; c < classes_.size(); ++c) {
      const StageTemplate& stage = *classes_[c].stage;
      const int64_t inputs = (excerpt_.micro_batches - excerpt_.micro_batches_written) * stage.input_bytes;
      MemoryChange step;
      step.after = stage.resident;
      step.after[static_cast<size_t>(ir::StorageRole::kInput)] += inputs;
      MemoryPeak peak;
      peak.by_role = step.after;
      peak.bytes = Bytes(Sum(step.after));
      peak.rank_class = c;
      for (const ActionTemplate* action : classes_[c].actions) step.Append(action->memory);
      if (step.peak_bytes > peak.bytes.count()) {
        peak.bytes = Bytes(step.peak_bytes);
        peak.by_role = step.at_peak;
        peak.workspace = Bytes(step.workspace);
      }
      BytesByRole expected = stage.live_after;
      expected[static_cast<size_t>(ir::StorageRole::kInput)] += inputs;
      if (step.after != expected) {
        return UnavailableError(fmt::format("{} bytes would be live after the step, {} are resident", Sum(step.after), Sum(expected)));
      }
      if (c == 0 || LeavesLess(options_, peak, simulation.peak)) simulation.peak = peak;
      simulation.peak_of_class.push_back(peak.bytes);
    }
    return OkStatus();
  }

  const StepExcerpt& excerpt_;
  PriceBook& prices_;
  const SimulationOptions& options_;
  std::vector<ClassPlan> classes_;
  std::map<MeetingKey, Meeting> meetings_;
};

}  // namespace

Result<Composition> ComposeStep(const StepExcerpt& excerpt, PriceBook& prices, const SimulationOptions& options) {
  HELM_CHECK(prices.layout() == options.layout, "prices of the same placement of ranks");
  Composer composer(excerpt, prices, options);
  HELM_RETURN_IF_ERROR(composer.Price());
  Result<Composition> composition = composer.Compose();
  if (composition.ok() || composition.status().code() == StatusCode::kInterrupted) return composition;
  return Composition{std::nullopt, composition.status().message(), 0};
}

}  // namespace helm::sim
