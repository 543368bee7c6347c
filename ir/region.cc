#include "ir/region.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "core/check.h"

namespace helm::ir {
namespace {

constexpr size_t kForever = std::numeric_limits<size_t>::max();

// The tensors of a list, each window of a storage once. A window within the reach of a larger one is taken for a part of it (rotary
// positions read and write a matrix first as a whole, then by halves).
class Windows {
 public:
  explicit Windows(const Program& program) : program_(program) {}

  void Add(TensorId tensor) {
    const Tensor& of = program_.tensor(tensor);
    const Extent extent = ExtentOf(of);
    const auto holds_it = [&](TensorId other) {
      const Tensor& known = program_.tensor(other);
      const Extent larger = ExtentOf(known);
      return known.storage == of.storage && larger.begin <= extent.begin && extent.end <= larger.end &&
             ElementCount(known.shape) >= ElementCount(of.shape);
    };
    if (std::ranges::none_of(tensors_, holds_it)) tensors_.push_back(tensor);
  }

  std::vector<TensorSignature> Signatures() const {
    std::vector<TensorSignature> signatures;
    for (const TensorId tensor : tensors_) signatures.push_back(SignatureOf(program_, tensor));
    return signatures;
  }

 private:
  const Program& program_;
  std::vector<TensorId> tensors_;
};

}  // namespace

std::vector<bool> StoragesInsideRegions(const Program& program) {
  constexpr int32_t kUnused = -2, kElsewhere = -1;
  std::vector<int32_t> region(program.storages.size(), kUnused);
  const auto use = [&](TensorId tensor, int32_t by) {
    if (!tensor.valid()) return;
    int32_t& known = region[program.tensor(tensor).storage.index()];
    known = known == kUnused || known == by ? by : kElsewhere;
  };
  for (const Op& op : program.ops) {
    std::ranges::for_each(TensorArguments(op), [&](TensorId tensor) { use(tensor, op.region); });
    std::ranges::for_each(op.results, [&](TensorId tensor) { use(tensor, op.region); });
  }
  for (const auto& [name, tensor] : program.outputs) use(tensor, kElsewhere);
  std::vector<bool> inside(program.storages.size());
  for (size_t s = 0; s < inside.size(); ++s) inside[s] = region[s] >= 0 && !program.storages[s].persistent;
  return inside;
}

Regions::Regions(const Program& program) : program_(program), leader_(program.ops.size()), last_use_(program.storages.size(), 0) {
  int32_t led = -1;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    leader_[i] = op.region >= 0 && op.region != led && op.kind == OpKind::kCompute;
    if (leader_[i]) led = op.region;
    for (const TensorId tensor : TensorArguments(op)) last_use_[program.tensor(tensor).storage.index()] = i;
  }
  for (const auto& [name, tensor] : program.outputs) last_use_[program.tensor(tensor).storage.index()] = kForever;
  for (size_t s = 0; s < program.storages.size(); ++s) {
    if (program.storages[s].persistent) last_use_[s] = kForever;
  }
}

size_t Regions::BeginOf(size_t op) const {
  while (op > 0 && program_.ops[op - 1].region == program_.ops[op].region) --op;
  return op;
}

size_t Regions::EndOf(size_t op) const {
  const int32_t region = program_.ops[op].region;
  while (op < program_.ops.size() && program_.ops[op].region == region) ++op;
  return op;
}

// A copy into the matrix is priced like the addition: what adds up weight gradients adds to zeros at first.
std::optional<OpSignature> Regions::AddingProduct(size_t leader, size_t end) const {
  const Op& product = program_.ops[leader];
  const bool batched = product.target == "aten.bmm";
  const bool eight_bits = product.target == "aten._scaled_mm";
  if ((!batched && !eight_bits && product.target != "aten.mm") || leader + 2 != end) return std::nullopt;
  const Op& adds = program_.ops[leader + 1];
  if (adds.target != "aten.add_.Tensor" && adds.target != "aten.copy_") return std::nullopt;
  OpSignature signature{batched ? "aten.baddbmm" : "aten.addmm", {ir::SignatureOf(program_, adds.results.front())}};
  constexpr size_t kFactors = 2;  // then, of 8-bit operands, their scales
  const std::vector<TensorId> operands = TensorArguments(product);
  for (size_t i = 0; i < kFactors; ++i) signature.arguments.emplace_back(ir::SignatureOf(program_, operands[i]));
  return signature;
}

OpSignature Regions::SignatureOf(size_t leader) const {
  HELM_CHECK(IsLeader(leader), "the op that stands for a region");
  const size_t end = EndOf(leader);
  if (auto product = AddingProduct(leader, end)) return *std::move(product);
  Windows read(program_), written(program_);
  std::set<StorageId> made;
  for (size_t i = BeginOf(leader); i < end; ++i) {
    const Op& op = program_.ops[i];
    if (op.kind == OpKind::kView) continue;
    const bool overwrites = op.target == "aten.copy_";  // its first argument, unread
    const std::vector<TensorId> arguments = TensorArguments(op);
    for (size_t a = overwrites ? 1 : 0; a < arguments.size(); ++a) {
      const TensorId tensor = arguments[a];
      if (!made.contains(program_.tensor(tensor).storage)) read.Add(tensor);
    }
    for (const TensorId tensor : op.results) {
      if (!tensor.valid()) continue;
      const StorageId storage = program_.tensor(tensor).storage;
      made.insert(storage);
      if (last_use_[storage.index()] >= end) written.Add(tensor);
    }
  }
  return {"helm.region", {read.Signatures(), written.Signatures()}};
}

}  // namespace helm::ir
