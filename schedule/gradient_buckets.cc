#include "schedule/gradient_buckets.h"

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "ir/lifetime.h"
#include "ir/step_programs.h"
#include "schedule/joined_collectives.h"
#include "schedule/lattice_pass.h"
#include "sim/task_costs.h"

namespace helm::schedule {
namespace {

using ir::OpId;
using ir::OpKind;

constexpr size_t kJoinedMost = 64;  // collectives of one bucket
constexpr size_t kLabelsMost = 32;  // ways to cut a prefix that are kept

// When the compute stream gets to each op, in picoseconds, and when everything has ended; collectives of a group run one after the other.
struct OpTimes {
  std::vector<int64_t> reached;
  int64_t makespan = 0;
};
OpTimes TimesOf(const ir::Program& program, const std::vector<OpCosts>& costs) {
  const std::vector<std::vector<OpId>> ended_by = ir::EndedBy(program);
  OpTimes times{.reached = std::vector<int64_t>(program.ops.size())};
  std::vector<int64_t> channels(program.groups.size(), 0), ends(program.ops.size(), 0);
  int64_t compute = 0;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    times.reached[i] = compute;
    if (op.kind == OpKind::kCollectiveStart) {
      int64_t begin = compute;
      if (!ir::IsPointToPoint(op)) begin = std::max(begin, channels[op.group.index()]);
      ends[i] = begin + costs[i].duration;
      if (!ir::IsPointToPoint(op)) channels[op.group.index()] = ends[i];
    } else {
      compute += costs[i].duration;
    }
    for (const OpId start : ended_by[i]) compute = std::max(compute, ends[start.index()]);
  }
  times.makespan = compute;
  for (const int64_t channel : channels) times.makespan = std::max(times.makespan, channel);
  return times;
}

// What a bucket of a chain takes.
struct BucketCosts {
  int64_t collective = 0;     // picoseconds
  int64_t copies_before = 0;  // of the compute stream, before the start
  int64_t copies_behind = 0;  // and behind the wait
  int64_t allocates = 0;      // bytes
};

class BucketPrices {
 public:
  BucketPrices(const ir::Program& program, sim::PriceBook& prices) : program_(program), prices_(prices) {}

  // Of `count` collectives like `start` that read so many elements together; none where there is no price.
  std::optional<BucketCosts> Of(OpId start, int64_t elements, size_t count) {
    const auto [known, is_new] = costs_.try_emplace({program_.op(start).target, program_.op(start).group, elements, count > 1});
    if (is_new) known->second = Price(program_.op(start), elements, count > 1);
    return known->second;
  }

 private:
  std::optional<BucketCosts> Price(const ir::Op& op, int64_t elements, bool joined) {
    const ir::DataType dtype = program_.tensor(ir::TensorArguments(op)[0]).dtype;
    const bool gathers = op.target == "c10d.all_gather";
    const int64_t read = elements * ir::ElementBytes(dtype), moved = gathers ? read * ir::GroupSize(program_, op.group) : read;
    BucketCosts costs;
    for (const cluster::GroupPlacement& placement : sim::PlacementsOf(program_, op, 0, prices_.layout())) {
      ir::CollectiveSignature signature = sim::CollectiveSignatureOf(program_, op, placement);
      signature.bytes = Bytes(moved);
      const sim::Price& price = prices_.OfCollective(signature, placement.device_groups);
      if (!price.refusal.empty()) return std::nullopt;
      costs.collective = std::max(costs.collective, price.estimate.duration.picoseconds());
    }
    if (!joined || op.target == "c10d.all_reduce") return costs;
    const std::optional<int64_t> before = CopyOf(dtype, elements), behind = gathers ? CopyOf(dtype, moved / ir::ElementBytes(dtype)) : 0;
    if (!before || !behind) return std::nullopt;
    costs.copies_before = *before;
    costs.copies_behind = *behind;
    costs.allocates = gathers ? read + moved : read;
    return costs;
  }

  // Two halves of so many elements, put together.
  std::optional<int64_t> CopyOf(ir::DataType dtype, int64_t elements) {
    const ir::TensorSignature half{.dtype = dtype, .shape = {1, elements / 2}, .strides = {elements / 2, 1}, .persistent = true};
    const ir::OpSignature cat{"aten.cat", {std::vector<ir::TensorSignature>{half, half}, int64_t{1}}};
    const sim::Price& price = prices_.OfRegion(cat);  // by its signature: no program has this op
    if (!price.refusal.empty()) return std::nullopt;
    return price.estimate.duration.picoseconds();
  }

  const ir::Program& program_;
  sim::PriceBook& prices_;
  std::map<std::tuple<std::string, ir::GroupId, int64_t, bool>, std::optional<BucketCosts>> costs_;
};

// One way to cut a prefix of a chain into buckets.
struct Label {
  int64_t channel = 0;  // when the last bucket has ended
  int64_t later = 0;    // the compute stream, by copies before the starts
  int64_t behind = 0;   // copies behind the waits
  int64_t bytes = 0;
  int64_t buckets = 0;
  size_t begin = 0;                   // of the last bucket
  std::shared_ptr<const Label> rest;  // of the collectives before it

  bool IsAheadOf(const Label& other) const {
    return channel <= other.channel && later <= other.later && behind <= other.behind && bytes <= other.bytes && buckets <= other.buckets;
  }
};
using Labels = std::vector<std::shared_ptr<const Label>>;

class ChainCutter {
 public:
  ChainCutter(const ir::Program& program, const CollectiveChain& chain, const OpTimes& times, BucketPrices& prices,
              std::optional<Bytes> memory_more)
      : program_(program), chain_(chain), times_(times), prices_(prices), memory_more_(memory_more) {}

  // Buckets of more than one.
  std::vector<std::vector<OpId>> Run() {
    std::vector<Labels> labels(chain_.starts.size() + 1);
    labels[0].push_back(std::make_shared<Label>());
    for (size_t begin = 0; begin < chain_.starts.size(); ++begin) Extend(begin, labels);
    const std::shared_ptr<const Label> best = Best(labels.back());
    std::vector<std::vector<OpId>> buckets;
    size_t end = chain_.starts.size();
    for (const Label* label = best.get(); label != nullptr && label->rest != nullptr; label = label->rest.get()) {
      if (end - label->begin > 1) buckets.emplace_back(chain_.starts.begin() + Offset(label->begin), chain_.starts.begin() + Offset(end));
      end = label->begin;
    }
    std::ranges::reverse(buckets);
    return buckets;
  }

 private:
  static std::ptrdiff_t Offset(size_t index) { return static_cast<std::ptrdiff_t>(index); }

  void Extend(size_t begin, std::vector<Labels>& labels) const {
    int64_t elements = 0;
    for (size_t end = begin + 1; end <= std::min(chain_.joined_end[begin], begin + kJoinedMost); ++end) {
      const OpId last = chain_.starts[end - 1];
      elements += ir::ElementCount(program_.tensor(ir::TensorArguments(program_.op(last))[0]).shape);
      const std::optional<BucketCosts> costs = prices_.Of(last, elements, end - begin);
      if (!costs) continue;
      for (const std::shared_ptr<const Label>& rest : labels[begin]) Add(Behind(rest, begin, last, *costs), labels[end]);
    }
  }

  Label Behind(const std::shared_ptr<const Label>& rest, size_t begin, OpId last, const BucketCosts& costs) const {
    Label label{.later = rest->later + costs.copies_before,
                .behind = rest->behind + costs.copies_behind,
                .bytes = rest->bytes + costs.allocates,
                .buckets = rest->buckets + 1,
                .begin = begin,
                .rest = rest};
    label.channel = std::max(rest->channel, times_.reached[last.index()] + label.later) + costs.collective;
    return label;
  }

  void Add(Label label, Labels& labels) const {
    if (memory_more_ && label.bytes > memory_more_->count()) return;
    const auto ahead = [&](const std::shared_ptr<const Label>& other) { return other->IsAheadOf(label); };
    if (std::ranges::any_of(labels, ahead)) return;
    std::erase_if(labels, [&](const std::shared_ptr<const Label>& other) { return label.IsAheadOf(*other); });
    labels.push_back(std::make_shared<Label>(std::move(label)));
    if (labels.size() <= kLabelsMost) return;
    labels.erase(std::ranges::max_element(labels, {}, [this](const std::shared_ptr<const Label>& kept) { return EndOf(*kept); }));
  }

  // When the compute stream is behind all of them.
  int64_t EndOf(const Label& label) const {
    return std::max(label.channel, times_.reached[chain_.starts.back().index()] + label.later) + label.behind;
  }

  std::shared_ptr<const Label> Best(const Labels& labels) const {
    const auto order = [this](const std::shared_ptr<const Label>& label) { return std::pair(EndOf(*label), label->buckets); };
    const auto best = std::ranges::min_element(labels, {}, order);
    return best == labels.end() ? nullptr : *best;
  }

  const ir::Program& program_;
  const CollectiveChain& chain_;
  const OpTimes& times_;
  BucketPrices& prices_;
  const std::optional<Bytes> memory_more_;
};

Result<OpTimes> TimesOf(const ir::Program& program, sim::PriceBook& prices) {
  HELM_ASSIGN_OR_RETURN(const std::vector<sim::TaskCosts> priced, sim::PriceStep(ir::StepPrograms{{program}}, prices));
  return TimesOf(program, CostsOf(program, priced.front()));
}

int64_t BytesRead(const ir::Program& program, const std::vector<OpId>& starts) {
  int64_t bytes = 0;
  for (const OpId start : starts) bytes += ir::TensorBytes(program.tensor(ir::TensorArguments(program.op(start))[0])).count();
  return bytes;
}

// What the collective reduces, or gathers into.
const std::string& BufferOf(const ir::Program& program, OpId start) {
  return program.storage(program.tensor(ir::TensorArguments(program.op(start)).back()).storage).name;
}

std::string ReasonOf(const ir::Program& program, const std::vector<OpId>& bucket) {
  return fmt::format("gradient_buckets: {} of {} from '{}' to '{}' as one of {}", bucket.size(), program.op(bucket.front()).target,
                     BufferOf(program, bucket.front()), BufferOf(program, bucket.back()), FormatBytes(Bytes(BytesRead(program, bucket))));
}

}  // namespace

Result<GradientBuckets> JoinGradientBuckets(const ir::Program& program, sim::PriceBook& prices, std::optional<Bytes> memory_more) {
  HELM_ASSIGN_OR_RETURN(const OpTimes before, TimesOf(program, prices));
  BucketPrices bucket_prices(program, prices);
  GradientBuckets result{.program = program, .reasons = {}};
  std::vector<std::vector<OpId>> buckets;
  for (const CollectiveChain& chain : CollectiveChains(program)) {
    for (std::vector<OpId>& bucket : ChainCutter(program, chain, before, bucket_prices, memory_more).Run()) {
      result.reasons.push_back(ReasonOf(program, bucket));
      buckets.push_back(std::move(bucket));
    }
  }
  if (buckets.empty()) {
    result.reasons = {"gradient_buckets: no collectives that are open together take less time as one"};
    return result;
  }
  HELM_ASSIGN_OR_RETURN(ir::Program joined, JoinCollectives(program, buckets));
  HELM_ASSIGN_OR_RETURN(const OpTimes after, TimesOf(joined, prices));
  const std::string both = fmt::format("{} instead of {}", FormatDuration(Duration::Picoseconds(after.makespan)),
                                       FormatDuration(Duration::Picoseconds(before.makespan)));
  if (after.makespan >= before.makespan) {
    result.reasons = {fmt::format("gradient_buckets: joined the program would take {}, so it stays as it was", both)};
    return result;
  }
  result.program = std::move(joined);
  result.reasons.push_back(fmt::format("gradient_buckets: the program takes {}, everything alone", both));
  return result;
}

}  // namespace helm::schedule
