// Realistic timelines for tests of report/ and formats/: a Llama-shaped step on tensor 2 x data 2 CPU ranks, and the same step "measured"
// with seeded noise and a few systematic errors. Deterministic: the same arguments give the same timelines on every machine.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/units.h"
#include "ir/timeline.h"

namespace helm::test {

struct SampleOptions {
  int32_t layers = 6;
  int32_t micro_batches = 2;
  int32_t ranks = 4;    // of the measured timeline: 2 tensor x ranks / 2 data
  double noise = 0.06;  // spread of the measured durations
  uint64_t seed = 7;
};

struct SampleTimelines {
  ir::Timeline predicted;  // one representative rank
  ir::Timeline measured;   // all ranks
};

namespace sample_internal {

enum class Stream : int32_t { kCompute = 0, kTensor = 1, kData = 2 };

struct Item {
  ir::TimelineOp op;
  double microseconds = 0;  // predicted
  double bias = 1;          // measured / predicted
  Stream stream = Stream::kCompute;
  int64_t activation_bytes = 0;  // allocated (positive) or freed (negative) by it
};

// The ops of the step, in launch order.
class StepBuilder {
 public:
  explicit StepBuilder(const SampleOptions& options) : options_(options) {
    for (micro_batch_ = 0; micro_batch_ < options.micro_batches; ++micro_batch_) MicroBatch();
    micro_batch_ = -1;
    layer_ = -1;
    Optimizer();
  }
  std::vector<Item> items;

 private:
  static constexpr int64_t kMebibyte = 1 << 20;

  void Compute(const std::string& target, const std::string& label, double microseconds, int64_t mebibytes = 0, double bias = 1) {
    const std::string source = target == "aten.mm" || target.starts_with("aten._scaled") ? "measured"
                               : target == "aten.embedding"                              ? "analytic"
                                                                                         : "interpolated";
    items.push_back(
        {{target, label, "compute", phase_, source, layer_, micro_batch_}, microseconds, bias, Stream::kCompute, mebibytes * kMebibyte});
  }
  void Collective(const std::string& kind, const std::string& label, double microseconds, Stream stream, double bias) {
    items.push_back({{"c10d." + kind, label, "collective", phase_, "interpolated", layer_, micro_batch_}, microseconds, bias, stream, 0});
  }
  void Wait(const std::string& label, Stream stream) {
    items.push_back({{"c10d.wait", label, "wait", phase_, "analytic", layer_, micro_batch_}, 0, 1, stream, 0});
  }
  void AllReduce(const std::string& label) {
    Collective("all_reduce", label, 410, Stream::kTensor, 1.22);
    Wait(label, Stream::kTensor);
  }

  void Norm(const std::string& label) {
    Compute("aten.pow.Tensor_Scalar", label, 46);
    Compute("aten.mean.dim", label, 30);
    Compute("aten.rsqrt", label, 4, 0, 1.8);
    Compute("aten.mul.Tensor", label, 52, 2);
  }
  void ForwardLayer() {
    phase_ = "forward";
    Norm("attention.norm");
    Compute("aten.mm", "attention.qkv", 840, 4);
    Compute("aten.mul.Tensor", "attention.rope", 74, 2, 1.3);
    Compute("aten.add.Tensor", "attention.rope", 61);
    Compute("aten._scaled_dot_product_flash_attention_for_cpu", "attention.core", 960, 3, 0.93);
    Compute("aten.mm", "attention.out", 420, 2);
    AllReduce("attention.out.reduce");
    Compute("aten.add.Tensor", "attention.residual", 48, 2);
    Norm("mlp.norm");
    Compute("aten.mm", "mlp.gate_up", 1510, 6);
    Compute("aten.silu", "mlp.activation", 118, 3, 1.15);
    Compute("aten.mul.Tensor", "mlp.activation", 95, 3);
    Compute("aten.mm", "mlp.down", 790, 2);
    AllReduce("mlp.down.reduce");
    Compute("aten.add.Tensor", "mlp.residual", 48, 2);
  }
  void BackwardLayer() {
    phase_ = "input_gradient";
    Compute("aten.mm", "mlp.down", 800, 6);
    Compute("aten.silu_backward", "mlp.activation", 210, 3);
    Compute("aten.mm", "mlp.gate_up", 1530, 2);
    Collective("all_reduce", "mlp.norm.reduce", 410, Stream::kTensor, 1.22);
    phase_ = "weight_gradient";
    Compute("aten.mm", "mlp.down", 770, -6, 1.04);
    Compute("aten.mm", "mlp.gate_up", 1490, -6);
    phase_ = "input_gradient";
    Wait("mlp.norm.reduce", Stream::kTensor);
    Norm("mlp.norm");
    Compute("aten.mm", "attention.out", 425, 2);
    Compute("aten._scaled_dot_product_flash_attention_for_cpu_backward", "attention.core", 2240, 4, 1.11);
    Compute("aten.mm", "attention.qkv", 860, 2);
    Collective("all_reduce", "attention.norm.reduce", 410, Stream::kTensor, 1.22);
    phase_ = "weight_gradient";
    Compute("aten.mm", "attention.out", 410, -6);
    Compute("aten.mm", "attention.qkv", 830, -10);
    phase_ = "input_gradient";
    Wait("attention.norm.reduce", Stream::kTensor);
    Norm("attention.norm");
    Compute("aten.add_.Tensor", "attention.residual", 44, -23);
    if (micro_batch_ + 1 == options_.micro_batches && layer_ % 2 == 0) {
      phase_ = "weight_gradient";
      Collective("all_reduce", "gradients.bucket" + std::to_string(layer_ / 2), 5200, Stream::kData, 0.9);
    }
  }
  void MicroBatch() {
    layer_ = -1;
    phase_ = "forward";
    Compute("aten.embedding", "embedding", 65, 2, 2.1);
    for (layer_ = 0; layer_ < options_.layers; ++layer_) ForwardLayer();
    layer_ = -1;
    Norm("final_norm");
    Compute("aten.mm", "head", 2600, 24);
    Compute("aten._log_softmax", "loss", 540, 24, 1.25);
    AllReduce("loss.reduce");
    phase_ = "input_gradient";
    Compute("aten._log_softmax_backward_data", "loss", 600, -24);
    Compute("aten.mm", "head", 2640, 2);
    phase_ = "weight_gradient";
    Compute("aten.mm", "head", 2580, -28);
    for (layer_ = options_.layers - 1; layer_ >= 0; --layer_) BackwardLayer();
    layer_ = -1;
    phase_ = "weight_gradient";
    Compute("aten.embedding_dense_backward", "embedding", 700, -2, 1.4);
  }
  void Optimizer() {
    phase_ = "optimizer";
    for (int32_t bucket = (options_.layers - 1) / 2; bucket >= 0; --bucket)
      Wait("gradients.bucket" + std::to_string(bucket), Stream::kData);
    Compute("aten._foreach_norm.Scalar", "gradient_norm", 820);
    AllReduce("gradient_norm.reduce");
    for (int32_t bucket = 0; bucket <= (options_.layers - 1) / 2; ++bucket) {
      Compute("aten._fused_adamw_", "adamw.bucket" + std::to_string(bucket), 2900, 0, 1.07);
    }
  }

  SampleOptions options_;
  std::string phase_;
  int32_t layer_ = -1;
  int32_t micro_batch_ = -1;
};

// A number in [-1, 1) that depends on its arguments alone (splitmix64).
inline double Noise(uint64_t seed, uint64_t a, uint64_t b) {
  uint64_t z = seed * 0x9E3779B97F4A7C15ull + a * 0xBF58476D1CE4E5B9ull + b * 0x94D049BB133111EBull + 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) / 4503599627370496.0 - 1.0;
}

// Runs the items in lockstep on all ranks: computation one after the other, collectives beside it, each ending together on its group.
class Runner {
 public:
  Runner(const std::vector<Item>& items, int32_t ranks, bool measured, const SampleOptions& options)
      : items_(items), ranks_(static_cast<size_t>(ranks)), measured_(measured), options_(options) {
    time_.resize(ranks_);
    ended_.assign(3, std::vector<Duration>(ranks_));
    live_ = int64_t{160} << 20;
    peak_ = live_;
    for (size_t i = 0; i < items.size(); ++i) Run(i);
  }

  ir::Timeline Finish() {
    for (int32_t rank = 0; rank < static_cast<int32_t>(ranks_); ++rank) {
      const Duration end = time_[static_cast<size_t>(rank)];
      timeline_.ranks.push_back({rank, end, Bytes(peak_)});
      timeline_.makespan = std::max(timeline_.makespan, end);
    }
    std::ranges::stable_sort(timeline_.events, {},
                             [](const ir::TimelineEvent& event) { return std::tuple(event.rank, event.stream, event.start, event.op); });
    timeline_.mesh = {{"tensor", 2}, {"data", std::max<int64_t>(1, options_.ranks / 2)}};
    timeline_.groups = {{"tensor", {"tensor"}, {}}, {"data", {"data"}, {}}};
    timeline_.streams = {{ir::Stream::Kind::kCompute, 0, "compute"},
                         {ir::Stream::Kind::kCommunication, 0, "communication.tensor"},
                         {ir::Stream::Kind::kCommunication, 1, "communication.data"}};
    for (const Item& item : items_) {
      timeline_.ops.push_back(item.op);
      if (measured_) timeline_.ops.back().source = "observed";
    }
    if (measured_) timeline_.steps = {timeline_.makespan, timeline_.makespan * 101 + Duration(), timeline_.makespan};
    if (measured_) timeline_.steps[1] = Duration::Picoseconds(timeline_.steps[1].picoseconds() / 100);
    timeline_.title = measured_ ? "measured" : "predicted";
    timeline_.plan = "data 2, tensor 2, micro_batch 4";
    timeline_.device = "CPU, 2 threads a rank";
    timeline_.program_hash = "sample-" + std::to_string(options_.layers) + "-" + std::to_string(options_.micro_batches);
    return std::move(timeline_);
  }

 private:
  Duration DurationOf(size_t op, size_t rank) const {
    const Item& item = items_[op];
    if (!measured_) return Duration::Microseconds(item.microseconds);
    return Duration::Microseconds(item.microseconds * item.bias * (1 + options_.noise * Noise(options_.seed, op, rank)));
  }

  void Add(size_t rank, Stream stream, size_t op, Duration start, Duration duration) {
    timeline_.events.push_back({static_cast<int32_t>(rank), static_cast<int32_t>(stream), ir::OpId(op), start, duration});
  }

  // Ranks of a group: tensor pairs neighbours, data takes the ranks of equal parity.
  bool SameGroup(Stream stream, size_t a, size_t b) const { return stream == Stream::kTensor ? a / 2 == b / 2 : a % 2 == b % 2; }

  void RunCollective(size_t op) {
    std::vector<Duration>& ended = ended_[static_cast<size_t>(items_[op].stream)];
    std::vector<Duration> start(ranks_);
    for (size_t rank = 0; rank < ranks_; ++rank) start[rank] = std::max(time_[rank], ended[rank]);
    for (size_t rank = 0; rank < ranks_; ++rank) {
      Duration last;
      for (size_t other = 0; other < ranks_; ++other) {
        if (SameGroup(items_[op].stream, rank, other)) last = std::max(last, start[other]);
      }
      const Duration end = last + DurationOf(op, 0);
      Add(rank, items_[op].stream, op, start[rank], end - start[rank]);
      ended[rank] = end;
    }
  }

  void Run(size_t op) {
    const Item& item = items_[op];
    if (item.op.kind == "collective") RunCollective(op);
    for (size_t rank = 0; rank < ranks_; ++rank) {
      if (item.op.kind == "compute") {
        const Duration duration = DurationOf(op, rank);
        Add(rank, Stream::kCompute, op, time_[rank], duration);
        time_[rank] += duration + Duration::Microseconds(measured_ ? 3 : 2);  // launching the next op
      } else if (item.op.kind == "wait") {
        const Duration end = std::max(time_[rank], ended_[static_cast<size_t>(item.stream)][rank]);
        Add(rank, Stream::kCompute, op, time_[rank], end - time_[rank]);
        time_[rank] = end;
      }
    }
    live_ += item.activation_bytes;
    peak_ = std::max(peak_, live_);
    for (size_t rank = 0; rank < ranks_; ++rank) Sample(op, rank);
  }

  void Sample(size_t op, size_t rank) {
    constexpr int64_t kMebibyte = 1 << 20;
    const int64_t activations = live_ - 160 * kMebibyte + (measured_ ? 3 * kMebibyte : 0);
    timeline_.memory.push_back(
        {static_cast<int32_t>(rank), ir::OpId(op), time_[rank], {40 * kMebibyte, 40 * kMebibyte, 80 * kMebibyte, activations, 0, 0}});
    peak_ = std::max(peak_, activations + 160 * kMebibyte);
  }

  const std::vector<Item>& items_;
  size_t ranks_;
  bool measured_;
  SampleOptions options_;
  std::vector<Duration> time_;                // of each rank's compute stream
  std::vector<std::vector<Duration>> ended_;  // by stream and rank: when its last collective ends
  int64_t live_ = 0;
  int64_t peak_ = 0;
  ir::Timeline timeline_;
};

}  // namespace sample_internal

inline SampleTimelines MakeSampleTimelines(const SampleOptions& options = {}) {
  const std::vector<sample_internal::Item> items = sample_internal::StepBuilder(options).items;
  return {sample_internal::Runner(items, 1, false, options).Finish(),
          sample_internal::Runner(items, options.ranks, true, options).Finish()};
}

// A timeline written by hand, event by event, for tests whose numbers are derived in a comment. Times in microseconds.
class TimelineBuilder {
 public:
  TimelineBuilder(std::string title, std::string program_hash) {
    timeline_.title = std::move(title);
    timeline_.program_hash = std::move(program_hash);
    timeline_.plan = "data 1, tensor 2, micro_batch 1";
  }
  int32_t Stream(ir::Stream::Kind kind, const std::string& name) {
    timeline_.streams.push_back({kind, static_cast<int32_t>(timeline_.streams.size()), name});
    return static_cast<int32_t>(timeline_.streams.size()) - 1;
  }
  // A communication stream of a group that lies along `dimensions` of the mesh; Mesh first.
  int32_t GroupStream(const std::string& name, const std::vector<std::string>& dimensions, const std::vector<int64_t>& coordinates = {}) {
    timeline_.groups.push_back({name, dimensions, coordinates});
    timeline_.streams.push_back(
        {ir::Stream::Kind::kCommunication, static_cast<int32_t>(timeline_.groups.size()) - 1, "communication." + name});
    return static_cast<int32_t>(timeline_.streams.size()) - 1;
  }
  void Mesh(const std::vector<ir::MeshDimension>& mesh) { timeline_.mesh = mesh; }
  void Plan(const std::string& plan) { timeline_.plan = plan; }
  ir::OpId Op(const std::string& kind, const std::string& target, const std::string& label, const std::string& phase = "forward",
              const std::string& source = "measured") {
    timeline_.ops.push_back({target, label, kind, phase, source, 0, 0});
    return ir::OpId(timeline_.ops.size() - 1);
  }
  void Event(int32_t rank, int32_t stream, ir::OpId op, double start, double end) {
    timeline_.events.push_back({rank, stream, op, Duration::Microseconds(start), Duration::Microseconds(end - start)});
    timeline_.makespan = std::max(timeline_.makespan, Duration::Microseconds(end));
  }
  void Rank(int32_t rank, double makespan, int64_t peak_bytes) {
    timeline_.ranks.push_back({rank, Duration::Microseconds(makespan), Bytes(peak_bytes)});
  }
  ir::Timeline Build() const { return timeline_; }

 private:
  ir::Timeline timeline_;
};

}  // namespace helm::test
