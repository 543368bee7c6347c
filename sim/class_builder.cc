#include "sim/class_builder.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/lifetime.h"

namespace helm::sim {

ClassBuilder::ClassBuilder(const ir::StepPrograms& step, size_t rank_class, const TaskCosts& costs, const ir::StreamLayout& layout,
                           bool shares_cores, StepGraph& result)
    : step_(step),
      rank_class_(rank_class),
      program_(step.classes[rank_class]),
      costs_(costs),
      layout_(layout),
      shares_cores_(shares_cores),
      one_thread_(program_.device == ir::DeviceKind::kCpu),
      result_(result),
      ended_by_(ir::EndedBy(program_)),
      collective_task_(program_.ops.size(), kNoTask),
      uses_(program_.storages.size()) {
  ClassTasks& own = result_.classes[rank_class_];
  own.tasks_by_resource.resize(layout_.streams().size());
  for (int32_t k = 0; k < layout_.compute_count() && !one_thread_; ++k)
    own.compute_resources.push_back(static_cast<size_t>(layout_.compute(k)));
  if (one_thread_) own.compute_resources = {0};
  for (size_t g = 0; g < program_.groups.size(); ++g) classes_of_group_.push_back(ClassesOfGroup(step_, rank_class_, ir::GroupId(g)));
  const auto norm = program_.outputs.find("gradient_norm");
  if (costs_.host.waits_for_norm && norm != program_.outputs.end()) read_by_host_ = program_.tensor(norm->second).producer;
}

bool ClassBuilder::Advance(const Cancellation& cancellation) {
  const size_t from = next_;
  for (; next_ < program_.ops.size() && CanWait(next_) && !cancellation.RequestedAt(next_); ++next_) AddOp(next_);
  return next_ > from;
}

bool ClassBuilder::CanWait(size_t op) const {
  return std::ranges::none_of(ended_by_[op], [&](ir::OpId start) { return collective_task_[start.index()] == kNoTask; });
}

std::string ClassBuilder::WaitsFor() const {
  std::string text = fmt::format("{} at {}", program_.name, Describe(program_, ir::OpId(next_)));
  for (const ir::OpId start : ended_by_[next_]) {
    if (collective_task_[start.index()] != kNoTask) continue;
    const ir::Op& op = program_.op(start);
    for (const size_t member : MembersOf(op)) {
      if (member != rank_class_) text += fmt::format(", for {} to meet {}", step_.classes[member].name, Describe(program_, start));
    }
  }
  return text;
}

void ClassBuilder::AddOp(size_t index) {
  const ir::Op& op = program_.ops[index];
  const ir::OpId id(index);
  launch_ = Launch(op, id);
  if (op.kind == ir::OpKind::kCompute) AddCompute(op, id);
  if (op.kind == ir::OpKind::kCollectiveStart) MembersOf(op).size() > 1 ? Post(op, id) : AddCollective(op, id);
  if (op.kind == ir::OpKind::kWait) AddWait(op, id);
}

size_t ClassBuilder::ComputeResource(const ir::Op& op) const {
  return one_thread_ ? 0 : static_cast<size_t>(layout_.compute(op.compute_stream));
}

uint32_t ClassBuilder::LastOf(size_t resource) const {
  const auto& tasks = result_.classes[rank_class_].tasks_by_resource[resource];
  return tasks.empty() ? kNoTask : tasks.back();
}

void ClassBuilder::After(uint32_t task) {
  if (task != kNoTask) before_.push_back(task);
}

void ClassBuilder::AfterAll(const std::vector<uint32_t>& tasks) {
  for (const uint32_t task : tasks) After(task);
}

uint32_t ClassBuilder::Add(ir::OpId op, TaskKind kind, size_t stream, size_t resource, Duration duration) {
  if (kind != TaskKind::kTransfer) After(LastOf(resource));
  std::ranges::sort(before_);
  before_.erase(std::unique(before_.begin(), before_.end()), before_.end());
  const uint32_t task = AddTask(result_.graph, duration.picoseconds(), before_);
  before_.clear();
  result_.tasks.push_back({op, kind, static_cast<int32_t>(stream), static_cast<uint32_t>(rank_class_)});
  result_.classes[rank_class_].tasks.push_back(task);
  result_.classes[rank_class_].tasks_by_resource[resource].push_back(task);
  return task;
}

uint32_t ClassBuilder::Launch(const ir::Op& op, ir::OpId id) {
  const bool follows = !costs_.follows.empty() && costs_.follows[id.index()];
  const bool no_kernel = op.kind == ir::OpKind::kView || op.target == "aten.new_empty";
  const bool in_between = costs_.host.for_each_kernel && (no_kernel || op.kind == ir::OpKind::kWait);
  Duration duration = follows || in_between ? Duration() : costs_.host.per_op;
  // Where per_op was measured it is what the host thread does besides the call.
  const bool without_call = costs_.host.source == cost::Source::kMeasured;
  if (op.kind == ir::OpKind::kCompute && !follows && without_call) duration += costs_.ops[id.index()].launch.value_or(costs_.host.per_call);
  if (op.kind == ir::OpKind::kCollectiveStart) duration += costs_.host.per_collective;
  if (op.kind == ir::OpKind::kWait) duration += costs_.host.per_wait;
  if (costs_.host.blocking && !follows && !no_kernel) {
    After(LastOf(ComputeResource(op)));
    After(blocks_);
  }
  After(std::exchange(waited_, kNoTask));
  return Add(id, TaskKind::kLaunch, 0, 0, duration);
}

void ClassBuilder::AddCompute(const ir::Op& op, ir::OpId id) {
  After(launch_);
  After(on_cores_);
  OrderAccesses(op);
  const uint32_t task = Add(id, TaskKind::kCompute, static_cast<size_t>(layout_.compute(op.compute_stream)), ComputeResource(op),
                            costs_.ops[id.index()].duration);
  if (id == read_by_host_) waited_ = task;
}

void ClassBuilder::AddCollective(const ir::Op& op, ir::OpId id) {
  After(launch_);
  After(LastOf(ComputeResource(op)));
  const bool is_message = ir::IsPointToPoint(op);
  if (!is_message) After(on_cores_);
  OrderAccesses(op);
  const auto row = static_cast<size_t>(layout_.communication(program_, op));
  const ir::OpId priced = op.target == "c10d.recv" ? OwnSendOf(op, id) : id;
  const uint32_t task = Add(id, TaskKind::kCollective, row, row, costs_.ops[priced.index()].duration);
  collective_task_[id.index()] = task;
  if (shares_cores_ && !is_message) on_cores_ = task;
  blocks_ = task;
}

ir::OpId ClassBuilder::OwnSendOf(const ir::Op& receive, ir::OpId id) const {
  const int64_t ranks = ir::GroupSize(program_, receive.group), offset = (ranks - ir::PeerOffset(program_, receive)) % ranks;
  const auto meets = [&](const ir::Op& op) {
    return op.target == "c10d.send" && op.group == receive.group && ir::TagOf(op) == ir::TagOf(receive) &&
           ir::PeerOffset(program_, op) == offset;
  };
  const auto begin = program_.ops.begin(), at = begin + static_cast<std::ptrdiff_t>(id.index());
  for (auto before = at; before != begin; --before) {
    if (meets(*(before - 1))) return ir::OpId(static_cast<size_t>(before - 1 - begin));
  }
  const auto behind = std::find_if(at, program_.ops.end(), meets);
  HELM_CHECK(behind != program_.ops.end(), "VerifyStep found a send for every recv");
  return ir::OpId(static_cast<size_t>(behind - begin));
}

// The classes that an op brings together.
std::vector<size_t> ClassBuilder::MembersOf(const ir::Op& op) const {
  const auto& dimensions = program_.group(op.group).dimensions;
  const bool among_stages = std::ranges::find(dimensions, "pipeline") != dimensions.end();
  if (ir::IsPointToPoint(op) && among_stages) {
    const size_t peer = PeerClass(step_, rank_class_, op);
    return op.target == "c10d.send" ? std::vector<size_t>{rank_class_, peer} : std::vector<size_t>{peer, rank_class_};
  }
  return classes_of_group_[op.group.index()];
}

void ClassBuilder::Post(const ir::Op& op, ir::OpId id) {
  Posted posted{.op = id, .group = program_.group(op.group).name, .members = MembersOf(op), .batch = op.batch, .after = {launch_}};
  if (ir::IsPointToPoint(op)) posted.tag = ir::TagOf(op);
  const auto after = [&posted](uint32_t task) {
    if (task != kNoTask) posted.after.push_back(task);
  };
  after(LastOf(ComputeResource(op)));
  if (!posted.is_message()) after(on_cores_);
  for (const ir::TensorId tensor : ir::TensorArguments(op)) after(uses_[program_.tensor(tensor).storage.index()].writer);
  Channel& channel = channels_[KeyOf(posted)];
  channel.posted.push_back(std::move(posted));
}

ClassBuilder::ChannelKey ClassBuilder::KeyOf(const Posted& posted) const {
  return {program_.op(posted.op).group.value, posted.is_message() ? posted.members : std::vector<size_t>()};
}

bool ClassBuilder::IsFirst(const Channel& channel, const Posted& posted) const {
  const Posted& first = channel.posted.front();
  return posted.op == first.op || (posted.batch >= 0 && posted.batch == first.batch);
}

std::vector<Posted> ClassBuilder::Ready() const {
  std::vector<Posted> ready;
  for (const auto& [key, channel] : channels_) {
    for (const Posted& posted : channel.posted) {
      if (IsFirst(channel, posted)) ready.push_back(posted);
    }
  }
  return ready;
}

const Posted* ClassBuilder::ReadyFor(const Posted& wanted) const {
  for (const auto& [key, channel] : channels_) {
    for (const Posted& posted : channel.posted) {
      const bool same = posted.group == wanted.group && posted.members == wanted.members && posted.tag == wanted.tag;
      if (same && IsFirst(channel, posted)) return &posted;
    }
  }
  return nullptr;
}

void ClassBuilder::CollectBefore(const Posted& own, std::vector<uint32_t>& after, Duration& duration) const {
  const Channel& channel = channels_.at(KeyOf(own));
  const bool in_batch = own.batch >= 0 && own.batch == channel.batch;
  const std::vector<uint32_t>& before = in_batch ? channel.before_batch : channel.ended;
  after.insert(after.end(), before.begin(), before.end());
  after.insert(after.end(), own.after.begin(), own.after.end());
  duration = std::max(duration, costs_.ops[own.op.index()].duration);
}

void ClassBuilder::Begin(const Posted& own, const std::vector<uint32_t>& after, Duration duration) {
  const ir::Op& op = program_.op(own.op);
  AfterAll(after);
  const auto row = static_cast<size_t>(layout_.communication(program_, op));
  const uint32_t task = Add(own.op, own.is_message() ? TaskKind::kTransfer : TaskKind::kCollective, row, row, duration);
  collective_task_[own.op.index()] = task;
  if (shares_cores_ && !own.is_message()) on_cores_ = task;
  Channel& channel = channels_.at(KeyOf(own));
  if (own.batch < 0 || own.batch != channel.batch) {
    channel.before_batch = std::move(channel.ended);
    channel.ended.clear();
    channel.batch = own.batch;
  }
  channel.ended.push_back(task);
  std::erase_if(channel.posted, [&](const Posted& other) { return other.op == own.op; });
}

void ClassBuilder::AddWait(const ir::Op& op, ir::OpId id) {
  After(launch_);
  for (const ir::OpId start : ended_by_[id.index()]) After(collective_task_[start.index()]);
  const uint32_t task = Add(id, TaskKind::kWait, static_cast<size_t>(layout_.compute(op.compute_stream)), ComputeResource(op), Duration());
  const bool ends_message = std::ranges::any_of(ended_by_[id.index()], [this](ir::OpId start) {
    return ir::IsPointToPoint(program_.op(start)) && MembersOf(program_.op(start)).size() > 1;
  });
  if (costs_.host.waits_for_messages && ends_message) waited_ = task;
}

// Dependencies through memory: read after write, write after write and write after read. Of the task that is added next.
void ClassBuilder::OrderAccesses(const ir::Op& op) {
  const auto task = static_cast<uint32_t>(result_.graph.size());
  for (const ir::TensorId tensor : ir::TensorArguments(op)) After(uses_[program_.tensor(tensor).storage.index()].writer);
  for (const ir::TensorId tensor : op.results) {
    if (!tensor.valid()) continue;
    const StorageUse& use = uses_[program_.tensor(tensor).storage.index()];
    After(use.writer);
    for (const uint32_t reader : use.readers) After(reader);
  }
  for (const ir::TensorId tensor : ir::TensorArguments(op)) NoteRead(uses_[program_.tensor(tensor).storage.index()], op, task);
  for (const ir::TensorId tensor : op.results) {
    if (tensor.valid()) uses_[program_.tensor(tensor).storage.index()] = {task, {}};
  }
}

void ClassBuilder::NoteRead(StorageUse& use, const ir::Op& reader, uint32_t task) const {
  const auto same_stream = std::ranges::find_if(use.readers, [&](uint32_t other) {
    if (other == task) return true;  // two operands on one storage
    const ir::Op& op = program_.op(result_.tasks[other].op);
    return op.kind == reader.kind && op.group == reader.group && op.compute_stream == reader.compute_stream;
  });
  if (same_stream == use.readers.end()) {
    use.readers.push_back(task);
  } else {
    *same_stream = task;
  }
}

}  // namespace helm::sim
