#include "exec/data_loader.h"

#include <algorithm>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "core/check.h"
#include "core/hash.h"
#include "core/random.h"
#include "formats/token_shard.h"

// The text is part of the program, so that a run depends on no path.
asm(R"(
  .section .rodata
  .global helm_shipped_text_begin
  .global helm_shipped_text_end
helm_shipped_text_begin:
  .incbin ")" HELM_SHIPPED_TEXT R"("
helm_shipped_text_end:
  .previous
)");
extern "C" const char helm_shipped_text_begin[];
extern "C" const char helm_shipped_text_end[];

namespace helm::exec {
namespace {

constexpr uint32_t kEndOfDocument = 256;  // behind the 256 byte values
constexpr int64_t kByteVocabulary = 257;

}  // namespace

std::vector<uint32_t> ShippedTokens() {
  std::vector<uint32_t> tokens;
  for (const char* at = helm_shipped_text_begin; at != helm_shipped_text_end; ++at) tokens.push_back(static_cast<unsigned char>(*at));
  tokens.push_back(kEndOfDocument);
  return tokens;
}

Result<DataLoader> DataLoader::Open(const std::string& data, int64_t vocabulary, const ir::Workload& workload) {
  DataLoader loader(data.empty() ? "shipped text" : "token shards of " + data, workload);
  loader.vocabulary_ = vocabulary;
  if (!data.empty()) {
    HELM_ASSIGN_OR_RETURN(loader.corpus_, formats::ReadTokens(data, vocabulary));
  } else if (vocabulary >= kByteVocabulary) {
    loader.corpus_ = ShippedTokens();
  } else {
    loader.description_ = "random tokens";
    return loader;
  }
  if (static_cast<int64_t>(loader.corpus_.size()) <= workload.sequence_length) {
    return InvalidError(fmt::format("{}: error: {} tokens are too few for one sequence of {} and its last label",
                                    data.empty() ? "shipped text" : data, loader.corpus_.size(), workload.sequence_length));
  }
  return loader;
}

Batch DataLoader::Load(int64_t step) const {
  Batch batch;
  for (int64_t i = 0; i < workload_.global_batch; ++i) LoadSequence(step * workload_.global_batch + i, &batch);
  return batch;
}

formats::DataOrder DataLoader::Order() const {
  const auto bytes = std::as_bytes(std::span(corpus_));
  const std::string tokens = corpus_.empty()
                                 ? Hex16(Hash64(fmt::format("random tokens: seed {}, vocabulary {}", workload_.seed, vocabulary_)))
                                 : formats::BytesHash(bytes);
  return {description_, tokens, workload_.global_batch, workload_.sequence_length};
}

void DataLoader::LoadSequence(int64_t number, Batch* batch) const {
  const int64_t length = workload_.sequence_length;
  if (corpus_.empty()) {
    const RandomStream stream(workload_.seed, "tokens");
    const auto token = [&](int64_t position) {
      return static_cast<int64_t>(
          stream.Uniform(static_cast<uint64_t>(number * (length + 1) + position), static_cast<uint64_t>(vocabulary_)));
    };
    for (int64_t i = 0; i < length; ++i) batch->tokens.push_back(token(i));
    for (int64_t i = 0; i < length; ++i) batch->labels.push_back(token(i + 1));
    return;
  }
  const int64_t stretches = (static_cast<int64_t>(corpus_.size()) - 1) / length;
  const auto begin = corpus_.begin() + (number % stretches) * length;
  batch->tokens.insert(batch->tokens.end(), begin, begin + length);
  batch->labels.insert(batch->labels.end(), begin + 1, begin + 1 + length);
}

Batch ShareOf(const Batch& batch, const ir::Workload& workload, const ir::Strategy& strategy, int64_t data_rank, int64_t micro_batch) {
  const int64_t first = FirstSequence(workload, strategy, data_rank) + micro_batch * strategy.micro_batch;
  const int64_t begin = first * workload.sequence_length;
  const int64_t end = begin + strategy.micro_batch * workload.sequence_length;
  HELM_CHECK(batch.tokens.size() == batch.labels.size() && end <= static_cast<int64_t>(batch.tokens.size()),
             "the share lies inside the global batch");
  return {{batch.tokens.begin() + begin, batch.tokens.begin() + end}, {batch.labels.begin() + begin, batch.labels.begin() + end}};
}

}  // namespace helm::exec
