// DataLoader: the tokens and labels of each training step, the same whatever the split.
//
// Sequence i of step s is the k-th stretch of `sequence_length` tokens of the corpus, k = s x global_batch + i, beginning again from the
// start behind the last whole stretch; the label of a token is the token after it. A data-parallel rank takes consecutive sequences of the
// batch, in the order of the ranks: `micro_batch` of them per micro-batch, as many micro-batches as the strategy gives it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "formats/checkpoint_index.h"
#include "ir/strategy.h"

namespace helm::exec {

struct Batch {  // row-major [sequences, sequence_length]
  std::vector<int64_t> tokens;
  std::vector<int64_t> labels;
  bool operator==(const Batch&) const = default;
};

class DataLoader {
 public:
  // `data`: a token shard or a folder of them; empty: the text that HELM ships, one token a byte, where the vocabulary has at least 257
  // entries, otherwise random tokens of the workload's seed.
  static Result<DataLoader> Open(const std::string& data, int64_t vocabulary, const ir::Workload& workload);

  const std::string& description() const { return description_; }  // "token shards of DIR", "shipped text", "random tokens"

  Batch Load(int64_t step) const;  // the global batch

  // What the steps are made from: two loaders of one order give the same batch for every step. Reads all tokens.
  formats::DataOrder Order() const;

 private:
  DataLoader(std::string description, const ir::Workload& workload) : description_(std::move(description)), workload_(workload) {}
  void LoadSequence(int64_t number, Batch* batch) const;

  std::string description_;
  ir::Workload workload_;
  int64_t vocabulary_ = 0;
  std::vector<uint32_t> corpus_;  // empty: random tokens
};

// What the data-parallel rank `data_rank` gives its micro-batch `micro_batch`. REQUIRES: the batch is a whole global batch.
Batch ShareOf(const Batch& batch, const ir::Workload& workload, const ir::Strategy& strategy, int64_t data_rank, int64_t micro_batch);

// The text that HELM ships (configs/data/alice.txt), one token a byte, then 256 as the end of the document.
std::vector<uint32_t> ShippedTokens();

}  // namespace helm::exec
