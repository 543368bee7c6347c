#include "formats/checkpoint_index.h"

#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/hash.h"
#include "core/json.h"

namespace helm::formats {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;

// A matrix in two halves of its columns, and one moment of it whole.
CheckpointIndex SmallIndex() {
  CheckpointIndex index;
  index.step = 7;
  index.model = {{"family", "llama"}, {"norm_epsilon", 1e-5}};
  index.dtype = "bf16";
  index.strategy = "data 1, tensor 2";
  index.ranks = 2;
  index.data = {"shipped text", "00000000000000aa", 4, 12};
  index.tensors["w"] = {ir::DataType::kFloat32, {3, 4}, {{"a.safetensors", {0, 0}, {3, 2}, "01"}, {"b.safetensors", {0, 2}, {3, 2}, "02"}}};
  index.tensors["optimizer.moment_first.w"] = {ir::DataType::kFloat32, {3, 4}, {{"o.safetensors", {0, 0}, {3, 4}, "03"}}};
  index.stamp = {{"helm", "test"}};
  return index;
}

// What reading says of the small index after `change`, with the hash that the changed document has.
std::string ErrorAfter(const std::function<void(Json&)>& change) {
  Json document = Json::parse(ToText(SmallIndex()));
  change(document);
  document.erase("content_hash");
  const std::string hash = Hex16(Hash64(document.dump()));
  document["content_hash"] = hash;
  const Result<CheckpointIndex> index = ParseCheckpointIndex(document.dump(), "index.json");
  return index.ok() ? "no error" : index.status().message();
}

TEST(CheckpointIndex, ReadsBack) {
  const Result<CheckpointIndex> index = ParseCheckpointIndex(ToText(SmallIndex()), "index.json");
  ASSERT_TRUE(index.ok()) << index.status().message();
  EXPECT_EQ(*index, SmallIndex());
}

// Hugging Face's loaders know whole tensors only.
TEST(CheckpointIndex, HasAWeightMapWhereAllParametersAreWhole) {
  EXPECT_THAT(ToText(SmallIndex()), Not(HasSubstr("weight_map")));
  CheckpointIndex whole = SmallIndex();
  whole.tensors["w"].pieces = {{"a.safetensors", {0, 0}, {3, 4}, "01"}};
  const Json document = Json::parse(ToText(whole));
  EXPECT_EQ(document["weight_map"], (Json{{"w", "a.safetensors"}}));
  EXPECT_EQ(document["metadata"]["total_size"], 3 * 4 * 4);  // bytes of w in fp32
}

TEST(CheckpointIndex, NamesPiecesByTheirRanges) {
  const IndexedPiece half{"a.safetensors", {0, 2}, {3, 2}, ""};
  EXPECT_EQ(PieceName("w", {3, 4}, half), "w[0:3,2:4]");
  EXPECT_EQ(PieceName("w", {3, 2}, {"a.safetensors", {0, 0}, {3, 2}, ""}), "w");
}

TEST(CheckpointIndex, RefusesAChangedContent) {
  std::string text = ToText(SmallIndex());
  const size_t at = text.find("\"step\": 7");
  ASSERT_NE(at, std::string::npos);
  text[at + 8] = '8';
  EXPECT_THAT(ParseCheckpointIndex(text, "index.json").status().message(), HasSubstr("index.json: error: the content has the hash "));
  EXPECT_THAT(ParseCheckpointIndex(text.substr(0, text.size() / 2), "index.json").status().message(), HasSubstr("index.json:"));
}

TEST(CheckpointIndex, RefusesPiecesThatDoNotMakeTheTensor) {
  EXPECT_EQ(ErrorAfter([](Json&) {}), "no error");
  const auto pieces_of_w = [](Json& document) -> Json& { return document["tensors"]["w"]["pieces"]; };
  EXPECT_THAT(ErrorAfter([&](Json& document) { pieces_of_w(document).erase(1); }),
              HasSubstr("index.json: tensor 'w': error: 6 of its elements are in no piece"));
  EXPECT_THAT(ErrorAfter([&](Json& document) { pieces_of_w(document)[1]["offset"] = {0, 1}; }),
              HasSubstr("its pieces at [0, 0] and [0, 1] overlap"));
  EXPECT_THAT(ErrorAfter([&](Json& document) { pieces_of_w(document)[1]["offset"] = {1, 2}; }),
              HasSubstr("a piece [3, 2] at [1, 2] does not lie in the tensor [3, 4]"));
  EXPECT_THAT(ErrorAfter([&](Json& document) { pieces_of_w(document)[1]["shape"] = {3, 0}; }), HasSubstr("has no elements"));
  // So many that their bytes would not fit a number.
  EXPECT_THAT(ErrorAfter([&](Json& document) { document["tensors"]["w"]["shape"] = {int64_t{1} << 40, 2}; }),
              HasSubstr("or more than 2^40"));
  EXPECT_THAT(ErrorAfter([&](Json& document) { pieces_of_w(document)[1]["file"] = "../b.safetensors"; }),
              HasSubstr("'../b.safetensors' is not the name of a file beside the index"));
  EXPECT_THAT(ErrorAfter([](Json& document) { document["tensors"]["w"]["dtype"] = "f64"; }), HasSubstr("dtype 'f64'"));
  EXPECT_THAT(ErrorAfter([](Json& document) { document["schema_version"] = 2; }), HasSubstr("schema_version"));
  EXPECT_THAT(ErrorAfter([](Json& document) { document["stepp"] = 2; }), HasSubstr("stepp"));
}

}  // namespace
}  // namespace helm::formats
