#include "schedule/joined_collectives.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "ir/lifetime.h"
#include "schedule/edit.h"

namespace helm::schedule {
namespace {

using ir::OpId;
using ir::OpKind;
using ir::StorageId;
using ir::Tensor;
using ir::TensorId;

bool IsFlat(const Tensor& tensor) { return tensor.shape.size() == 1 && ir::IsContiguous(tensor); }

// By op: the first wait that ends it; behind the last op where none does.
std::vector<size_t> FirstWaits(const ir::Program& program) {
  const std::vector<std::vector<OpId>> ended_by = ir::EndedBy(program);
  std::vector<size_t> waits(program.ops.size(), program.ops.size());
  for (size_t i = program.ops.size(); i-- > 0;) {
    for (const OpId start : ended_by[i]) waits[start.index()] = i;
  }
  return waits;
}

class Chains {
 public:
  explicit Chains(const ir::Program& program) : program_(program), end_(FirstWaits(program)), read_(program.tensors.size()) {
    for (const ir::Op& op : program.ops) {
      for (const TensorId argument : ir::TensorArguments(op)) read_[argument.index()] = true;
    }
    for (const auto& [name, tensor] : program.outputs) read_[tensor.index()] = true;
  }

  std::vector<CollectiveChain> Run() {
    std::map<ir::GroupId, CollectiveChain> open;  // by group: the one that a start may still be added to
    std::vector<CollectiveChain> chains;
    const auto close = [&](CollectiveChain& chain) {
      if (chain.starts.size() > 1) chains.push_back(std::move(chain));
      chain = {};
    };
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      const ir::Op& op = program_.ops[i];
      if (op.kind != OpKind::kCollectiveStart || ir::IsPointToPoint(op)) continue;
      CollectiveChain& chain = open[op.group];
      if (!chain.starts.empty() && !Follows(chain.starts.back(), OpId(i))) close(chain);
      if (CanBeJoined(op)) chain.starts.emplace_back(i);
    }
    for (auto& [group, chain] : open) close(chain);
    for (CollectiveChain& chain : chains) SetEnds(chain);
    return chains;
  }

 private:
  bool CanBeJoined(const ir::Op& op) const {
    const std::vector<TensorId> arguments = ir::TensorArguments(op);
    if (op.region >= 0 || op.results.size() != 1 || !op.results[0].valid()) return false;
    const Tensor &from = program_.tensor(arguments[0]), &to = program_.tensor(op.results[0]);
    if (!IsFlat(from) || !IsFlat(to)) return false;
    if (op.target == "c10d.reduce_scatter") return true;
    if (op.target == "c10d.all_gather") return arguments.size() == 2 && !read_[op.results[0].index()];
    return op.target == "c10d.all_reduce" && IsWholeBuffer(from);
  }

  bool IsWholeBuffer(const Tensor& tensor) const {
    const ir::Storage& storage = program_.storage(tensor.storage);
    const bool whole = ir::TensorBytes(tensor) == storage.bytes && tensor.offset == 0;
    return whole && storage.persistent && storage.role == ir::StorageRole::kGradient;
  }

  bool Follows(OpId earlier, OpId later) const {
    const ir::Op &a = program_.op(earlier), &b = program_.op(later);
    const Tensor &from_a = program_.tensor(ir::TensorArguments(a)[0]), &from_b = program_.tensor(ir::TensorArguments(b)[0]);
    const bool alike = a.target == b.target && from_a.dtype == from_b.dtype && a.compute_stream == b.compute_stream &&
                       a.strand == b.strand && a.tile == b.tile && (a.target == "c10d.all_gather" || a.arguments[1] == b.arguments[1]);
    return alike && CanBeJoined(b) && (a.target != "c10d.all_reduce" || from_a.storage != from_b.storage);
  }

  // The first member must still be open when the last one starts.
  void SetEnds(CollectiveChain& chain) const {
    for (size_t first = 0; first < chain.starts.size(); ++first) {
      size_t end = first + 1, closes = end_[chain.starts[first].index()];
      for (; end < chain.starts.size() && chain.starts[end].index() < closes; ++end) {
        closes = std::min(closes, end_[chain.starts[end].index()]);
      }
      chain.joined_end.push_back(end);
    }
  }

  const ir::Program& program_;
  std::vector<size_t> end_;  // FirstWaits
  std::vector<bool> read_;   // by tensor
};

class Joiner {
 public:
  explicit Joiner(const ir::Program& program)
      : program_(program), ops_(program.ops.size()), keep_(ops_, true), before_(ops_), behind_(ops_), end_(FirstWaits(program)) {}

  void Join(const std::vector<OpId>& run) {
    run_ = run;
    last_ = run.back();
    wait_ = ops_;
    for (const OpId start : run) wait_ = std::min(wait_, end_[start.index()]);
    const std::string target = program_.op(last_).target;
    if (target == "c10d.all_reduce") {
      JoinReductions();
    } else if (target == "c10d.reduce_scatter") {
      JoinScatters();
    } else {
      JoinGathers();
    }
    for (const OpId start : run) keep_[start.index()] = start == last_;
    NameOneWait();
  }

  Result<ir::Program> Finish() {
    std::vector<OpId> order;
    for (size_t i = 0; i < ops_; ++i) {
      order.insert(order.end(), before_[i].begin(), before_[i].end());
      order.emplace_back(i);
      order.insert(order.end(), behind_[i].begin(), behind_[i].end());
    }
    std::vector<bool> keep;
    for (const OpId op : order) keep.push_back(op.index() >= ops_ || keep_[op.index()]);
    const ir::Program reordered = Reorder(program_, order);
    DropUnreadViews(reordered, keep);  // those that only the collectives that are gone read
    HELM_ASSIGN_OR_RETURN(ir::Program joined, KeepOps(reordered, keep));
    DropEmptyStorages(joined);
    return joined;
  }

 private:
  const Tensor& Input(OpId start) const { return program_.tensor(ir::TensorArguments(program_.op(start))[0]); }
  int64_t Ranks() const { return ir::GroupSize(program_, program_.op(last_).group); }

  int64_t ElementsOfAll() const {
    int64_t sum = 0;
    for (const OpId start : run_) sum += ir::ElementCount(Input(start).shape);
    return sum;
  }

  std::string NameOfJoined(const std::string& what) const {
    return program_.tensor(program_.op(last_).results[0]).name + ".joined." + what;
  }

  StorageId AddStorage(const std::string& what, int64_t elements, ir::DataType dtype) {
    program_.storages.push_back(
        {NameOfJoined(what), Bytes(elements * ir::ElementBytes(dtype)), ir::StorageRole::kCommunicationBuffer, false});
    return StorageId(program_.storages.size() - 1);
  }

  TensorId AddTensor(const std::string& what, ir::DataType dtype, ir::Shape shape, StorageId storage, int64_t offset = 0) {
    Tensor tensor;
    tensor.name = NameOfJoined(what);
    tensor.dtype = dtype;
    tensor.strides = ir::ContiguousStrides(shape);
    tensor.shape = std::move(shape);
    tensor.offset = offset;
    tensor.storage = storage;
    program_.tensors.push_back(std::move(tensor));
    return TensorId(program_.tensors.size() - 1);
  }

  // An op that belongs where `like` does, and makes `result`.
  OpId AddOp(OpKind kind, const std::string& target, std::vector<ir::Argument> arguments, TensorId result, OpId like) {
    ir::Op op = program_.op(like);
    op.kind = kind;
    op.target = target;
    op.arguments = std::move(arguments);
    op.results = {result};
    op.group = {};
    program_.ops.push_back(std::move(op));
    const OpId id(program_.ops.size() - 1);
    program_.tensors[result.index()].producer = id;
    return id;
  }
  void AddBefore(OpKind kind, const std::string& target, std::vector<ir::Argument> arguments, TensorId result) {
    before_[last_.index()].push_back(AddOp(kind, target, std::move(arguments), result, last_));
  }
  void AddBehind(OpKind kind, const std::string& target, std::vector<ir::Argument> arguments, TensorId result) {
    behind_[wait_].push_back(AddOp(kind, target, std::move(arguments), result, OpId(wait_)));
  }

  // What lay on `from` lies on `to`, so many elements further on.
  void Move(StorageId from, StorageId to, int64_t elements) {
    for (Tensor& tensor : program_.tensors) {
      if (tensor.storage != from) continue;
      tensor.storage = to;
      tensor.offset += elements;
      if (tensor.producer.valid() && program_.op(tensor.producer).target == "aten.as_strided") {
        program_.ops[tensor.producer.index()].arguments[3] = tensor.offset;
      }
    }
    for (ir::ParameterSegment& segment : program_.segments) {
      if (segment.gradient != from) continue;
      segment.gradient = to;
      segment.gradient_offset += elements;
    }
  }

  // The result of each is a part of that of all, behind the wait.
  void SliceResult(TensorId joined, const std::vector<int64_t>& elements) {
    int64_t begin = 0;
    for (size_t i = 0; i < run_.size(); begin += elements[i++]) {
      AddBehind(OpKind::kView, "aten.slice.Tensor", {joined, int64_t{0}, begin, begin + elements[i]}, results_[i]);
    }
  }

  void TakeResults() {
    results_.clear();
    for (const OpId start : run_) results_.push_back(program_.op(start).results[0]);
  }

  void JoinReductions() {
    TakeResults();
    const ir::DataType dtype = Input(last_).dtype;
    const StorageId buffer = Input(run_[0]).storage;
    const int64_t all = ElementsOfAll();
    std::vector<int64_t> elements;
    int64_t begin = 0;
    for (const OpId start : run_) {
      elements.push_back(ir::ElementCount(Input(start).shape));
      if (start != run_[0]) Move(Input(start).storage, buffer, begin);
      begin += elements.back();
    }
    program_.storages[buffer.index()].bytes = Bytes(all * ir::ElementBytes(dtype));
    const TensorId newest = ir::TensorArguments(program_.op(last_))[0];
    const TensorId flat = AddTensor("input", dtype, {all}, buffer);
    AddBefore(OpKind::kView, "aten.as_strided", {newest, ir::Shape{all}, ir::Shape{1}, int64_t{0}}, flat);
    const TensorId joined = AddTensor("sum", dtype, {all}, buffer);
    StartWith({flat, program_.op(last_).arguments[1]}, joined);
    SliceResult(joined, elements);
  }

  void StartWith(std::vector<ir::Argument> arguments, TensorId result) {
    ir::Op& op = program_.ops[last_.index()];
    op.arguments = std::move(arguments);
    op.results = {result};
    program_.tensors[result.index()].producer = last_;
  }

  // Each as [ranks, what one rank has of it], put together along the second dimension; the whole as one flat tensor.
  void JoinScatters() {
    TakeResults();
    const ir::DataType dtype = Input(last_).dtype;
    const int64_t ranks = Ranks(), all = ElementsOfAll();
    std::vector<TensorId> parts;
    std::vector<int64_t> elements;
    for (const OpId start : run_) {
      const TensorId input = ir::TensorArguments(program_.op(start))[0];
      elements.push_back(ir::ElementCount(Input(start).shape) / ranks);
      const TensorId part =
          AddTensor("part" + std::to_string(parts.size()), dtype, {ranks, elements.back()}, Input(start).storage, Input(start).offset);
      AddBefore(OpKind::kView, "aten.view", {input, ir::Shape{ranks, elements.back()}}, part);
      parts.push_back(part);
    }
    const TensorId together = AddTensor("parts", dtype, {ranks, all / ranks}, AddStorage("input", all, dtype));
    AddBefore(OpKind::kCompute, "aten.cat", {parts, int64_t{1}}, together);
    const TensorId flat = AddTensor("input", dtype, {all}, program_.tensor(together).storage);
    AddBefore(OpKind::kView, "aten.view", {together, ir::Shape{all}}, flat);
    const TensorId joined = AddTensor("sum", dtype, {all / ranks}, AddStorage("sum", all / ranks, dtype));
    StartWith({flat, program_.op(last_).arguments[1]}, joined);
    int64_t begin = 0;
    for (size_t i = 0; i < run_.size(); begin += elements[i++]) {
      Move(program_.tensor(results_[i]).storage, program_.tensor(joined).storage, begin);
    }
    SliceResult(joined, elements);
  }

  void JoinGathers() {
    TakeResults();
    const ir::DataType dtype = Input(last_).dtype;
    const int64_t ranks = Ranks(), own = ElementsOfAll();
    std::vector<TensorId> shards, targets;
    std::vector<int64_t> elements;
    for (const OpId start : run_) {
      shards.push_back(ir::TensorArguments(program_.op(start))[0]);
      targets.push_back(ir::TensorArguments(program_.op(start))[1]);
      elements.push_back(ir::ElementCount(Input(start).shape));
    }
    const TensorId together = AddTensor("input", dtype, {own}, AddStorage("input", own, dtype));
    AddBefore(OpKind::kCompute, "aten.cat", {shards, int64_t{0}}, together);
    const TensorId joined = AddTensor("gathered", dtype, {own * ranks}, AddStorage("gathered", own * ranks, dtype));
    StartWith({together}, joined);
    const TensorId rows = AddTensor("rows", dtype, {ranks, own}, program_.tensor(joined).storage);
    AddBehind(OpKind::kView, "aten.view", {joined, ir::Shape{ranks, own}}, rows);
    int64_t begin = 0;
    for (size_t i = 0; i < run_.size(); begin += elements[i++]) CopyOut(rows, targets[i], results_[i], {begin, elements[i]}, i);
  }

  struct Columns {
    int64_t begin, count;
  };
  void CopyOut(TensorId rows, TensorId into, TensorId result, Columns columns, size_t index) {
    const Tensor from = program_.tensor(rows), to = program_.tensor(into);
    const ir::Shape shape = {from.shape[0], columns.count};
    const TensorId part = AddTensor("rows" + std::to_string(index), from.dtype, shape, from.storage, columns.begin);
    program_.tensors[part.index()].strides = from.strides;
    AddBehind(OpKind::kView, "aten.slice.Tensor", {rows, int64_t{1}, columns.begin, columns.begin + columns.count}, part);
    const TensorId target = AddTensor("into" + std::to_string(index), from.dtype, shape, to.storage, to.offset);
    AddBehind(OpKind::kView, "aten.view", {into, shape}, target);
    program_.tensors[result.index()].shape = shape;
    program_.tensors[result.index()].strides = ir::ContiguousStrides(shape);
    AddBehind(OpKind::kCompute, "aten.copy_", {target, part}, result);
  }

  // The first wait that ends one of them ends the one; what names one of them names it.
  void NameOneWait() {
    for (size_t i = 0; i < ops_; ++i) {
      ir::Op& op = program_.ops[i];
      if (op.kind != OpKind::kWait || std::ranges::find(run_, ir::StartOf(op)) == run_.end()) continue;
      op.arguments[0] = last_;
      keep_[i] = i == wait_;
    }
  }

  ir::Program program_;
  const size_t ops_;        // that the program had
  std::vector<bool> keep_;  // by op that it had
  std::vector<std::vector<OpId>> before_, behind_;
  std::vector<size_t> end_;  // FirstWaits of the ops that it had
  // Of the run that is being joined.
  std::vector<OpId> run_;
  OpId last_;
  size_t wait_ = 0;
  std::vector<TensorId> results_;
};

}  // namespace

std::vector<CollectiveChain> CollectiveChains(const ir::Program& program) { return Chains(program).Run(); }

Result<ir::Program> JoinCollectives(const ir::Program& program, const std::vector<std::vector<OpId>>& runs) {
  Joiner joiner(program);
  for (const std::vector<OpId>& run : runs) joiner.Join(run);
  return joiner.Finish();
}

}  // namespace helm::schedule
